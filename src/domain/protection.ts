/** Why a snapshot is spared although nobody uses it: the last sentence of `product.md` §1.4. A person's `force` overrides it. */
import type { SnapshotKind, SnapshotSource } from './snapshot.ts'
import { compareRanks, type RunOrder, rankOf } from './unseen-snapshots.ts'

export const PROTECTIONS = [
  'NEWEST_RESTORABLE_SAVEPOINT',
  'NEWEST_RESTORABLE_SNAPSHOT',
  'ROLLBACK_POINT',
  'NEWEST_PRESENT_SNAPSHOT',
] as const
export type ProtectionCode = (typeof PROTECTIONS)[number]
/** `until`: of a ROLLBACK_POINT, when its window ends. */
export type Protection = { code: ProtectionCode; message: string; until: string | null }

/** A version that ran, in the order in which the versions were last begun, the newest first. */
export type RanVersion = {
  version: number
  /** When its newest run ended; null while one is live. */
  lastRanAt: string | null
}

export type ProtectionFacts = {
  /** Restorable ones of the job, in any order: at least its newest, and the newest savepoints of each version of `versions`. */
  candidates: readonly ProtectionCandidate[]
  /** The last three. */
  versions: readonly RanVersion[]
  rollbackWindowSeconds: number
  now: string
}
export type ProtectionCandidate = {
  snapshot: string
  kind: SnapshotKind
  source: SnapshotSource
  jobVersion: number | null
  completedAt: string | null
  /** Of a COPY those of its source. */
  run: RunOrder | null
  flinkCheckpointId: number | null
}

/** A week: how long one may go back to the version before without having asked for it. */
export const DEFAULT_ROLLBACK_WINDOW_SECONDS = 7 * 86_400

/**
 * The protected snapshots of a job by id, each with every reason; none without a candidate. The newest is that of
 * the resolver (`restore-point.ts`). The window of a version begins when its last run ends: while it runs it has none.
 */
export function listProtections(facts: ProtectionFacts): Map<string, Protection[]> {
  const protections = new Map<string, Protection[]>()
  const protect = (candidate: ProtectionCandidate | undefined, protection: Protection): void => {
    if (!candidate) return
    protections.set(candidate.snapshot, [...(protections.get(candidate.snapshot) ?? []), protection])
  }
  // One that was registered is restored only when it is named: it is nobody's newest.
  const newestFirst = facts.candidates
    .filter(({ source }) => source !== 'IMPORT')
    .toSorted(compareNewestFirst)
  const savepoints = newestFirst.filter(({ kind }) => kind === 'SAVEPOINT')
  protect(newestFirst[0], {
    code: 'NEWEST_RESTORABLE_SNAPSHOT',
    message: 'It is the newest snapshot the job can be restored from.',
    until: null,
  })
  protect(savepoints[0], {
    code: 'NEWEST_RESTORABLE_SAVEPOINT',
    message: 'It is the newest savepoint the job can be restored from.',
    until: null,
  })
  const unranked = findLaterUnranked(newestFirst)
  if (unranked !== newestFirst[0]) {
    protect(unranked, {
      code: unranked?.kind === 'CHECKPOINT' ? 'NEWEST_RESTORABLE_SNAPSHOT' : 'NEWEST_RESTORABLE_SAVEPOINT',
      message: 'It may be the newest one: it completed last, and nothing says how new its content is.',
      until: null,
    })
  }
  for (const { version, lastRanAt } of facts.versions) {
    const until = lastRanAt === null ? null : addSeconds(lastRanAt, facts.rollbackWindowSeconds)
    if (until !== null && until <= facts.now) continue
    protect(
      savepoints.find(({ jobVersion }) => jobVersion === version),
      { code: 'ROLLBACK_POINT', message: describeRollback(version, until), until },
    )
  }
  return protections
}

/** Of a job of which nothing can be restored as it is: its newest one, which may be mended, is all that it has. */
export function protectLast(candidates: readonly ProtectionCandidate[]): Map<string, Protection[]> {
  const [newest] = candidates.toSorted(compareNewestFirst)
  const message = 'It is the newest snapshot of the job, and none of the others can be restored either.'
  return new Map(
    newest ? [[newest.snapshot, [{ code: 'NEWEST_PRESENT_SNAPSHOT', message, until: null }]]] : [],
  )
}

/**
 * Where Flink has not told the checkpoint id and nobody else can read it, a snapshot has no rank. The resolver never takes
 * it by itself; but it may well be the newest, so the one that completed last is spared when it did after the best ranked.
 */
function findLaterUnranked(newestFirst: readonly ProtectionCandidate[]): ProtectionCandidate | undefined {
  const unranked = newestFirst.find((candidate) => rankOf(candidate) === null)
  const [best] = newestFirst
  return unranked && (unranked.completedAt ?? '') >= (best?.completedAt ?? '') ? unranked : undefined
}

const describeRollback = (version: number, until: string | null): string =>
  until === null
    ? `It is the newest savepoint of version ${version}, which runs: the way back to it is kept.`
    : `It is the newest savepoint of version ${version}: the way back to it is kept until ${until}.`

/** As the resolver orders them; what has no rank comes last, and among those the one that completed last first. */
function compareNewestFirst(one: ProtectionCandidate, other: ProtectionCandidate): number {
  const [rank, otherRank] = [rankOf(one), rankOf(other)]
  const byRank =
    rank && otherRank
      ? compareRanks(otherRank, rank) || Number(one.source === 'COPY') - Number(other.source === 'COPY')
      : Number(rank === null) - Number(otherRank === null)
  return (
    byRank ||
    (rank ? 0 : compareText(other.completedAt ?? '', one.completedAt ?? '')) ||
    compareText(other.snapshot, one.snapshot)
  )
}

const compareText = (one: string, other: string): number => (one === other ? 0 : one < other ? -1 : 1)

const addSeconds = (instant: string, seconds: number): string =>
  new Date(Date.parse(instant) + seconds * 1000).toISOString()
