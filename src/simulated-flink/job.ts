/** One job of the simulated cluster and its state machine. What happens to its snapshots is in `snapshots.ts`. */
import { type CheckpointEntry, type CheckpointStatistics, emptyStatistics } from './checkpoint-statistics.ts'
import type { Program } from './program.ts'

export const JOB_STATES = [
  'INITIALIZING',
  'CREATED',
  'RUNNING',
  'FAILING',
  'FAILED',
  'CANCELLING',
  'CANCELED',
  'FINISHED',
  'RESTARTING',
  'SUSPENDED',
  'RECONCILING',
] as const
export type JobState = (typeof JOB_STATES)[number]

export const TASK_STATES = [
  'CREATED',
  'SCHEDULED',
  'RUNNING',
  'DEPLOYING',
  'CANCELING',
  'INITIALIZING',
  'CANCELED',
  'FAILED',
  'FINISHED',
  'RECONCILING',
] as const
export type TaskState = (typeof TASK_STATES)[number]

export type Retention = 'RETAIN_ON_CANCELLATION' | 'DELETE_ON_CANCELLATION' | 'NO_EXTERNALIZED_CHECKPOINTS'

export type JobSettings = {
  /** null: no periodic checkpoints. */
  checkpointIntervalMs: number | null
  checkpointTimeoutMs: number
  minPauseMs: number
  maxConcurrent: number
  tolerableFailures: number
  numRetained: number
  mode: 'exactly_once' | 'at_least_once'
  retention: Retention
  unaligned: boolean
  alignedTimeoutMs: number
  stateBackend: 'hashmap' | 'rocksdb'
  /** Only with RocksDB, and only checkpoints. */
  incremental: boolean
  /** null: JobManager storage, whose checkpoints have no address. */
  checkpointDirectory: string | null
  savepointDurationMs: number
  checkpointDurationMs: number
}

export type ClaimMode = 'CLAIM' | 'NO_CLAIM' | 'LEGACY'

/** A table of RocksDB in the `shared` directory of a job. */
export type SharedFile = { operatorId: string; subtask: number; location: string; bytes: number }

/** A snapshot that the job could recover from, and that it may delete. */
export type RetainedCheckpoint = {
  checkpointId: number
  location: string
  /** null for a claimed snapshot of an earlier job. */
  entry: CheckpointEntry | null
  /** What it refers to outside its own directory. */
  shared: readonly SharedFile[]
  /** What the job had counted. */
  total: number
}

export type PendingSnapshot = {
  entry: CheckpointEntry
  location: string | null
  settled: boolean
  /** Ends it with this failure; cleans up unless the JobManager died. */
  abort(failure: { text: string; keepFiles: boolean }): void
}

export type ExceptionEntry = {
  exceptionName: string
  stacktrace: string
  at: number
  taskName: string | null
}

export type SimulatedJob = {
  id: string
  name: string
  type: 'STREAMING' | 'BATCH'
  parallelism: number
  program: Program
  settings: JobSettings
  userConfig: Record<string, string>
  state: JobState
  timestamps: Record<JobState, number>
  startTime: number
  /** -1 while it lives. */
  endTime: number
  lastModification: number
  tasks: TaskState
  tasksSince: number
  statistics: CheckpointStatistics
  nextCheckpointId: number
  /** Oldest first, at most `numRetained`. */
  retained: RetainedCheckpoint[]
  /** What it was started from; it recovers from this until its first own checkpoint. */
  startedFrom: { checkpointId: number; location: string; claimMode: ClaimMode; total: number } | null
  counter: {
    /** Up to `runningSince`, or for good while that is null. */
    total: number
    /** Since when it grows. */
    runningSince: number | null
  }
  pending: Set<PendingSnapshot>
  /** Periodic checkpoints that failed one after the other. */
  failuresInRow: number
  exceptions: ExceptionEntry[]
  /** The rest of a FAILED start: a job without a graph. */
  withoutGraph: boolean
  cancelTimers: Set<() => void>
}

export type NewJob = Pick<
  SimulatedJob,
  'id' | 'name' | 'type' | 'parallelism' | 'program' | 'settings' | 'userConfig'
>

export function createJob(given: NewJob, now: number): SimulatedJob {
  return {
    ...given,
    state: 'INITIALIZING',
    timestamps: { ...NEVER, INITIALIZING: now },
    startTime: now,
    endTime: -1,
    lastModification: now,
    tasks: 'CREATED',
    tasksSince: now,
    statistics: emptyStatistics(),
    nextCheckpointId: 1,
    retained: [],
    startedFrom: null,
    counter: { total: 0, runningSince: null },
    pending: new Set(),
    failuresInRow: 0,
    exceptions: [],
    withoutGraph: false,
    cancelTimers: new Set(),
  }
}

const NEVER: Record<JobState, number> = {
  INITIALIZING: 0,
  CREATED: 0,
  RUNNING: 0,
  FAILING: 0,
  FAILED: 0,
  CANCELLING: 0,
  CANCELED: 0,
  FINISHED: 0,
  RESTARTING: 0,
  SUSPENDED: 0,
  RECONCILING: 0,
}

export const isTerminal = (job: SimulatedJob): boolean =>
  job.state === 'FAILED' || job.state === 'CANCELED' || job.state === 'FINISHED'

export const allTasksRunning = (job: SimulatedJob): boolean =>
  job.state === 'RUNNING' && job.tasks === 'RUNNING'

export function moveJob(job: SimulatedJob, state: JobState, now: number): void {
  job.state = state
  job.timestamps[state] = now
  job.lastModification = now
  if (isTerminal(job)) job.endTime = now
}

export function moveTasks(job: SimulatedJob, tasks: TaskState, now: number): void {
  job.tasks = tasks
  job.tasksSince = now
  job.lastModification = now
}

/** The same job for a JobManager that took over: everything measured starts anew, everything stored stays. */
export function resetExecution(job: SimulatedJob, now: number): void {
  job.state = 'INITIALIZING'
  job.timestamps = { ...NEVER, INITIALIZING: now }
  job.startTime = now
  job.statistics = emptyStatistics()
  job.exceptions = []
  job.pending = new Set()
  job.failuresInRow = 0
  moveTasks(job, 'CREATED', now)
}

export function stopTimers(job: SimulatedJob): void {
  for (const cancel of job.cancelTimers) cancel()
  job.cancelTimers.clear()
}
