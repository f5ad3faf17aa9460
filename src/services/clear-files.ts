/**
 * The removal of a retained checkpoint of an ended run, step by step; each step may be repeated. Its own `chk-N` goes when
 * nobody else names a file in it, and of the files beside it those that nothing else needs: no `_metadata` that a listing of `<checkpoint dir>/<flinkJobId>` finds
 * now (each read afresh), and no row. Where that cannot be known nothing shared goes, and the clearing says so.
 */
import { DomainError, StorageError } from '../domain/errors.ts'
import {
  formatLocation,
  isInside,
  joinLocation,
  type Location,
  locationKey,
  parseLocation,
  relativeSegments,
  sameLocation,
  snapshotDirectory,
} from '../domain/location.ts'
import { listUses } from '../domain/references.ts'
import {
  type CheckpointDirectoryHeir,
  chooseDoomed,
  decideRetained,
  findNamedIn,
  isOverwritten,
  listShareable,
  ownPrefix,
  type RetainedPlace,
} from '../domain/retained-checkpoint.ts'
import { folderKey } from '../domain/snapshot-files.ts'
import type { CheckpointDirectoryRepository, ClearingWork } from '../ports/clearing.ts'
import type { InspectionRepository } from '../ports/inspections.ts'
import type { StorageRepository } from '../ports/resources.ts'
import type { ObjectStore } from '../ports/storage.ts'
import {
  ClearingProblem,
  type ClearingStepped,
  type ClearObjectsPorts,
  createBatches,
  type DeletingPorts,
  deleteBatches,
  type Found,
  foundEmpty,
  LISTED_AGAIN,
  LOST,
  listDeletable,
  next,
  refuseUnproven,
  storeBatches,
} from './clear-objects.ts'
import { listPages } from './list-pages.ts'
import { readInspection, readMetadataFile, toInspection } from './read-inspection.ts'
import { isPassing, isRefusal } from './storage-errors.ts'

export type ClearFilesPorts = Omit<ClearObjectsPorts, 'inspections'> & {
  inspections: ClearObjectsPorts['inspections'] & InspectionRepository
  checkpointDirectories: CheckpointDirectoryRepository
  storages: Pick<StorageRepository, 'find' | 'findContaining'>
}

/** More unread snapshots than this are not looked into for one clearing: then nothing shared goes. */
const MOST_INSPECTED = 500
/** More `_metadata` in one directory than this are no retained checkpoints of one job id. */
const MOST_KEPT = 10_000
const FILES_PER_PAGE = 5_000
const WAIT_FOR_OTHER_MS = 2_000
/** The clocks of a store and of our database may differ by so much. */
const CLOCK_MS = 60_000
/** Who has written nothing for so long has gone, unless a row says otherwise. */
const QUIET_MS = 60 * 60_000

type Place = RetainedPlace & { store: ObjectStore }

/** The complete list, and only when it is stored does anything go. */
export async function listFiles(work: ClearingWork, ports: ClearFilesPorts): Promise<ClearingStepped> {
  const before = await ports.checkpointDirectories.findClearingBefore(work, work.id)
  if (before !== null) return waitFor(before, work, ports)
  const place = await openCheckpoint(work, ports)
  const doomed = await findDoomed(work, place, ports)
  if (doomed === null) return LOST
  const batches = createBatches()
  for await (const page of listDoomed(place, doomed.keys)) {
    for (const { location, sizeBytes, versionId } of page) {
      batches.add({ key: relativeSegments(place.jobDirectory, location).join('/'), versionId }, sizeBytes)
    }
    if (!(await storeBatches(work, batches.takeFull(), ports))) return LOST
  }
  const list = batches.complete()
  await refuseUnproven(work, list.objects, ports)
  ports.crashPoint('clearing-listed')
  if (!(await ports.clearingWork.completeList(work, { ...list, note: doomed.note }))) return LOST
  ports.crashPoint('clearing-list-stored')
  return next({ phase: 'DELETING_METADATA', foundEmpty: 0 })
}

/** Shown, and looked at again soon: the other one may take long. */
async function waitFor(other: string, work: ClearingWork, ports: ClearFilesPorts): Promise<ClearingStepped> {
  const error = {
    code: 'SNAPSHOT_IN_USE',
    message: `It waits for the clearing of ${other}, which goes on in the same directory.`,
  }
  await ports.clearingWork.release(work, { inMs: WAIT_FOR_OTHER_MS, tries: 0, error })
  return LOST
}

/** `_metadata` alone: without it nobody takes what is left for a checkpoint. */
export const deleteFilesMetadata = async (
  work: ClearingWork,
  ports: ClearFilesPorts & DeletingPorts,
): Promise<ClearingStepped> => deleteListed(work, 'metadata', ports)

export const deleteOtherFiles = async (
  work: ClearingWork,
  ports: ClearFilesPorts & DeletingPorts,
): Promise<ClearingStepped> => deleteListed(work, 'others', ports)

/** Asked once more before each deletion: a run under the same Flink job id may have begun to write there. */
async function deleteListed(
  work: ClearingWork,
  which: 'metadata' | 'others',
  ports: ClearFilesPorts & DeletingPorts,
): Promise<ClearingStepped> {
  const { store, jobDirectory } = await openCheckpoint(work, ports)
  return deleteBatches(work, { store, prefix: jobDirectory }, which, ports)
}

/** What is found again goes the same way once more. */
export async function verifyFilesGone(work: ClearingWork, ports: ClearFilesPorts): Promise<ClearingStepped> {
  const place = await openCheckpoint(work, ports)
  const doomed = await findDoomed(work, place, ports)
  if (doomed === null) return LOST
  for await (const page of listDoomed(place, doomed.keys)) {
    if (page.length > 0) return LISTED_AGAIN
  }
  return foundEmpty(work, place.store, place.own)
}

// ---------------------------------------------------------------------------------------------------- allowed

/** Everything that speaks against it is asked anew at each step; nothing is remembered. */
async function openCheckpoint(work: ClearingWork, ports: ClearFilesPorts): Promise<Place> {
  const { storage, snapshotId, prefix } = work
  if (storage === null || snapshotId === null || prefix === null) {
    throw new ClearingProblem('FILES_OUTSIDE_PREFIX', 'Its storage, or its directory, is not known.')
  }
  const [row, facts, references] = await Promise.all([
    ports.storages.findContaining(work, parseLocation(prefix)),
    ports.checkpointDirectories.read(work, snapshotId),
    ports.references.read(work, snapshotId),
  ])
  const [use] = references ? listUses(references) : []
  if (use) throw new ClearingProblem('SNAPSHOT_IN_USE', use.message)
  const decided = decideRetained(work.location, row, facts)
  if (!('place' in decided)) throw new ClearingProblem(decided.code, decided.message)
  const { place } = decided
  if (!isInside(storage.root, place.jobDirectory) || ownPrefix(place) !== prefix) {
    throw new ClearingProblem('FILES_OUTSIDE_PREFIX', 'It does not lie where it lay when it was asked for.')
  }
  await refuseNeeders(work, place.own, ports)
  return { ...place, store: ports.stores.of(storage) }
}

// ---------------------------------------------------------------------------------------------------- needed

type Doomed = { keys: ReadonlySet<string>; note: string | null }

/** Of the files beside its own directory those that go, as keys of places; null when the lease is lost. */
async function findDoomed(work: ClearingWork, place: Place, ports: ClearFilesPorts): Promise<Doomed | null> {
  const directories = await findMetadata(work, place, ports)
  if (directories === null) return null
  const shareable = listShareable(place, await readOwnFiles(work, place, ports))
  let unknown = await inspectOthers(work, ports)
  await refuseNeeders(work, place.own, ports)
  const others = directories.filter((directory) => !sameLocation(directory, place.own))
  const heirs = await findHeirs(work, place, ports)
  if (heirs === null) return null
  unknown ??= heirs.unknown
  let left = shareable
  for (const { store, directory } of [
    ...others.map((at) => ({ store: place.store, directory: at })),
    ...heirs.kept,
  ]) {
    const named = await readKept(store, directory, ports)
    refuseNamed(place.own, directory, named ?? [])
    // a place that is none of ours may be any file
    if (named === null || named.includes(null))
      unknown ??= `${JSON.stringify(locationKey(directory))} has a _metadata that cannot be read`
    left = chooseDoomed(left, [named], [])
    if (!(await ports.clearingWork.renew(work))) return null
  }
  if (unknown !== null && shareable.length > 0) return nothingShared(unknown)
  const needed = await ports.inspections.findNeeded(
    work,
    left,
    work.snapshotId === null ? [] : [work.snapshotId],
  )
  return { keys: new Set(chooseDoomed(left, [], needed)), note: null }
}

/** Its own directory goes whole, so nobody else may need a file of it: Flink's changelog names them from later checkpoints. */
function refuseNamed(own: Location, directory: Location, named: readonly (string | null)[]): void {
  const file = findNamedIn(own, named)
  if (file === null) return
  throw new ClearingProblem(
    'SNAPSHOT_IN_USE',
    `The checkpoint at ${JSON.stringify(locationKey(directory))} needs a file of it, ${JSON.stringify(file)}.`,
  )
}

async function refuseNeeders(work: ClearingWork, own: Location, ports: ClearFilesPorts): Promise<void> {
  const [needer] = await ports.inspections.listNeedersBelow(work, folderKey(own), work.snapshotId, 1)
  if (!needer) return
  throw new ClearingProblem(
    'SNAPSHOT_IN_USE',
    `The snapshot ${needer.id} of ${needer.job.name} needs files of it.`,
  )
}

const nothingShared = (why: string): Doomed => ({
  keys: new Set(),
  note: `Nothing that other checkpoints may share was deleted: ${why}.`,
})

/** Every `_metadata` there is, whoever wrote it; refuses where somebody still writes. */
async function findMetadata(
  work: ClearingWork,
  { store, jobDirectory, own }: Place,
  ports: ClearFilesPorts,
): Promise<Location[] | null> {
  const instants = await ports.checkpointDirectories.readInstants(work, work.id)
  if (instants === null) return null
  const { now, requestedAt, completedAt } = instants
  const writtenFrom = Math.max(requestedAt.getTime() + CLOCK_MS, now.getTime() - QUIET_MS)
  // Flink's instant is that of the last acknowledgement, by the clock of the JobManager; `_metadata` is written after it.
  const completedBy = new Date((completedAt ?? requestedAt).getTime() + CLOCK_MS)
  const ownMetadata = joinLocation(own, '_metadata')
  const found: Location[] = []
  for await (const { objects } of listPages(store, jobDirectory)) {
    for (const { location, modifiedAt } of objects) {
      if (modifiedAt && modifiedAt.getTime() > writtenFrom) {
        throw new ClearingProblem(
          'SNAPSHOT_IN_USE',
          `${JSON.stringify(locationKey(location))} was written after the clearing had been asked for: somebody uses the directory. It goes on an hour after the last such write.`,
        )
      }
      if (sameLocation(location, ownMetadata) && isOverwritten(modifiedAt, completedBy)) {
        throw new ClearingProblem(
          'SNAPSHOT_IN_USE',
          'Its _metadata was written again after it had completed: another checkpoint lies at its place. `data=keep` forgets this one and leaves what lies there.',
        )
      }
      if (location.segments.at(-1) === '_metadata') found.push(snapshotDirectory(location))
    }
    const stranger = found.find((directory) => isInside(own, directory))
    if (stranger) {
      throw new ClearingProblem(
        'FILES_OUTSIDE_PREFIX',
        `Somebody wrote a snapshot into its directory: ${JSON.stringify(locationKey(stranger))}.`,
      )
    }
    if (found.length > MOST_KEPT) {
      throw new ClearingProblem(
        'FILES_OUTSIDE_PREFIX',
        `More than ${MOST_KEPT} checkpoints lie in its directory.`,
      )
    }
    if (!(await ports.clearingWork.renew(work))) return null
  }
  const live = await ports.checkpointDirectories.findLiveAmong(work, found.map(locationKey))
  if (live === null) return found
  throw new ClearingProblem(
    'SNAPSHOT_IN_USE',
    `The run ${live.run} of ${live.job} has a checkpoint in the same directory, and has not ended.`,
  )
}

type Kept = { store: ObjectStore; directory: Location }
/** `unknown`: why not all are found; null when they are. */
type Heirs = { kept: Kept[]; unknown: string | null }

/**
 * The checkpoints of runs that may have gone on using its files; the last ones may be no rows. They lie beside it, and in
 * whatever directory a checkpoint of such a run was ever seen, so also where its job was told another one.
 */
async function findHeirs(work: ClearingWork, place: Place, ports: ClearFilesPorts): Promise<Heirs | null> {
  const facts =
    work.snapshotId === null ? null : await ports.checkpointDirectories.read(work, work.snapshotId)
  const found: Heirs = { kept: [], unknown: null }
  for (const heir of facts?.heirs ?? []) {
    if (heir.directories.length === 0) {
      found.unknown ??= `nothing says where the Flink job ${heir.flinkJobId}, which may need it, keeps its checkpoints`
    }
    for (const directory of directoriesOf(heir, place)) {
      const kept = await listHeir(work, place, directory, ports)
      if (kept === null) return null
      if ('unknown' in kept) found.unknown ??= kept.unknown
      else found.kept.push(...kept.found)
    }
    if (found.kept.length > MOST_KEPT)
      return { kept: [], unknown: `more than ${MOST_KEPT} checkpoints may need it` }
  }
  return found
}

/** Without the one that is listed anyway; as text, since what Flink reported need be no location of ours. */
function directoriesOf({ flinkJobId, directories }: CheckpointDirectoryHeir, place: Place): string[] {
  const parent = { ...place.jobDirectory, segments: place.jobDirectory.segments.slice(0, -1) }
  const beside = formatLocation(joinLocation(parent, flinkJobId))
  return [...new Set([beside, ...directories])].filter((text) => text !== formatLocation(place.jobDirectory))
}

/** null when the lease is lost. A store that cannot be asked now is asked again later. */
async function listHeir(
  work: ClearingWork,
  place: Place,
  text: string,
  ports: ClearFilesPorts,
): Promise<{ found: Kept[] } | { unknown: string } | null> {
  const found: Kept[] = []
  try {
    const directory = parseLocation(text)
    const store = await storeOf(work, place, directory, ports)
    for await (const { objects } of listPages(store, directory)) {
      for (const { location } of objects) {
        if (location.segments.at(-1) !== '_metadata') continue
        const checkpoint = snapshotDirectory(location)
        if (!sameLocation(checkpoint, place.own)) found.push({ store, directory: checkpoint })
      }
      if (!(await ports.clearingWork.renew(work))) return null
    }
  } catch (error) {
    if (!isRefusal(error) || isPassing(error)) throw error
    return {
      unknown: `checkpoints that may need it in ${JSON.stringify(text)} cannot be listed: ${error.message}`,
    }
  }
  return { found }
}

async function storeOf(
  work: ClearingWork,
  place: Place,
  directory: Location,
  { storages, stores }: ClearFilesPorts,
): Promise<ObjectStore> {
  if (work.storage !== null && isInside(work.storage.root, directory)) return place.store
  const storage = await storages.findContaining(work, directory)
  if (storage) return stores.of(storage.address)
  throw new DomainError('STORAGE_NOT_ADDRESSABLE', 'It lies in no storage of this namespace.')
}

/** What a kept `_metadata` names; null when nobody can say. A store that cannot be asked now is asked again later. */
async function readKept(
  store: ObjectStore,
  directory: Location,
  { metadataSlots }: ClearFilesPorts,
): Promise<(string | null)[] | null> {
  try {
    const { files } = await readMetadataFile(store, directory, metadataSlots)
    return files.map(({ key }) => key)
  } catch (error) {
    if (error instanceof DomainError && UNREADABLE.includes(error.code)) return null
    throw error
  }
}
const UNREADABLE: readonly string[] = ['METADATA_UNREADABLE', 'METADATA_MISSING', 'STORAGE_ACCESS_DENIED']

/** Of its own `_metadata` while it is there, and kept: once it is gone, that is all that says what else was its. */
async function readOwnFiles(
  work: ClearingWork,
  { store, own }: Place,
  { inspections, metadataSlots }: ClearFilesPorts,
): Promise<(string | null)[]> {
  const id = work.snapshotId ?? ''
  try {
    const read = await readMetadataFile(store, own, metadataSlots)
    await inspections.save(work, id, toInspection(read), read.files)
    return read.files.map(({ key }) => key)
  } catch (error) {
    if (!(error instanceof DomainError)) throw error
    if (error.code === 'METADATA_UNREADABLE') return []
    if (error.code !== 'METADATA_MISSING') throw error
  }
  const kept: (string | null)[] = []
  let after: string | null = null
  do {
    const page: Awaited<ReturnType<InspectionRepository['listFiles']>> = await inspections.listFiles(
      work,
      id,
      {
        pageSize: FILES_PER_PAGE,
        after,
      },
    )
    kept.push(...page.items.map(({ key }) => key))
    after = page.next
  } while (after !== null)
  return kept
}

/** Rows that may need its files and were never looked into are looked into first, all that can be; why not all, or null. */
async function inspectOthers(work: ClearingWork, ports: ClearFilesPorts): Promise<string | null> {
  const unread = await ports.checkpointDirectories.listUninspected(work, work.snapshotId ?? '')
  if (unread.length > MOST_INSPECTED) {
    return `more than ${MOST_INSPECTED} snapshots that may need it have not been inspected`
  }
  let failed: string | null = null
  for (const snapshot of unread) {
    try {
      await readInspection(ports, work, snapshot)
    } catch (error) {
      const known = error instanceof DomainError || error instanceof StorageError
      if (!known || (error instanceof DomainError && error.code === 'DATABASE_UNAVAILABLE')) throw error
      failed ??= `the snapshot ${snapshot.id} may need it and could not be inspected: ${error.message}`
    }
  }
  return failed
}

// ------------------------------------------------------------------------------------------------------ list

/** What goes, as it lies there now: all of `chk-N`, and the doomed files; in a bucket with versions each version of it. */
async function* listDoomed(place: Place, doomed: ReadonlySet<string>): AsyncGenerator<Found[]> {
  const { store, jobDirectory, own } = place
  const ownKey = folderKey(own)
  const prefix = doomed.size === 0 ? own : jobDirectory
  for await (const page of listDeletable({ store, prefix })) {
    yield page.filter(({ location }) => {
      const key = locationKey(location)
      if (!isInside(jobDirectory, location) || !(doomed.has(key) || key.startsWith(ownKey))) return false
      return isInside(own, location) || doomed.has(key)
    })
  }
}
