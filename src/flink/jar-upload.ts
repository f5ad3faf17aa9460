/** The body of POST /jars/upload (WEB/handlers/JarUploadHeaders): one file field, streamed, its length known beforehand. */
import { randomBytes } from 'node:crypto'
import { StorageError } from '../domain/errors.ts'
import type { StreamedBody } from './http.ts'

export type Jar = { name: string; sizeBytes: number; read: () => AsyncIterable<Uint8Array> }

/** It stands unquoted in a header, in Flink's file name and in a path: no other letters. */
const JAR_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,195}\.jar$/

/** Throws RangeError for a name that Flink would refuse or change. */
export function jarUpload({ name, sizeBytes, read }: Jar): StreamedBody {
  if (!JAR_NAME.test(name))
    throw new RangeError(
      'a jar is uploaded under a name of letters, digits, ".", "_" and "-" that ends in ".jar"',
    )
  // Random: no jar contains it.
  const boundary = `tidemark-${randomBytes(16).toString('hex')}`
  const head = Buffer.from(
    `--${boundary}\r\nContent-Disposition: form-data; name="jarfile"; filename="${name}"\r\nContent-Type: application/x-java-archive\r\n\r\n`,
  )
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    sizeBytes: head.length + sizeBytes + tail.length,
    async *read() {
      yield head
      yield* ofLength(read(), sizeBytes)
      yield tail
    },
  }
}

/** A jar that was replaced or cut off while it is read must not be uploaded as if it were whole. */
async function* ofLength(chunks: AsyncIterable<Uint8Array>, sizeBytes: number): AsyncIterable<Uint8Array> {
  let readBytes = 0
  for await (const chunk of chunks) {
    readBytes += chunk.length
    if (readBytes > sizeBytes) break
    yield chunk
  }
  if (readBytes !== sizeBytes) {
    const found = readBytes > sizeBytes ? 'more' : `${readBytes}`
    throw new StorageError('refused', `the jar should have ${sizeBytes} bytes and has ${found}`)
  }
}
