/**
 * Schedules of savepoints: what is due when, what becomes of what was missed, and when a schedule pauses itself.
 * `schedule-slots.ts` says when slots are.
 */
import type { RunState } from './resources.ts'
import type { ScheduleSlots } from './schedule-slots.ts'
import type { Reference, SavepointFormat } from './snapshot.ts'
import type { SnapshotStatus } from './snapshot-status.ts'

export type Period = { seconds: number } | { minutes: number } | { hours: number } | { days: number }

export const PAUSE_REASONS = ['REQUESTED', 'SAVEPOINT_RESTARTED_JOB', 'SAVEPOINTS_FAILED'] as const
/** REQUESTED: by a person. The others: by itself. */
export type PauseReason = (typeof PAUSE_REASONS)[number]

/** Not wrong, but it ought to be known. */
export type ScheduleWarning = { code: string; message: string }

/** As the API shows it. Instants are RFC 3339 UTC with milliseconds. */
export type Schedule = {
  job: Reference
  cron: string | null
  every: Period | null
  timeZone: string
  /** When it runs, in words. */
  meaning: string
  effectiveIntervalSeconds: number
  floored: boolean
  enabled: boolean
  paused: { reason: PauseReason; message: string } | null
  format: SavepointFormat
  description: string | null
  timeoutSeconds: number | null
  jitterSeconds: number
  /** null while it is off or paused. */
  nextRunAt: string | null
  lastRunAt: string | null
  /** In a row. */
  failures: number
  warnings: ScheduleWarning[]
  createdAt: string
  createdBy: string
  updatedAt: string
  etag: string
}

export const FIRING_OUTCOMES = ['PENDING', 'FIRED', 'SKIPPED', 'FAILED'] as const
export type FiringOutcome = (typeof FIRING_OUTCOMES)[number]

export type Firing = {
  slotAt: string
  outcome: FiringOutcome
  /** Why there is no savepoint. */
  code: string | null
  message: string | null
  snapshot: string | null
  catchUp: boolean
  firedAt: string
}

/** Who asks for the savepoint of a slot, and by which it is found again; what the snapshot's `createdBy` says. */
export const slotPrincipal = (slotAt: Date): string => `schedule:${slotAt.toISOString()}`

/** An idempotency key, the same for every worker and every repetition: a slot can only ever come to one savepoint. */
export const slotKey = (jobId: string, slotAt: Date) => ({
  principal: slotPrincipal(slotAt),
  route: 'schedule',
  key: jobId,
  bodyHash: 'slot',
})

export const toPeriod = (seconds: number): Period => {
  if (seconds % 86_400 === 0) return { days: seconds / 86_400 }
  if (seconds % 3600 === 0) return { hours: seconds / 3600 }
  return seconds % 60 === 0 ? { minutes: seconds / 60 } : { seconds }
}
export const secondsOf = (period: Period): number => {
  if ('days' in period) return period.days * 86_400
  if ('hours' in period) return period.hours * 3600
  return 'minutes' in period ? period.minutes * 60 : period.seconds
}

/** The same for every worker: spreads jobs with the same slot, and stays below `jitterSeconds`. FNV-1a. */
export function jitterMs(jobId: string, slotAt: Date, jitterSeconds: number): number {
  let hash = 0x811c9dc5
  for (const character of `${jobId} ${slotAt.toISOString()}`) {
    hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193) >>> 0
  }
  return hash % Math.max(1, jitterSeconds * 1000)
}

/** Refused when savepoints take so much of the time between them (p90, in ms): they would hold up the checkpoints. */
const MOST_OF_INTERVAL = 0.25
export const isTooTight = (p90Ms: number | null, intervalSeconds: number): boolean =>
  p90Ms !== null && p90Ms > intervalSeconds * 1000 * MOST_OF_INTERVAL

// ------------------------------------------------------------------------------------------------------- due

/** Later than that, and nobody was there to look: an outage. */
export const PUNCTUAL_MS = 60_000
const MAX_CATCH_UP_MS = 24 * 3_600_000
/** Missed slots are counted so far. */
const MOST_COUNTED = 300

export type DueSchedule = {
  jobId: string
  nextSlotAt: Date
  /** When it was to be looked at: its slot with the jitter, or the next try of one that waits for its turn. */
  dueAt: Date
  /** Its slot waits for its turn, and came late already when it began to. */
  catchUp: boolean
  now: Date
  jitterSeconds: number
  /** Of the job's current run. */
  runState: RunState | null
}
export type SkippedSlot = { slotAt: Date; code: string; message: string }
export type DuePlan = {
  fire: { slotAt: Date; catchUp: boolean } | null
  skip: SkippedSlot[]
  nextSlotAt: Date | null
  nextActionAt: Date | null
}

/**
 * The newest slot that has come is fired, at most that one. After an outage only when it is not older than the interval of
 * the schedule, nor than a day: nobody wants the savepoint of 14:50 in the evening. A slot that waited for its turn
 * (`dueAt` has moved on) keeps it until the next one comes. What lies before is recorded as missed, in one row.
 */
export function planDue(due: DueSchedule, slots: ScheduleSlots): DuePlan {
  const { nextSlotAt, now } = due
  const { newest, missed } = findNewest(due, slots)
  const following = slots.next(now)
  const next = {
    nextSlotAt: following,
    nextActionAt:
      following && new Date(following.getTime() + jitterMs(due.jobId, following, due.jitterSeconds)),
  }
  const skip: SkippedSlot[] = []
  if (missed > 0) skip.push(missedSlots(nextSlotAt, missed))
  if (newest === null) return { fire: null, skip, ...next }

  const isLate = now.getTime() - due.dueAt.getTime() > PUNCTUAL_MS
  const ageMs = now.getTime() - newest.getTime()
  const window = isLate ? Math.min(slots.intervalSeconds * 1000, MAX_CATCH_UP_MS) : MAX_CATCH_UP_MS
  if (ageMs > window + due.jitterSeconds * 1000) {
    skip.push({
      slotAt: newest,
      code: 'MISSED',
      message: 'Nobody was there at its time, and it is too old to be made up for.',
    })
    return { fire: null, skip: missed > 0 ? [missedSlots(nextSlotAt, missed + 1)] : skip, ...next }
  }
  if (due.runState !== 'RUNNING') {
    skip.push({ slotAt: newest, code: 'JOB_NOT_RUNNING', message: notRunning(due.runState) })
    return { fire: null, skip, ...next }
  }
  const catchUp = isLate || (due.catchUp && missed === 0)
  return { fire: { slotAt: newest, catchUp }, skip, ...next }
}

const notRunning = (state: RunState | null): string =>
  state === null ? 'The job has never run.' : `The job was not running; its run was ${state}.`

const missedSlots = (first: Date, count: number): SkippedSlot => ({
  slotAt: first,
  code: 'MISSED',
  message:
    count === 1
      ? 'Its time passed before it could be fired.'
      : `${count > MOST_COUNTED ? `More than ${MOST_COUNTED}` : count} slots from here on passed before they could be fired.`,
})

/** `newest`: the last slot that has come. `missed`: those before it. */
function findNewest({ nextSlotAt, now }: DueSchedule, slots: ScheduleSlots) {
  if (nextSlotAt > now) return { newest: null, missed: 0 }
  let newest = nextSlotAt
  let missed = 0
  for (let slot = slots.next(newest); slot !== null && slot <= now; slot = slots.next(newest)) {
    newest = slot
    missed += 1
    if (missed > MOST_COUNTED) break
  }
  // After a long outage only the last day matters: what is older is never made up for.
  if (missed > MOST_COUNTED) {
    const recent = new Date(now.getTime() - MAX_CATCH_UP_MS)
    let slot = slots.next(recent > newest ? recent : newest)
    for (; slot !== null && slot <= now; slot = slots.next(slot)) newest = slot
  }
  return { newest, missed }
}

// ----------------------------------------------------------------------------------------------------- health

/** A settled savepoint of a schedule, with what its run has been through since. */
export type SettledFiring = {
  status: SnapshotStatus
  completed: boolean
  failureCode: string | null
  /** Flink was asked for it then; null: never. */
  triggeredAt: Date | null
  /** When its answer was final. */
  settledAt: Date
  now: Date
  run: {
    state: RunState
    allTasksRunning: boolean
    tasksRunningSince: Date | null
    endedAt: Date | null
    /** How often Flink has restored it since (`counts.restored`): a restart too quick for a poll shows here. */
    restoredSince: number
  } | null
}
export const VERDICTS = ['COMPLETED', 'FAILED', 'RESTARTED_JOB', 'NOT_COUNTED'] as const
export type FiringVerdict = (typeof VERDICTS)[number]

/** Says nothing about savepoints of this job: it was not there, or was being changed. */
const NOT_ITS_FAULT = new Set<string>([
  'JOB_NOT_RUNNING',
  'JOB_NOT_FOUND',
  'JOB_AMBIGUOUS',
  'RUN_LOST',
  'RESCALED',
  'OBSERVE_ONLY',
  'CLUSTER_IDENTITY_CHANGED',
  'CLUSTER_UNSUPPORTED',
])

/**
 * A savepoint that failed restarted its job when Flink says so (an exception since it was asked for), or when the job restarted
 * while it ran or within `settleMs` after it had settled: its tasks began to run anew, or its run FAILED. Tasks that do not all
 * run, and a restore that Flink has counted, bear no time: they speak when it is judged in time, not after an outage of ours.
 * One that was completed did not, whatever happened afterwards.
 */
export function judgeFiring(firing: SettledFiring, settleMs: number): FiringVerdict {
  const { completed, failureCode, triggeredAt, run } = firing
  if (completed) return 'COMPLETED'
  if (triggeredAt === null || NOT_ITS_FAULT.has(failureCode ?? '')) return 'NOT_COUNTED'
  if (failureCode === 'JOB_FAILED_DURING_SAVEPOINT' || failureCode === 'TASKMANAGER_LOST')
    return 'RESTARTED_JOB'
  if (run === null) return 'FAILED'
  const until = firing.settledAt.getTime() + settleMs
  if (run.endedAt !== null) {
    return run.state === 'FAILED' && run.endedAt.getTime() <= until ? 'RESTARTED_JOB' : 'FAILED'
  }
  const since = run.tasksRunningSince
  const ranAnew = since !== null && since > triggeredAt && since.getTime() <= until
  const isJudgedInTime = firing.now.getTime() <= until + PUNCTUAL_MS
  const looksRestarted = isJudgedInTime && (!run.allTasksRunning || run.restoredSince > 0)
  return ranAnew || looksRestarted ? 'RESTARTED_JOB' : 'FAILED'
}

const MOST_FAILURES = 2

/** What a verdict does to a schedule that had `failures` in a row. */
export function nextHealth(
  verdict: FiringVerdict,
  failures: number,
): { failures: number; pause: { reason: PauseReason; message: string } | null } {
  if (verdict === 'NOT_COUNTED') return { failures, pause: null }
  if (verdict === 'COMPLETED') return { failures: 0, pause: null }
  const more = failures + 1
  if (verdict === 'RESTARTED_JOB') {
    const message =
      'Its last savepoint failed and the job restarted meanwhile. Resume it once the reason is mended.'
    return { failures: more, pause: { reason: 'SAVEPOINT_RESTARTED_JOB', message } }
  }
  if (more < MOST_FAILURES) return { failures: more, pause: null }
  const message = `Its last ${more} savepoints failed. Resume it once the reason is mended.`
  return { failures: more, pause: { reason: 'SAVEPOINTS_FAILED', message } }
}

// --------------------------------------------------------------------------------------------------- warnings

export type SavepointTerms = {
  format: SavepointFormat
  /** Of the version that runs; null when it says none. */
  stateBackend: string | null
  attached: boolean
  observeOnly: boolean
}

export function findScheduleWarnings(terms: SavepointTerms, slots: ScheduleSlots): ScheduleWarning[] {
  const { format, stateBackend, attached, observeOnly } = terms
  return [
    ...slotWarnings(slots),
    ...(observeOnly
      ? [{ code: 'OBSERVE_ONLY', message: 'Its cluster is observe-only: every slot is skipped.' }]
      : []),
    ...(format === 'CANONICAL' ? canonicalWarnings(stateBackend, attached) : []),
  ]
}

/** Of the rule alone. */
export const slotWarnings = ({ floored, meaning }: ScheduleSlots): ScheduleWarning[] =>
  floored
    ? [
        {
          code: 'FLOORED',
          message: `Savepoints are at least ten minutes apart: the expression is tighter and runs ${meaning}.`,
        },
      ]
    : []

/** A canonical savepoint reads and writes all state again (Flink docs, "State Backends": RocksDB), however little changed. */
function canonicalWarnings(stateBackend: string | null, attached: boolean): ScheduleWarning[] {
  if (stateBackend !== null && /rocksdb|forst/i.test(stateBackend)) {
    const message = `Canonical savepoints of ${stateBackend} rewrite the whole state each time. NATIVE ones are far cheaper; take a canonical one before changing the state backend.`
    return [{ code: 'CANONICAL_ON_ROCKSDB', message }]
  }
  if (stateBackend !== null || !attached) return []
  const message =
    'The state backend of this attached job is not known. If it is RocksDB, NATIVE savepoints are far cheaper.'
  return [{ code: 'STATE_BACKEND_UNKNOWN', message }]
}
