/**
 * The checkpoint coordinator of a job: gives out ids, writes the files, `_metadata` last, keeps the statistics and
 * drops subsumed checkpoints. A snapshot settles exactly once.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import {
  type CheckpointEntry,
  type CheckpointType,
  recordBegin,
  recordCompletion,
  recordFailure,
  recordFailureWithoutId,
  type SavepointFormat,
} from './checkpoint-statistics.ts'
import { type Cluster, later, wait } from './cluster.ts'
import { qualify } from './files.ts'
import type { SnapshotFailure, SnapshotFate, SnapshotKind } from './hooks.ts'
import {
  checkpointException,
  completionException,
  type JavaThrowable,
  jobNotFound,
  throwable,
} from './java-throwable.ts'
import { allTasksRunning, isTerminal, type PendingSnapshot, type SimulatedJob } from './job.ts'
import { restartJob, taskFailure } from './lifecycle.ts'
import { bareMetadata, type DataFile } from './metadata-bytes.ts'
import type { OperationOutcome } from './operations.ts'
import { countSubtasks, obeyControlDirectory } from './program.ts'

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
const NOT_ADDRESSABLE = '<checkpoint-not-externally-addressable>'

type Running = PendingSnapshot & {
  cluster: Cluster
  job: SimulatedJob
  order: SnapshotOrder
  fate: SnapshotFate
  keepFiles: boolean
  cancelExpiry(): void
  settle(outcome: OperationOutcome): void
}

/** Begins a snapshot and answers its checkpoint id; null when it was refused, which `settle` has been told then. */
export function takeSnapshot(
  cluster: Cluster,
  job: SimulatedJob,
  order: SnapshotOrder,
  settle: (outcome: OperationOutcome) => void,
): number | null {
  const refusal = whyNotNow(job)
  if (refusal !== null) {
    if (!isTerminal(job) && job.type === 'STREAMING') recordFailureWithoutId(job.statistics)
    settle({ ok: false, cause: completionException(refusal) })
    return null
  }
  const running = begin(cluster, job, order, settle)
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

function begin(
  cluster: Cluster,
  job: SimulatedJob,
  order: SnapshotOrder,
  settle: (outcome: OperationOutcome) => void,
): Running {
  const entry = newEntry(job, order, cluster.clock.now())
  recordBegin(job.statistics, entry)
  const begun = {
    kind: order.kind,
    jobId: job.id,
    jobName: job.name,
    triggerId: order.triggerId,
    checkpointId: entry.id,
  }
  const running: Running = {
    entry,
    location: locationOf(job, order, entry.id),
    settled: false,
    keepFiles: false,
    cancelExpiry: () => undefined,
    cluster,
    job,
    order,
    fate: cluster.hooks.onSnapshot?.(begun) ?? {},
    settle,
    abort: ({ text, keepFiles }) => fail(running, checkpointException(text), keepFiles),
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
  return checkpointDirectory === null ? null : `${qualify(checkpointDirectory)}/${job.id}/chk-${checkpointId}`
}

async function run(running: Running): Promise<void> {
  const { cluster, job, fate, order } = running
  running.cancelExpiry = later(cluster, job, job.settings.checkpointTimeoutMs, () => expire(running))
  const dataFiles = await writeData(running)
  if (dataFiles === null) return
  const { savepointDurationMs, checkpointDurationMs } = job.settings
  const duration = order.kind === 'checkpoint' ? checkpointDurationMs : savepointDurationMs
  await wait(cluster, job, fate.durationMs ?? duration)
  if (fate.hold !== undefined) await fate.hold
  const failure = fate.failure ?? (await askProgram(running))
  if (running.settled) return
  if (failure === undefined || failure.kind === 'stopping') await finish(running, dataFiles)
  else failAsTold(running, failure)
}

async function askProgram({ job }: Running): Promise<SnapshotFailure | undefined> {
  if (job.program.controlDirectory === null) return undefined
  const text = await obeyControlDirectory(job.program.controlDirectory)
  return text === null ? undefined : { kind: 'task', cause: throwable('java.lang.RuntimeException', text) }
}

/** null: it is over already. */
async function writeData(running: Running): Promise<DataFile[] | null> {
  const { cluster, location } = running
  if (!cluster.files.stores || location === null) return []
  const dataFiles = makeDataFiles(running)
  try {
    await cluster.files.makeDirectory(location)
    for (const file of dataFiles) await cluster.files.write(`${location}/${file.name}`, file.bytes)
  } catch (error) {
    fail(running, ioProblem(location, error), false)
    return null
  }
  if (running.settled) await cleanUp(running)
  return running.settled ? null : dataFiles
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

/** One file per subtask of an operator with keyed state; sources and the like fit into `_metadata`. */
function makeDataFiles({ job }: Running): DataFile[] {
  const stateful = job.program.vertices
    .flatMap((vertex) => vertex.operators)
    .filter(({ uid }) => uid === 'keyed-counter')
  return stateful.flatMap((operator) => {
    const share = Math.ceil(job.program.stateBytes / operator.parallelism)
    return Array.from({ length: operator.parallelism }, () => ({
      name: randomUUID(),
      operator,
      bytes: randomBytes(share),
    }))
  })
}

async function finish(running: Running, dataFiles: DataFile[]): Promise<void> {
  const { cluster, job, location } = running
  const metadata = makeMetadata(running, dataFiles)
  if (location !== null) {
    try {
      await cluster.files.write(`${location}/_metadata`, metadata)
    } catch (error) {
      const cause = throwable('java.io.IOException', error instanceof Error ? error.message : String(error))
      const text = `Could not finalize the pending checkpoint ${running.entry.id}. Failure reason: Failure to finalize checkpoint.`
      return fail(running, checkpointException(text, cause), false)
    }
    if (running.settled) return cleanUp(running)
  }
  const stored = dataFiles.reduce((sum, file) => sum + file.bytes.length, metadata.length)
  complete(running, cluster.files.stores && location !== null ? stored : job.program.stateBytes)
}

function makeMetadata({ cluster, job, order, entry }: Running, dataFiles: DataFile[]): Uint8Array {
  const make = cluster.files.stores ? cluster.metadataBytes : bareMetadata
  return make({
    version: cluster.dialect.metadataVersion,
    checkpointId: entry.id,
    savepointFormat: order.kind === 'checkpoint' ? null : (order.format ?? 'CANONICAL'),
    action: order.kind === 'stop' ? (order.drain ? 'TERMINATE' : 'SUSPEND') : 'NONE',
    operators: job.program.vertices.flatMap((vertex) => vertex.operators),
    dataFiles,
  })
}

function complete(running: Running, stateSize: number): void {
  const { cluster, job, entry, order, location } = running
  const externalPath = location ?? NOT_ADDRESSABLE
  leave(running)
  recordCompletion(job.statistics, entry, cluster.clock.now(), { externalPath, stateSize })
  if (order.kind === 'checkpoint') retain(cluster, job, entry, externalPath)
  if (running.fate.failure?.kind === 'stopping') failStopping(running, externalPath)
  else running.settle({ ok: true, location: externalPath, checkpointId: entry.id })
}

function failStopping({ cluster, job, entry, settle }: Running, location: string): void {
  const cause = throwable(
    'org.apache.flink.runtime.scheduler.stopwithsavepoint.StopWithSavepointStoppingException',
    `A savepoint has been created at: ${location}, but the corresponding job ${job.id} failed during stopping. The savepoint is consistent, but might have uncommitted transactions. If you want to commit the transaction please restart a job from this savepoint.`,
  )
  settle({ ok: false, cause: completionException(cause) })
  restartJob(cluster, job, taskFailure(job, entry.id, cause))
}

function failAsTold(running: Running, failure: Exclude<SnapshotFailure, { kind: 'stopping' }>): void {
  const { cluster, job, entry } = running
  switch (failure.kind) {
    case 'expired':
      expire(running)
      break
    case 'coordinator':
      fail(running, checkpointException(failure.text, failure.cause), false)
      break
    case 'task':
      // The restart aborts this one too: that is all its result ever says.
      restartJob(cluster, job, taskFailure(job, entry.id, failure.cause))
  }
}

const expire = (running: Running): void =>
  fail(running, checkpointException('Checkpoint expired before completing.'), false)

function fail(running: Running, cause: JavaThrowable, keepFiles: boolean): void {
  if (running.settled) return
  leave(running)
  running.keepFiles = keepFiles
  recordFailure(running.job.statistics, running.entry, running.cluster.clock.now(), cause.message)
  running.settle({ ok: false, cause: completionException(cause) })
  void cleanUp(running)
}

function leave(running: Running): void {
  running.settled = true
  running.cancelExpiry()
  running.job.pending.delete(running)
}

/** Best effort, as Flink's: an object store that fails here keeps the files. */
async function cleanUp({ cluster, location, keepFiles }: Running): Promise<void> {
  if (location === null || keepFiles) return
  await cluster.files.removeDirectory(location).catch(() => undefined)
}

export function abortSnapshots(job: SimulatedJob, text: string, keepFiles = false): void {
  for (const pending of [...job.pending]) pending.abort({ text, keepFiles })
}

// ------------------------------------------------------------------------------------------------ retention

function retain(cluster: Cluster, job: SimulatedJob, entry: CheckpointEntry, location: string): void {
  job.retained.push({ checkpointId: entry.id, location, entry })
  while (job.retained.length > Math.max(1, job.settings.numRetained)) discardOldest(cluster, job)
}

function discardOldest(cluster: Cluster, job: SimulatedJob): void {
  const oldest = job.retained.shift()
  if (oldest === undefined) return
  if (oldest.entry !== null) oldest.entry.discarded = true
  if (oldest.location === NOT_ADDRESSABLE) return
  void cluster.files.removeDirectory(oldest.location).catch(() => undefined)
}

/** At the end of a job: FINISHED keeps no checkpoint whatever the retention says. */
export function releaseCheckpoints(cluster: Cluster, job: SimulatedJob): void {
  const { retention } = job.settings
  const keeps =
    (job.state === 'CANCELED' && retention === 'RETAIN_ON_CANCELLATION') ||
    (job.state === 'FAILED' && retention !== 'NO_EXTERNALIZED_CHECKPOINTS')
  if (keeps) return
  while (job.retained.length > 0) discardOldest(cluster, job)
}
