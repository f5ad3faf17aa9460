/** The choice of a start: what it will restore, or why it will not start. The decision is the resolver's. */
import type { ChosenRestorePoint, OperationStep } from '../domain/operation.ts'
import type { Restore, RestoreDecision } from '../domain/restore-point.ts'
import type { StartWork } from '../ports/lifecycle.ts'
import { type RestorePointPorts, resolveRestorePoint } from './find-restore-point.ts'
import { type ReviewClaimsPorts, reviewClaimsOf } from './review-claims.ts'

export type Choice =
  | { kind: 'chosen'; restorePoint: ChosenRestorePoint }
  | { kind: 'refuse'; restorePoint: ChosenRestorePoint }
  /** What is in the way passes by itself within seconds. */
  | { kind: 'wait'; inMs: number; message: string }

const LOOK_AGAIN_MS = 1_000
/** A store that cannot be asked is asked again for so long; then the start says so. */
const STORE_ASKED_FOR_MS = 30_000
const REJECTED_SHOWN = 20

/** Throws what `resolveRestorePoint` throws. */
export async function chooseRestorePoint(
  work: StartWork,
  ports: RestorePointPorts & ReviewClaimsPorts,
): Promise<Choice> {
  const scope = { namespaceId: work.namespaceId }
  const { restore } = work.request
  // What a failed start left claimed is ours again before an older one is chosen in its place.
  if (restore.strategy !== 'NONE') await reviewClaimsOf(ports, scope, work.job.id)
  const decision = await resolveRestorePoint(ports, scope, work.job.id, {
    restore,
    version: work.version.number,
    pointer: '/body/restore',
  })
  const restorePoint = shorten(decision, restore)
  if (decision.decision !== 'refuse') return { kind: 'chosen', restorePoint }
  return passesSoon(decision, work.steps, work.now)
    ? { kind: 'wait', inMs: LOOK_AGAIN_MS, message: decision.because.message }
    : { kind: 'refuse', restorePoint }
}

function passesSoon(decision: RestoreDecision, steps: readonly OperationStep[], now: Date): boolean {
  if (decision.because.code === 'NEWER_MAY_EXIST') {
    return decision.newerMayExist.every(({ what }) => what === 'RUN_JUST_ENDED')
  }
  const since = steps.find((step) => step.name === 'choose')?.startedAt ?? null
  const askedForMs = since === null ? 0 : now.getTime() - Date.parse(since)
  return decision.because.code === 'STORE_NOT_ASKED' && askedForMs < STORE_ASKED_FOR_MS
}

function shorten(
  { decision, because, chosen, findings, candidates }: RestoreDecision,
  { claimMode }: Restore,
): ChosenRestorePoint {
  return {
    decision,
    because: { code: because.code, message: because.message },
    snapshot: chosen?.snapshot ?? null,
    location: chosen?.location ?? null,
    claimMode: claimMode ?? 'NO_CLAIM',
    findings: findings.map(({ code, message }) => ({ code, message })),
    rejected: candidates
      .flatMap(({ snapshot, location, rejected }) =>
        rejected === null || rejected.code === 'OLDER' ? [] : [{ snapshot, location, ...rejected }],
      )
      .slice(0, REJECTED_SHOWN),
  }
}
