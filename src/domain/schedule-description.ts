/** A rule in words. Times are those of the local clock. */
import type { CronExpression } from './cron.ts'

const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]
const WEEKDAYS = ['Mondays', 'Tuesdays', 'Wednesdays', 'Thursdays', 'Fridays', 'Saturdays', 'Sundays']
/** More than these are counted, not listed. */
const MOST_TIMES = 12
const MOST_WINDOWS = 4
const DAY_MINUTES = 1440

/** `minutes` of the day at which it runs, floored. `lastMinute`: one more, of days after which none follows that runs. */
export function describeExpression(
  expression: CronExpression,
  minutes: readonly number[],
  lastMinute: number | null,
  timeZone: string,
): string {
  const times = describeTimes(minutes)
  const days = describeDays(expression)
  const last = lastMinute === null ? [] : [`and at ${clock(lastMinute)} when the next day has no run`]
  return [`${times} ${timeZone}`, ...days, ...last].join(', ')
}

/** `timeZone` null: counted since 1970. */
export const describePeriod = (seconds: number, timeZone: string | null): string =>
  timeZone === null
    ? `every ${inWords(seconds / 60)}, counted from 1970-01-01T00:00Z`
    : seconds === 86_400
      ? `at 00:00 ${timeZone}`
      : `every ${inWords(seconds / 60)} from 00:00 ${timeZone}`

function describeTimes(minutes: readonly number[]): string {
  const [first = 0] = minutes
  const step = (minutes[1] ?? 0) - first
  const isEven = minutes.length > 1 && minutes.every((at, index) => at === first + index * step)
  if (isEven && step * minutes.length === DAY_MINUTES) {
    return first === 0 ? `every ${inWords(step)} from 00:00` : `every ${inWords(step)} from ${clock(first)}`
  }
  const runs = runsOf(minutes)
  const [one] = runs
  const isRegular = one && runs.every((run) => run.length > 2 && run[1] - run[0] === one[1] - one[0])
  if (isRegular && runs.length <= MOST_WINDOWS) {
    const windows = runs.map((run) => `from ${clock(run[0])} to ${clock(run.at(-1) ?? 0)}`)
    return `every ${inWords(one[1] - one[0])} ${join(windows)}`
  }
  const left = minutes.length - MOST_TIMES
  return left > 0
    ? `at ${minutes.slice(0, MOST_TIMES).map(clock).join(', ')} and ${left} more times`
    : `at ${join(minutes.map(clock))}`
}

/** Cut wherever the distance changes: `14:00 14:10 14:20 18:00 18:10 18:20` is two runs of three. */
function runsOf(minutes: readonly number[]): [number, number, ...number[]][] {
  const runs: [number, number, ...number[]][] = []
  let at = 0
  while (at < minutes.length) {
    const [first, second] = [minutes[at], minutes[at + 1]]
    if (first === undefined || second === undefined) return []
    const run: [number, number, ...number[]] = [first, second]
    at += 2
    for (let next = minutes[at]; next !== undefined; next = minutes[at]) {
      if (next - (run.at(-1) ?? 0) !== second - first) break
      run.push(next)
      at += 1
    }
    runs.push(run)
  }
  return runs
}

function describeDays({ dayOfMonth, month, dayOfWeek }: CronExpression): string[] {
  const dates = `on day ${join(dayOfMonth.values.map(String))} of the month`
  const weekdays = `on ${join(dayOfWeek.values.map((day) => WEEKDAYS[day - 1] ?? ''))}`
  const days =
    dayOfMonth.wild && dayOfWeek.wild
      ? []
      : dayOfMonth.wild
        ? [weekdays]
        : dayOfWeek.wild
          ? [dates]
          : [`${dates} or ${weekdays}`]
  return month.wild ? days : [...days, `in ${join(month.values.map((each) => MONTHS[each - 1] ?? ''))}`]
}

const clock = (minute: number): string =>
  `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`

export function inWords(minutes: number): string {
  const [count, unit] =
    minutes % DAY_MINUTES === 0
      ? [minutes / DAY_MINUTES, 'day']
      : minutes % 60 === 0
        ? [minutes / 60, 'hour']
        : [minutes, 'minute']
  return count === 1 ? unit : `${count} ${unit}s`
}

const join = (words: readonly string[]): string =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
