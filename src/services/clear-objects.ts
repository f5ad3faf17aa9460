/**
 * The removal of everything below an owned prefix, step by step; each step may be repeated. Nothing is sent to a store that
 * does not lie below the prefix segment by segment, whatever a listing or our own rows say.
 */
import { verifyPauseMs } from '../domain/clearing-plan.ts'
import { DomainError } from '../domain/errors.ts'
import {
  formatLocation,
  isInside,
  isPlaceOfCheckpoints,
  type Location,
  locationKey,
  parseLocation,
  relativeSegments,
  sameLocation,
  snapshotDirectory,
} from '../domain/location.ts'
import { listUses } from '../domain/references.ts'
import { folderKey } from '../domain/snapshot-files.ts'
import type { ClearingBatch, ClearingEntry, ClearingWork, ClearingWorkRepository } from '../ports/clearing.ts'
import type { InspectionRepository, SnapshotNeedsRepository } from '../ports/inspections.ts'
import type { CrashPoint } from '../ports/process.ts'
import type { ReferenceRepository } from '../ports/runs.ts'
import type { ObjectStore, ObjectStores, VersionedObjects } from '../ports/storage.ts'
import { countFilesOutside } from './files-outside.ts'
import { listPages, pagesOf } from './list-pages.ts'
import { proveEmpty } from './prove-root.ts'
import type { Slots } from './slots.ts'

export type ClearObjectsPorts = {
  clearingWork: ClearingWorkRepository
  references: ReferenceRepository
  inspections: Pick<InspectionRepository, 'find' | 'listNeedersBelow'> & SnapshotNeedsRepository
  stores: Pick<ObjectStores, 'of'>
  /** How many `_metadata` may be read at once. No limit by default. */
  metadataSlots?: Slots
  crashPoint: CrashPoint
}

export type DeletingPorts = Pick<ClearObjectsPorts, 'clearingWork' | 'crashPoint'> & {
  /** Asked right before each request: whoever no longer holds the clearing deletes nothing more. */
  mayDelete: () => boolean
}

/** What a step leads to; `lost`: the lease is another worker's now. */
export type ClearingStepped =
  | { kind: 'next'; changes: Partial<ClearingWork>; pauseMs: number }
  | { kind: 'lost' }

/** A clearing that cannot go on now, for a reason that a person may want to see. */
export class ClearingProblem extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.name = 'ClearingProblem'
    this.code = code
  }
}

const BATCH_SIZE = 1_000
/** Batches that are read, and given to the store, at once. */
const BATCHES_AT_ONCE = 8
const NAMED = 3

export const next = (changes: Partial<ClearingWork>, pauseMs = 0): ClearingStepped => ({
  kind: 'next',
  changes,
  pauseMs,
})
export const LOST: ClearingStepped = { kind: 'lost' }

// ----------------------------------------------------------------------------------------------------- list

/** Page by page into batches; only when the last one is stored does anything go. */
export async function listObjects(work: ClearingWork, ports: ClearObjectsPorts): Promise<ClearingStepped> {
  const { clearingWork } = ports
  const place = openPlace(work, ports)
  const listed = refusingStrangers(work, place.prefix)
  if (!work.looked) await refuseFilesOutside(work, place, ports)
  const batches = createBatches()
  for await (const page of listDeletable(place)) {
    for (const found of page) batches.add(listed(toEntry(place.prefix, found)), found.sizeBytes)
    if (!(await storeBatches(work, batches.takeFull(), ports))) return LOST
    if (page.length === 0 && !(await clearingWork.renew(work))) return LOST
  }
  await refuseOthers(work, place.prefix, batches.metadata(), ports)
  const list = batches.complete()
  await refuseUnproven(work, list.objects, ports)
  ports.crashPoint('clearing-listed')
  if (!(await clearingWork.completeList(work, list))) return LOST
  ports.crashPoint('clearing-list-stored')
  return next({ phase: 'DELETING_METADATA', foundEmpty: 0 })
}

export type Place = { store: ObjectStore; prefix: Location }

function openPlace({ prefix, storage }: ClearingWork, { stores }: ClearObjectsPorts): Place {
  if (prefix === null || storage === null)
    throw new ClearingProblem('FILES_OUTSIDE_PREFIX', 'It has no directory of its own.')
  const place = parseLocation(prefix)
  if (!isInside(storage.root, place)) {
    throw new ClearingProblem(
      'FILES_OUTSIDE_PREFIX',
      'Its directory does not lie below the root of its storage.',
    )
  }
  if (isPlaceOfCheckpoints(place)) {
    throw new ClearingProblem('FILES_OUTSIDE_PREFIX', 'Its directory is that of a checkpoint of Flink.')
  }
  return { store: stores.of(storage), prefix: place }
}

export type Found = { location: Location; sizeBytes: number; versionId: string | null }

/** What a deletion would have to name, page by page: in a bucket that keeps versions each version. */
export async function* listDeletable({ store, prefix }: Place): AsyncGenerator<Found[]> {
  const versions = await versionsIn(store)
  if (versions) {
    for await (const { objects } of pagesOf((from) => versions.list(prefix, from))) yield objects
    return
  }
  for await (const { objects } of listPages(store, prefix)) {
    yield objects.map(({ location, sizeBytes }) => ({ location, sizeBytes, versionId: null }))
  }
}

const versionsIn = async ({ versions }: ObjectStore): Promise<VersionedObjects | null> =>
  versions && (await versions.areKept()) ? versions : null

/** Compared with the prefix segment by segment: a listing is somebody else's answer. */
function toEntry(prefix: Location, { location, versionId }: Found): ClearingEntry {
  if (!isInside(prefix, location)) throw outside(location, prefix)
  return { key: relativeSegments(prefix, location).join('/'), versionId }
}

const outside = (location: Location, prefix: Location): ClearingProblem =>
  new ClearingProblem(
    'FILES_OUTSIDE_PREFIX',
    `${JSON.stringify(formatLocation(location))} does not lie below ${JSON.stringify(formatLocation(prefix))}.`,
  )

const isMetadata = (key: string): boolean => key === '_metadata' || key.endsWith('/_metadata')

/** false: the lease is lost. */
export async function storeBatches(
  work: ClearingWork,
  batches: Iterable<ClearingBatch>,
  { clearingWork }: Pick<ClearObjectsPorts, 'clearingWork'>,
): Promise<boolean> {
  for (const batch of batches) if (!(await clearingWork.saveBatch(work, batch))) return false
  return true
}

/** Batch 0 holds every `_metadata`, the others everything else. */
export function createBatches() {
  const metadata: ClearingEntry[] = []
  let others: ClearingEntry[] = []
  let [number, objects, bytes] = [0, 0, 0]
  return {
    add(entry: ClearingEntry, sizeBytes: number): void {
      objects += 1
      bytes += sizeBytes
      ;(isMetadata(entry.key) ? metadata : others).push(entry)
    },
    *takeFull() {
      while (others.length >= BATCH_SIZE) {
        number += 1
        yield { number, entries: others.slice(0, BATCH_SIZE) }
        others = others.slice(BATCH_SIZE)
      }
    },
    metadata: (): readonly ClearingEntry[] => metadata,
    /** What `completeList` is told, with all that was not taken. */
    complete() {
      const last = [{ number: 0, entries: metadata }]
      if (others.length > 0) {
        number += 1
        last.push({ number, entries: others })
      }
      return { last, batches: number, objects, bytes }
    },
  }
}

// -------------------------------------------------------------------------------------------------- refusals

/**
 * Nothing was deleted yet and nothing is listed, though something was seen there once: the disk may not be mounted. After a
 * deletion of ours the place, and even the root, may rightly be empty.
 */
export async function refuseUnproven(
  work: ClearingWork,
  listed: number,
  { stores }: Pick<ClearObjectsPorts, 'stores'>,
): Promise<void> {
  const wasSeen = work.location !== null || work.subject === 'ORPHAN'
  if (listed > 0 || work.deleted > 0 || !wasSeen || work.storage === null) return
  await proveEmpty(work.storage, stores.of(work.storage))
}

/**
 * What its `_metadata` names must lie below the prefix: with entropy injection, or after a claim, files lie elsewhere, and
 * nothing says whose they are. Without a readable `_metadata` the savepoint is nobody's any more, and the prefix is all there is.
 */
async function refuseFilesOutside(
  work: ClearingWork,
  { store, prefix }: Place,
  ports: ClearObjectsPorts,
): Promise<void> {
  if (work.snapshotId === null || work.location === null) return
  const directory = snapshotDirectory(parseLocation(work.location))
  const where = { id: work.snapshotId, folder: folderKey(prefix) }
  try {
    const away = await countFilesOutside(ports, work, where, async () => ({ store, directory }))
    if (away > 0) throw filesOutside(away)
  } catch (error) {
    if (error instanceof DomainError && NOTHING_TO_READ.includes(error.code)) return
    throw error
  }
}
const NOTHING_TO_READ: readonly string[] = ['METADATA_MISSING', 'METADATA_UNREADABLE']

const filesOutside = (count: number): ClearingProblem =>
  new ClearingProblem(
    'FILES_OUTSIDE_PREFIX',
    `Its _metadata names ${count} ${count === 1 ? 'file' : 'files'} outside the directory made for it; nothing says whose they are.`,
  )

/**
 * A directory that somebody else made is cleared while it is what it was when it was registered: one flat savepoint
 * (`register-snapshot.ts`). A folder below it has come since, and is nobody's that we know.
 */
function refusingStrangers(
  { location }: ClearingWork,
  prefix: Location,
): (entry: ClearingEntry) => ClearingEntry {
  const isOurs = location === null || !sameLocation(prefix, snapshotDirectory(parseLocation(location)))
  return (entry) => {
    if (isOurs || !entry.key.includes('/')) return entry
    throw new ClearingProblem(
      'FILES_OUTSIDE_PREFIX',
      `${JSON.stringify(entry.key)} was not there when it was registered; nothing says whose it is. \`data=keep\` forgets the snapshot and leaves all of it.`,
    )
  }
}

/** Another snapshot of ours that lies below the prefix: somebody wrote, or registered, into our directory. */
async function refuseOthers(
  work: ClearingWork,
  prefix: Location,
  metadata: readonly ClearingEntry[],
  { clearingWork }: ClearObjectsPorts,
): Promise<void> {
  const keys = metadata.map(({ key }) => locationKey(snapshotDirectory(below(prefix, key))))
  const [other] = keys.length === 0 ? [] : await clearingWork.findOthersAt(work, keys)
  if (other) throw new ClearingProblem('SNAPSHOT_IN_USE', `The snapshot ${other} lies in its directory.`)
}

/** Asked once more at the last moment: a cluster may have been configured, or a job restored, behind our back. */
async function refuseUsed(work: ClearingWork, prefix: Location, ports: ClearObjectsPorts): Promise<void> {
  if (work.snapshotId === null) return
  const references = await ports.references.read(work, work.snapshotId, folderKey(prefix))
  const [use] = references ? listUses(references) : []
  if (use) throw new ClearingProblem('SNAPSHOT_IN_USE', use.message)
  const [needer] = await ports.inspections.listNeedersBelow(work, folderKey(prefix), work.snapshotId, 1)
  if (needer) throw new ClearingProblem('SNAPSHOT_IN_USE', `The snapshot ${needer.id} needs files of it.`)
}

// --------------------------------------------------------------------------------------------------- delete

/** `_metadata` alone: without it nobody takes what is left for a savepoint. */
export async function deleteMetadata(
  work: ClearingWork,
  ports: ClearObjectsPorts & DeletingPorts,
): Promise<ClearingStepped> {
  const place = openPlace(work, ports)
  await refuseUsed(work, place.prefix, ports)
  return deleteBatches(work, place, 'metadata', ports)
}

export const deleteOthers = (
  work: ClearingWork,
  ports: ClearObjectsPorts & DeletingPorts,
): Promise<ClearingStepped> => deleteBatches(work, openPlace(work, ports), 'others', ports)

export async function deleteBatches(
  work: ClearingWork,
  { store, prefix }: Place,
  which: 'metadata' | 'others',
  { clearingWork, crashPoint, mayDelete }: DeletingPorts,
): Promise<ClearingStepped> {
  // the lease is renewed as late as can be: whoever has slept past it deletes nothing more
  const batches = work.taken ?? (await clearingWork.takeBatches(work, which, BATCHES_AT_ONCE))
  if (batches === null) return LOST
  const entries = batches.flatMap((batch) => batch.entries)
  const failures = entries.length === 0 ? [] : await deleteEntries(store, prefix, entries, mayDelete)
  crashPoint('clearing-batch-deleted')
  const failed = new Set(failures.map(({ entry }) => nameOf(entry)))
  const done = batches.map(({ number, entries: asked }) => {
    const left = asked.filter((entry) => failed.has(nameOf(entry)))
    return { number, deleted: asked.length - left.length, left }
  })
  const [first] = failures
  const isLast = first === undefined && batches.length < BATCHES_AT_ONCE
  const phase = which === 'metadata' ? 'DELETING' : 'VERIFYING'
  const goesOn = first === undefined && !(isLast && phase === 'VERIFYING')
  const taken = await clearingWork.recordBatches(work, done, {
    moveTo: isLast ? phase : null,
    take: goesOn ? BATCHES_AT_ONCE : 0,
  })
  if (taken === null) return LOST
  crashPoint('clearing-batch-recorded')
  if (first) throw new ClearingProblem(...describeFailures(failures, first))
  return next({ ...(isLast ? { phase, foundEmpty: 0 } : {}), taken: goesOn ? taken : undefined })
}

type EntryFailure = { entry: ClearingEntry; code: string; message: string }

const nameOf = ({ key, versionId }: ClearingEntry): string => JSON.stringify([key, versionId])
const below = (prefix: Location, key: string): Location => ({
  ...prefix,
  segments: [...prefix.segments, ...key.split('/')],
})

/** The rows are ours, and yet each key is compared again: this is the last place before the store. */
async function deleteEntries(
  store: ObjectStore,
  prefix: Location,
  entries: readonly ClearingEntry[],
  mayStart: () => boolean,
): Promise<EntryFailure[]> {
  const toFailure = (failure: {
    location: Location
    versionId?: string
    code: string
    message: string
  }): EntryFailure => ({
    entry: {
      key: relativeSegments(prefix, failure.location).join('/'),
      versionId: failure.versionId ?? null,
    },
    code: failure.code,
    message: failure.message,
  })
  const places = entries.map(({ key, versionId }) => ({ location: below(prefix, key), versionId }))
  for (const { location } of places) if (!isInside(prefix, location)) throw outside(location, prefix)
  const plain = places.filter(({ versionId }) => versionId === null).map(({ location }) => location)
  const versioned = places.flatMap(({ location, versionId }) =>
    versionId === null ? [] : [{ location, versionId }],
  )
  const failures = plain.length === 0 ? [] : (await store.deleteMany(plain, { mayStart })).map(toFailure)
  if (versioned.length === 0) return failures
  if (!store.versions) throw new ClearingProblem('STORAGE_REFUSED', 'The storage keeps no versions any more.')
  return [...failures, ...(await store.versions.deleteMany(versioned, { mayStart })).map(toFailure)]
}

function describeFailures(failures: readonly EntryFailure[], first: EntryFailure): [string, string] {
  const named = failures
    .slice(0, NAMED)
    .map(({ entry, code, message }) => `${JSON.stringify(entry.key)} (${code}: ${message})`)
  const more = failures.length > NAMED ? ` and ${failures.length - NAMED} more` : ''
  return [first.code, `The storage did not delete ${named.join(', ')}${more}.`]
}

// --------------------------------------------------------------------------------------------------- verify

/** Whatever is listed again goes the same way once more, from a new complete list. */
export async function verifyGone(work: ClearingWork, ports: ClearObjectsPorts): Promise<ClearingStepped> {
  const place = openPlace(work, ports)
  if (!(await isEmpty(place))) return LISTED_AGAIN
  return foundEmpty(work, place.store, place.prefix)
}

/** Written when the clearing pauses. */
export const LISTED_AGAIN: ClearingStepped = next({ phase: 'LISTING', foundEmpty: 0 }, verifyPauseMs(0))

/** Written when the clearing pauses, and with its end. */
export async function foundEmpty(
  work: ClearingWork,
  store: ObjectStore,
  folder: Location,
): Promise<ClearingStepped> {
  if ((await store.removeEmptyFolders?.(folder)) === false) {
    throw new ClearingProblem(
      'FOLDER_NOT_EMPTY',
      'Its directory holds something that is neither a file nor a folder we can list.',
    )
  }
  const times = work.foundEmpty + 1
  return next({ foundEmpty: times }, verifyPauseMs(times))
}

async function isEmpty(place: Place): Promise<boolean> {
  for await (const page of listDeletable(place)) if (page.length > 0) return false
  return true
}
