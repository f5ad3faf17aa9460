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

export type RunRecord = { id: string; job: string; flinkJobId: string; state: string }
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
  /** Savepoints that were still open when the faults ended. */
  openAtFaultsEnd: number
  /** null: work was left when the time for it was over. */
  drainedAt: number | null
  calls: ClientCall[]
  snapshots: SnapshotRecord[]
  attempts: AttemptRecord[]
  transitions: TransitionRecord[]
  runs: RunRecord[]
  keys: KeyRecord[]
  /** Flink's own log; it holds only savepoints. */
  accepted: AcceptedTrigger[]
  /** Every folder below the storage that holds a `_metadata`, as Flink writes locations. */
  completeFolders: string[]
  /** Flink jobs that really ended: cancelled, redeployed under another id, removed. */
  endedFlinkJobs: string[]
}
