/** Whether a snapshot can be restored now, and if not, why. */
import type { SnapshotStatus } from './snapshot-status.ts'

export type RestorableFacts = {
  status: SnapshotStatus
  location: string | null
  verdict: string | null
  claimed: boolean
}

const NOT_YET: Record<SnapshotStatus, string | null> = {
  Creating: 'it is still being created',
  Present: null,
  Clearing: 'it is being cleared',
  Cleared: 'it was cleared',
  Timeout: 'it did not complete before its deadline',
  Failed: 'it failed',
}

const VERDICTS: Record<string, string> = {
  METADATA_MISSING: 'its _metadata was not found where Flink reported it',
  DAMAGED: 'files it needs are missing or changed',
  UNREADABLE: 'its _metadata cannot be read',
  ENDANGERED: 'a new run writes under the same Flink job id; it has not been looked for since',
}

/** With one of these nothing is restored until it has been looked at again. */
export const DOUBTFUL_VERDICTS: readonly string[] = Object.keys(VERDICTS)

/** null: it can be restored. */
export function notRestorableBecause(facts: RestorableFacts): string | null {
  const early = NOT_YET[facts.status]
  if (early) return early
  if (!facts.location) return 'Flink keeps it where nobody else can reach it (JobManager memory)'
  if (facts.claimed) return 'a run has claimed it: Flink owns and may delete it'
  return facts.verdict === null ? null : (VERDICTS[facts.verdict] ?? null)
}
