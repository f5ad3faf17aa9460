/** The vocabulary of snapshots (`product.md` §2, §3). Clients must tolerate new values of every list here. */
import type { SnapshotStatus } from './snapshot-status.ts'

export const SNAPSHOT_KINDS = ['SAVEPOINT', 'CHECKPOINT'] as const
export type SnapshotKind = (typeof SNAPSHOT_KINDS)[number]

export const SNAPSHOT_SOURCES = [
  'MANUAL',
  'STOP',
  'DEPLOY',
  'SCHEDULE',
  'SYSTEM',
  'EXTERNAL',
  'IMPORT',
  'COPY',
] as const
export type SnapshotSource = (typeof SNAPSHOT_SOURCES)[number]

/** Savepoints that we asked Flink for: at most one unsettled per job. */
export const ASKED_SOURCES = [
  'MANUAL',
  'STOP',
  'DEPLOY',
  'SCHEDULE',
] as const satisfies readonly SnapshotSource[]

export const SAVEPOINT_FORMATS = ['CANONICAL', 'NATIVE'] as const
export type SavepointFormat = (typeof SAVEPOINT_FORMATS)[number]

export const ATTEMPT_OUTCOMES = ['COMPLETED', 'FAILED', 'LOST', 'NEVER_ASKED'] as const
export type AttemptOutcome = (typeof ATTEMPT_OUTCOMES)[number]

export type Labels = Record<string, string>
export type Reference = { id: string; name: string }
export type Failure = { code: string; message: string; at: string }

export type Attempt = {
  number: number
  triggerId: string
  flinkJobId: string | null
  directory: string
  createdAt: string
  askedAt: string | null
  outcome: AttemptOutcome | null
  settledAt: string | null
  failure: Failure | null
  orphanLocation: string | null
}

/** A snapshot as the API shows it. Instants are RFC 3339 UTC with milliseconds; sizes are bytes, durations milliseconds. */
export type Snapshot = {
  id: string
  kind: SnapshotKind
  status: SnapshotStatus
  reason: string
  message: string | null
  source: SnapshotSource
  description: string
  labels: Labels
  job: Reference
  jobVersion: number | null
  run: string | null
  format: SavepointFormat | null
  checkpointType: string | null
  incremental: boolean | null
  flinkCheckpointId: number | null
  triggerId: string | null
  attempt: number | null
  attempts: Attempt[]
  createdAt: string
  triggeredAt: string | null
  completedAt: string | null
  settledAt: string | null
  durationMs: number | null
  deadlineAt: string | null
  storage: Reference | null
  ownedPrefix: string | null
  location: string | null
  sizeBytes: number | null
  uploadedBytes: number | null
  flinkVersion: string | null
  failure: Failure | null
  pinned: boolean
  expiresAt: string | null
  verifiedAt: string | null
  verdict: string | null
  restorable: boolean
  notRestorableBecause: string | null
  supersedes: string | null
  /** The id of the snapshot that a COPY was made from. */
  copyOf: string | null
  restoredBy: string[]
  createdBy: string
  updatedAt: string
  /** The row version, for ETag and If-Match. */
  etag: string
}

export type Transition = {
  from: SnapshotStatus | null
  to: SnapshotStatus
  reason: string
  message: string | null
  at: string
  by: string
}
