/**
 * Registers a savepoint that exists already, by its folder or its `_metadata` file. It must lie inside a storage of the
 * namespace, and its `_metadata` is looked at before the row is written. One location is one row: registered again, or
 * taken by us in the first place, the row there is answers.
 */

import { DomainError } from '../domain/errors.ts'
import {
  formatLocation,
  isInsideOrEqual,
  isPlaceOfCheckpoints,
  joinLocation,
  type Location,
  locationKey,
  parseLocation,
  relativeSegments,
  sameLocation,
  snapshotDirectory,
} from '../domain/location.ts'
import { isUuidShaped } from '../domain/resource-name.ts'
import type { Snapshot } from '../domain/snapshot.ts'
import type { JobRepository, StorageRepository, StorageRow } from '../ports/resources.ts'
import type { IdempotencyKey, Scope } from '../ports/scope.ts'
import type { SnapshotRepository } from '../ports/snapshots.ts'
import type { ObjectStore, ObjectStores } from '../ports/storage.ts'
import type { Command, RegisterSnapshotInput, Services } from './api.ts'
import { readCheckpointId } from './attempt-directory.ts'
import { idempotencyKeyOf, scopeOf } from './caller.ts'
import { refuseInput } from './check-input.ts'
import { keyReused } from './create-once.ts'
import { findJob } from './find-resource.ts'
import { getSnapshot } from './get-snapshot.ts'
import { askStorage } from './storage-errors.ts'

type Ports = {
  jobs: Pick<JobRepository, 'find'>
  storages: Pick<StorageRepository, 'findContaining' | 'list'>
  snapshots: SnapshotRepository
  stores: Pick<ObjectStores, 'of'>
  newId: () => string
}
type Request = Command<RegisterSnapshotInput & { job: string }>
type Answer = Awaited<ReturnType<Services['registerSnapshot']>>

/** Somebody else registered or cleared the location between a look and an insert. */
const MAX_RACES = 5
const STORAGES_NAMED = 20
/** Of 1000 objects each: what one request may read to prove that a folder holds one savepoint and nothing else. */
const MAX_PAGES = 20

export const registerSnapshot =
  (ports: Ports): Services['registerSnapshot'] =>
  async (request) => {
    const key = idempotencyKeyOf(request)
    for (let race = 0; race < MAX_RACES; race++) {
      // Before everything else: a repeated request is answered also when the data or the job has gone since.
      const answer = (key && (await replay(request, key, ports))) ?? (await tryOnce(request, key, ports))
      if (answer) return answer
    }
    throw new DomainError('OVERLOADED', 'This location changes hands again and again; try again.')
  }

/** null: somebody else was faster; look again. */
async function tryOnce(
  request: Request,
  key: IdempotencyKey | undefined,
  ports: Ports,
): Promise<Answer | null> {
  const { jobs, snapshots } = ports
  const scope = scopeOf(request.caller)
  const job = await findJob(jobs, scope, request.job)
  const location = snapshotDirectory(parseLocation(request.location))
  const existing = await snapshots.findByLocation(scope, locationKey(location))
  if (existing) return answerExisting(existing, scope, key, ports)

  await refuseOwned(location, scope, snapshots)
  if (request.owned) refuseCheckpoint(location)
  const storage = await findStorageOf(location, scope, ports)
  const store = ports.stores.of(storage.address)
  const found = await readMetadata(store, location)
  if (request.owned) await checkAlone(store, location)
  const id = ports.newId()
  const inserted = await snapshots.insertImport(
    scope,
    {
      id,
      jobId: job.id,
      storageId: storage.id,
      description:
        request.description?.trim() || `Savepoint of ${job.name}, registered by ${request.caller.principal}`,
      labels: request.labels ?? {},
      flinkCheckpointId: found.checkpointId,
      completedAt: found.modifiedAt,
      location: formatLocation(location),
      locationKey: locationKey(location),
      ownedPrefix: request.owned ? `${formatLocation(location)}/` : null,
      createdBy: request.caller.principal,
    },
    key,
  )
  if (inserted !== 'inserted') return null
  return {
    resource: await getSnapshot(ports)({ caller: request.caller, snapshot: id }),
    replayed: false,
    existed: false,
  }
}

/** The key then means the row that answers: repeated, it answers the same one. */
async function answerExisting(
  resource: Snapshot,
  scope: Scope,
  key: IdempotencyKey | undefined,
  { snapshots }: Ports,
): Promise<Answer | null> {
  if (key && !(await snapshots.rememberIdempotent(scope, key, resource.id))) return null
  return { resource, replayed: false, existed: true }
}

async function replay(request: Request, key: IdempotencyKey, ports: Ports): Promise<Answer | null> {
  const earlier = await ports.snapshots.findIdempotent(scopeOf(request.caller), key)
  if (!earlier) return null
  if (earlier.kind === 'key-reused') throw keyReused()
  const resource = await getSnapshot(ports)({ caller: request.caller, snapshot: earlier.id })
  return { resource, replayed: true, existed: false }
}

// ---------------------------------------------------------------------------------------------------- place

/**
 * What lies in the directory of another snapshot is cleared with that one, and may be the very savepoint that it is still
 * waiting for. Our directories carry the snapshot's id (request-savepoint.ts); an owned import is one of the folders above.
 */
async function refuseOwned(
  location: Location,
  scope: Scope,
  snapshots: Pick<SnapshotRepository, 'findOwners'>,
): Promise<void> {
  const ids = location.segments.filter(isUuidShaped)
  const above = location.segments.map((_, depth) =>
    locationKey({ ...location, segments: location.segments.slice(0, depth) }),
  )
  const owners = await snapshots.findOwners(scope, ids, above)
  const owner = owners.find(({ ownedPrefix }) => isInsideOrEqual(parseLocation(ownedPrefix), location))
  if (!owner) return
  throw new DomainError(
    'IN_USE',
    `The location lies in the directory of the snapshot ${owner.id}, which is ${owner.status}: it is settled and cleared with that one.`,
    { extra: { snapshot: `/v1/snapshots/${owner.id}` } },
  )
}

/** The storage of the namespace with the most specific root above the location. Other tenants' roots are simply none of them. */
async function findStorageOf(
  location: Location,
  scope: Scope,
  { storages }: Pick<Ports, 'storages'>,
): Promise<StorageRow> {
  const storage = await storages.findContaining(scope, location)
  if (!storage) {
    const { items, next } = await storages.list(scope, { pageSize: STORAGES_NAMED, after: null })
    const names = items.map(({ name }) => name).join(', ') || 'none'
    return refuseInput(
      '/location',
      `it lies inside no storage of this namespace (looked at: ${names}${next === null ? '' : ' and more'})`,
      'LOCATION_OUTSIDE_ROOT',
    )
  }
  if (sameLocation(storage.address.root, location)) {
    refuseInput(
      '/location',
      `it is the root of the storage ${storage.name}; a savepoint has a folder of its own below it`,
      'LOCATION_INVALID',
    )
  }
  return storage
}

async function readMetadata(
  store: ObjectStore,
  location: Location,
): Promise<{ modifiedAt: Date | null; checkpointId: number }> {
  const file = joinLocation(location, '_metadata')
  const metadata = await askStorage(() => store.head(file))
  if (!metadata) {
    throw new DomainError(
      'METADATA_MISSING',
      `There is no ${JSON.stringify(formatLocation(file))}: a savepoint is complete once it has its _metadata.`,
    )
  }
  const checkpointId = await askStorage(() => readCheckpointId(store, location))
  if (checkpointId === null) {
    throw new DomainError(
      'METADATA_UNREADABLE',
      `${JSON.stringify(formatLocation(file))} does not begin like a _metadata file of Flink.`,
    )
  }
  return { modifiedAt: metadata.modifiedAt, checkpointId }
}

/** A checkpoint that Flink keeps goes by the rules of retained checkpoints, which ask who lives beside it, and never as ours. */
function refuseCheckpoint(location: Location): void {
  if (!isPlaceOfCheckpoints(location)) return
  refuseInput(
    '/owned',
    'the location is that of a checkpoint, which belongs to Flink and may share files with others; register it without owned, or copy it',
  )
}

/**
 * Owned data is deleted with its snapshot, so nothing else may lie there. Flink writes a savepoint as one flat folder
 * (FsCheckpointStorageLocation: shared and task-owned state of a savepoint go to the folder itself); one with folders
 * below it is something else, perhaps the parent of other savepoints.
 */
async function checkAlone(store: ObjectStore, location: Location): Promise<void> {
  let pageToken: string | null = null
  for (let page = 0; page < MAX_PAGES; page++) {
    const answer: Awaited<ReturnType<ObjectStore['list']>> = await askStorage(() =>
      store.list(location, pageToken === null ? {} : { pageToken }),
    )
    if (answer.objects.some((object) => relativeSegments(location, object.location).length > 1)) {
      refuseInput(
        '/owned',
        'the location has folders below it, so it is not one savepoint and nothing else; register it without owned',
      )
    }
    pageToken = answer.nextPageToken
    if (pageToken === null) return
  }
  refuseInput(
    '/owned',
    `the location holds more than ${MAX_PAGES * 1000} files, too many to prove that all of them are its own; register it without owned`,
  )
}
