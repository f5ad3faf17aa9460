/**
 * What an attempt left in its own directory. Flink makes one child `savepoint-<6 hex>-<12 hex>` per trigger and writes its
 * `_metadata` last (AbstractFsCheckpointStorageAccess, FsCheckpointMetadataOutputStream): a child with `_metadata` is a
 * completed savepoint, one without is running, failed or interrupted.
 */
import { type Location, relativeSegments } from '../domain/location.ts'
import type { ObjectStore } from '../ports/storage.ts'

export type CompleteChild = { location: Location; metadataModifiedAt: Date | null }
export type AttemptDirectory = { complete: CompleteChild[]; incomplete: Location[] }

/** Two triggers in one directory are the most that ever happens; a directory of more than this is not read to its end. */
const MAX_PAGES = 50

/** Throws StorageError when the store could not be asked: then nothing is known. */
export async function readAttemptDirectory(
  store: ObjectStore,
  directory: Location,
): Promise<AttemptDirectory> {
  const children = new Map<string, { complete: boolean; modifiedAt: Date | null }>()
  let pageToken: string | null = null
  for (let page = 0; page < MAX_PAGES; page++) {
    const answer: Awaited<ReturnType<ObjectStore['list']>> = await store.list(
      directory,
      pageToken === null ? {} : { pageToken },
    )
    for (const object of answer.objects) {
      const [child, name, ...deeper] = relativeSegments(directory, object.location)
      if (child === undefined || name === undefined) continue
      const known = children.get(child) ?? { complete: false, modifiedAt: null }
      const isMetadata = name === '_metadata' && deeper.length === 0 && object.sizeBytes > 0
      children.set(child, isMetadata ? { complete: true, modifiedAt: object.modifiedAt } : known)
    }
    pageToken = answer.nextPageToken
    if (pageToken === null) break
  }
  const at = (child: string): Location => ({ ...directory, segments: [...directory.segments, child] })
  const entries = [...children]
  return {
    complete: entries
      .filter(([, c]) => c.complete)
      .map(([name, c]) => ({ location: at(name), metadataModifiedAt: c.modifiedAt })),
    incomplete: entries.filter(([, c]) => !c.complete).map(([name]) => at(name)),
  }
}

const HEADER_BYTES = 16

/** The checkpoint id is bytes 8–15 of `_metadata`, big-endian, after magic and version; null when it is not one of ours. */
export async function readCheckpointId(store: ObjectStore, savepoint: Location): Promise<number | null> {
  const file = { ...savepoint, segments: [...savepoint.segments, '_metadata'] }
  const header = await store.readRange(file, 0, HEADER_BYTES)
  if (header === null || header.length < HEADER_BYTES) return null
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength)
  if (view.getUint32(0) !== 0x4960672d) return null
  const id = view.getBigInt64(8)
  return id >= 0n && id <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(id) : null
}
