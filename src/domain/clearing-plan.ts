/**
 * What to do next about a clearing: pure, and the same whichever worker asks. The order keeps the promises: a complete list
 * before the first deletion, `_metadata` before everything else, and Cleared only when the place was found empty twice.
 */
import type { ClearingMethod, ClearingPhase } from './clearing.ts'

export type ClearingPosition = {
  method: ClearingMethod
  phase: ClearingPhase
  foundEmpty: number
  askedAt: Date | null
  triggerId: string | null
  blocked: 'OBSERVE_ONLY' | 'CLUSTER_IDENTITY_CHANGED' | null
}

type ClearingStep =
  | 'forget'
  | 'refuse'
  | 'list'
  | 'delete-metadata'
  | 'delete'
  | 'verify'
  | 'ask-flink'
  | 'read-flink'
  | 'end'

/** Found empty so often, with a pause in between, it is gone: a store may list what it has deleted for a while, and the other way round. */
const TIMES_EMPTY = 2
/** Between two empty looks: so long that they are two answers of the store, not one that some cache of it gives twice. */
const VERIFY_PAUSE_MS = 250
/** A store that still lists what it has deleted needs a moment: it is given more. */
const LISTED_AGAIN_PAUSE_MS = 500

/** Before the next look; none before the end. */
export const verifyPauseMs = (foundEmpty: number): number => {
  if (foundEmpty >= TIMES_EMPTY) return 0
  return foundEmpty === 0 ? LISTED_AGAIN_PAUSE_MS : VERIFY_PAUSE_MS
}

export function nextClearingStep(position: ClearingPosition): ClearingStep {
  const { method, phase } = position
  if (method === 'FORGET') return 'forget'
  // once `_metadata` has begun to go there is nothing left to spare; but another cluster is never asked to delete
  const spares =
    phase === 'LISTING' || phase === 'DELETING_METADATA' || (method === 'FLINK' && phase === 'DELETING')
  if (position.blocked !== null && spares) return 'refuse'
  if (method === 'FLINK') {
    if (phase === 'VERIFYING' || phase === 'DONE') return 'end'
    return position.triggerId === null ? 'ask-flink' : 'read-flink'
  }
  switch (phase) {
    case 'LISTING':
      return 'list'
    case 'DELETING_METADATA':
      return 'delete-metadata'
    case 'DELETING':
      return 'delete'
    case 'VERIFYING':
      return position.foundEmpty >= TIMES_EMPTY ? 'end' : 'verify'
    case 'DONE':
      return 'end'
  }
}

/** Exponential from a second to five minutes: what fails stays visible, and is tried for ever. */
export const clearingBackoffMs = (tries: number): number => Math.min(300_000, 1_000 * 2 ** Math.min(tries, 9))

/**
 * The words of Flink for a savepoint that is not there (AbstractFsCheckpointStorageAccess.resolveCheckpointPointer): with
 * its directory gone nothing is left; with only its `_metadata` gone, files that it named may be.
 */
export function readDisposalFailure(text: string): 'gone' | 'metadata-gone' | 'failed' {
  if (/Cannot find meta data file '_metadata' in directory/i.test(text)) return 'metadata-gone'
  return /Cannot find checkpoint or savepoint file\/directory/i.test(text) ? 'gone' : 'failed'
}
