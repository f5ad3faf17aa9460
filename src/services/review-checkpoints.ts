/**
 * Looks in storage for checkpoints of which Flink no longer tells: those of runs that ended, of runs whose Flink job id
 * lives again, and those that scrolled out of a running job's history. Only `_metadata` proven missing counts as gone; a
 * store that cannot be asked, or a disk that is not mounted, proves nothing and is asked again.
 */
import { StorageError } from '../domain/errors.ts'
import { joinLocation, parseLocation } from '../domain/location.ts'
import { isOverwritten } from '../domain/retained-checkpoint.ts'
import type { CheckpointRepository, CheckpointReview, ReviewFinding } from '../ports/observation.ts'
import type { Log } from '../ports/process.ts'
import type { ObjectStores, StorageAddress, StoredObject } from '../ports/storage.ts'
import { headProven } from './prove-root.ts'

export type ReviewPorts = {
  checkpoints: CheckpointRepository
  stores: ObjectStores
  log: Log
  leaseMs: number
}

const RUNS_AT_ONCE = 8
const ASK_AGAIN_MS = 30_000

/** Answers whether there may be more. */
export async function reviewCheckpoints(ports: ReviewPorts): Promise<boolean> {
  const reviews = await ports.checkpoints.claimReviews(RUNS_AT_ONCE, ports.leaseMs)
  await Promise.all(reviews.map((review) => reviewRun(review, ports)))
  return reviews.length === RUNS_AT_ONCE
}

async function reviewRun(review: CheckpointReview, ports: ReviewPorts): Promise<void> {
  const findings: ReviewFinding[] = []
  let unanswered = false
  for (const snapshot of review.snapshots) {
    if (!snapshot.storage) continue
    try {
      const finding = await look(snapshot, review, ports.stores)
      findings.push(finding)
      // Flink drops them in order: once one stands, the newer ones of a running job do.
      if (finding.found === 'standing' && review.run.live && !snapshot.endangered) break
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      unanswered = true
      ports.log.warn({ run: review.run.id, error: error.message }, 'checkpoints could not be looked for')
      break
    }
  }
  await ports.checkpoints.recordReview(review.run.id, findings, unanswered ? ASK_AGAIN_MS : null)
}

async function look(
  snapshot: CheckpointReview['snapshots'][number] & { storage: StorageAddress | null },
  { run }: CheckpointReview,
  stores: ObjectStores,
): Promise<ReviewFinding> {
  if (!snapshot.storage) throw new Error('a snapshot without a storage cannot be looked for')
  const file = joinLocation(parseLocation(snapshot.location), '_metadata')
  const found = await headProven(snapshot.storage, stores.of(snapshot.storage), file)
  if (found && !(snapshot.endangered && isOverwritten(found.modifiedAt, snapshot.completedAt))) {
    return { id: snapshot.id, found: 'standing' }
  }
  return { id: snapshot.id, found: 'gone', ...whyGone(found, snapshot.endangered, run) }
}

function whyGone(
  found: StoredObject | null,
  endangered: boolean,
  run: CheckpointReview['run'],
): { reason: 'SUBSUMED' | 'DATA_LOST'; message: string } {
  if (found) {
    return {
      reason: 'DATA_LOST',
      message: 'Its _metadata was written again by a later run under the same Flink job id.',
    }
  }
  if (endangered || run.state === 'LOST') {
    return { reason: 'DATA_LOST', message: 'Its _metadata is gone.' }
  }
  return run.live
    ? { reason: 'SUBSUMED', message: 'Flink has dropped it.' }
    : { reason: 'SUBSUMED', message: `Flink has dropped it with the end of its job (${run.state}).` }
}
