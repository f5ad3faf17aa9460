/**
 * Looks in storage for the snapshots that runs have claimed. Flink deletes a claimed one when newer checkpoints subsume it
 * (`flink-rest-api.md` §9): proven gone it is Cleared(SUBSUMED). One whose run ended without a checkpoint of its own, and
 * that still stands, is ours again. A store that cannot be asked, or a disk that is not mounted, proves nothing.
 */
import { DomainError, StorageError } from '../domain/errors.ts'
import { joinLocation, parseLocation, snapshotDirectory } from '../domain/location.ts'
import type { ClaimedSnapshot, ClaimFinding, ClaimRepository } from '../ports/claims.ts'
import type { Log } from '../ports/process.ts'
import type { Scope } from '../ports/scope.ts'
import type { ObjectStores } from '../ports/storage.ts'
import { headProven } from './prove-root.ts'

export type ReviewClaimsPorts = {
  claims: ClaimRepository
  stores: Pick<ObjectStores, 'of'>
  log: Log
}

/** Looked for by one round, side by side. */
const AT_ONCE = 20
const EVERY_MS = 30_000

/**
 * One round; the next one goes on where it stopped, so a store that does not answer holds up nobody else's. Answers whether
 * there may be more. `everyMs`: what stands is looked for again after so long, by whichever worker comes first.
 */
export function createClaimReview(
  ports: ReviewClaimsPorts,
  { everyMs = EVERY_MS }: { everyMs?: number } = {},
): { round(): Promise<boolean> } {
  let after: string | null = null
  return {
    async round() {
      const claimed = await ports.claims.list({ after, limit: AT_ONCE, everyMs })
      after = claimed.length < AT_ONCE ? null : (claimed.at(-1)?.id ?? null)
      await review(claimed, ports)
      return after !== null
    },
  }
}

/** Before a restore point is chosen: what a start that failed has claimed must not be passed over for an older one. */
export const reviewClaimsOf = async (ports: ReviewClaimsPorts, scope: Scope, jobId: string): Promise<void> =>
  review(await ports.claims.listReturnable(scope, jobId, AT_ONCE), ports)

async function review(claimed: readonly ClaimedSnapshot[], ports: ReviewClaimsPorts): Promise<void> {
  const looks = await Promise.all(claimed.map((snapshot) => look(snapshot, ports)))
  const findings = looks.filter((finding) => finding !== null)
  if (findings.length === 0) return
  const { cleared, givenBack } = await ports.claims.record(findings)
  if (cleared + givenBack > 0) ports.log.info({ cleared, givenBack }, 'claims reviewed')
}

/** null: nobody could say. */
async function look(
  snapshot: ClaimedSnapshot,
  { stores, log }: ReviewClaimsPorts,
): Promise<ClaimFinding | null> {
  try {
    const folder = snapshotDirectory(parseLocation(snapshot.location))
    const file = joinLocation(folder, '_metadata')
    const found = await headProven(snapshot.storage, stores.of(snapshot.storage), file)
    return { id: snapshot.id, runId: snapshot.runId, found: found ? 'standing' : 'gone' }
  } catch (error) {
    if (!(error instanceof StorageError || error instanceof DomainError)) throw error
    log.warn({ snapshotId: snapshot.id, error: error.message }, 'a claimed snapshot could not be looked for')
    return null
  }
}
