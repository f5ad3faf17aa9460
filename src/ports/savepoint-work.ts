/** The worker's side of a savepoint: claimed, asked for, moved on. */
import type { ClusterMode, JobAttachment, RunState } from '../domain/resources.ts'
import type { AttemptOutcome, Reference, SavepointFormat, SnapshotSource } from '../domain/snapshot.ts'
import type { SnapshotStatus } from '../domain/snapshot-status.ts'
import type { ClusterAddress } from './flink.ts'
import type { StorageAddress } from './storage.ts'

/** An attempt as the worker sees it. */
export type AttemptWork = {
  number: number
  triggerId: string
  flinkJobId: string | null
  directory: string
  createdAt: Date
  askedAt: Date | null
  askedFlinkStart: number | null
  afterRescale: boolean
  /** Asked for by /stop, which ends the job; null for a savepoint that lets it run. A stop has one attempt and one run. */
  stopMode: 'SUSPEND' | 'DRAIN' | null
  outcome: AttemptOutcome | null
}

/** A savepoint claimed for one worker, with everything a step needs. `now` is the database's. */
export type SavepointWork = {
  id: string
  namespaceId: string
  namespace: string
  status: SnapshotStatus
  source: SnapshotSource
  format: SavepointFormat
  ownedPrefix: string
  createdAt: Date
  deadlineAt: Date
  settledAt: Date | null
  now: Date
  tries: number
  job: Reference
  attempt: AttemptWork
  /** Attempts so far that count against the limit of three. */
  countedAttempts: number
  run: {
    id: string
    flinkJobId: string
    state: RunState
    /** Ended; a LOST one only once a later run has completed a checkpoint, or a person has said so. */
    over: boolean
    flinkStartTime: number
    allTasksRunning: boolean
    tasksRunningSince: Date | null
  } | null
  attach: JobAttachment | null
  ambiguous: string[] | null
  observationIsFresh: boolean
  cluster: {
    name: string
    mode: ClusterMode
    flinkVersion: string | null
    identityChanged: boolean
    supported: boolean
    address: ClusterAddress
  }
  storage: StorageAddress
  /** Proof of the claim: every later write carries it and is refused once another worker has claimed the row. */
  lease: string
}

export type SnapshotFacts = {
  completedAt?: Date
  durationMs?: number | null
  location?: string
  locationKey?: string
  flinkCheckpointId?: number | null
  checkpointType?: string | null
  sizeBytes?: number | null
  uploadedBytes?: number | null
  flinkVersion?: string | null
  verdict?: string
}

export type AttemptEnd = {
  outcome: AttemptOutcome
  failure?: { code: string; message: string }
  orphanLocation?: string | null
}

export type StatusMove = {
  to: SnapshotStatus
  reason: string
  message?: string | null
  facts?: SnapshotFacts
  failure?: { code: string; message: string }
  attempt?: AttemptEnd
  /** The answer is final: frees the job for the next savepoint. */
  settled: boolean
  /** Look again after so many milliseconds; null when nothing is left to do. */
  nextActionInMs: number | null
}

export type MoveResult = 'moved' | 'stale' | 'missing'

export interface SavepointWorkRepository {
  /** Claims up to `limit` due savepoints, oldest first, skipping those other workers hold. */
  claimDue(limit: number): Promise<SavepointWork[]>
  /** Commits `asked_at` before Flink hears of it. false when the lease was lost. */
  markAsked(work: SavepointWork, flinkJobId: string, flinkStartTime: number): Promise<Date | null>
  /** The guarded UPDATE with its transition, event and attempt end, one statement. */
  move(work: SavepointWork, move: StatusMove): Promise<MoveResult>
  /** Ends the current attempt and begins the next one with its own trigger id and directory, one statement. */
  beginAttempt(
    work: SavepointWork,
    ended: AttemptEnd,
    next: { triggerId: string; directory: string; afterRescale: boolean; startInMs: number },
  ): Promise<boolean>
  /** Gives the lease back and says when to look again (null: never). `settled` frees the job, `tries` is the backoff. */
  release(
    work: SavepointWork,
    next: { nextActionInMs: number | null; tries: number; settled?: boolean; attempt?: AttemptEnd },
  ): Promise<boolean>
}
