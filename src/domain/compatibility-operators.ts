/** Which state of a snapshot finds its operator in the version. Flink maps state by operator id alone. */
import type {
  CompatibilityFinding,
  CompatibilityQuestion,
  KnownOperators,
  SnapshotFacts,
} from './compatibility.ts'
import { finding, hasState, isSameProgram, jobParallelism, nameOf } from './compatibility-program.ts'
import type { JobVersionSpec } from './job-version.ts'

const SQL_UPGRADES =
  'https://nightlies.apache.org/flink/flink-docs-stable/docs/dev/table/concepts/overview/#stateful-upgrades-and-evolution'
const SERIALIZERS =
  'https://nightlies.apache.org/flink/flink-docs-stable/docs/dev/datastream/fault-tolerance/serialization/schema_evolution/'

export function findOperatorFindings(question: CompatibilityQuestion): CompatibilityFinding[] {
  const { snapshot, known, version } = question
  const changed = programChange(snapshot, version.spec)
  return [
    ...(known === null ? [operatorsUnknown(version.number)] : compareOperators(question, known)),
    ...findFinished(snapshot, changed),
    ...(changed === null ? [] : findOfChangedProgram(snapshot, changed)),
  ]
}

const describeBasis = ({ basis, snapshot, version }: KnownOperators): string =>
  basis === 'OWN'
    ? `as ${snapshot === null ? 'it' : `snapshot ${snapshot}`} of version ${version} shows`
    : `as ${snapshot === null ? 'it' : `snapshot ${snapshot}`} of version ${version} shows, which runs the same program`

const operatorsUnknown = (version: number): CompatibilityFinding =>
  finding(
    'UNKNOWN',
    'OPERATORS_UNKNOWN',
    `Which operators version ${version} has is not known: no snapshot of it, or of a version with the same program, can be read.`,
    'Start it once from nothing elsewhere and take a savepoint, or try it with claimMode NO_CLAIM: Flink compares the operators before anything runs.',
  )

function compareOperators(
  { snapshot, version }: CompatibilityQuestion,
  known: KnownOperators,
): CompatibilityFinding[] {
  const { summary } = snapshot
  const basis = describeBasis(known)
  const inVersion = new Set(known.operators.map(({ id }) => id))
  const inSnapshot = new Set(summary.operators.map(({ id }) => id))
  const removed = summary.operators
    .filter((operator) => !inVersion.has(operator.id) && hasState(operator))
    .map((operator) =>
      finding(
        'DROPS_STATE',
        'OPERATOR_REMOVED',
        `Operator ${nameOf(operator)} has ${operator.stateSize} bytes of state, and version ${version.number} has no such operator, ${basis}.`,
        'Give the operator the uid it had, or start with allowNonRestoredState, which drops this state.',
        operator,
      ),
    )
  const added = known.operators
    .filter(({ id }) => !inSnapshot.has(id))
    .map((operator) =>
      finding(
        'NOTE',
        'OPERATOR_ADDED',
        `Operator ${nameOf(operator)} of version ${version.number} is not in the snapshot and begins without state, ${basis}.`,
        removed.length === 0
          ? null
          : 'If it is one of those removed under another id, give it the uid it had.',
        operator,
      ),
    )
  return [...removed, ...added, ...findGenerated(snapshot, version.spec, known)]
}

/**
 * An id without a uid is a hash of the graph, in which chains count (StreamGraphHasherV2), and the parallelism decides what is
 * chained. Whether there is a uid is told from metadata version 5 on.
 */
function findGenerated(
  { summary }: SnapshotFacts,
  spec: JobVersionSpec,
  known: KnownOperators,
): CompatibilityFinding[] {
  if (known.basis === 'OWN' || jobParallelism(spec) === jobParallelism(known.spec)) return []
  const act = 'Give every operator with state a uid.'
  if (summary.version < 5) {
    return [
      finding(
        'WARNS',
        'OPERATOR_ID_GENERATED',
        'The parallelism changes, which changes the ids of operators without a uid. Whether they have one, _metadata tells only since Flink 2.0.',
        act,
      ),
    ]
  }
  return summary.operators
    .filter((operator) => operator.uid === null && hasState(operator))
    .map((operator) =>
      finding(
        'UNKNOWN',
        'OPERATOR_ID_GENERATED',
        `Operator ${nameOf(operator)} has state and no uid: its id may change with the parallelism, and its state would not be found.`,
        act,
        operator,
      ),
    )
}

// --------------------------------------------------------------------------------------------- another program

type Change = 'CHANGED' | 'NOT_KNOWN'

/** null: what wrote it is what is to run. */
function programChange({ writtenBy }: SnapshotFacts, spec: JobVersionSpec): Change | null {
  if (writtenBy === null) return 'NOT_KNOWN'
  if (writtenBy.sameVersion || isSameProgram(writtenBy.spec, spec)) return null
  return writtenBy.spec.artifact === undefined || spec.artifact === undefined ? 'NOT_KNOWN' : 'CHANGED'
}

const SQL_UID = /^\d+_[a-z][a-z0-9-]*$/

function findOfChangedProgram({ summary }: SnapshotFacts, change: Change): CompatibilityFinding[] {
  const why =
    change === 'CHANGED' ? 'The program is another one' : 'Whether the program is still the same is not known'
  const findings = [
    finding(
      'WARNS',
      'SERIALIZERS_NOT_VISIBLE',
      `${why}, and _metadata does not tell how state was serialized: changed types, renamed states and other keys show only when the job restores.`,
      `Read ${SERIALIZERS} for what may change.`,
    ),
  ]
  if (summary.operators.some(({ uid }) => uid !== null && SQL_UID.test(uid))) {
    findings.push(
      finding(
        'WARNS',
        'SQL_STATE',
        `${why}, and it has operators of a SQL or Table program: the planner makes their state, so a changed query, and sometimes another Flink release, needs other state.`,
        `Read ${SQL_UPGRADES}, and docs/compatibility.md for which changes keep it.`,
      ),
    )
  }
  if (summary.masterStates.length > 0) {
    const names = summary.masterStates.map(({ name }) => name).join(', ')
    findings.push(
      finding(
        'WARNS',
        'MASTER_STATE',
        `${why}, and it has state of hooks of the JobManager (${names.slice(0, 300)}), which needs the same hooks unless non-restored state is allowed.`,
      ),
    )
  }
  if (summary.unaligned) {
    findings.push(
      finding(
        'UNKNOWN',
        'UNALIGNED_PROGRAM_CHANGED',
        `${why}, and it holds data in flight between operators (an unaligned checkpoint), which fits only the graph that wrote it.`,
        'Restore a savepoint: it is always aligned.',
      ),
    )
  }
  return findings
}

/** RT/checkpoint `VertexFinishedStateChecker`, which compares them with the new graph. */
function findFinished({ summary }: SnapshotFacts, changed: Change | null): CompatibilityFinding[] {
  const finished = summary.operators.filter(({ fullyFinished }) => fullyFinished)
  if (finished.length === 0) return []
  const names = finished.slice(0, 10).map(nameOf).join(', ')
  return [
    finding(
      changed === null ? 'NOTE' : 'UNKNOWN',
      'OPERATOR_FINISHED',
      `${finished.length} operators had finished (${names}) and stay finished after a restore; Flink refuses one whose inputs would begin to run again.`,
      changed === null ? null : 'Keep what lies before them as it was.',
    ),
  ]
}
