/**
 * The checkpoint coordinator of a job: gives out ids, writes the files, `_metadata` last, keeps the statistics and
 * drops subsumed checkpoints. A snapshot settles exactly once.
 */
import { randomBytes } from 'node:crypto'
import {
  type CheckpointEntry,
  type CheckpointType,
  recordBegin,
  recordCompletion,
  recordFailure,
  recordFailureWithoutId,
  type SavepointFormat,
} from './checkpoint-statistics.ts'
import { type Cluster, checkpointRoot, later, wait } from './cluster.ts'
import { setCounting, totalOf } from './counter.ts'
import { taskFailure, tooManyFailures } from './exceptions.ts'
import { qualify } from './files.ts'
import type { SnapshotAsked, SnapshotFailure, SnapshotFate, SnapshotKind } from './hooks.ts'
import {
  checkpointException,
  completionException,
  type JavaThrowable,
  jobNotFound,
  throwable,
} from './java-throwable.ts'
import {
  allTasksRunning,
  type ExceptionEntry,
  isTerminal,
  type PendingSnapshot,
  type SimulatedJob,
} from './job.ts'
import { bareMetadata } from './metadata-bytes.ts'
import type { OperationOutcome } from './operations.ts'
import { countSubtasks, obeyControlDirectory } from './program.ts'
import { NOT_ADDRESSABLE, retain } from './retention.ts'
import {
  isIncremental,
  NO_FILES,
  planFullFiles,
  planIncrementalFiles,
  type SnapshotFiles,
  sizesOf,
  writeFiles,
} from './snapshot-files.ts'

export type SnapshotOrder = {
  kind: SnapshotKind
  format: SavepointFormat | null
  /** null for a checkpoint. */
  targetDirectory: string | null
  triggerId: string | null
  /** Of a stop: the job ends for good. */
  drain: boolean
}

export const SUSPENDING = 'Checkpoint Coordinator is suspending.'

/** What a snapshot does to others: answered once, and perhaps a job that has to restart. */
export type SnapshotEffects = {
  settle(outcome: OperationOutcome): void
  restart(exception: ExceptionEntry): void
}

type Running = PendingSnapshot & {
  cluster: Cluster
  job: SimulatedJob
  order: SnapshotOrder
  fate: SnapshotFate
  keepFiles: boolean
  files: SnapshotFiles
  cancelExpiry(): void
  effects: SnapshotEffects
}

/** Begins a snapshot and answers its checkpoint id; null when it was refused, which `effects.settle` has been told then. */
export function takeSnapshot(
  cluster: Cluster,
  job: SimulatedJob,
  order: SnapshotOrder,
  effects: SnapshotEffects,
): number | null {
  const refusal = whyNotNow(job) ?? whatTheHookSays(cluster, job, order)
  if (refusal !== null) {
    if (!isTerminal(job) && job.type === 'STREAMING') recordFailureWithoutId(job.statistics)
    effects.settle({ ok: false, cause: completionException(refusal) })
    return null
  }
  const running = begin(cluster, job, order, effects)
  void run(running)
  return running.entry.id
}

function whyNotNow(job: SimulatedJob): JavaThrowable | null {
  if (isTerminal(job)) return jobNotFound(job.id)
  if (job.state === 'INITIALIZING') {
    return throwable(
      'org.apache.flink.runtime.dispatcher.UnavailableDispatcherOperationException',
      'Unable to get JobMasterGateway for initializing job. The requested operation is not available while the JobManager is initializing.',
    )
  }
  if (job.type === 'BATCH') {
    return throwable('java.lang.IllegalStateException', `Job ${job.id} is not a streaming job.`)
  }
  if (allTasksRunning(job)) return null
  const [first] = job.program.vertices
  return checkpointException(
    `Checkpoint triggering task ${first?.name} (1/${first?.parallelism}) of job ${job.id} is not being executed at the moment. Aborting checkpoint. Failure reason: Not all required tasks are currently running.`,
  )
}

const askedOf = (job: SimulatedJob, { kind, triggerId }: SnapshotOrder): SnapshotAsked => ({
  kind,
  jobId: job.id,
  jobName: job.name,
  triggerId,
})

function whatTheHookSays({ hooks }: Cluster, job: SimulatedJob, order: SnapshotOrder): JavaThrowable | null {
  const text = hooks.refuseSnapshot?.(askedOf(job, order))
  return text === undefined ? null : checkpointException(text)
}

function begin(cluster: Cluster, job: SimulatedJob, order: SnapshotOrder, effects: SnapshotEffects): Running {
  const entry = newEntry(job, order, cluster.clock.now())
  recordBegin(job.statistics, entry)
  const begun = { ...askedOf(job, order), checkpointId: entry.id }
  const running: Running = {
    entry,
    location: locationOf(job, order, entry.id),
    settled: false,
    keepFiles: false,
    files: NO_FILES,
    cancelExpiry: () => undefined,
    cluster,
    job,
    order,
    fate: cluster.hooks.onSnapshot?.(begun) ?? {},
    effects,
    abort: ({ text, keepFiles }) => fail(running, checkpointException(text), { keepFiles }),
  }
  job.pending.add(running)
  return running
}

function newEntry(job: SimulatedJob, order: SnapshotOrder, now: number): CheckpointEntry {
  return {
    id: job.nextCheckpointId++,
    status: 'IN_PROGRESS',
    type: typeOf(job, order.kind),
    format: order.format,
    triggeredAt: now,
    latestAckAt: -1,
    checkpointedSize: 0,
    stateSize: 0,
    durationMs: -1,
    subtasks: countSubtasks(job.program),
    acknowledged: 0,
    externalPath: null,
    discarded: false,
    failedAt: null,
    failureMessage: null,
  }
}

function typeOf(job: SimulatedJob, kind: SnapshotKind): CheckpointType {
  if (kind === 'stop') return 'SYNC_SAVEPOINT'
  if (kind === 'savepoint') return 'SAVEPOINT'
  return job.settings.unaligned ? 'UNALIGNED_CHECKPOINT' : 'CHECKPOINT'
}

function locationOf(job: SimulatedJob, order: SnapshotOrder, checkpointId: number): string | null {
  if (order.targetDirectory !== null) {
    const name = `savepoint-${job.id.slice(0, 6)}-${randomBytes(6).toString('hex')}`
    return `${qualify(order.targetDirectory)}/${name}`
  }
  const { checkpointDirectory } = job.settings
  return checkpointDirectory === null
    ? null
    : `${checkpointRoot(checkpointDirectory, job.id)}/chk-${checkpointId}`
}

async function run(running: Running): Promise<void> {
  const { cluster, job, fate, order } = running
  running.cancelExpiry = later(cluster, job, job.settings.checkpointTimeoutMs, () => expire(running))
  if (!(await writeData(running))) return
  const { savepointDurationMs, checkpointDurationMs } = job.settings
  const duration = order.kind === 'checkpoint' ? checkpointDurationMs : savepointDurationMs
  await wait(cluster, job, fate.durationMs ?? duration)
  if (fate.hold !== undefined) await fate.hold
  const failure = fate.failure ?? (await askProgram(running))
  if (running.settled) return
  if (failure === undefined || failure.kind === 'stopping') await finish(running)
  else failAsTold(running, failure)
}

async function askProgram({ job }: Running): Promise<SnapshotFailure | undefined> {
  if (job.program.controlDirectory === null) return undefined
  const text = await obeyControlDirectory(job.program.controlDirectory)
  return text === null ? undefined : { kind: 'task', cause: throwable('java.lang.RuntimeException', text) }
}

/** false: it is over already. */
async function writeData(running: Running): Promise<boolean> {
  const { cluster, location } = running
  if (!cluster.files.stores || location === null) return true
  running.files = planFiles(running)
  try {
    await writeFiles(cluster, { location, root: rootOf(running) }, running.files)
  } catch (error) {
    failAndCount(running, ioProblem(location, error))
    return false
  }
  if (running.settled) await cleanUp(running)
  return !running.settled
}

function rootOf({ job, order }: Running): string | null {
  const { checkpointDirectory } = job.settings
  const isThere = order.kind === 'checkpoint' && checkpointDirectory !== null
  return isThere ? checkpointRoot(checkpointDirectory, job.id) : null
}

function planFiles({ job, order }: Running): SnapshotFiles {
  const { checkpointDirectory } = job.settings
  const incremental = order.kind === 'checkpoint' && isIncremental(job) && checkpointDirectory !== null
  return incremental ? planIncrementalFiles(job, checkpointDirectory) : planFullFiles(job)
}

const ioProblem = (location: string, error: unknown): JavaThrowable =>
  checkpointException(
    'An Exception occurred while triggering the checkpoint. IO-problem detected.',
    throwable(
      'java.io.IOException',
      `Failed to create savepoint directory at ${location}`,
      throwable('java.io.IOException', error instanceof Error ? error.message : String(error)),
    ),
  )

async function finish(running: Running): Promise<void> {
  const { cluster, job, order, location } = running
  // Nothing is counted between the savepoint of a stop and the end of the job.
  if (order.kind === 'stop') setCounting(job, false, cluster.clock.now())
  const total = totalOf(job, cluster.clock.now())
  const metadata = makeMetadata(running, total)
  if (location !== null) {
    try {
      await writeMetadata(running, location, metadata)
    } catch (error) {
      const cause = throwable('java.io.IOException', error instanceof Error ? error.message : String(error))
      const reason = 'Failure to finalize checkpoint.'
      setCounting(job, allTasksRunning(job), cluster.clock.now())
      const text = `Could not finalize the pending checkpoint ${running.entry.id}. Failure reason: ${reason}`
      return failAndCount(running, checkpointException(text, cause), reason)
    }
    if (running.settled) return cleanUp(running)
  }
  complete(running, { total, metadata: cluster.files.stores && location !== null ? metadata : NO_METADATA })
}

const NO_METADATA = new Uint8Array()

/** Flink never overwrites one: a job that begins again at 1 meets those of its former life. */
async function writeMetadata(
  { cluster, order }: Running,
  location: string,
  bytes: Uint8Array,
): Promise<void> {
  const file = `${location}/_metadata`
  if (order.kind === 'checkpoint' && (await cluster.files.read(file)) !== null) {
    throw new Error(`Target file ${file} already exists.`)
  }
  await cluster.files.write(file, bytes)
}

function makeMetadata({ cluster, job, order, entry, files }: Running, total: number): Uint8Array {
  const make = cluster.files.stores ? cluster.metadataBytes : bareMetadata
  return make({
    version: cluster.dialect.metadataVersion,
    checkpointId: entry.id,
    savepointFormat: order.kind === 'checkpoint' ? null : (order.format ?? 'CANONICAL'),
    action: order.kind === 'stop' ? (order.drain ? 'TERMINATE' : 'SUSPEND') : 'NONE',
    operators: job.program.vertices.flatMap((vertex) => vertex.operators),
    dataFiles: files.own,
    shared: files.shared,
    uploaded: new Set(files.uploaded),
    total,
  })
}

function complete(running: Running, { total, metadata }: { total: number; metadata: Uint8Array }): void {
  const { cluster, job, entry, order, location, files, effects } = running
  const externalPath = location ?? NOT_ADDRESSABLE
  leave(running)
  const sizes = sizesOf(job, files, metadata)
  recordCompletion(job.statistics, entry, cluster.clock.now(), { externalPath, ...sizes })
  if (order.kind === 'checkpoint') {
    job.failuresInRow = 0
    const { shared } = files
    retain(cluster, job, { checkpointId: entry.id, location: externalPath, entry, shared, total })
  }
  if (running.fate.failure?.kind === 'stopping') failStopping(running, externalPath)
  else effects.settle({ ok: true, location: externalPath, checkpointId: entry.id })
}

function failStopping({ job, entry, effects }: Running, location: string): void {
  const cause = throwable(
    'org.apache.flink.runtime.scheduler.stopwithsavepoint.StopWithSavepointStoppingException',
    `A savepoint has been created at: ${location}, but the corresponding job ${job.id} failed during stopping. The savepoint is consistent, but might have uncommitted transactions. If you want to commit the transaction please restart a job from this savepoint.`,
  )
  effects.settle({ ok: false, cause: completionException(cause) })
  effects.restart(taskFailure(job, entry.id, cause))
}

function failAsTold(running: Running, failure: Exclude<SnapshotFailure, { kind: 'stopping' }>): void {
  const { job, entry, effects } = running
  switch (failure.kind) {
    case 'expired':
      expire(running)
      break
    case 'coordinator':
      failAndCount(running, checkpointException(failure.text, failure.cause))
      break
    case 'task':
      // The restart aborts this one too: that is all its result ever says.
      effects.restart(taskFailure(job, entry.id, failure.cause))
  }
}

const expire = (running: Running): void =>
  failAndCount(running, checkpointException('Checkpoint expired before completing.'))

/** `recorded` is what the statistics say, where that is less than the result says. */
function fail(
  running: Running,
  cause: JavaThrowable,
  { keepFiles = false, recorded = cause.message }: { keepFiles?: boolean; recorded?: string } = {},
): void {
  if (running.settled) return
  leave(running)
  running.keepFiles = keepFiles
  recordFailure(running.job.statistics, running.entry, running.cluster.clock.now(), recorded)
  running.effects.settle({ ok: false, cause: completionException(cause) })
  void cleanUp(running)
}

/** Of the coordinator's own failures only those of periodic checkpoints count; an abort is none. */
function failAndCount(running: Running, cause: JavaThrowable, recorded = cause.message): void {
  if (running.settled) return
  fail(running, cause, { recorded })
  const { job, order, effects } = running
  if (order.kind !== 'checkpoint') return
  job.failuresInRow++
  if (job.failuresInRow <= job.settings.tolerableFailures) return
  job.failuresInRow = 0
  effects.restart(tooManyFailures(cause))
}

function leave(running: Running): void {
  running.settled = true
  running.cancelExpiry()
  running.job.pending.delete(running)
}

/** Best effort, as Flink's: an object store that fails here keeps the files. */
async function cleanUp({ cluster, location, keepFiles, files }: Running): Promise<void> {
  if (location === null || keepFiles) return
  await cluster.files.removeDirectory(location).catch(() => undefined)
  for (const file of files.uploaded) await cluster.files.removeFile(file.location).catch(() => undefined)
}

export function abortSnapshots(job: SimulatedJob, text: string, keepFiles = false): void {
  for (const pending of [...job.pending]) pending.abort({ text, keepFiles })
}
