/**
 * Parallelism and max parallelism of state and program. Flink takes over the max parallelism of the state only where nobody
 * set one (`VertexParallelismInformation.canRescaleMaxParallelism`), and compares it for every operator of the snapshot
 * that the program has, also for those without state.
 */
import type {
  CompatibilityFinding,
  CompatibilityQuestion,
  KnownOperator,
  KnownOperators,
} from './compatibility.ts'
import {
  defaultMaxParallelism,
  explicitMaxParallelism,
  finding,
  jobParallelism,
  nameOf,
  parallelismIn,
  type SnapshotOperator,
} from './compatibility-program.ts'

type Pair = {
  state: SnapshotOperator
  /** null: nothing is known of the version's operators. */
  operator: KnownOperator | null
}

export function findParallelismFindings(question: CompatibilityQuestion): CompatibilityFinding[] {
  const pairs = pairUp(question)
  return [
    ...pairs.flatMap((pair) => checkMax(question, pair)),
    ...pairs.flatMap((pair) => checkAbove(question, pair)),
    ...findRestoredMax(question, pairs),
    ...findRescaled(question, pairs),
  ]
}

function pairUp({ snapshot: { summary }, known }: CompatibilityQuestion): Pair[] {
  const operators = new Map(known?.operators.map((operator) => [operator.id, operator]))
  return withoutFixedOnes(summary.operators).flatMap((state) => {
    const operator = operators.get(state.id) ?? null
    return known !== null && operator === null ? [] : [{ state, operator }]
  })
}

/** `forceNonParallel`, e.g. a global window: such an operator sets 1 and 1 itself, whatever its job says. */
function withoutFixedOnes(operators: readonly SnapshotOperator[]): readonly SnapshotOperator[] {
  const others = operators.filter(({ maxParallelism }) => maxParallelism !== 1)
  return others.length === 0 ? operators : others
}

// ------------------------------------------------------------------------------------------------------- max

function checkMax(question: CompatibilityQuestion, { state, operator }: Pair): CompatibilityFinding[] {
  const { version, known } = question
  const wanted = explicitMaxParallelism(version.spec)
  const was = state.maxParallelism
  if (known === null || operator === null) {
    return wanted === null || wanted === was
      ? []
      : [uncertain(state, `version ${version.number} sets ${wanted}`)]
  }
  const own = ownMax(known, operator)
  const effective = known.basis === 'OWN' && wanted !== null ? operator.maxParallelism : (own ?? wanted)
  if (effective === null) return checkUnset(known, { state, operator })
  return effective === was ? [] : [changed(state, effective, version.number)]
}

/** What the program set for the operator, against what its version said; null: nothing shows that it did. */
function ownMax({ spec }: KnownOperators, { maxParallelism }: KnownOperator): number | null {
  const said = explicitMaxParallelism(spec)
  return said !== null && said !== maxParallelism ? maxParallelism : null
}

/** The version says nothing. A run of it that had another one got it from Flink, from what it restored, or from its program. */
function checkUnset(
  known: KnownOperators,
  { state, operator }: { state: SnapshotOperator; operator: KnownOperator },
): CompatibilityFinding[] {
  const isTheSame = operator.maxParallelism === state.maxParallelism
  if (isTheSame || explicitMaxParallelism(known.spec) !== null) return []
  return [uncertain(state, `version ${known.version} last ran it with ${operator.maxParallelism}`)]
}

/** One for all, where it is not what Flink would choose by itself. */
function findRestoredMax(
  { version, known }: CompatibilityQuestion,
  pairs: readonly Pair[],
): CompatibilityFinding[] {
  if (known === null || explicitMaxParallelism(version.spec) !== null) return []
  const kept = pairs.flatMap(({ state, operator }) => {
    const parallelism = operator && parallelismIn(version.spec, known, operator)
    if (parallelism === null || parallelism > state.maxParallelism) return []
    const chosen = defaultMaxParallelism(parallelism)
    return chosen === state.maxParallelism ? [] : [{ state, chosen }]
  })
  const [first] = kept
  if (first === undefined) return []
  const { state, chosen } = first
  return [
    finding(
      'NOTE',
      'MAX_PARALLELISM_RESTORED',
      `Operator ${nameOf(state)}${andMore(kept)} keeps the max parallelism ${state.maxParallelism} of its state if the program sets none; without state Flink would choose ${chosen}.`,
    ),
  ]
}

const andMore = ({ length }: readonly unknown[]): string => (length === 1 ? '' : ` (and ${length - 1} more)`)

const changed = (state: SnapshotOperator, now: number, version: number): CompatibilityFinding =>
  finding(
    'BLOCKS',
    'MAX_PARALLELISM_CHANGED',
    `Operator ${nameOf(state)} had the max parallelism ${state.maxParallelism} when the snapshot was taken, and has ${now} in version ${version}. Flink compares it for every operator, and allowNonRestoredState does not help.`,
    `Set maxParallelism to ${state.maxParallelism}, or leave it out, unless the program sets it.`,
    state,
  )

const uncertain = (state: SnapshotOperator, but: string): CompatibilityFinding =>
  finding(
    'UNKNOWN',
    'MAX_PARALLELISM_UNCERTAIN',
    `Operator ${nameOf(state)} had the max parallelism ${state.maxParallelism} when the snapshot was taken, and ${but}. Flink refuses it if that is set for this operator, and takes that of the state if nobody sets it.`,
    `Set maxParallelism to ${state.maxParallelism} if the program does not set it itself.`,
    state,
  )

// ----------------------------------------------------------------------------------------------- parallelism

function checkAbove(question: CompatibilityQuestion, pair: Pair): CompatibilityFinding[] {
  const { version, known } = question
  const { state, operator } = pair
  const isKnown = known !== null && operator !== null
  const parallelism = isKnown ? parallelismIn(version.spec, known, operator) : jobParallelism(version.spec)
  if (parallelism === null || parallelism <= state.maxParallelism) return []
  return [
    finding(
      isKnown ? 'BLOCKS' : 'UNKNOWN',
      'PARALLELISM_ABOVE_MAX',
      `Operator ${nameOf(state)} ${isKnown ? 'would run' : 'may run'} with parallelism ${parallelism}, and its state has the max parallelism ${state.maxParallelism}: its keys lie in so many groups and cannot be spread further.`,
      `Start it with a parallelism of at most ${state.maxParallelism}.`,
      state,
    ),
  ]
}

/** One for all: every operator that follows the parallelism of its job tells the same. */
function findRescaled(question: CompatibilityQuestion, pairs: readonly Pair[]): CompatibilityFinding[] {
  const { version, known, snapshot } = question
  if (known === null) return []
  const rescaled = pairs.flatMap(({ state, operator }) => {
    const now = operator && parallelismIn(version.spec, known, operator)
    const isSpread = now !== null && now !== state.parallelism && now <= state.maxParallelism
    return isSpread ? [{ state, now }] : []
  })
  const [first] = rescaled
  if (first === undefined) return []
  const message = `Operator ${nameOf(first.state)}${andMore(rescaled)} goes from parallelism ${first.state.parallelism} to ${first.now}: Flink spreads the state anew, which takes longer than a start without a change.`
  const findings = [finding('NOTE', 'RESCALED', message)]
  if (snapshot.summary.unaligned) {
    findings.push(
      finding(
        'WARNS',
        'UNALIGNED_RESCALE',
        'The snapshot holds data in flight (an unaligned checkpoint). Flink spreads that too since 1.13, but refuses where a custom partitioner or a broadcast lies between.',
        'If it refuses, take a savepoint and start from that.',
      ),
    )
  }
  return findings
}
