/**
 * The invariants of `reliability.md` over the history of a run, read offline. Every rule counts how often it really had
 * something to say: a rule that is never exercised proves nothing.
 */
import type { AcceptedTrigger } from '../../src/simulated-flink/accept-log.ts'
import { CLEARING_RULES } from './checker-clearing.ts'
import {
  groupBy,
  isAcknowledged,
  normalise,
  presentSpan,
  same,
  type Tell,
  tellRepeats,
} from './checker-words.ts'
import type { AttemptRecord, History, SnapshotRecord, TransitionRecord } from './history.ts'

export const RULE_NAMES = [
  'I1 left Creating in time',
  'I2 one savepoint per attempt',
  'I2 own trigger id and directory',
  'I2 proof before the next attempt',
  'I2 no failure without proof',
  'I4 legal, once each',
  'I4 status is the last transition',
  'I5 acknowledged exists',
  'I5 one key, one snapshot',
  'I7 late completion is adopted',
  'I7 nothing completed is lost',
  'I9 drains',
  'Present has _metadata',
  'one unsettled savepoint per job',
  'ended runs have ended',
  ...(Object.keys(CLEARING_RULES) as (keyof typeof CLEARING_RULES)[]),
] as const
export type RuleName = (typeof RULE_NAMES)[number]

export type Violation = { rule: RuleName; what: string }
export type Verdict = { violations: Violation[]; exercised: Record<RuleName, number> }

/** Answers how often it was exercised. */
type Rule = (facts: Facts, tell: Tell) => number

/** The history with the look-ups the rules share. */
type Facts = History & {
  snapshotOf: ReadonlyMap<string, SnapshotRecord>
  attemptsOf: ReadonlyMap<string, readonly AttemptRecord[]>
  transitionsOf: ReadonlyMap<string, readonly TransitionRecord[]>
  acceptedOf: ReadonlyMap<string, readonly AcceptedTrigger[]>
}

/** Postgres, Flink and the clients share one machine; what remains is the time between two reads of one clock. */
export const CLOCK_SLACK_MS = 250
/** For a machine that is busy with other things. */
const SCHEDULING_SLACK_MS = 2_000

export function checkHistory(history: History): Verdict {
  const facts: Facts = {
    ...history,
    snapshotOf: new Map(history.snapshots.map((snapshot) => [snapshot.id, snapshot])),
    attemptsOf: groupBy(history.attempts, (attempt) => attempt.snapshotId),
    transitionsOf: groupBy(history.transitions, (transition) => transition.snapshotId),
    acceptedOf: groupBy(history.accepted, (accepted) => accepted.triggerId),
  }
  const violations: Violation[] = []
  const exercised = Object.fromEntries(
    RULE_NAMES.map((rule) => [rule, RULES[rule](facts, (what) => violations.push({ rule, what }))]),
  ) as Record<RuleName, number>
  return { violations, exercised }
}

const RULES: Record<RuleName, Rule> = {
  ...CLEARING_RULES,

  'I1 left Creating in time': (facts, tell) => {
    const late = facts.snapshots.map((snapshot) => checkDeadline(snapshot, facts, tell))
    return late.filter(Boolean).length
  },

  'I2 one savepoint per attempt': ({ attempts, acceptedOf }, tell) => {
    for (const { snapshotId, number, triggerId } of attempts) {
      const times = acceptedOf.get(triggerId)?.length ?? 0
      if (times > 1) tell(`Flink took attempt ${number} of ${snapshotId} ${times} times`)
    }
    return attempts.filter(({ triggerId }) => acceptedOf.has(triggerId)).length
  },

  'I2 own trigger id and directory': ({ attempts, accepted }, tell) => {
    tellRepeats(attempts, (attempt) => attempt.triggerId, 'trigger id', tell)
    tellRepeats(attempts, (attempt) => attempt.directory, 'directory', tell)
    const byTrigger = new Map(attempts.map((attempt) => [attempt.triggerId, attempt]))
    for (const trigger of accepted) {
      const attempt = byTrigger.get(trigger.triggerId)
      if (!attempt) tell(`Flink took ${trigger.triggerId}, which is no attempt of ours`)
      else if (attempt.askedAt === null) tell(`Flink took ${trigger.triggerId} before it was marked as asked`)
      else if (normalise(trigger.directory ?? '') !== normalise(attempt.directory))
        tell(`Flink took ${trigger.triggerId} for ${trigger.directory}, not ${attempt.directory}`)
      else if (trigger.at < attempt.askedAt - CLOCK_SLACK_MS)
        tell(`Flink took ${trigger.triggerId} before its intent was committed`)
    }
    return accepted.length
  },

  'I2 proof before the next attempt': ({ attemptsOf, acceptedOf }, tell) => {
    let exercised = 0
    for (const attempts of attemptsOf.values()) {
      for (const next of attempts) {
        const earlier = attempts.find(({ number }) => number === next.number - 1)
        if (!earlier) continue
        exercised += 1
        for (const trigger of acceptedOf.get(earlier.triggerId) ?? [])
          checkProof(trigger, earlier, next.createdAt, `attempt ${next.number} began`, tell)
      }
    }
    return exercised
  },

  'I2 no failure without proof': ({ attempts, acceptedOf, endedFlinkJobs }, tell) => {
    const failed = attempts.filter(({ outcome }) => outcome === 'FAILED' || outcome === 'LOST')
    for (const attempt of failed) {
      const triggers = acceptedOf.get(attempt.triggerId) ?? []
      const when = attempt.settledAt ?? Number.POSITIVE_INFINITY
      for (const trigger of triggers)
        checkProof(trigger, attempt, when, `it was called ${attempt.outcome}`, tell)
      const jobIsOver = endedFlinkJobs.includes(attempt.flinkJobId ?? '')
      if (triggers.length === 0 && attempt.outcome === 'FAILED' && attempt.askedAt !== null && !jobIsOver)
        tell(`attempt ${attempt.number} of ${attempt.snapshotId} is FAILED, and Flink never heard of it`)
    }
    return failed.length
  },

  'I4 legal, once each': ({ snapshots, transitionsOf }, tell) => {
    for (const { id } of snapshots) checkChain(id, transitionsOf.get(id) ?? [], tell)
    return snapshots.length
  },

  'I4 status is the last transition': ({ snapshots, transitionsOf }, tell) => {
    for (const { id, status } of snapshots) {
      const chain = transitionsOf.get(id) ?? []
      const ends = chain.filter(({ to }) => !chain.some(({ from }) => from === to)).map(({ to }) => to)
      if (ends.length !== 1 || ends[0] !== status)
        tell(`snapshot ${id} is ${status}, its transitions end in ${ends.join(', ') || 'nothing'}`)
    }
    return snapshots.length
  },

  'I5 acknowledged exists': ({ calls, snapshotOf }, tell) => {
    const acknowledged = calls.filter(isAcknowledged)
    for (const { snapshotId, status, job } of acknowledged) {
      const snapshot = snapshotId === null ? undefined : snapshotOf.get(snapshotId)
      if (!snapshot) tell(`${status} was answered for ${snapshotId}, which does not exist`)
      else if (snapshot.job !== job)
        tell(`${status} for ${job} named ${snapshotId}, a snapshot of ${snapshot.job}`)
    }
    return acknowledged.length
  },

  'I5 one key, one snapshot': ({ calls, keys }, tell) => {
    const byKey = groupBy(
      calls.filter((call) => call.key !== null && isAcknowledged(call)),
      ({ job, key }) => `${key} of ${job}`,
    )
    for (const [key, answers] of byKey) {
      const recorded = keys.filter((record) => record.key === answers[0]?.key).map((r) => r.snapshotId)
      const ids = new Set([...answers.map(({ snapshotId }) => snapshotId), ...recorded])
      if (ids.size > 1) tell(`the key ${key} means ${[...ids].join(' and ')}`)
      if (recorded.length !== 1) tell(`the key ${key} has ${recorded.length} records`)
    }
    return [...byKey.values()].filter((answers) => answers.length > 1).length
  },

  'I7 late completion is adopted': ({ snapshots, attempts, acceptedOf, transitionsOf }, tell) => {
    let exercised = 0
    for (const { id, deadlineAt, status } of snapshots) {
      const own = attempts.filter(({ snapshotId }) => snapshotId === id)
      const late = own
        .flatMap(({ triggerId }) => acceptedOf.get(triggerId) ?? [])
        .find(({ outcome, settledAt }) => outcome === 'completed' && (settledAt ?? 0) > deadlineAt)
      if (!late) continue
      exercised += 1
      const isOrphan = own.some(({ orphanLocation }) => same(orphanLocation, late.location))
      if (!presentSpan(transitionsOf.get(id)) && !isOrphan)
        tell(`snapshot ${id} is ${status}, its savepoint completed after the deadline at ${late.location}`)
    }
    return exercised
  },

  'I7 nothing completed is lost': (facts, tell) => {
    const completed = facts.accepted.filter(({ outcome }) => outcome === 'completed')
    for (const { location, triggerId } of completed)
      if (!isAccountedFor(location, facts)) tell(`${location} (${triggerId}) completed and nothing names it`)
    for (const folder of facts.completeFolders)
      if (!isAccountedFor(folder, facts)) tell(`${folder} holds a _metadata and nothing names it`)
    return completed.length
  },

  'I9 drains': (history, tell) => {
    const { drainedAt, faultsEndedAt, limits, openAtFaultsEnd } = history
    const tookMs = drainedAt === null ? null : drainedAt - faultsEndedAt
    if (tookMs === null || tookMs > limits.drainMs) {
      const open = listOpen(history)
      tell(`not drained ${tookMs ?? limits.drainMs} ms after the faults ended: ${open.join(', ')}`)
    }
    return openAtFaultsEnd
  },

  'Present has _metadata': ({ snapshots, completeFolders }, tell) => {
    const folders = new Set(completeFolders.map(normalise))
    // What a run has claimed Flink deletes by itself.
    const present = snapshots.filter(({ status, claimedByRun }) => status === 'Present' && !claimedByRun)
    for (const { id, location, ownedPrefix } of present) {
      if (location === null || !folders.has(normalise(location)))
        tell(`snapshot ${id} is Present, and ${location} holds no _metadata`)
      else if (!normalise(location).startsWith(`${normalise(ownedPrefix)}/`))
        tell(`snapshot ${id} is Present outside ${ownedPrefix}: ${location}`)
    }
    tellRepeats(present, ({ location }) => location ?? '', 'location', tell)
    return present.length
  },

  'one unsettled savepoint per job': ({ snapshots, accepted }, tell) => {
    const rows = overlaps(
      groupBy(snapshots, ({ job }) => job),
      ({ createdAt, settledAt }) => [createdAt, settledAt],
    )
    for (const [first, second] of rows) tell(`${first.id} was not settled when ${second.id} was accepted`)
    const inFlink = overlaps(
      groupBy(accepted, ({ jobId }) => jobId),
      ({ at, settledAt }) => [at, settledAt],
    )
    for (const [first, second] of inFlink)
      tell(`Flink was taking ${first.triggerId} when ${second.triggerId} was asked of the same job`)
    return snapshots.length - new Set(snapshots.map(({ job }) => job)).size
  },

  'ended runs have ended': ({ runs, calls, endedFlinkJobs, managedJobs }, tell) => {
    const ended = new Set(endedFlinkJobs)
    // One that began anew under its id, from nothing, is another run (`product.md` §2): the one before it is LOST.
    const beganAnew = (run: (typeof runs)[number]) =>
      run.state === 'LOST' && runs.some(({ id, flinkJobId }) => flinkJobId === run.flinkJobId && id > run.id)
    for (const run of runs) {
      const { id, job, flinkJobId, state } = run
      if (beganAnew(run)) continue
      if (['FINISHED', 'CANCELED', 'FAILED', 'LOST'].includes(state) && !ended.has(flinkJobId))
        tell(`run ${id} of ${job} is ${state}, and Flink never ended ${flinkJobId}`)
    }
    for (const { code, job } of calls) {
      // A managed one has not begun before we start it.
      if (code !== 'JOB_NOT_RUNNING' || managedJobs.includes(job)) continue
      if (!runs.some((run) => run.job === job && ended.has(run.flinkJobId)))
        tell(`a savepoint of ${job} was refused with JOB_NOT_RUNNING, and it never ended`)
    }
    return runs.length
  },
}

// ------------------------------------------------------------------------------------------------------- I1

/** True when the deadline mattered: it passed while the snapshot was Creating. */
function checkDeadline(snapshot: SnapshotRecord, facts: Facts, tell: Tell): boolean {
  const { id, deadlineAt } = snapshot
  const left = facts.transitionsOf.get(id)?.find(({ from }) => from === 'Creating')
  const leftAt = left?.at ?? facts.drainedAt ?? facts.faultsEndedAt + facts.limits.drainMs
  const { leaseMs, sweepMs, lastLookMs } = facts.limits
  // Whoever was disturbed about then may have held it: the time of the disturbance and one lease more.
  const excusedMs = facts.disturbances
    .filter(({ from, to }) => from < leftAt && to > deadlineAt - leaseMs - lastLookMs)
    .reduce((sum, { from, to }) => sum + (Math.min(to, leftAt) - from) + leaseMs, 0)
  const allowedMs = sweepMs + lastLookMs + SCHEDULING_SLACK_MS + excusedMs
  if (!left || leftAt > deadlineAt + allowedMs)
    tell(`snapshot ${id} was Creating ${leftAt - deadlineAt} ms past its deadline (${allowedMs} allowed)`)
  return leftAt >= deadlineAt
}

// ------------------------------------------------------------------------------------------------------- I2

function checkProof(
  trigger: AcceptedTrigger,
  attempt: AttemptRecord,
  when: number,
  what: string,
  tell: Tell,
): void {
  const name = `attempt ${attempt.number} of ${attempt.snapshotId}`
  if (trigger.settledAt === null || trigger.settledAt > when + CLOCK_SLACK_MS)
    tell(`${name} was still under way in Flink when ${what}`)
  else if (trigger.outcome === 'completed' && !same(attempt.orphanLocation, trigger.location))
    tell(`${name} had completed in Flink when ${what}`)
}

// ------------------------------------------------------------------------------------------------------- I4

/** Written down once more, on purpose: the checker does not ask the code it checks. */
const LEGAL = new Set([
  'null>Creating',
  'Creating>Present',
  'Creating>Timeout',
  'Creating>Failed',
  'Timeout>Present',
  'Timeout>Failed',
  'Timeout>Clearing',
  'Present>Clearing',
  'Present>Cleared',
  'Failed>Clearing',
  'Clearing>Cleared',
])

function checkChain(id: string, chain: readonly TransitionRecord[], tell: Tell): void {
  if (chain.filter(({ from }) => from === null).length !== 1) tell(`snapshot ${id} does not begin once`)
  tellRepeats(chain, ({ to }) => to, `status of ${id}`, tell)
  tellRepeats(chain, ({ from }) => String(from), `departure of ${id}`, tell)
  for (const { from, to, at } of chain) {
    if (!LEGAL.has(`${from}>${to}`)) tell(`snapshot ${id} moved from ${from} to ${to}`)
    const before = from && chain.find((each) => each.to === from)
    if (before === undefined) tell(`snapshot ${id} left ${from}, where it never was`)
    else if (before && before.at > at) tell(`snapshot ${id} left ${from} before it came there`)
  }
}

// ------------------------------------------------------------------------------------------------ small words

const listOpen = ({ snapshots, clearings, firings, operations }: History): string[] => [
  ...snapshots.filter(isOpen).map(({ id, status }) => `${id} ${status}`),
  ...clearings.filter(({ endedAt }) => endedAt === null).map(({ snapshotId }) => `clearing of ${snapshotId}`),
  ...firings.filter(({ outcome }) => outcome === 'PENDING').map(({ slotAt }) => `slot ${slotAt}`),
  ...operations.filter(({ endedAt }) => endedAt === null).map(({ id, kind }) => `${kind} ${id}`),
]

const isOpen = ({ status, settledAt, nextActionAt }: SnapshotRecord): boolean =>
  status === 'Creating' || settledAt === null || nextActionAt !== null

/** What was cleared since, or forgotten, had been Present. */
const isAccountedFor = (location: string | null, { snapshots, attempts, transitionsOf }: Facts): boolean =>
  snapshots.some(
    (snapshot) => same(snapshot.location, location) && presentSpan(transitionsOf.get(snapshot.id)) !== null,
  ) || attempts.some(({ orphanLocation }) => same(orphanLocation, location))

/** Neighbours within a group of which the earlier had not ended when the later began. */
function overlaps<Item>(
  groups: ReadonlyMap<string, readonly Item[]>,
  spanOf: (item: Item) => [from: number, to: number | null],
): [Item, Item][] {
  const found: [Item, Item][] = []
  for (const group of groups.values()) {
    const ordered = [...group].sort((a, b) => spanOf(a)[0] - spanOf(b)[0])
    for (const [index, later] of ordered.entries()) {
      const earlier = ordered[index - 1]
      if (earlier === undefined) continue
      const end = spanOf(earlier)[1] ?? Number.POSITIVE_INFINITY
      if (end > spanOf(later)[0] + CLOCK_SLACK_MS) found.push([earlier, later])
    }
  }
  return found
}

// ------------------------------------------------------------------------------------------------ over all runs

/** Counters of several runs together. */
export const addUp = (verdicts: readonly Verdict[]): Record<RuleName, number> =>
  Object.fromEntries(
    RULE_NAMES.map((rule) => [rule, verdicts.reduce((sum, { exercised }) => sum + exercised[rule], 0)]),
  ) as Record<RuleName, number>
