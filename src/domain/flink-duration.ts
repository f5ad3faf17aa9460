/** Durations as Flink reads them in its configuration (`CORE/util/TimeUtils`): a number without a unit is milliseconds. */

const HOUR = 3_600_000
const MS_PER_UNIT: ReadonlyMap<string, number> = new Map([
  ...['d', 'day', 'days'].map((unit) => [unit, 24 * HOUR] as const),
  ...['h', 'hour', 'hours'].map((unit) => [unit, HOUR] as const),
  ...['m', 'min', 'minute', 'minutes'].map((unit) => [unit, 60_000] as const),
  ...['s', 'sec', 'secs', 'second', 'seconds'].map((unit) => [unit, 1000] as const),
  ...['', 'ms', 'milli', 'millis', 'millisecond', 'milliseconds'].map((unit) => [unit, 1] as const),
])

/** Whole milliseconds, or null when Flink would not read it so. Micro- and nanoseconds are not taken. */
export function readFlinkDuration(text: string): number | null {
  const [, amount = '', unit = ''] = /^(\d{1,16})\s*([a-z]*)$/i.exec(text.trim()) ?? []
  const factor = MS_PER_UNIT.get(unit.toLowerCase())
  const ms = Number(amount) * (factor ?? Number.NaN)
  return amount !== '' && Number.isSafeInteger(ms) ? ms : null
}

export const writeFlinkDuration = (ms: number): string => `${ms} ms`
