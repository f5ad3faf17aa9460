/** What one run leaves behind: all that the checker reads, as plain data that can be kept in a file. Instants are epoch ms. */
import type { AttemptOutcome } from '../../src/domain/snapshot.ts'
import type { SnapshotStatus } from '../../src/domain/snapshot-status.ts'
import type { AcceptedTrigger } from '../../src/simulated-flink/accept-log.ts'

/** One request of a client and what it was told. */
export type ClientCall = {
  job: string
  key: string | null
  body: Record<string, unknown>
  askedAt: number
  answeredAt: number
  /** null: no answer came. */
  status: number | null
  snapshotId: string | null
  code: string | null
}

export type SnapshotRecord = {
  id: string
  jobId: string
  job: string
  status: SnapshotStatus
  reason: string
  createdAt: number
  deadlineAt: number
  settledAt: number | null
  nextActionAt: number | null
  ownedPrefix: string
  location: string | null
  /** When absent it was asked for by a person. */
  source?: string
  createdBy?: string
  completedAt?: number | null
  expiresAt?: number | null
  pinned?: boolean
  claimedByRun?: string | null
}

/** A checkpoint that was seen, of the jobs that take any. */
export type CheckpointRecord = {
  id: string
  job: string
  runId: string
  location: string | null
  completedAt: number | null
}

export type ClearingRecord = {
  snapshotId: string
  method: 'OBJECTS' | 'FILES' | 'FLINK' | 'FORGET'
  reason: string
  /** What everything that is deleted lies below, with a closing slash. */
  prefix: string | null
  requestedAt: number
  endedAt: number | null
}

/** A run of a schedule. */
export type FiringRecord = {
  jobId: string
  slotAt: number
  outcome: string
  snapshotId: string | null
}

export type OperationRecord = { id: string; kind: string; status: string; endedAt: number | null }
export type RuleRecord = { job: string; what: 'schedule' | 'retention' }

/** One object in a request to delete, as the store saw it; `done`: the object was gone afterwards. */
export type DeleteRecord = { at: number; location: string; done: boolean }

/** A `_metadata` that stood somewhere at some time, and every file it names. */
export type ContentRecord = { folder: string; files: string[] }

/** A request of a client that is none for a savepoint, and what it was told. */
export type Wish = {
  what: 'clear' | 'forget' | 'pin' | 'unpin' | 'expire' | 'schedule' | 'retention' | 'start' | 'stop'
  job: string
  /** A snapshot; of a start or stop the operation that was answered. */
  target: string | null
  askedAt: number
  answeredAt: number
  /** null: no answer came. */
  status: number | null
  code: string | null
}

export type AttemptRecord = {
  snapshotId: string
  number: number
  triggerId: string
  flinkJobId: string | null
  directory: string
  createdAt: number
  askedAt: number | null
  outcome: AttemptOutcome | null
  settledAt: number | null
  orphanLocation: string | null
}

export type TransitionRecord = {
  snapshotId: string
  from: SnapshotStatus | null
  to: SnapshotStatus
  reason: string
  at: number
}

export type RunRecord = {
  id: string
  job: string
  flinkJobId: string
  state: string
  startedAt?: number
  endedAt?: number | null
  restoredLocation?: string | null
  claimMode?: string | null
  /** The first of its own; null when none was seen. */
  firstCheckpointAt?: number | null
}
export type KeyRecord = { route: string; key: string; snapshotId: string }

/** A time in which somebody was killed, frozen or cut off; work that it held waits for a lease afterwards. */
export type Disturbance = { what: string; from: number; to: number }

export type Limits = {
  leaseMs: number
  sweepMs: number
  /** The last look before a Timeout: as many requests as it takes, each up to its own time limit. */
  lastLookMs: number
  drainMs: number
}

export type History = {
  seed: number
  limits: Limits
  disturbances: Disturbance[]
  faultsEndedAt: number
  /** Savepoints, clearings, runs of schedules and operations that were still open when the faults ended. */
  openAtFaultsEnd: number
  /** null: work was left when the time for it was over. */
  drainedAt: number | null
  calls: ClientCall[]
  snapshots: SnapshotRecord[]
  attempts: AttemptRecord[]
  transitions: TransitionRecord[]
  runs: RunRecord[]
  keys: KeyRecord[]
  checkpoints: CheckpointRecord[]
  clearings: ClearingRecord[]
  firings: FiringRecord[]
  operations: OperationRecord[]
  rules: RuleRecord[]
  wishes: Wish[]
  /** The store's own log. */
  deletes: DeleteRecord[]
  contents: ContentRecord[]
  /** Every object that the store holds in the end. */
  objects: string[]
  /** Jobs that only we start. */
  managedJobs: string[]
  /** Flink's own log of savepoints, stops with one included. */
  accepted: AcceptedTrigger[]
  /** Every folder below the storage that holds a `_metadata`, as Flink writes locations. */
  completeFolders: string[]
  /** Flink jobs that really ended: cancelled, redeployed under another id, removed. */
  endedFlinkJobs: string[]
}
