/** From one storage to another: which are one store to us, and how bytes go through this process where they are not. */

import { StorageError } from '../domain/errors.ts'
import { formatLocation, type Location } from '../domain/location.ts'
import type { CopySource, ObjectStore, StorageAddress } from '../ports/storage.ts'

const MIB = 1024 * 1024
/** Up to this an object is read once and kept: an upload to S3 reads what it sends twice. */
const KEPT_BYTES = 16 * MIB
const PIECE_BYTES = 8 * MIB

/**
 * Whether whoever opens the target may also read the source, by the same requests: nothing else is ever asked to copy. Two
 * storages of one namespace whose settings differ may still be one store; then the bytes go through us.
 */
export function isOneStore(a: StorageAddress, b: StorageAddress): boolean {
  if (a.namespace !== b.namespace || a.provider !== b.provider) return false
  if (a.provider === 'local') return true
  const accessOf = ({ endpoint, region, credentials }: StorageAddress) =>
    JSON.stringify([
      endpoint,
      region,
      credentials && Object.entries(credentials).sort(([one], [other]) => (one < other ? -1 : 1)),
    ])
  return accessOf(a) === accessOf(b)
}

export async function copyThroughUs(
  from: ObjectStore,
  source: CopySource,
  to: ObjectStore,
  target: Location,
): Promise<void> {
  const { sizeBytes } = source
  const read = () => readSource(from, source)
  if (sizeBytes > KEPT_BYTES) return to.putStream(target, { sizeBytes, read })
  const bytes = new Uint8Array(sizeBytes)
  let filled = 0
  for await (const chunk of read()) {
    if (filled + chunk.length > sizeBytes) throw otherSize(source)
    bytes.set(chunk, filled)
    filled += chunk.length
  }
  if (filled < sizeBytes) throw otherSize(source)
  await to.putStream(target, {
    sizeBytes,
    async *read() {
      if (sizeBytes > 0) yield bytes
    },
  })
}

async function* readSource(from: ObjectStore, source: CopySource): AsyncGenerator<Uint8Array> {
  const { location, piece, sizeBytes } = source
  if (piece === null) {
    yield* from.read(location)
    return
  }
  for (let done = 0; done < sizeBytes; ) {
    const chunk = await from.readRange(location, piece.offset + done, Math.min(PIECE_BYTES, sizeBytes - done))
    if (chunk === null) throw new StorageError('not-found', `${formatLocation(location)} does not exist`)
    if (chunk.length === 0) throw otherSize(source)
    yield chunk
    done += chunk.length
  }
}

const otherSize = ({ location, sizeBytes }: CopySource): StorageError =>
  new StorageError(
    'refused',
    `Copying: ${formatLocation(location)} does not have the ${sizeBytes} bytes it had`,
  )
