/**
 * What somebody sends us, on this machine for as long as we need it. The file has no name from the moment it is opened:
 * whatever becomes of this process, the system takes it back.
 */
import { createHash, randomUUID } from 'node:crypto'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DomainError } from '../domain/errors.ts'
import type { ReceivedUpload, Uploads } from '../ports/artifacts.ts'
import { codeOf } from './local-errors.ts'

const READ_BYTES = 256 * 1024
const NO_ROOM = new Set(['ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE'])

/** `directory`: where the files lie; the system's temporary one (`TMPDIR`) by default. */
export const createUploads = ({ directory = tmpdir() }: { directory?: string } = {}): Uploads => ({
  async receive(body, maxBytes) {
    const file = await openNameless(directory).catch(throwNoRoom)
    try {
      const { sizeBytes, sha256 } = await keep(body, file, maxBytes)
      return upload(file, sizeBytes, sha256)
    } catch (error) {
      await file.close()
      throw error
    }
  },
})

async function openNameless(directory: string): Promise<FileHandle> {
  const path = join(directory, `tidemark-upload-${randomUUID()}`)
  const file = await open(path, 'wx+', 0o600)
  await unlink(path)
  return file
}

async function keep(
  body: AsyncIterable<Uint8Array>,
  file: FileHandle,
  maxBytes: number,
): Promise<{ sizeBytes: number; sha256: string }> {
  const hash = createHash('sha256')
  let sizeBytes = 0
  for await (const chunk of unbroken(body)) {
    if (sizeBytes + chunk.length > maxBytes) {
      throw new DomainError('BODY_TOO_LARGE', `an artifact may have at most ${maxBytes} bytes`)
    }
    hash.update(chunk)
    await writeAt(file, chunk, sizeBytes).catch(throwNoRoom)
    sizeBytes += chunk.length
  }
  return { sizeBytes, sha256: hash.digest('hex') }
}

/** Whoever sends may go away at any time: that is no failure of ours. */
async function* unbroken(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* body
  } catch (cause) {
    throw new DomainError('ARTIFACT_INVALID', 'The upload broke off before its end.', { cause })
  }
}

async function writeAt(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < chunk.length; ) {
    const rest = chunk.length - written
    written += (await file.write(chunk, written, rest, position + written)).bytesWritten
  }
}

const upload = (file: FileHandle, sizeBytes: number, sha256: string): ReceivedUpload => {
  const readRange = async (offset: number, length: number): Promise<Uint8Array> => {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, sizeBytes - offset)))
    let filled = 0
    while (filled < bytes.length) {
      const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, offset + filled)
      if (bytesRead === 0) throw new Error('a file that only we can reach has become shorter')
      filled += bytesRead
    }
    return bytes
  }
  return {
    sizeBytes,
    sha256,
    readRange,
    async *read() {
      for (let offset = 0; offset < sizeBytes; offset += READ_BYTES) yield await readRange(offset, READ_BYTES)
    },
    discard: () => file.close(),
  }
}

function throwNoRoom(error: unknown): never {
  if (!NO_ROOM.has(codeOf(error))) throw error
  throw new DomainError('OVERLOADED', 'There is no room for the upload at the moment; try again later.', {
    cause: error,
  })
}
