/** Local days of a time zone, by the zone data of the runtime (Intl). */

const DAY_MS = 86_400_000

/** IANA names only: what an offset such as `+02:00` means does not change with the seasons, and Node 20 knows none. */
const NAME = /^[A-Za-z][A-Za-z0-9_+-]*(\/[A-Za-z0-9_+-]+)*$/

export function isTimeZone(name: string): boolean {
  if (!NAME.test(name) || name.length > 64) return false
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: name })
    return true
  } catch {
    return false
  }
}

export type LocalDays = {
  /** The first instant of the local day that contains `at`, and the first one of the day after. */
  around(at: Date): { begin: Date; end: Date }
}

export function localDaysOf(timeZone: string): LocalDays {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  })
  /** What the wall clock shows at that instant, as if it were UTC; whole seconds. */
  const wallAt = (instantMs: number): number => {
    const parts = new Map(format.formatToParts(instantMs).map(({ type, value }) => [type, Number(value)]))
    const part = (type: Intl.DateTimeFormatPartTypes) => parts.get(type) ?? 0
    return Date.UTC(
      part('year'),
      part('month') - 1,
      part('day'),
      part('hour'),
      part('minute'),
      part('second'),
    )
  }
  const offsetAt = (instantMs: number): number => wallAt(instantMs) - Math.floor(instantMs / 1000) * 1000

  /**
   * Where the clocks change at midnight, the day before and the day after disagree about it: midnight comes twice (the first
   * counts) or not at all (the day then begins at the instant of the change).
   */
  const beginOf = (wallMidnight: number): number => {
    const before = wallMidnight - offsetAt(wallMidnight - DAY_MS)
    const after = wallMidnight - offsetAt(wallMidnight + DAY_MS)
    const inside = [before, after].filter((at) => wallAt(at) >= wallMidnight)
    return Math.min(...(inside.length > 0 ? inside : [before]))
  }

  return {
    around(at) {
      const today = Math.floor(wallAt(at.getTime()) / DAY_MS) * DAY_MS
      return { begin: new Date(beginOf(today)), end: new Date(beginOf(today + DAY_MS)) }
    },
  }
}
