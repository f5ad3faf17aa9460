/**
 * Finding our way in a zip file (PKWARE APPNOTE 4.3 and 4.4, with the zip64 records that large jars have), as Java's
 * ZipFile does: from the end record to the central directory. No number in the file is believed before it is compared
 * with what there is. Pure: whoever calls reads the bytes.
 */

/** A file that is not the zip file it should be; the message says why, for whoever sent it. */
export class ZipError extends Error {
  override name = 'ZipError'
}

/** `base` is what stands before the first entry, such as the script of a self-starting jar. */
export type ZipDirectory = { offset: number; sizeBytes: number; base: number }
/** `headerOffset`: in the file, `base` included. */
export type ZipEntry = { name: string; method: number; compressedBytes: number; headerOffset: number }

const END = { signature: 0x06054b50, bytes: 22 }
const LOCATOR64 = { signature: 0x07064b50, bytes: 20 }
const END64 = { signature: 0x06064b50, bytes: 56 }
const ENTRY = { signature: 0x02014b50, bytes: 46 }
const LOCAL = { signature: 0x04034b50, bytes: 30 }
const MAX_16 = 0xffff
const MAX_32 = 0xffffffff
const EXTRA_ZIP64 = 1

/** The end record, its longest comment and the two records of zip64 before it lie in this many bytes. */
export const ZIP_TAIL_BYTES = END.bytes + MAX_16 + LOCATOR64.bytes + END64.bytes
/** The header before the bytes of an entry, without its name and its extra fields. */
export const ZIP_LOCAL_HEADER_BYTES = LOCAL.bytes

const latin1 = new TextDecoder('latin1')
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Where the directory is, from the last `ZIP_TAIL_BYTES` (or all) of a file of `fileBytes`. Throws ZipError. */
export function findZipDirectory(tail: Uint8Array, fileBytes: number): ZipDirectory {
  const view = viewOf(tail)
  const end = findEnd(view)
  if (end === null) throw new ZipError('it has no end record: it is no zip file, or it was cut off')
  const tailOffset = fileBytes - tail.length
  const found = readEnd64(view, end, tailOffset) ?? {
    sizeBytes: view.getUint32(end + 12, true),
    offset: view.getUint32(end + 16, true),
    endsAt: tailOffset + end,
  }
  const offset = found.endsAt - found.sizeBytes
  const base = offset - found.offset
  if (offset < 0 || base < 0) throw new ZipError('its directory lies outside the file: it was cut off')
  return { offset, sizeBytes: found.sizeBytes, base }
}

/** The last record whose comment reaches exactly to the end of the file. */
function findEnd(view: DataView): number | null {
  for (let at = view.byteLength - END.bytes; at >= 0 && at >= view.byteLength - END.bytes - MAX_16; at--) {
    if (view.getUint32(at, true) !== END.signature) continue
    if (at + END.bytes + view.getUint16(at + 20, true) === view.byteLength) return at
  }
  return null
}

/** null: the file needs none, and has none right before its end record. */
function readEnd64(
  view: DataView,
  end: number,
  tailOffset: number,
): { sizeBytes: number; offset: number; endsAt: number } | null {
  const overflown =
    view.getUint16(end + 10, true) === MAX_16 ||
    view.getUint32(end + 12, true) === MAX_32 ||
    view.getUint32(end + 16, true) === MAX_32
  const locator = end - LOCATOR64.bytes
  if (!overflown || locator < 0 || view.getUint32(locator, true) !== LOCATOR64.signature) return null
  // right before its locator; the offset the locator names counts from where the archive itself begins
  const record = locator - END64.bytes
  if (record < 0 || view.getUint32(record, true) !== END64.signature) {
    throw new ZipError('its zip64 end record is not where it must be')
  }
  return {
    sizeBytes: readUint64(view, record + 40),
    offset: readUint64(view, record + 48),
    endsAt: tailOffset + record,
  }
}

function readUint64(view: DataView, at: number): number {
  const value = view.getBigUint64(at, true)
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new ZipError('it names an impossible size')
  return Number(value)
}

/**
 * The entry at `at` in a piece of the directory and where the next one begins; null when the piece ends before it does.
 * Throws ZipError.
 */
export function readZipEntry(
  piece: Uint8Array,
  at: number,
  base: number,
): { entry: ZipEntry; next: number } | null {
  const view = viewOf(piece)
  if (at + ENTRY.bytes > view.byteLength) return null
  if (view.getUint32(at, true) !== ENTRY.signature) throw new ZipError('its directory is damaged')
  const nameEnd = at + ENTRY.bytes + view.getUint16(at + 28, true)
  const extraEnd = nameEnd + view.getUint16(at + 30, true)
  const next = extraEnd + view.getUint16(at + 32, true)
  if (next > view.byteLength) return null
  const sizes = readSizes(view, at, nameEnd, extraEnd)
  return {
    entry: {
      name: latin1.decode(piece.subarray(at + ENTRY.bytes, nameEnd)),
      method: view.getUint16(at + 10, true),
      compressedBytes: sizes.compressedBytes,
      headerOffset: base + sizes.headerOffset,
    },
    next,
  }
}

/** Sizes that 32 bits cannot hold stand in the zip64 extra field, in this order, each only when it is needed. */
function readSizes(
  view: DataView,
  at: number,
  extraStart: number,
  extraEnd: number,
): { compressedBytes: number; headerOffset: number } {
  const plain = {
    size: view.getUint32(at + 24, true),
    compressedBytes: view.getUint32(at + 20, true),
    headerOffset: view.getUint32(at + 42, true),
  }
  let field = findExtra(view, extraStart, extraEnd)
  if (field === null) return plain
  const { end } = field
  const read = (value: number): number => {
    if (value !== MAX_32 || field === null) return value
    if (field.at + 8 > end) throw new ZipError('an entry has a damaged zip64 field')
    const large = readUint64(view, field.at)
    field = { at: field.at + 8, end }
    return large
  }
  read(plain.size)
  return { compressedBytes: read(plain.compressedBytes), headerOffset: read(plain.headerOffset) }
}

function findExtra(view: DataView, start: number, end: number): { at: number; end: number } | null {
  for (let at = start; at + 4 <= end; ) {
    const fieldEnd = at + 4 + view.getUint16(at + 2, true)
    if (fieldEnd > end) return null // padding of old tools: what follows is not for us
    if (view.getUint16(at, true) === EXTRA_ZIP64) return { at: at + 4, end: fieldEnd }
    at = fieldEnd
  }
  return null
}

/** How many bytes after its local header an entry's content begins. Throws ZipError. */
export function readContentOffset(localHeader: Uint8Array): number {
  const view = viewOf(localHeader)
  if (view.byteLength < LOCAL.bytes || view.getUint32(0, true) !== LOCAL.signature) {
    throw new ZipError('an entry is not where the directory says')
  }
  return LOCAL.bytes + view.getUint16(26, true) + view.getUint16(28, true)
}
