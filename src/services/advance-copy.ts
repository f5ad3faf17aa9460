/**
 * Moves copies on, any number of times and by any worker. What is to be written is committed before the first byte is, each
 * file is written at once or not at all, and written again it is the same: a worker that died, or slept past its lease, does
 * no harm. `_metadata` is written last, so that nobody takes half a copy for a snapshot; then everything is looked at, and
 * only then the row is written. While the operation is open the source is in use (`domain/references.ts`); a live run's
 * checkpoint may be subsumed all the same, which ends the copy as SOURCE_GONE.
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
} from '../domain/location.ts'
import type { CopyResult, OperationStep } from '../domain/operation.ts'
import { beginStep, endStep, noteOnStep } from '../domain/operation-steps.ts'
import { backoffMs } from '../domain/savepoint-plan.ts'
import type { SavepointFormat } from '../domain/snapshot.ts'
import type { RelocatedFile } from '../metadata/relocate.ts'
import { writeMetadata } from '../metadata/write-metadata.ts'
import type { CopyFile, CopyWork, CopyWorkRepository } from '../ports/copies.ts'
import type { InspectionRepository } from '../ports/inspections.ts'
import type { CrashPoint, Log } from '../ports/process.ts'
import type { StorageRepository } from '../ports/resources.ts'
import type {
  ObjectCopier,
  ObjectStore,
  ObjectStores,
  StorageAddress,
  StoredObject,
} from '../ports/storage.ts'
import { CopyFailure, toCopyFailure } from './copy-failure.ts'
import { clockFrom } from './database-clock.ts'
import { inParallel } from './in-parallel.ts'
import { keepLease } from './keep-lease.ts'
import { listPages } from './list-pages.ts'
import { gone, readCopySource } from './read-copy-source.ts'
import { type MetadataFile, readMetadataFile, toInspection } from './read-inspection.ts'
import { openSnapshotPlace } from './snapshot-place.ts'
import { advanceAll, type Swept } from './sweep.ts'

export type AdvanceCopyPorts = {
  copyWork: CopyWorkRepository
  storages: Pick<StorageRepository, 'find' | 'findContaining'>
  stores: Pick<ObjectStores, 'of'> & ObjectCopier
  inspections: Pick<InspectionRepository, 'save'>
  crashPoint: CrashPoint
  log: Log
  limits: {
    /** How often the lease is renewed while work is under way, in ms: a third of it. */
    renewMs: number
    /** How long a claim works on before it gives its lease back, in ms. */
    holdMs: number
  }
}

/** Of one copy. */
const FILES_AT_ONCE = 4
/** What a crash copies again, at most. */
const FILES_PER_SLICE = 16
const LOOKS_AT_ONCE = 16
const FILES_PER_READ = 5_000

/** Claims up to `limit` due copies and advances them side by side; `done` resolves when all are given back. */
export const sweepCopies =
  (ports: AdvanceCopyPorts) =>
  async (limit: number): Promise<Swept> =>
    advanceAll(await ports.copyWork.claimDue(limit), (work) => advance(work, ports))

/** What is known of the copy while a worker holds it. */
type Going = {
  work: CopyWork
  ports: AdvanceCopyPorts
  target: Location
  steps: readonly OperationStep[]
  result: CopyResult
  /** The database's clock, carried on by a clock that nobody sets. */
  now: () => Date
}
/** The lease is somebody else's: whatever was to be written, they write it. */
class LeaseLost extends Error {}

async function advance(work: CopyWork, ports: AdvanceCopyPorts): Promise<void> {
  const going: Going = {
    work,
    ports,
    target: parseLocation(work.request.directory),
    steps: work.steps,
    result: work.result,
    now: clockFrom(work.now),
  }
  const lease = keepLease(() => ports.copyWork.renew(work), ports.limits.renewMs)
  try {
    if ((await run(going)) === 'over') return
    await ports.copyWork.release(work, { nextActionInMs: 0, tries: 0 })
  } catch (error) {
    await retreat(going, error)
  } finally {
    lease.stop()
  }
}

// ----------------------------------------------------------------------------------------------------- steps

async function run(going: Going): Promise<'over' | 'later'> {
  const { work, ports } = going
  const until = performance.now() + ports.limits.holdMs
  checkDeadline(going)
  if (work.target.deleted) throw storageGone(work)
  if (!going.result.progress) await plan(going)
  while ((await copySlice(going)) === 'more') {
    checkDeadline(going)
    if (performance.now() > until) return 'later'
  }
  await writeCopiedMetadata(going)
  const read = await verify(going)
  await recordCopy(going, read)
  return 'over'
}

async function plan(going: Going): Promise<void> {
  const { work, ports } = going
  await begin(going, 'read')
  const { store, storage, directory } = await openSource(going)
  const relocation = await readCopySource(store, directory, going.target)
  await begin(going, 'plan', `${relocation.files.length} files.`)
  const finder = createStorageFinder(going, storage.address)
  const files: CopyFile[] = []
  await inParallel([...relocation.files.entries()], LOOKS_AT_ONCE, async ([position, file]) => {
    files[position] = await planFile(position, file, going, finder)
  })
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  going.result = {
    progress: { files: files.length, filesDone: 0, filesInside: 0, bytes, bytesDone: 0 },
    relocatable: relocation.relocatable,
  }
  going.steps = endStep(going.steps, 'plan', 'DONE', going.now(), describeBytes(files.length, bytes))
  if (!(await ports.copyWork.recordPlan(work, files, going))) throw new LeaseLost()
  ports.crashPoint('copy-planned')
}

/** The size is the store's: the metadata may not know it. */
async function planFile(
  position: number,
  { source, piece, target, leastBytes }: RelocatedFile,
  going: Going,
  findStorage: StorageFinder,
): Promise<CopyFile> {
  const location = parseLocation(source)
  const found = await going.ports.stores.of(await findStorage(location)).head(location)
  if (found === null) throw gone(location)
  if (BigInt(found.sizeBytes) < leastBytes) {
    throw new CopyFailure(
      'SOURCE_DAMAGED',
      `${source} has ${found.sizeBytes} bytes, and the metadata needs ${leastBytes} of it.`,
    )
  }
  return {
    position,
    source,
    sourceOffset: piece && Number(piece.offset),
    target: formatLocation(joinLocation(going.target, target)),
    sizeBytes: piece ? Number(piece.length) : found.sizeBytes,
  }
}

async function copySlice(going: Going): Promise<'more' | 'all'> {
  const { work, ports } = going
  const files = await ports.copyWork.listFiles(work, { after: -1, limit: FILES_PER_SLICE, open: true })
  if (files.length === 0) return 'all'
  await begin(going, 'copy')
  const findStorage = createStorageFinder(going)
  const copied: { file: CopyFile; by: string }[] = []
  const errors: unknown[] = []
  // What is being written when one fails is waited for: nothing may arrive after the end.
  await inParallel(files, FILES_AT_ONCE, async (file) => {
    if (errors.length > 0) return
    try {
      copied.push({ file, by: await copyFile(file, going, findStorage) })
    } catch (error) {
      errors.push(error)
    }
    ports.crashPoint('copy-file-copied')
  })
  if (copied.length > 0) await recordSlice(going, copied)
  if (errors.length > 0) throw errors[0]
  return 'more'
}

async function recordSlice(going: Going, copied: readonly { file: CopyFile; by: string }[]): Promise<void> {
  const { work, ports } = going
  const { progress } = going.result
  if (!progress) throw new Error(`the copy ${work.id} was never planned`)
  const bytesDone = copied.reduce((sum, { file }) => sum + file.sizeBytes, progress.bytesDone)
  const filesDone = progress.filesDone + copied.length
  going.result = {
    ...going.result,
    progress: {
      ...progress,
      bytesDone,
      filesDone,
      filesInside: progress.filesInside + copied.filter(({ by }) => by === 'INSIDE').length,
    },
  }
  const message = `${filesDone} of ${progress.files} files, ${bytesDone} of ${progress.bytes} bytes.`
  going.steps = beginStep(going.steps, 'copy', going.now(), message)
  const positions = copied.map(({ file }) => file.position)
  if (!(await ports.copyWork.recordCopied(work, positions, going))) throw new LeaseLost()
  ports.crashPoint('copy-slice-recorded')
}

async function copyFile(
  { source, sourceOffset, sizeBytes, target }: CopyFile,
  { work, ports }: Going,
  findStorage: StorageFinder,
): Promise<string> {
  const location = parseLocation(source)
  const storage = await findStorage(location)
  try {
    return await ports.stores.copy(
      { storage, location, sizeBytes, piece: sourceOffset === null ? null : { offset: sourceOffset } },
      { storage: work.target, location: parseLocation(target) },
    )
  } catch (error) {
    // Both stores say so in the same words: the source is asked again.
    if (!(error instanceof StorageError) || error.kind !== 'not-found') throw error
    if ((await ports.stores.of(storage).head(location)) === null) throw gone(location)
    throw new CopyFailure('STORAGE_INCONSISTENT', error.message)
  }
}

/** Read again: a worker that begins here has not seen it, and it says the same to everybody. */
async function writeCopiedMetadata(going: Going): Promise<void> {
  const { work, ports, target } = going
  await begin(going, 'metadata')
  const { store, directory } = await openSource(going)
  const { metadata, files } = await readCopySource(store, directory, target)
  await forEachFile(going, (planned) => {
    const named = files[planned.position]
    const sameFile =
      named?.source === planned.source &&
      formatLocation(joinLocation(target, named.target)) === planned.target
    if (!sameFile || files.length !== going.result.progress?.files) {
      throw new CopyFailure(
        'SOURCE_GONE',
        'The _metadata of the snapshot is another one than when the copy was planned.',
      )
    }
  })
  const bytes = writeMetadata(metadata)
  await ports.stores.of(work.target).putStream(joinLocation(target, '_metadata'), {
    sizeBytes: bytes.length,
    read: async function* () {
      yield bytes
    },
  })
  ports.crashPoint('copy-metadata-written')
}

/** Every file is there with its size, and what we wrote can be read and names nothing else. */
async function verify(going: Going): Promise<MetadataFile> {
  const { work, ports, target } = going
  await begin(going, 'verify')
  const store = ports.stores.of(work.target)
  const found = new Map<string, number>()
  for await (const { location, sizeBytes } of listAll(store, target)) {
    found.set(locationKey(location), sizeBytes)
  }
  await forEachFile(going, ({ target: file, sizeBytes }) => {
    const size = found.get(locationKey(parseLocation(file)))
    if (size === sizeBytes) return
    throw new CopyFailure(
      'STORAGE_INCONSISTENT',
      `${file} ${size === undefined ? 'is not there' : `has ${size} bytes`}, although ${sizeBytes} bytes were written.`,
    )
  })
  const read = await readMetadataFile(store, target)
  const missing = read.files.find(({ key }) => key === null || !found.has(key))
  if (!missing) return read
  throw new CopyFailure(
    'STORAGE_INCONSISTENT',
    `The copied metadata needs ${JSON.stringify(missing.path)}, which is not there.`,
  )
}

async function recordCopy(going: Going, read: MetadataFile): Promise<void> {
  const { work, ports, target } = going
  const { copy, directory } = work.request
  going.steps = endStep(beginStep(going.steps, 'record', going.now()), 'record', 'DONE', going.now())
  const recorded = await ports.copyWork.complete(
    work,
    {
      ownedPrefix: `${formatLocation({ ...target, segments: target.segments.slice(0, -1) })}/`,
      location: formatLocation(target),
      locationKey: locationKey(target),
      format: formatOf(read),
    },
    going,
  )
  if (recorded === 'lease-lost') throw new LeaseLost()
  if (recorded === 'gone') throw storageGone(work)
  ports.crashPoint('copy-recorded')
  ports.log.info(
    { operationId: work.id, job: work.job.name, snapshotId: copy, directory, ...going.result.progress },
    'snapshot copied',
  )
  // Whoever asks for it would read it again; that it could not be kept is no harm.
  await ports.inspections
    .save({ namespaceId: work.namespaceId }, copy, toInspection(read), read.files)
    .catch(() => false)
}

const formatOf = ({ summary }: MetadataFile): SavepointFormat | null => {
  if (summary.format === null) return null
  return summary.format === 'canonical' ? 'CANONICAL' : 'NATIVE'
}

// ---------------------------------------------------------------------------------------------------- places

const openSource = ({ work, ports }: Going) =>
  openSnapshotPlace(
    ports,
    { namespaceId: work.namespaceId },
    {
      id: work.source.id,
      location: work.source.location,
      storage: work.source.storageId === null ? null : { id: work.source.storageId, name: '' },
    },
  )

type StorageFinder = (file: Location) => Promise<StorageAddress>

/** Which storage of the namespace reaches a file; asked once per folder. Files of other tenants lie in none. */
function createStorageFinder({ work, ports }: Going, own: StorageAddress | null = null): StorageFinder {
  const byFolder = new Map<string, Promise<StorageAddress>>()
  const find = async (file: Location): Promise<StorageAddress> => {
    if (own && isInside(own.root, file)) return own
    const storage = await ports.storages.findContaining({ namespaceId: work.namespaceId }, file)
    if (storage) return storage.address
    const message = `${formatLocation(file)} lies in no storage of this namespace: register the storage that contains it.`
    throw new CopyFailure('COPY_NOT_POSSIBLE', `The snapshot cannot be copied: ${message}`, [
      { code: 'STORAGE_NOT_ADDRESSABLE', message },
    ])
  }
  return (file) => {
    const folder = locationKey({ ...file, segments: file.segments.slice(0, -1) })
    const known = byFolder.get(folder) ?? find(file)
    byFolder.set(folder, known)
    return known
  }
}

async function forEachFile({ work, ports }: Going, look: (file: CopyFile) => void): Promise<void> {
  for (let after = -1; ; ) {
    const files = await ports.copyWork.listFiles(work, { after, limit: FILES_PER_READ, open: false })
    for (const file of files) look(file)
    const last = files.at(-1)
    if (!last || files.length < FILES_PER_READ) return
    after = last.position
  }
}

async function* listAll(store: ObjectStore, directory: Location): AsyncGenerator<StoredObject> {
  for await (const { objects } of listPages(store, directory)) {
    yield* objects.filter(({ location }) => relativeSegments(directory, location).length > 0)
  }
}

// ------------------------------------------------------------------------------------------------------ ends

/** Shown at once, because the step may take long. */
async function begin(going: Going, name: string, message: string | null = null): Promise<void> {
  const running = going.steps.find((step) => step.name === name)
  if (running?.status === 'RUNNING' && message === null) return
  going.steps = beginStep(going.steps, name, going.now(), message)
  if (!(await going.ports.copyWork.record(going.work, going))) throw new LeaseLost()
}

function checkDeadline({ work, now, result }: Going): void {
  if (now() < work.deadlineAt) return
  const { filesDone = 0, files = 0 } = result.progress ?? {}
  throw new CopyFailure(
    'COPY_TIMEOUT',
    `The copy was not done within ${work.request.timeoutSeconds} s: ${filesDone} of ${files} files were copied.`,
  )
}

const storageGone = ({ request }: CopyWork): CopyFailure =>
  new CopyFailure('REFERENCE_NOT_FOUND', `The storage ${request.storage.name} was deleted.`)

/** What may pass is tried again until the deadline; what nobody foresaw keeps its lease until that runs out. */
async function retreat(going: Going, error: unknown): Promise<void> {
  if (error instanceof LeaseLost) return
  const { work, ports } = going
  const failure = toCopyFailure(error)
  const foreseen = failure !== null || error instanceof StorageError || error instanceof DomainError
  const message = error instanceof Error ? error.message : String(error)
  ports.log[foreseen ? 'warn' : 'error'](
    { operationId: work.id, kind: 'COPY', job: work.job.name, error: foreseen ? message : error },
    failure ? 'snapshot could not be copied' : 'copy could not be advanced, will be repeated',
  )
  if (!foreseen) return
  try {
    if (failure) await giveUp(going, failure)
    else await tryLater(going, message)
  } catch (cause) {
    // Postgres is away as well: the lease runs out and the sweep of any worker takes the copy up again.
    ports.log.warn(
      { operationId: work.id, error: cause instanceof Error ? cause.message : cause },
      'lease left to expire',
    )
  }
}

async function tryLater(going: Going, message: string): Promise<void> {
  const { work, ports, now } = going
  const noted = noteOnStep(going.steps, message)
  if (noted) await ports.copyWork.record(work, { steps: noted, result: going.result })
  const leftMs = work.deadlineAt.getTime() - now().getTime()
  const pauseMs = backoffMs(work.tries)
  const nextActionInMs = leftMs > 0 ? Math.min(pauseMs, leftMs) : 0
  await ports.copyWork.release(work, { nextActionInMs, tries: work.tries + 1 })
}

/** First the end, which only the holder of the lease can write; then nobody writes there any more, and what is there goes. */
async function giveUp(going: Going, { code, message, findings }: CopyFailure): Promise<void> {
  const { work, ports } = going
  const at = going.steps.find(({ status }) => status === 'RUNNING' || status === 'WAITING')?.name ?? 'read'
  const steps = endStep(going.steps, at, 'FAILED', going.now(), message)
  const result = findings.length > 0 ? { ...going.result, findings } : going.result
  if (!(await ports.copyWork.fail(work, { code, message }, { steps, result }))) return
  ports.crashPoint('copy-failed')
  try {
    await removeWritten(going)
  } catch (error) {
    ports.log.warn(
      {
        operationId: work.id,
        directory: work.request.directory,
        error: error instanceof Error ? error.message : error,
      },
      'what was copied could not be removed; an audit of the storage finds it',
    )
  }
}

async function removeWritten({ work, ports, target, result }: Going): Promise<void> {
  if (!result.progress || work.target.deleted) return
  const store = ports.stores.of(work.target)
  const locations: Location[] = []
  for await (const { location } of listAll(store, target)) locations.push(location)
  const failures = await store.deleteMany(locations)
  if (failures[0]) throw new Error(`${failures.length} objects stay: ${failures[0].message}`)
}

const describeBytes = (files: number, bytes: number): string => `${files} files, ${bytes} bytes.`
