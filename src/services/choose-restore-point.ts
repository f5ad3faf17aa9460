/** The choice of a start: what it will restore, or why it will not start. The decision is the resolver's. */
import type { ChosenRestorePoint, OperationStep } from '../domain/operation.ts'
import type { MetadataProof, Restore, RestoreDecision } from '../domain/restore-point.ts'
import type { StartWork } from '../ports/lifecycle.ts'
import type { Scope } from '../ports/scope.ts'
import { type RestorePointPorts, resolveRestorePoint, type VerifyCandidate } from './find-restore-point.ts'
import { lookAtSnapshot, type SnapshotLook } from './look-at-snapshot.ts'
import { type ReviewClaimsPorts, reviewClaimsOf } from './review-claims.ts'
import { type KeepVerificationPorts, verifyAndKeep } from './verify-snapshot.ts'
import { within } from './within.ts'

export type Choice =
  | { kind: 'chosen'; restorePoint: ChosenRestorePoint }
  | { kind: 'refuse'; restorePoint: ChosenRestorePoint }
  /** What is in the way passes by itself within seconds. */
  | { kind: 'wait'; inMs: number; message: string }

const LOOK_AGAIN_MS = 1_000
/** A store that cannot be asked is asked again for so long; then the start says so. */
const STORE_ASKED_FOR_MS = 30_000
const REJECTED_SHOWN = 20
/** Of one start, however many are looked for; then the `_metadata` alone decides, and a finding says so. */
const VERIFIED_FOR_MS = 20_000

export type ChooseRestorePointPorts = RestorePointPorts & ReviewClaimsPorts & KeepVerificationPorts

/** Throws what `resolveRestorePoint` throws. */
export async function chooseRestorePoint(work: StartWork, ports: ChooseRestorePointPorts): Promise<Choice> {
  const scope = { namespaceId: work.namespaceId }
  const { restore } = work.request
  // What a failed start left claimed is ours again before an older one is chosen in its place.
  if (restore.strategy !== 'NONE') await reviewClaimsOf(ports, scope, work.job.id)
  const decision = await resolveRestorePoint(ports, scope, work.job.id, {
    restore,
    version: work.version.number,
    verify: createVerifier(ports, scope),
    pointer: '/body/restore',
  })
  const restorePoint = shorten(decision, restore)
  if (decision.decision !== 'refuse') return { kind: 'chosen', restorePoint }
  return passesSoon(decision, work.steps, work.now)
    ? { kind: 'wait', inMs: LOOK_AGAIN_MS, message: decision.because.message }
    : { kind: 'refuse', restorePoint }
}

/** What is found is kept like any verification, so a damaged one is passed over by everybody from now on. */
function createVerifier(ports: ChooseRestorePointPorts, scope: Scope): VerifyCandidate {
  const startedAt = performance.now()
  return async ({ snapshot, location }) => {
    const limitMs = VERIFIED_FOR_MS - (performance.now() - startedAt)
    if (location === null || limitMs <= 0) return TOO_SLOW
    const how = { by: 'start', limitMs, claim: null, nextInMs: () => null }
    const looking =
      snapshot === null
        ? lookAtSnapshot(ports, scope, { location, ...how })
        : verifyAndKeep(ports, scope, { snapshotId: snapshot, location }, how).then(({ look }) => look)
    const look = await within(limitMs, looking, null)
    return look ? toProof(look) : TOO_SLOW
  }
}

const TOO_SLOW = {
  is: 'there',
  notVerified: `looking for them takes longer than ${VERIFIED_FOR_MS / 1000} s.`,
} as const

function toProof({ report: { verdict, message, findings } }: SnapshotLook): MetadataProof {
  switch (verdict) {
    case 'WHOLE':
      return { is: 'there' }
    case 'DAMAGED': {
      const [first] = findings
      return { is: 'damaged', message: `${message ?? ''}${first ? ` ${first.path}: ${first.message}` : ''}` }
    }
    case 'UNREADABLE':
      return { is: 'unreadable', ...(message === null ? {} : { message }) }
    case 'METADATA_MISSING':
      return { is: 'missing' }
    case 'NOT_ASKED':
      return { is: 'there', notVerified: message ?? '' }
  }
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
