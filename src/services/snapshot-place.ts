/** Where the data of a snapshot lies, and the store that holds it. */
import { DomainError } from '../domain/errors.ts'
import { isInside, type Location, parseLocation, snapshotDirectory } from '../domain/location.ts'
import type { Snapshot } from '../domain/snapshot.ts'
import type { StorageRepository, StorageRow } from '../ports/resources.ts'
import type { Scope } from '../ports/scope.ts'
import type { ObjectStore, ObjectStores } from '../ports/storage.ts'

export type SnapshotPlacePorts = {
  storages: Pick<StorageRepository, 'find' | 'findContaining'>
  stores: Pick<ObjectStores, 'of'>
}
export type SnapshotPlace = { store: ObjectStore; storage: StorageRow; directory: Location }

/**
 * The folder of a snapshot in the store of its storage or, when that is gone or its root lies elsewhere by now, of the storage
 * of the namespace that contains it. Throws SNAPSHOT_NOT_PRESENT without a location, STORAGE_NOT_ADDRESSABLE when no
 * storage of ours reaches it.
 */
export async function openSnapshotPlace(
  { storages, stores }: SnapshotPlacePorts,
  scope: Scope,
  snapshot: Pick<Snapshot, 'id' | 'location' | 'storage'>,
): Promise<SnapshotPlace> {
  if (snapshot.location === null) {
    throw new DomainError(
      'SNAPSHOT_NOT_PRESENT',
      `The snapshot ${snapshot.id} has no location: nothing of it was written, or Flink keeps it where nobody else can reach it.`,
    )
  }
  const directory = readDirectory(snapshot.location)
  const named = snapshot.storage && (await storages.find(scope, snapshot.storage.id))
  const storage =
    named && isInside(named.address.root, directory) ? named : await storages.findContaining(scope, directory)
  if (!storage) {
    throw new DomainError(
      'STORAGE_NOT_ADDRESSABLE',
      `${JSON.stringify(snapshot.location)} lies in no storage of this namespace: register the storage that contains it.`,
    )
  }
  return { store: stores.of(storage.address), storage, directory }
}

/** Flink reports places that are no locations of ours, such as `hdfs:///…` without its name node. */
function readDirectory(location: string): Location {
  try {
    return snapshotDirectory(parseLocation(location))
  } catch (error) {
    if (!(error instanceof DomainError)) throw error
    throw new DomainError('STORAGE_NOT_ADDRESSABLE', error.message, { cause: error })
  }
}
