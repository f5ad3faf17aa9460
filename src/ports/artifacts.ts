/** Jars on their way in, and what is inside them. */
import type { JarFindings } from '../domain/artifact.ts'

/** Any bytes that can be read in pieces: an upload, or an object in a storage. */
export type RandomAccess = {
  sizeBytes: number
  /** Fewer than `length` bytes only at the end. */
  readRange(offset: number, length: number): Promise<Uint8Array>
}

export type ReceivedUpload = RandomAccess & {
  /** 64 lower-case hexadecimal digits. */
  sha256: string
  /** From the beginning, any number of times until `discard`. */
  read(): AsyncIterable<Uint8Array>
  discard(): Promise<void>
}

export interface Uploads {
  /**
   * Keeps the stream on this machine until `discard`; nothing is left of one that breaks off, nor after a crash.
   * Throws DomainError BODY_TOO_LARGE beyond `maxBytes`, ARTIFACT_INVALID when it breaks off, OVERLOADED when there is
   * no room for it.
   */
  receive(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<ReceivedUpload>
}

export interface Jars {
  /**
   * Reads the directory of a zip file (at most 64 MiB of it) and the manifest (at most 1 MiB); throws DomainError
   * ARTIFACT_INVALID saying why it is not one. What `readRange` throws is passed on.
   */
  inspect(file: RandomAccess): Promise<JarFindings>
}
