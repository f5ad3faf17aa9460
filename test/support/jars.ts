/** Jars of any kind, well made and not, as bytes. */
import { crc32, deflateRawSync } from 'node:zlib'

export type JarEntry = { name: string; content: string | Buffer; store?: boolean }
export type JarOptions = {
  /** Before the first entry, as in a jar that starts itself. */
  prefix?: Buffer
  comment?: Buffer
  /** The records and fields that large jars have, also where they are not needed. */
  zip64?: boolean
}

export const manifestOf = (...lines: string[]): JarEntry => ({
  name: 'META-INF/MANIFEST.MF',
  content: `${['Manifest-Version: 1.0', ...lines].join('\r\n')}\r\n\r\n`,
})
export const aClass: JarEntry = { name: 'org/example/Job.class', content: Buffer.from('cafebabe', 'hex') }

/** A jar whose content depends on `seed`. */
export const aJar = (seed = ''): Buffer =>
  makeJar([manifestOf('Main-Class: org.example.Job'), aClass, { name: 'seed', content: seed }])

export function makeJar(entries: readonly JarEntry[], options: JarOptions = {}): Buffer {
  const { prefix = Buffer.alloc(0), comment = Buffer.alloc(0), zip64 = false } = options
  const locals: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const entry of entries) {
    const packed = pack(entry)
    directory.push(directoryEntry(packed, offset, zip64))
    const local = Buffer.concat([localHeader(packed), packed.data])
    locals.push(local)
    offset += local.length
  }
  const central = Buffer.concat(directory)
  const end = zip64
    ? Buffer.concat([
        end64(entries.length, central.length, offset, prefix.length),
        endRecord(0xffff, 0xffffffff, 0xffffffff, comment),
      ])
    : endRecord(entries.length, central.length, offset, comment)
  return Buffer.concat([prefix, ...locals, central, end, comment])
}

type Packed = { name: Buffer; method: number; crc: number; size: number; data: Buffer }

function pack({ name, content, store = false }: JarEntry): Packed {
  const bytes = Buffer.from(content)
  const data = store ? bytes : deflateRawSync(bytes)
  return { name: Buffer.from(name), method: store ? 0 : 8, crc: crc32(bytes), size: bytes.length, data }
}

function localHeader({ name, method, crc, size, data }: Packed): Buffer {
  const header = Buffer.alloc(30)
  header.writeUInt32LE(0x04034b50, 0)
  header.writeUInt16LE(20, 4)
  header.writeUInt16LE(method, 8)
  header.writeUInt32LE(crc, 14)
  header.writeUInt32LE(data.length, 18)
  header.writeUInt32LE(size, 22)
  header.writeUInt16LE(name.length, 26)
  return Buffer.concat([header, name])
}

function directoryEntry({ name, method, crc, size, data }: Packed, offset: number, zip64: boolean): Buffer {
  const header = Buffer.alloc(46)
  const extra = Buffer.alloc(zip64 ? 28 : 0)
  header.writeUInt32LE(0x02014b50, 0)
  header.writeUInt16LE(20, 6)
  header.writeUInt16LE(method, 10)
  header.writeUInt32LE(crc, 16)
  header.writeUInt32LE(zip64 ? 0xffffffff : data.length, 20)
  header.writeUInt32LE(zip64 ? 0xffffffff : size, 24)
  header.writeUInt16LE(name.length, 28)
  header.writeUInt16LE(extra.length, 30)
  header.writeUInt32LE(zip64 ? 0xffffffff : offset, 42)
  if (zip64) {
    extra.writeUInt16LE(1, 0)
    extra.writeUInt16LE(24, 2)
    extra.writeBigUInt64LE(BigInt(size), 4)
    extra.writeBigUInt64LE(BigInt(data.length), 12)
    extra.writeBigUInt64LE(BigInt(offset), 20)
  }
  return Buffer.concat([header, name, extra])
}

function endRecord(entries: number, size: number, offset: number, comment: Buffer): Buffer {
  const record = Buffer.alloc(22)
  record.writeUInt32LE(0x06054b50, 0)
  record.writeUInt16LE(entries, 8)
  record.writeUInt16LE(entries, 10)
  record.writeUInt32LE(size, 12)
  record.writeUInt32LE(offset, 16)
  record.writeUInt16LE(comment.length, 20)
  return record
}

function end64(entries: number, size: number, offset: number, prefix: number): Buffer {
  const record = Buffer.alloc(76)
  record.writeUInt32LE(0x06064b50, 0)
  record.writeBigUInt64LE(44n, 4)
  record.writeBigUInt64LE(BigInt(entries), 24)
  record.writeBigUInt64LE(BigInt(entries), 32)
  record.writeBigUInt64LE(BigInt(size), 40)
  record.writeBigUInt64LE(BigInt(offset), 48)
  record.writeUInt32LE(0x07064b50, 56)
  record.writeBigUInt64LE(BigInt(prefix + offset + size), 64)
  record.writeUInt32LE(1, 72)
  return record
}
