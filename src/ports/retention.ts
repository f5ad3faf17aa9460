/** The rules of retention, as people save and preview them and as workers carry them out. */
import type { RetainedSnapshot, RetentionPolicy, RetentionRule, Unruled } from '../domain/retention.ts'
import type { Reference } from '../domain/snapshot.ts'
import type { Scope } from './scope.ts'

/** A saved rule of one level. */
export type SavedRetention = RetentionPolicy & { updatedAt: string; etag: string }

/** Both levels as they are saved; a job's own replaces the default as a whole. */
export type RetentionLevels = { own: SavedRetention | null; fallback: SavedRetention | null }

export type PreviewedSnapshot = RetainedSnapshot & {
  description: string
  jobVersion: number | null
  sizeBytes: number | null
}

export type RetentionHistory = {
  /** What the rules own, newest first, then what has expired besides; `more`: there are others beyond the limit. */
  snapshots: PreviewedSnapshot[]
  more: boolean
  now: Date
  running: boolean
  observeOnly: boolean
  identityChanged: boolean
}

export interface RetentionRepository {
  /** `jobId` null: the default of the namespace alone, as `fallback`. */
  read(scope: Scope, jobId: string | null): Promise<RetentionLevels>
  /**
   * Saves the rule of a job, or the default of the namespace, with its event; the same values once more change nothing.
   * `etag`: of the row that was read, null when there was none. false: it has changed since, or the job is gone.
   */
  save(
    scope: Scope,
    jobId: string | null,
    etag: string | null,
    rule: RetentionPolicy & { id: string; by: string },
  ): Promise<boolean>
  /** false: it has changed since. */
  remove(scope: Scope, jobId: string | null, etag: string, by: string): Promise<boolean>
  /** What a preview is decided from: at most `limit` of what the rules own and `limit` of what has expired. */
  readHistory(scope: Scope, jobId: string, limit: number): Promise<RetentionHistory | null>
  /** The Present savepoints that nothing will clear by itself; `ruled`: a rule clears those it owns. Counts at most `limit`. */
  countUnruled(scope: Scope, jobId: string, ruled: boolean, limit: number): Promise<Unruled>
}

/** Jobs by id, `after` excluded, `until` included. */
export type JobRange = { after: string; until: string }

/** A running job of which something is to go by its rule. */
export type DueJob = {
  job: Reference
  namespaceId: string
  namespace: string
  policy: RetentionPolicy
  /** The row and version of the rule. */
  saved: string
  /** Another one when the rule, or what it asks to go, has changed. */
  signature: string
}

/** `beyondCount`: at least `keepCount` newer ones are owned by the rule. */
export type RetentionCandidate = RetainedSnapshot & { beyondCount: boolean }

export type ExpiredSnapshot = {
  id: string
  jobId: string
  namespaceId: string
  namespace: string
  expiresAt: string
}

export type RetentionApplied = {
  namespaceId: string
  jobId: string
  /** Clearings begun, by the condition that asked for them. */
  cleared: Record<RetentionRule, number>
  /** Asked to go and spared or refused. */
  kept: number
}

export interface RetentionWorkRepository {
  /** The next page of jobs of the round, for one worker; null when the round is over and the next one not due. */
  claimJobs(page: { limit: number; everyMs: number }): Promise<JobRange | null>
  /** Of the range, in one statement, the running jobs of which something that is not pinned or claimed is to go. */
  listDue(range: JobRange): Promise<DueJob[]>
  /**
   * The oldest of what is to go from this job, those of `except` left out. Who uses them is not read: their clearing asks
   * that under its lock. `now`: the database's.
   */
  listCandidates(
    job: DueJob,
    page: { limit: number; except: readonly string[] },
  ): Promise<{ now: Date; candidates: RetentionCandidate[] }>
  /** The next page of expired savepoints that are not pinned or claimed, for one worker; empty when none is due. */
  claimExpired(page: { limit: number; everyMs: number }): Promise<ExpiredSnapshot[]>
  /** The event of a round that cleared something. */
  recordApplied(applied: RetentionApplied): Promise<void>
}
