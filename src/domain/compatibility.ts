/** The vocabulary of a compatibility check: what is asked, and what it says. The judgement is `judge-compatibility.ts`. */
import type { InspectionSummary } from './inspection.ts'
import type { JobVersionSpec } from './job-version.ts'

export const COMPATIBILITY_VERDICTS = ['COMPATIBLE', 'PARTLY', 'INCOMPATIBLE', 'UNKNOWN'] as const
export type CompatibilityVerdict = (typeof COMPATIBILITY_VERDICTS)[number]

/**
 * BLOCKS: Flink will refuse. UNKNOWN: it may, and nothing here can tell. DROPS_STATE: it refuses unless state may be dropped.
 * WARNS: it starts, mind this. NOTE: it starts, and this is what will happen.
 */
export const COMPATIBILITY_SEVERITIES = ['BLOCKS', 'UNKNOWN', 'DROPS_STATE', 'WARNS', 'NOTE'] as const
export type CompatibilitySeverity = (typeof COMPATIBILITY_SEVERITIES)[number]

export const COMPATIBILITY_CODES = [
  'NOTHING_TO_RESTORE',
  'NO_RESTORE_POINT',
  'NOT_RESTORABLE',
  'METADATA_UNREADABLE',
  'STORE_NOT_ASKED',
  'FLINK_VERSION_UNKNOWN',
  'METADATA_TOO_NEW',
  'FLINK_DOWNGRADE',
  'FLINK_MAJOR_UPGRADE',
  'UNALIGNED_UPGRADE',
  'UNALIGNED_RESCALE',
  'UNALIGNED_PROGRAM_CHANGED',
  'OPERATORS_UNKNOWN',
  'OPERATOR_REMOVED',
  'OPERATOR_ADDED',
  'OPERATOR_FINISHED',
  'OPERATOR_ID_GENERATED',
  'SERIALIZERS_NOT_VISIBLE',
  'SQL_STATE',
  'MASTER_STATE',
  'DRAINED',
  'MAX_PARALLELISM_CHANGED',
  'MAX_PARALLELISM_UNCERTAIN',
  'MAX_PARALLELISM_RESTORED',
  'PARALLELISM_ABOVE_MAX',
  'RESCALED',
  'BACKEND_CHANGED',
  'BACKEND_UNCERTAIN',
  'BACKEND_OF_THE_CLUSTER',
  'CHANGELOG_NEEDS_CLAIM',
  'CHANGELOG_SWITCHED',
  'MORE',
] as const
export type CompatibilityCode = (typeof COMPATIBILITY_CODES)[number]

export type CompatibilityFinding = {
  code: CompatibilityCode
  severity: CompatibilitySeverity
  /** null: it is about all of them, or about none. `name` and `uid` are known from metadata version 5 on. */
  operator: OperatorIdentity | null
  /** One or two sentences for a person, with whatever it was concluded from. */
  message: string
  /** What to do about it; null when there is nothing to do. */
  act: string | null
}
export type OperatorIdentity = { id: string; name: string | null; uid: string | null }

/** The snapshot, and what is known of who wrote it. */
export type SnapshotFacts = {
  summary: InspectionSummary
  /** Exactly, such as `1.20.4`; null when only the range of the metadata version is known. */
  flinkVersion: string | null
  /** The job version whose run wrote it; null when that is not known. */
  writtenBy: { spec: JobVersionSpec; sameVersion: boolean } | null
  /** Its run was on the cluster on which the version is to run. */
  sameCluster: boolean
}

export type KnownOperator = OperatorIdentity & { parallelism: number; maxParallelism: number }

/**
 * The operators of the version, as a snapshot shows them: Flink writes every operator of the job into each, also those without
 * state (`PendingCheckpoint.updateOperatorState`). `OWN`: of a run of the version. `SAME_PROGRAM`: of a run of another version
 * with the same jar, class, arguments and pipeline settings.
 */
export type KnownOperators = {
  basis: 'OWN' | 'SAME_PROGRAM'
  snapshot: string | null
  version: number
  /** Of the version whose run wrote that snapshot. */
  spec: JobVersionSpec
  operators: readonly KnownOperator[]
}

export type CompatibilityQuestion = {
  snapshot: SnapshotFacts
  version: { number: number; spec: JobVersionSpec }
  /** What the version's cluster was last seen to run; null when it was never reached. */
  flinkVersion: string | null
  known: KnownOperators | null
}

export type Compatibility = {
  verdict: CompatibilityVerdict
  /** The most severe first; of one kind at most `FINDINGS_PER_CODE`. */
  findings: CompatibilityFinding[]
}
