import { Buffer } from 'node:buffer'

/**
 * Java's "modified UTF-8": NUL is two bytes, and characters above U+FFFF are two surrogates of three bytes each.
 * Decoding accepts exactly what `DataInputStream.readUTF` accepts, so also forms that Java itself would not write.
 * Answers the index of the first malformed sequence when there is one.
 */
export function decodeModifiedUtf8(
  bytes: Buffer,
  view: DataView,
  start: number,
  end: number,
): string | number {
  const ascii = skipAscii(view, start, end)
  return ascii === end ? bytes.toString('latin1', start, end) : decodeUnits(view, start, end)
}

function skipAscii(view: DataView, start: number, end: number): number {
  let at = start
  while (at + 4 <= end && (view.getUint32(at) & 0x80808080) === 0) at += 4
  while (at < end && view.getUint8(at) < 0x80) at += 1
  return at
}

function decodeUnits(view: DataView, start: number, end: number): string | number {
  const units = Buffer.allocUnsafe((end - start) * 2)
  let length = 0
  let at = start
  while (at < end) {
    const first = view.getUint8(at)
    const size = sequenceLength(first)
    if (size === 0 || at + size > end) return at
    let unit = size === 1 ? first : first & (size === 2 ? 0x1f : 0x0f)
    for (let next = 1; next < size; next += 1) {
      const byte = view.getUint8(at + next)
      if ((byte & 0xc0) !== 0x80) return at
      unit = (unit << 6) | (byte & 0x3f)
    }
    length = units.writeUInt16LE(unit, length)
    at += size
  }
  return units.toString('utf16le', 0, length)
}

function sequenceLength(first: number): number {
  if (first < 0x80) return 1
  if (first >= 0xc0 && first < 0xe0) return 2
  return first >= 0xe0 && first < 0xf0 ? 3 : 0
}

export function encodeModifiedUtf8(text: string): Buffer {
  const bytes = Buffer.allocUnsafe(text.length * 3)
  let at = 0
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index)
    if (unit > 0 && unit < 0x80) {
      at = bytes.writeUInt8(unit, at)
    } else if (unit < 0x800) {
      at = bytes.writeUInt8(0xc0 | (unit >> 6), at)
      at = bytes.writeUInt8(0x80 | (unit & 0x3f), at)
    } else {
      at = bytes.writeUInt8(0xe0 | (unit >> 12), at)
      at = bytes.writeUInt8(0x80 | ((unit >> 6) & 0x3f), at)
      at = bytes.writeUInt8(0x80 | (unit & 0x3f), at)
    }
  }
  return bytes.subarray(0, at)
}
