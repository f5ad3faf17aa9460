/** The smallest jar there is: a manifest that names the main class, stored without compression. */
import { crc32 } from 'node:zlib'

const NAME = Buffer.from('META-INF/MANIFEST.MF')

/** The layout of a zip file: a local entry, its line in the central directory, the end of it (APPNOTE 4.3). */
export function manifestJar(mainClass: string): Uint8Array {
  const data = Buffer.from(`Manifest-Version: 1.0\r\nMain-Class: ${mainClass}\r\n\r\n`)
  const local = Buffer.concat([header(LOCAL, 4, data), NAME, data])
  const central = Buffer.concat([header(CENTRAL, 6, data), Buffer.alloc(14), NAME])
  const end = Buffer.alloc(22)
  end.writeUInt32LE(END, 0)
  end.writeUInt16LE(1, 8)
  end.writeUInt16LE(1, 10)
  end.writeUInt32LE(central.length, 12)
  end.writeUInt32LE(local.length, 16)
  return Buffer.concat([local, central, end])
}

const LOCAL = 0x04034b50
const CENTRAL = 0x02014b50
const END = 0x06054b50

/** Both kinds hold the same 24 bytes, after the signature and one or two versions. */
function header(signature: number, versionsEndAt: number, data: Buffer): Buffer {
  const bytes = Buffer.alloc(versionsEndAt + 26)
  bytes.writeUInt32LE(signature, 0)
  for (let at = 4; at <= versionsEndAt; at += 2) bytes.writeUInt16LE(20, at)
  const at = versionsEndAt + 2 // flags, method (stored), time and date stay 0
  bytes.writeUInt32LE(crc32(data), at + 8)
  bytes.writeUInt32LE(data.length, at + 12)
  bytes.writeUInt32LE(data.length, at + 16)
  bytes.writeUInt16LE(NAME.length, at + 20)
  return bytes
}
