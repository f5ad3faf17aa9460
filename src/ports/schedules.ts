/** Schedules as the API reads and writes them, and the worker's side: what is due, and what came of it. */
import type { JobVersionSpec } from '../domain/job-version.ts'
import type { RunState } from '../domain/resources.ts'
import type { Firing, PauseReason, SettledFiring, SkippedSlot } from '../domain/schedule.ts'
import type { Reference, SavepointFormat } from '../domain/snapshot.ts'
import type { PageOf, PageRequest, Scope } from './scope.ts'

export type ScheduleValues = {
  cron: string | null
  everySeconds: number | null
  timeZone: string
  format: SavepointFormat | null
  description: string | null
  timeoutSeconds: number | null
  jitterSeconds: number
  enabled: boolean
}
export type ScheduleRow = ScheduleValues & {
  paused: { reason: PauseReason; message: string } | null
  failures: number
  nextSlotAt: string | null
  lastSlotAt: string | null
  createdAt: string
  createdBy: string
  updatedAt: string
  etag: string
}

/** A job with its schedule and all that a rule is judged by, in one statement. `now` is the database's. */
export type ScheduleContext = {
  now: Date
  job: Reference & { attached: boolean }
  observeOnly: boolean
  /** Of the version that runs, else of the newest; null when there is none. */
  version: JobVersionSpec | null
  /** Of the newest 100 savepoints of the job that were completed and timed; null when there are none. */
  savepointP90Ms: number | null
  schedule: ScheduleRow | null
}

/** The next slot, and when it is acted on. */
export type NextSlot = { slotAt: Date; actionAt: Date }

export interface ScheduleRepository {
  /** By id or name; null when there is none in this namespace. */
  readContext(scope: Scope, job: string): Promise<ScheduleContext | null>
  /**
   * Creates (`etag` null) or replaces it, with its event. A rule that stays the same keeps its next slot. false when the row
   * is another one by now, or the job is gone.
   */
  put(
    scope: Scope,
    jobId: string,
    etag: string | null,
    values: ScheduleValues,
    next: NextSlot | null,
    by: string,
  ): Promise<boolean>
  /** What is under way goes on; no further slot comes. */
  pause(scope: Scope, jobId: string, etag: string, message: string, by: string): Promise<boolean>
  /** Forgets its failures and switches it on. */
  resume(scope: Scope, jobId: string, etag: string, next: NextSlot | null, by: string): Promise<boolean>
  /** Its firings stay. */
  remove(scope: Scope, jobId: string, etag: string, by: string): Promise<boolean>
  /** The newest slot first. Throws DomainError PAGE_TOKEN_INVALID. */
  listFirings(scope: Scope, jobId: string, page: PageRequest): Promise<PageOf<Firing>>
}

type SlotOwner = { namespaceId: string; namespace: string; job: Reference }
type SlotTerms = Pick<ScheduleValues, 'cron' | 'everySeconds' | 'format' | 'description' | 'timeoutSeconds'>

/** A schedule claimed for one worker. `lease` is the proof: a change of the schedule ends it. */
export type DueWork = SlotOwner &
  ScheduleValues & {
    clusterId: string
    runState: RunState | null
    nextSlotAt: Date
    dueAt: Date
    catchUp: boolean
    now: Date
    lease: string
  }

export type DueRecord = {
  work: DueWork
  fire: { slotAt: Date; catchUp: boolean } | null
  skip: readonly SkippedSlot[]
  next: NextSlot | null
  /** When there is no room for it: look again after so long. */
  waitMs: number
}

/** A slot whose savepoint is to be requested, or has been by a worker that died. */
export type PendingFiring = SlotOwner & {
  slotAt: Date
  tries: number
  /** How long nobody had it in hand, in ms. */
  idleMs: number
  /** A newer slot of the schedule has come: one of the two is fired at most. */
  isSuperseded: boolean
  /** The schedule is paused, switched off, or has another rule by now. */
  isRevoked: boolean
  /** null: the schedule is gone. */
  terms: SlotTerms | null
}

export type FiringEnd =
  | { outcome: 'FIRED'; snapshotId: string }
  | { outcome: 'SKIPPED' | 'FAILED'; code: string; message: string }

export type SettledWork = SettledFiring & {
  namespaceId: string
  jobId: string
  slotAt: Date
  snapshotId: string
  /** Of the schedule; null when it is gone. */
  failures: number | null
}

export interface ScheduleWorkRepository {
  /** Claims up to `limit` schedules whose next slot has come, the longest due first, skipping those other workers hold. */
  claimDue(limit: number): Promise<DueWork[]>
  /**
   * One cluster's: slots move on and their firings are recorded, PENDING or SKIPPED, together. No more than `mostInFlight`
   * scheduled savepoints are in flight on the cluster, whoever asks; who finds no room waits with its slot. Answers the slots
   * that are PENDING now: never one that has a firing already, whatever the clock did.
   */
  record(
    clusterId: string,
    records: readonly DueRecord[],
    mostInFlight: number,
  ): Promise<{ jobId: string; slotAt: Date }[]>
  /** Takes over firings that were left PENDING for a lease. */
  takePending(limit: number): Promise<PendingFiring[]>
  /** The savepoint that was made for a slot, whoever made it and however long ago. */
  findSlotSavepoint(firing: PendingFiring): Promise<string | null>
  /** Ends a PENDING firing. One without a savepoint uses up its key: nobody who comes late can request one. */
  conclude(firing: PendingFiring, end: FiringEnd): Promise<boolean>
  /** Firings whose savepoint settled at least `settleMs` ago and was not judged yet. */
  listSettled(limit: number, settleMs: number): Promise<SettledWork[]>
  /** Counts it, and pauses the schedule with its event, in one statement. false when someone else has, or the count moved. */
  judge(
    work: SettledWork,
    health: { failures: number; pause: { reason: PauseReason; message: string } | null },
  ): Promise<boolean>
}
