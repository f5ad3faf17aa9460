/** Snapshots that a run has claimed: Flink's until they are gone, or ours again when the run left them as they were. */
import type { Scope } from './scope.ts'
import type { StorageAddress } from './storage.ts'

export type ClaimedSnapshot = {
  id: string
  /** The run that has claimed it. */
  runId: string
  location: string
  storage: StorageAddress
}

export type ClaimFinding = { id: string; runId: string; found: 'standing' | 'gone' }

export type ClaimRecord = { cleared: number; givenBack: number }

export interface ClaimRepository {
  /**
   * Claimed ones by id, after `after`, that nobody has looked for within `everyMs`; those whose run is over without a
   * checkpoint of its own at any time. Only where somebody but Flink can look.
   */
  list(page: { after: string | null; limit: number; everyMs: number }): Promise<ClaimedSnapshot[]>
  /** Those of a job, or claimed by one of its runs, that may be given back now. */
  listReturnable(scope: Scope, jobId: string, limit: number): Promise<ClaimedSnapshot[]>
  /**
   * What was found, in one statement: gone is Cleared(SUBSUMED) with its transition and event; standing is given back where
   * the run is (still) over without a checkpoint of its own.
   */
  record(findings: readonly ClaimFinding[]): Promise<ClaimRecord>
}
