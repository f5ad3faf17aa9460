/**
 * The cron expressions of a schedule: exactly five fields, digits and names, `* , - /`. croner finds the moments, in any time
 * zone; in front of it stands this gate, because croner also takes `?`, `L`, `15W`, `@daily` and six fields, loses the Sunday
 * of `1/2` and never fires `7/1`. What passes is handed on as plain lists of values, whose meaning no engine disputes.
 *
 * croner is pure computation, so `domain` may import it, here only.
 */
import { Cron } from 'croner'

/** `wild`: given as `*`. `values` are sorted. */
export type CronField = { readonly wild: boolean; readonly values: readonly number[] }
export type CronExpression = {
  /** As given, with single spaces. */
  text: string
  minute: CronField
  hour: CronField
  dayOfMonth: CronField
  month: CronField
  /** 1 is Monday, 7 is Sunday. */
  dayOfWeek: CronField
}
export type CronProblem = { problem: string }

/** The moments of an expression; each is a whole minute of the local clock. */
export type Moments = {
  /** The first one strictly after `at`; null when there is none any more. */
  next(at: Date): Date | null
}

const MAX_CHARS = 256

type FieldRule = { name: string; min: number; max: number; names?: readonly string[] }
const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC']
const DAYS = ['MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT', 'SUN']
const MINUTE: FieldRule = { name: 'minute', min: 0, max: 59 }
const HOUR: FieldRule = { name: 'hour', min: 0, max: 23 }
const DAY_OF_MONTH: FieldRule = { name: 'day of month', min: 1, max: 31 }
const MONTH: FieldRule = { name: 'month', min: 1, max: 12, names: MONTHS }
const DAY_OF_WEEK: FieldRule = { name: 'day of week', min: 1, max: 7, names: DAYS }
const ORDER = 'minute, hour, day of month, month, day of week'

class Refused extends Error {}
const refuse = (detail: string): never => {
  throw new Refused(detail)
}

/** Every refusal says what to write instead. */
export function parseCron(given: string): CronExpression | CronProblem {
  try {
    return parse(given)
  } catch (error) {
    if (error instanceof Refused) return { problem: error.message }
    throw error
  }
}

function parse(given: string): CronExpression {
  if (given.length > MAX_CHARS) refuse(`the expression is longer than ${MAX_CHARS} characters`)
  const trimmed = given.trim()
  if (trimmed.startsWith('@')) {
    refuse(
      `${trimmed.slice(0, 20)} is not supported: write five fields, such as 0 0 * * * for every midnight`,
    )
  }
  const fields = trimmed.split(/[ \t]+/)
  const [minute = '', hour = '', dayOfMonth = '', month = '', dayOfWeek = ''] = fields
  if (fields.length === 6 || fields.length === 7) {
    refuse(`${fields.length} fields: there are no seconds and no year here, write five fields (${ORDER})`)
  }
  if (trimmed === '' || fields.length !== 5) {
    refuse(`${trimmed === '' ? 0 : fields.length} fields: all five are needed (${ORDER}); * leaves one open`)
  }
  const expression = {
    text: fields.join(' '),
    minute: parseField(minute, MINUTE),
    hour: parseField(hour, HOUR),
    dayOfMonth: parseField(dayOfMonth, DAY_OF_MONTH),
    month: parseField(month, MONTH),
    dayOfWeek: parseField(dayOfWeek, DAY_OF_WEEK),
  }
  if (!canFire(expression)) {
    refuse('it never fires: none of its months has such a day')
  }
  return expression
}

function parseField(text: string, rule: FieldRule): CronField {
  if (text === '*') return { wild: true, values: span(rule.min, rule.max, 1) }
  const values = new Set(text.split(',').flatMap((item) => parseItem(item, rule)))
  return { wild: false, values: [...values].sort((a, b) => a - b) }
}

const span = (from: number, to: number, step: number): number[] =>
  Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, n) => from + n * step)

const ITEM = /^(\*|[0-9A-Za-z]+)(?:-([0-9A-Za-z]+))?(?:\/([0-9]+))?$/

function parseItem(item: string, rule: FieldRule): number[] {
  const [, first, last, step] = ITEM.exec(item) ?? []
  if (first === undefined) return refuse(`${rule.name}: ${hintFor(item, rule)}`)
  if (first === '*' && last !== undefined) {
    return refuse(`${rule.name}: * is no end of a range; write two values, such as ${rule.min}-${rule.max}`)
  }
  const from = first === '*' ? rule.min : parseValue(first, rule)
  const to =
    last !== undefined ? parseValue(last, rule) : first === '*' || step !== undefined ? rule.max : from
  if (to < from) return refuse(`${rule.name}: ${item} runs backwards; write ${splitRange(from, to, rule)}`)
  return span(from, to, step === undefined ? 1 : parseStep(step, rule))
}

/** `FRI-MON` is `FRI-SUN,MON`. */
function splitRange(from: number, to: number, rule: FieldRule): string {
  const range = (first: number, last: number) =>
    first === last ? nameOf(first, rule) : `${nameOf(first, rule)}-${nameOf(last, rule)}`
  return `${range(from, rule.max)},${range(rule.min, to)}`
}

/** In words where the field knows words. */
const nameOf = (value: number, { min, names }: FieldRule): string => names?.[value - min] ?? String(value)

function parseStep(step: string, { name, min, max }: FieldRule): number {
  const size = max - min + 1
  const value = Number(step)
  if (value === 0) return refuse(`${name}: a step of 0 leads nowhere; write 1 or more`)
  if (step.length > 2 || value >= size) {
    return refuse(
      `${name}: a step of ${step.slice(0, 10)} leaves the field at once; write the start alone, or a step below ${size}`,
    )
  }
  return value
}

function parseValue(text: string, rule: FieldRule): number {
  const named = rule.names?.indexOf(text.toUpperCase()) ?? -1
  if (named !== -1) return named + rule.min
  if (!/^\d{1,2}$/.test(text)) return refuse(`${rule.name}: ${hintFor(text, rule)}`)
  const value = Number(text)
  if (value === 0 && rule === DAY_OF_WEEK) {
    return refuse('day of week: 0 is no day here; use 7 or SUN for Sunday (1 is Monday)')
  }
  if (value < rule.min || value > rule.max) {
    return refuse(`${rule.name}: ${value} is not from ${rule.min} to ${rule.max}`)
  }
  return value
}

function hintFor(item: string, { min, names }: FieldRule): string {
  const shown = JSON.stringify(item.slice(0, 20))
  if (item === '') return 'a value is missing beside a comma; write for example 5,20'
  if (item.includes('?')) return '? is not supported; use * to leave a field open'
  if (item.startsWith('/')) return `${shown} has no start; write ${min}${item.slice(0, 10)}`
  if (item.endsWith('/')) return `${shown} has no step; write a number after the /`
  if (item.includes('#')) return `${shown}: # (the n-th weekday of a month) is not supported`
  if (/^(\d+|[A-Za-z]{3})?L$|^L|^(\d+|L)W$|^W$/i.test(item)) {
    return `${shown}: L and W (last day, nearest weekday) are not supported; write the days themselves`
  }
  const words = names === undefined ? '' : `, names ${names[0]} to ${names.at(-1)}`
  return `${shown} is not understood; digits${words} and * , - / are allowed`
}

// ------------------------------------------------------------------------------------------------------ days

/** With both day fields set, either of them is enough. */
export function matchesDay(
  { dayOfMonth, month, dayOfWeek }: CronExpression,
  day: { month: number; dayOfMonth: number; dayOfWeek: number },
): boolean {
  if (!month.values.includes(day.month)) return false
  const onDate = dayOfMonth.values.includes(day.dayOfMonth)
  const onWeekday = dayOfWeek.values.includes(day.dayOfWeek)
  return dayOfMonth.wild || dayOfWeek.wild ? onDate && onWeekday : onDate || onWeekday
}

const DAY_MS = 86_400_000
/** After 28 years weekdays and dates repeat, the skipped leap years of 2100 and so on aside. */
const CALENDAR = Array.from({ length: 28 * 365 + 7 }, (_, n) => {
  const at = new Date(Date.UTC(2000, 0, 1) + n * DAY_MS)
  return { month: at.getUTCMonth() + 1, dayOfMonth: at.getUTCDate(), dayOfWeek: at.getUTCDay() || 7 }
})

const canFire = (expression: CronExpression): boolean => CALENDAR.some((day) => matchesDay(expression, day))

/** The smallest distance between two days of the expression, in days: 1 when two of them are neighbours. */
export function shortestDayGap(expression: CronExpression): number {
  let last = -1
  let shortest = Number.POSITIVE_INFINITY
  for (const [index, day] of CALENDAR.entries()) {
    if (!matchesDay(expression, day)) continue
    if (last !== -1) shortest = Math.min(shortest, index - last)
    if (shortest === 1) return 1
    last = index
  }
  return shortest
}

/** No day is left out: each one has a day after it that runs, too. */
export const runsEveryDay = (expression: CronExpression): boolean =>
  CALENDAR.every((day) => matchesDay(expression, day))

/** Minutes since midnight, ascending. */
export const minutesOfDay = ({ hour, minute }: CronExpression): number[] =>
  hour.values.flatMap((h) => minute.values.map((m) => h * 60 + m))

// -------------------------------------------------------------------------------------------------- moments

/** The time zone must be one that Intl knows. */
export function momentsOf(expression: CronExpression, timeZone: string): Moments {
  const part = ({ wild, values }: CronField) => (wild ? '*' : values.join(','))
  const { minute, hour, dayOfMonth, month, dayOfWeek } = expression
  const pattern = [minute, hour, dayOfMonth, month, dayOfWeek].map(part).join(' ')
  const cron = new Cron(pattern, { mode: '5-part', sloppyRanges: true, timezone: timeZone })
  return { next: (at) => cron.nextRun(at) }
}

/** An expression of every day at these minutes of the day; several, because one has the same minutes in each of its hours. */
export function expressionsAt(minutes: readonly number[]): CronExpression[] {
  const hoursOf = new Map<number, number[]>()
  for (const at of minutes) hoursOf.set(at % 60, [...(hoursOf.get(at % 60) ?? []), Math.floor(at / 60)])
  const minutesOf = new Map<string, number[]>()
  for (const [minute, hours] of hoursOf) {
    const key = hours.join(',')
    minutesOf.set(key, [...(minutesOf.get(key) ?? []), minute])
  }
  return [...minutesOf].map(([hours, at]) => parse(`${at.sort((a, b) => a - b).join(',')} ${hours} * * *`))
}
