/**
 * When a schedule is due. A slot follows from the rule alone, never from what ran before, so every worker finds the same
 * ones. Expressions tighter than ten minutes are floored per local day: the first match of the day, then each next match at
 * least ten minutes later; a day's last slot is dropped when the next day's first one follows within ten minutes.
 *
 * When the clocks change: what falls into the skipped hour happens at the end of the gap (02:30 becomes 03:00), once, and is
 * floored like any other match; an end at midnight belongs to the next day. In the repeated hour an expression with several
 * times a day runs in both passes, one with a single time in the first only.
 *
 * A period of whole minutes that divides a day is the expression of that clock: "every 6 hours" is 00:00, 06:00, 12:00 and
 * 18:00 of the time zone. Any other period is counted in elapsed time from 1970-01-01T00:00Z, whatever the time zone.
 */
import {
  type CronExpression,
  expressionsAt,
  type Moments,
  matchesDay,
  minutesOfDay,
  momentsOf,
  parseCron,
  runsEveryDay,
  shortestDayGap,
} from './cron.ts'
import { describeExpression, describePeriod } from './schedule-description.ts'
import { atEndsOfGaps, type WallTimes } from './skipped-times.ts'
import { isTimeZone, localDaysOf } from './time-zone.ts'

export const MIN_INTERVAL_SECONDS = 600
export const MAX_EVERY_SECONDS = 366 * 86_400

/** One of the two. */
export type ScheduleRule = { timeZone: string; cron: string | null; everySeconds: number | null }
/** `member` of the rule it is about. */
export type RuleProblem = { member: 'cron' | 'every' | 'timeZone'; problem: string }

export type ScheduleSlots = {
  /** The first slot strictly after `at`; null when there is none any more. */
  next(at: Date): Date | null
  /** The shortest distance of two slots, clock changes aside. */
  intervalSeconds: number
  /** The expression is tighter than ten minutes: not every match is a slot. */
  floored: boolean
  /** In words, such as `every 10 minutes from 14:00 to 14:50 UTC`. */
  meaning: string
}

const FLOOR_MS = MIN_INTERVAL_SECONDS * 1000
const DAY_MINUTES = 1440
const FLOOR_MINUTES = MIN_INTERVAL_SECONDS / 60

export function slotsOf({ timeZone, cron, everySeconds }: ScheduleRule): ScheduleSlots | RuleProblem {
  if (!isTimeZone(timeZone)) {
    return {
      member: 'timeZone',
      problem: 'it is not the name of a time zone, such as UTC or Europe/Berlin',
    }
  }
  if (cron !== null) return slotsOfCron(cron, timeZone)
  return everySeconds === null
    ? { member: 'cron', problem: 'a schedule needs cron or every' }
    : slotsOfPeriod(everySeconds, timeZone)
}

function slotsOfCron(text: string, timeZone: string): ScheduleSlots | RuleProblem {
  const expression = parseCron(text)
  if ('problem' in expression) return { member: 'cron', problem: expression.problem }
  const { minutes, lastMinute, intervalSeconds, floored } = floorExpression(expression)
  return {
    next: flooredPerDay(momentsOf(expression, timeZone), timesOf(expression), timeZone),
    intervalSeconds,
    floored,
    meaning: describeExpression(expression, minutes, lastMinute, timeZone),
  }
}

function slotsOfPeriod(seconds: number, timeZone: string): ScheduleSlots | RuleProblem {
  if (!Number.isSafeInteger(seconds) || seconds < MIN_INTERVAL_SECONDS || seconds > MAX_EVERY_SECONDS) {
    return { member: 'every', problem: 'a period is from ten minutes to 366 days' }
  }
  if (seconds % 60 !== 0) return { member: 'every', problem: 'a period is a whole number of minutes' }
  const dividesDay = 86_400 % seconds === 0
  return {
    next: dividesDay ? onClock(seconds / 60, timeZone) : sinceEpoch(seconds * 1000),
    intervalSeconds: seconds,
    floored: false,
    meaning: describePeriod(seconds, dividesDay ? timeZone : null),
  }
}

function onClock(periodMinutes: number, timeZone: string): ScheduleSlots['next'] {
  const minutes = Array.from({ length: DAY_MINUTES / periodMinutes }, (_, n) => n * periodMinutes)
  const parts = expressionsAt(minutes).map((expression) => momentsOf(expression, timeZone))
  const moments = { next: (at: Date) => earliest(parts.map((part) => part.next(at))) }
  return flooredPerDay(moments, { matchesDay: () => true, minutes }, timeZone)
}

const timesOf = (expression: CronExpression): WallTimes => ({
  matchesDay: (day) => matchesDay(expression, day),
  minutes: minutesOfDay(expression),
})

const earliest = (moments: readonly (Date | null)[]): Date | null =>
  moments.reduce((first, next) => (first === null || (next !== null && next < first) ? next : first), null)

/** What RFC 3339 and Postgres can still say; expressions end there, too. */
const LAST_MS = Date.UTC(9999, 11, 31)

const sinceEpoch =
  (periodMs: number): ScheduleSlots['next'] =>
  (at) => {
    const next = (Math.floor(at.getTime() / periodMs) + 1) * periodMs
    return next > LAST_MS ? null : new Date(next)
  }

/** The slots of one local day are worked out together, and kept: most questions are about the same day. */
function flooredPerDay(engine: Moments, times: WallTimes, timeZone: string): ScheduleSlots['next'] {
  const days = localDaysOf(timeZone)
  const moments = atEndsOfGaps(engine, times, timeZone, LAST_MS)
  const justBefore = (at: Date) => new Date(at.getTime() - 1000)
  let known: { begin: Date; end: Date; slots: readonly Date[] } | null = null

  const dayOf = (at: Date) => {
    if (known !== null && at >= known.begin && at < known.end) return known
    const { begin, end } = days.around(at)
    const slots: Date[] = []
    let match = moments.next(justBefore(begin))
    while (match !== null && match < end) {
      slots.push(match)
      match = moments.next(new Date(match.getTime() + FLOOR_MS - 1000))
    }
    const last = slots.at(-1)
    const following = moments.next(justBefore(end))
    if (last && following && following.getTime() - last.getTime() < FLOOR_MS) slots.pop()
    known = { begin, end, slots }
    return known
  }

  return (at) => {
    let day = dayOf(at)
    for (;;) {
      const slot = day.slots.find((each) => each > at)
      if (slot) return slot
      const match = moments.next(justBefore(day.end))
      if (match === null) return null
      day = dayOf(match)
    }
  }
}

/**
 * The minutes of the day that remain, and how far apart slots are at least: from the expression, no date is looked at.
 * `lastMinute` is dropped for the first one of the next day, and remains where no such day follows.
 */
function floorExpression(expression: CronExpression): {
  minutes: number[]
  lastMinute: number | null
  intervalSeconds: number
  floored: boolean
} {
  const all = minutesOfDay(expression)
  const remaining: number[] = []
  for (const at of all) {
    if (remaining.length === 0 || at - (remaining.at(-1) ?? 0) >= FLOOR_MINUTES) remaining.push(at)
  }
  const dayGap = shortestDayGap(expression)
  const [first = 0] = remaining
  const overnight = (minutes: readonly number[]) => dayGap * DAY_MINUTES + first - (minutes.at(-1) ?? first)
  const isDropped = overnight(remaining) < FLOOR_MINUTES && remaining.length > 1
  const minutes = isDropped ? remaining.slice(0, -1) : remaining
  const isKeptOnSomeDays = isDropped && !runsEveryDay(expression)
  const longest = isKeptOnSomeDays ? remaining : minutes
  const gaps = longest.slice(1).map((at, index) => at - (longest[index] ?? at))
  return {
    minutes,
    lastMinute: isKeptOnSomeDays ? (remaining.at(-1) ?? null) : null,
    intervalSeconds: Math.min(overnight(minutes), ...gaps) * 60,
    floored: minutes.length < all.length,
  }
}
