/**
 * What lies in a storage, told from the rows that know it. Pure. A directory is an orphan only when its shape says that we made
 * it, no row needs it, no run may have built on it, nothing in it is younger than a day, and it holds no `_metadata`: whatever
 * holds one may be restored by somebody, and is offered for registration instead (`product.md` §1.4, §3).
 */
import type { ClearingPhase } from './clearing.ts'
import { FLINK_JOB_ID } from './location.ts'
import type { SnapshotStatus } from './snapshot-status.ts'

export const USAGE_KINDS = [
  'SAVEPOINT',
  'CHECKPOINT',
  'RETAINED_CHECKPOINT',
  'SHARED_STATE',
  'FAILED',
  'ORPHAN',
  'UNREGISTERED',
  'ARTIFACT',
  'FOREIGN',
] as const
export type UsageKind = (typeof USAGE_KINDS)[number]
/** What somebody could clear, and nothing would be missed. */
export const RECLAIMABLE_KINDS: readonly UsageKind[] = ['RETAINED_CHECKPOINT', 'FAILED', 'ORPHAN']

export const FINDING_KINDS = ['ORPHAN', 'UNREGISTERED', 'MISSING'] as const
export type FindingKind = (typeof FINDING_KINDS)[number]

export type Amount = { objects: number; bytes: number }

export type AuditFinding = Amount & {
  number: number
  kind: FindingKind
  location: string
  newestAt: string | null
  /** MISSING: whose files are gone. ORPHAN: the savepoint it was made for. */
  snapshot: string | null
  message: string
  /** Of an ORPHAN that somebody has asked to clear. */
  clearing: {
    id: string
    phase: ClearingPhase
    deleted: number
    error: { code: string; message: string } | null
    endedAt: string | null
  } | null
}

export type StorageUsage = {
  storage: { id: string; name: string }
  /** When the listing ended; null when the storage was never audited. */
  measuredAt: string | null
  operation: string | null
  total: Amount
  kinds: ({ kind: UsageKind } & Amount)[]
  reclaimable: ({ kind: UsageKind } & Amount)[]
  /** The largest first, at most 1,000. */
  jobs: ({ job: { id: string; name: string } | null; version: number | null; kind: UsageKind } & Amount)[]
  jobsLeftOut: number
}

/** Nothing younger than this is an orphan: somebody may still be writing it. */
export const ORPHAN_AGE_MS = 24 * 3_600_000

// ------------------------------------------------------------------------------------------------------ units

export type UnitShape = 'ATTEMPT' | 'SAVEPOINT' | 'CHECKPOINT' | 'SHARED' | 'ARTIFACT' | 'OTHER'
/** Objects that belong together: the directory, as segments below the root. */
export type UnitPlace = {
  shape: UnitShape
  segments: readonly string[]
  /** Of an ATTEMPT. */
  snapshotId: string | null
  /** Of a CHECKPOINT and of SHARED. */
  flinkJobId: string | null
}
export type Unit = UnitPlace &
  Amount & {
    newestAt: string | null
    /** The store does not say how old every object is. */
    ageless: boolean
    hasMetadata: boolean
  }

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const SAVEPOINT_FOLDER = /^savepoint-[0-9a-f]{6}-[0-9a-f]{12}$/

/** The unit of an object with these segments below the root of a storage of `namespace`. */
export function unitOf(segments: readonly string[], namespace: string): UnitPlace {
  const unit = (shape: UnitShape, length: number, more: Partial<UnitPlace> = {}): UnitPlace => ({
    shape,
    segments: segments.slice(0, length),
    snapshotId: null,
    flinkJobId: null,
    ...more,
  })
  const [first, , third, fourth = '', fifth = '', sixth = ''] = segments
  const isAttempt =
    first === namespace && third === 'savepoints' && UUID.test(fourth) && /^[1-9]\d{0,8}$/.test(fifth)
  if (isAttempt && segments.length > 5) {
    const inChild = segments.length > 6 && SAVEPOINT_FOLDER.test(sixth)
    return unit('ATTEMPT', inChild ? 6 : 5, { snapshotId: fourth })
  }
  if (first === '_artifacts' && segments.length > 1) return unit('ARTIFACT', 1)
  for (const [at, segment] of segments.entries()) {
    if (at + 2 > segments.length - 1) break
    const below = segments[at + 1] ?? ''
    if (!FLINK_JOB_ID.test(segment)) continue
    if (/^chk-\d+$/.test(below)) return unit('CHECKPOINT', at + 2, { flinkJobId: segment })
    if (below === 'shared' || below === 'taskowned') return unit('SHARED', at + 2, { flinkJobId: segment })
  }
  const savepoint = segments.findIndex((each, at) => at < segments.length - 1 && SAVEPOINT_FOLDER.test(each))
  if (savepoint !== -1) return unit('SAVEPOINT', savepoint + 1)
  return unit('OTHER', segments.length - 1)
}

export type ListedObject = { segments: readonly string[]; sizeBytes: number; modifiedAt: Date | null }

/** The unit with one more object; null when the object belongs to another one. */
export function addToUnit(unit: Unit | null, place: UnitPlace, object: ListedObject): Unit | null {
  const same =
    unit === null || (unit.shape === place.shape && unit.segments.join('/') === place.segments.join('/'))
  if (!same) return null
  const at = object.modifiedAt?.toISOString() ?? null
  const newestAt = unit?.newestAt ?? null
  return {
    ...place,
    objects: (unit?.objects ?? 0) + 1,
    bytes: (unit?.bytes ?? 0) + object.sizeBytes,
    newestAt: newestAt === null || (at !== null && at > newestAt) ? at : newestAt,
    ageless: (unit?.ageless ?? false) || at === null,
    hasMetadata: (unit?.hasMetadata ?? false) || object.segments.at(-1) === '_metadata',
  }
}

// ---------------------------------------------------------------------------------------------------- judging

/** The row that a unit belongs to; by the id in its path, or by its location. */
export type UnitRow = {
  id: string
  status: SnapshotStatus
  job: string
  version: number | null
  /** Its location is this directory, or lies in it. */
  isHere: boolean
  /** Flink writes nothing more for it. */
  settled: boolean
  runIsOver: boolean
}
export type UnitFacts = {
  row: UnitRow | null
  /** An operation is copying to it. */
  beingCopied: boolean
  /** A snapshot that is not Cleared needs a file in it. */
  needed: boolean
  /**
   * A run was restored from it otherwise than with NO_CLAIM, itself or through others, and it, or a snapshot of its that nobody
   * has looked into, may still use files in it: Flink subsumes what it has claimed, and keeps the files it needs.
   */
  builtOn: boolean
  /** The newest run with its Flink job id. */
  run: { job: string; version: number | null; isOver: boolean } | null
}
export type Judgement = {
  kind: UsageKind
  job: string | null
  version: number | null
  finding: { kind: 'ORPHAN' | 'UNREGISTERED'; message: string } | null
}

export function judgeUnit(unit: Unit, facts: UnitFacts, now: Date): Judgement {
  const { row, run } = facts
  const owner = row ?? run
  const of = (kind: UsageKind, finding: Judgement['finding'] = null): Judgement => ({
    kind,
    job: owner?.job ?? null,
    version: owner?.version ?? null,
    finding,
  })
  const unregistered = () =>
    of('UNREGISTERED', {
      kind: 'UNREGISTERED',
      message:
        'It holds `_metadata`, and no snapshot is registered there: POST /v1/jobs/{job}/snapshots registers it.',
    })
  switch (unit.shape) {
    case 'ARTIFACT':
      return of('ARTIFACT')
    case 'SHARED':
      return of('SHARED_STATE')
    case 'CHECKPOINT':
      if (row) return of(row.runIsOver ? 'RETAINED_CHECKPOINT' : 'CHECKPOINT')
      // of a live run: observed in a moment, or dropped
      if (!unit.hasMetadata || (run && !run.isOver)) return of('CHECKPOINT')
      return unregistered()
    case 'SAVEPOINT':
    case 'OTHER':
      if (row) return of('SAVEPOINT')
      return unit.hasMetadata ? unregistered() : of('FOREIGN')
    case 'ATTEMPT':
      return judgeAttempt(unit, facts, now, of, unregistered)
  }
}

function judgeAttempt(
  unit: Unit,
  { row, beingCopied, needed, builtOn }: UnitFacts,
  now: Date,
  of: (kind: UsageKind, finding?: Judgement['finding']) => Judgement,
  unregistered: () => Judgement,
): Judgement {
  const owned = row !== null && row.status !== 'Cleared'
  if (beingCopied || (owned && (row.isHere || !row.settled || row.status === 'Clearing')))
    return of('SAVEPOINT')
  if (owned && row.status !== 'Present') return of('FAILED')
  if (unit.hasMetadata) return unregistered()
  if (needed || builtOn || isYoung(unit, now)) return of('SAVEPOINT')
  return of('ORPHAN', {
    kind: 'ORPHAN',
    message: owned
      ? 'Left behind beside the savepoint it was made for; it holds no `_metadata`.'
      : 'Made for a savepoint that needs it no more, or never came to be; it holds no `_metadata`.',
  })
}

/** What has no age is young: nothing is proven of it. */
export const isYoung = ({ newestAt, ageless }: Pick<Unit, 'newestAt' | 'ageless'>, now: Date): boolean =>
  ageless || newestAt === null || Date.parse(newestAt) > now.getTime() - ORPHAN_AGE_MS
