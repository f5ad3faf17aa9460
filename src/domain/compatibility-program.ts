/** What the rules of compatibility ask about operators and programs. */
import type {
  CompatibilityCode,
  CompatibilityFinding,
  CompatibilitySeverity,
  KnownOperator,
  KnownOperators,
  OperatorIdentity,
} from './compatibility.ts'
import type { InspectionSummary } from './inspection.ts'
import type { JobVersionSpec } from './job-version.ts'

export type SnapshotOperator = InspectionSummary['operators'][number]

export const finding = (
  severity: CompatibilitySeverity,
  code: CompatibilityCode,
  message: string,
  act: string | null = null,
  operator: OperatorIdentity | null = null,
): CompatibilityFinding => ({
  severity,
  code,
  message,
  act,
  operator: operator && { id: operator.id, name: operator.name, uid: operator.uid },
})

export const nameOf = ({ name, uid, id }: OperatorIdentity): string =>
  name === null && uid === null ? id : `${JSON.stringify(uid ?? name)} (${id})`

/** As `Checkpoints.loadAndValidateCheckpoint` asks it: any handle counts, and so does what the coordinator keeps. */
export const hasState = (operator: SnapshotOperator): boolean =>
  operator.stateSize !== '0' || operator.coordinatorStateBytes !== null || operator.stateNames.length > 0

/**
 * What makes a job graph: the same jar (its content: an artifact is named by its hash) with the same class, arguments and
 * pipeline settings builds the same operators. Without an artifact nobody knows what runs.
 */
export function isSameProgram(one: JobVersionSpec, other: JobVersionSpec): boolean {
  if (one.artifact === undefined || one.artifact !== other.artifact) return false
  return (
    (one.entryClass ?? null) === (other.entryClass ?? null) &&
    JSON.stringify(one.programArgs ?? []) === JSON.stringify(other.programArgs ?? []) &&
    graphSettingsOf(one) === graphSettingsOf(other)
  )
}

/** Chaining decides about generated ids, table settings about the plan of a query. */
const GRAPH_SETTING = /^(pipeline|table)\./
const NO_GRAPH_SETTING =
  /^(pipeline\.(max-parallelism|name|global-job-parameters|jars|classpaths)|table\.exec\.state\.ttl)$/

const graphSettingsOf = ({ flinkConfiguration = {} }: JobVersionSpec): string =>
  JSON.stringify(
    Object.entries(flinkConfiguration)
      .filter(([key]) => GRAPH_SETTING.test(key) && !NO_GRAPH_SETTING.test(key))
      .toSorted(([one], [other]) => (one < other ? -1 : 1)),
  )

/** Of `flinkConfiguration`, which outranks the setting of the version (`startConfiguration`); -1 is Flink's "not set". */
export function explicitMaxParallelism({
  maxParallelism,
  flinkConfiguration,
}: JobVersionSpec): number | null {
  const text = flinkConfiguration?.['pipeline.max-parallelism']
  const value = text === undefined ? maxParallelism : Number(text)
  return value !== undefined && Number.isSafeInteger(value) && value > 0 ? value : null
}

/** As the jar is run with it; null: the configuration of the cluster decides. */
export function jobParallelism({ parallelism, flinkConfiguration }: JobVersionSpec): number | null {
  const value = parallelism ?? Number(flinkConfiguration?.['parallelism.default'] ?? Number.NaN)
  return Number.isSafeInteger(value) && value > 0 ? value : null
}

/**
 * With how many subtasks the version runs an operator. One that differed from its job's parallelism fixes its own; null: it
 * cannot be told.
 */
export function parallelismIn(
  spec: JobVersionSpec,
  known: KnownOperators,
  operator: KnownOperator,
): number | null {
  if (known.basis === 'OWN') return operator.parallelism
  const [before, now] = [jobParallelism(known.spec), jobParallelism(spec)]
  if (before === now) return operator.parallelism
  if (before === null) return null
  return operator.parallelism === before ? now : operator.parallelism
}

/** KeyGroupRangeAssignment.computeDefaultMaxParallelism: what Flink takes when nobody says. */
export function defaultMaxParallelism(parallelism: number): number {
  const wanted = parallelism + Math.floor(parallelism / 2)
  const power = 2 ** Math.ceil(Math.log2(Math.max(1, wanted)))
  return Math.min(Math.max(power, 128), 32_768)
}
