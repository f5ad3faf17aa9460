/** Flink's answers as outcomes. Could-not-ask is never one of them: the client throws FlinkUnavailableError instead. */
import type { ClusterCapabilities } from './capabilities.ts'
import type { ClusterFingerprint } from './resources.ts'
import type { SavepointFormat } from './snapshot.ts'

export const FLINK_JOB_STATES = [
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
export type FlinkJobState = (typeof FLINK_JOB_STATES)[number]

/** Globally terminal. SUSPENDED is the end of one JobManager only. */
export const isTerminal = (state: FlinkJobState): boolean =>
  state === 'FAILED' || state === 'CANCELED' || state === 'FINISHED'

export type FlinkClusterInfo = {
  flinkVersion: string
  capabilities: ClusterCapabilities
}

export type FlinkJob = {
  flinkJobId: string
  name: string
  state: FlinkJobState
  /** Milliseconds since the epoch on the JobManager's clock; changes when the JobManager is started again. */
  startTime: number
  /** null while the job lives. */
  endTime: number | null
  /** The JobManager's clock in milliseconds at the answer; null where the call does not tell (GET /jobs/overview). */
  jobManagerNow: number | null
  /** When it last became RUNNING, on the JobManager's clock; absent where the call does not tell. */
  runningSince?: number
  /** Every task is RUNNING (or FINISHED): only then a savepoint can begin. */
  allTasksRunning: boolean
}

export type TriggerRequest = {
  flinkJobId: string
  /** 32 hex digits, ours, committed before the call. */
  triggerId: string
  /** As Flink writes it, e.g. `s3://bucket/…`. */
  targetDirectory: string
  format: SavepointFormat
}

/** Flink ends the job with the savepoint. `drain`: all event time timers fire first, the job is over for good. */
export type StopRequest = TriggerRequest & { drain: boolean }

export type CancelAnswer =
  /** Under way, or cancelled already. */
  | { kind: 'accepted' }
  /** It has ended in another way. */
  | { kind: 'ended'; text: string }
  /** 404: this JobManager does not know the job now. */
  | { kind: 'unknown' }
  | { kind: 'refused'; httpStatus: number; text: string }

/** A jar in the upload directory of a JobManager. `id` is Flink's: `<uuid>_<name>`. */
export type UploadedJar = { id: string; name: string }

/** POST /jars/:jarid/run under a job id of ours. */
export type RunRequest = {
  jarId: string
  /** 32 hex digits, ours, committed before the call: used at most once. */
  flinkJobId: string
  entryClass: string | null
  programArgs: readonly string[]
  parallelism: number | null
  /** As Flink writes it; null starts without state. */
  savepointPath: string | null
  claimMode: 'CLAIM' | 'NO_CLAIM'
  /** Its name: `claimMode` since 1.20, before `restoreMode`. Flink ignores the other one and would not claim. */
  claimModeField: 'claimMode' | 'restoreMode'
  allowNonRestoredState: boolean
  flinkConfiguration: Readonly<Record<string, string>>
}

export type RunAnswer =
  | { kind: 'started' }
  /** This JobManager does not have the jar (any more): nothing was executed. */
  | { kind: 'jar-missing' }
  /** Flink or the program said no. The job id is used up: it may now be that of a FAILED job. */
  | { kind: 'refused'; httpStatus: number; text: string }

export type TriggerAnswer =
  | { kind: 'accepted' }
  /** Flink understood and said no: nothing was started. */
  | { kind: 'refused'; httpStatus: number; text: string }

/** `className` is often only a wrapper; classify by `text` (the stack trace, bounded). */
export type FlinkFailure = { className: string; text: string }

export type SavepointAnswer =
  | { kind: 'pending' }
  | { kind: 'completed'; location: string }
  | { kind: 'failed'; failure: FlinkFailure }
  /** 404: this JobManager does not know the trigger id (now). It proves nothing. */
  | { kind: 'unknown' }

export type DisposalTrigger =
  | { kind: 'accepted'; triggerId: string }
  | Extract<TriggerAnswer, { kind: 'refused' }>
export type DisposalAnswer = Exclude<SavepointAnswer, { kind: 'completed' }> | { kind: 'completed' }

export type CheckpointEntry = {
  id: number
  status: 'IN_PROGRESS' | 'COMPLETED' | 'FAILED'
  isSavepoint: boolean
  format: SavepointFormat | null
  /** CHECKPOINT, UNALIGNED_CHECKPOINT, SAVEPOINT, SYNC_SAVEPOINT */
  checkpointType: string
  triggeredAt: number
  latestAckAt: number | null
  /** Full state in bytes. */
  stateSizeBytes: number | null
  /** What this snapshot uploaded, in bytes (the delta when incremental). */
  uploadedBytes: number | null
  durationMs: number | null
  /** null when absent or `<checkpoint-not-externally-addressable>`. */
  externalPath: string | null
  discarded: boolean
  failedAt: number | null
  failureMessage: string | null
}

export type CheckpointStatistics = {
  counts: { restored: number; total: number; inProgress: number; completed: number; failed: number }
  latest: {
    completed: CheckpointEntry | null
    savepoint: CheckpointEntry | null
    failed: CheckpointEntry | null
    restored: { id: number; restoredAt: number; externalPath: string | null } | null
  }
  /** Newest first, at most `web.checkpoints.history` (10 by default), savepoints and checkpoints mixed. */
  history: CheckpointEntry[]
}

/** The statistics with a tag of their bytes: an answer that is the same, byte for byte, need not be read again. */
export type CheckpointPoll =
  | { kind: 'unchanged' }
  /** The job is unknown here now, or has no checkpoint coordinator. */
  | { kind: 'none' }
  | { kind: 'changed'; tag: string; statistics: CheckpointStatistics }

/** What a JobManager says of itself in GET /jobmanager/config. */
export type ClusterSettings = {
  fingerprint: ClusterFingerprint
  /** `execution.state-recovery.path` (or its old name): application mode restores it again at every restart. */
  recoveryPath: string | null
}

export type JobException = {
  at: number
  exceptionName: string
  /** Bounded stack trace. */
  text: string
  taskName: string | null
  taskManagerId: string | null
}

export type CheckpointConfig = {
  mode: string
  /** null when periodic checkpoints are off. */
  intervalMs: number | null
  timeoutMs: number
  minPauseMs: number
  maxConcurrent: number
  externalized: { enabled: boolean; deleteOnCancellation: boolean }
  stateBackend: string | null
  checkpointStorage: string | null
  unaligned: boolean
  tolerableFailures: number | null
}

export type { ClusterFingerprint }
