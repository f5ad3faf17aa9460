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

const VERDICTS = {
  METADATA_MISSING: 'its _metadata was not found where Flink reported it',
  DAMAGED: 'files it needs are missing or changed',
  UNREADABLE: 'its _metadata cannot be read',
  ENDANGERED: 'a new run writes under the same Flink job id; it has not been looked for since',
} as const
type DoubtfulVerdict = keyof typeof VERDICTS
const isDoubtful = (verdict: string): verdict is DoubtfulVerdict => Object.hasOwn(VERDICTS, verdict)

/** With one of these nothing is restored until it has been looked at again. */
export const DOUBTFUL_VERDICTS: readonly string[] = Object.keys(VERDICTS)

/** null: it can be restored. */
export function notRestorable(
  facts: RestorableFacts,
): { code: 'NOT_PRESENT' | 'NO_LOCATION' | 'CLAIMED' | DoubtfulVerdict; because: string } | null {
  const { verdict } = facts
  const early = NOT_YET[facts.status]
  if (early) return { code: 'NOT_PRESENT', because: early }
  if (!facts.location) {
    return {
      code: 'NO_LOCATION',
      because: 'Flink keeps it where nobody else can reach it (JobManager memory)',
    }
  }
  if (facts.claimed) {
    return { code: 'CLAIMED', because: 'a run has claimed it: Flink owns and may delete it' }
  }
  return verdict !== null && isDoubtful(verdict) ? { code: verdict, because: VERDICTS[verdict] } : null
}

/** null: it can be restored. */
export const notRestorableBecause = (facts: RestorableFacts): string | null =>
  notRestorable(facts)?.because ?? null
