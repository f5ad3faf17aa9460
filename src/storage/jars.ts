/** Opens jars without unpacking them: the names in the directory, and the manifest. Memory is bounded whatever a jar claims. */
import { Readable } from 'node:stream'
import { createInflateRaw, constants as zlib } from 'node:zlib'
import { type JarFindings, readMainClass } from '../domain/artifact.ts'
import { DomainError } from '../domain/errors.ts'
import {
  findZipDirectory,
  readContentOffset,
  readZipEntry,
  ZIP_LOCAL_HEADER_BYTES,
  ZIP_TAIL_BYTES,
  type ZipDirectory,
  type ZipEntry,
  ZipError,
} from '../domain/zip.ts'
import type { Jars, RandomAccess } from '../ports/artifacts.ts'

const MIB = 1024 * 1024
/** About 600,000 classes. */
const MAX_DIRECTORY_BYTES = 64 * MIB
/** Longer than any entry: a name, extra fields and a comment of 64 KiB each. */
const PIECE_BYTES = MIB
/** The main attributes stand at the beginning; signed jars have long manifests. */
const MAX_MANIFEST_BYTES = MIB
const MANIFEST = 'meta-inf/manifest.mf'
const STORED = 0
const DEFLATED = 8

export const createJars = (): Jars => ({
  async inspect(file) {
    try {
      return await inspect(file)
    } catch (error) {
      if (!(error instanceof ZipError)) throw error
      throw new DomainError('ARTIFACT_INVALID', `It is not a jar: ${error.message}.`, { cause: error })
    }
  },
})

async function inspect(file: RandomAccess): Promise<JarFindings> {
  const tailBytes = Math.min(file.sizeBytes, ZIP_TAIL_BYTES)
  const tail = await readFully(file, file.sizeBytes - tailBytes, tailBytes)
  const directory = findZipDirectory(tail, file.sizeBytes)
  if (directory.sizeBytes > MAX_DIRECTORY_BYTES) {
    throw new ZipError(`its directory has more than ${MAX_DIRECTORY_BYTES} bytes`)
  }
  let hasClasses = false
  let manifest: ZipEntry | null = null
  for await (const entry of readEntries(file, directory)) {
    hasClasses ||= entry.name.endsWith('.class')
    if (entry.name.toLowerCase() === MANIFEST) manifest ??= entry
  }
  if (!hasClasses && manifest === null) {
    throw new ZipError('it is a zip file with neither a manifest nor a class in it')
  }
  const mainClass = manifest === null ? null : readMainClass(await readManifest(file, manifest))
  return { hasClasses, hasManifest: manifest !== null, mainClass }
}

async function* readEntries(
  file: RandomAccess,
  { offset, sizeBytes, base }: ZipDirectory,
): AsyncGenerator<ZipEntry> {
  for (let done = 0; done < sizeBytes; ) {
    const piece = await readFully(file, offset + done, Math.min(PIECE_BYTES, sizeBytes - done))
    let at = 0
    for (let found = readZipEntry(piece, at, base); found; found = readZipEntry(piece, at, base)) {
      yield found.entry
      at = found.next
    }
    if (at === 0) throw new ZipError('its directory ends in the middle of an entry')
    done += at
  }
}

async function readManifest(file: RandomAccess, entry: ZipEntry): Promise<string> {
  const header = await readFully(file, entry.headerOffset, ZIP_LOCAL_HEADER_BYTES)
  const length = Math.min(entry.compressedBytes, MAX_MANIFEST_BYTES)
  const content = await readFully(file, entry.headerOffset + readContentOffset(header), length)
  if (entry.method === STORED) return new TextDecoder().decode(content)
  if (entry.method !== DEFLATED)
    throw new ZipError('its manifest is compressed in a way that Java cannot read')
  return new TextDecoder().decode(await inflate(content))
}

/** The first bytes only: a few bytes can claim to be gigabytes. SYNC_FLUSH: what was cut off is no error. */
async function inflate(compressed: Uint8Array): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let bytes = 0
  const inflated = Readable.from([compressed]).pipe(createInflateRaw({ finishFlush: zlib.Z_SYNC_FLUSH }))
  try {
    for await (const chunk of inflated) {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes >= MAX_MANIFEST_BYTES) break
    }
  } catch (error) {
    throw new ZipError(`its manifest cannot be unpacked (${error instanceof Error ? error.message : error})`)
  }
  return Buffer.concat(chunks)
}

async function readFully(file: RandomAccess, offset: number, length: number): Promise<Uint8Array> {
  if (offset < 0 || offset + length > file.sizeBytes) throw new ZipError('it was cut off')
  const bytes = await file.readRange(offset, length)
  if (bytes.length < length) throw new ZipError('it was cut off')
  return bytes
}
