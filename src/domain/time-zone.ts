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

/** What the clock skips of a day, in minutes of that day, `to` not included, and the instant at which it has skipped it. */
export type SkippedTime = { from: number; to: number; end: Date }

export type LocalDays = {
  /** The first instant of the local day that contains `at`, and the first one of the day after. */
  around(at: Date): { begin: Date; end: Date }
  /** What the wall clock shows at that instant, as if it were UTC, in ms. */
  wallOf(at: Date): number
  /** Of the local day with this midnight (as if it were UTC, in ms); null on an ordinary day. At most one change a day. */
  skippedOn(wallMidnight: number): SkippedTime | null
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

  /** The first second with the offset of `to`. */
  const findChange = (from: number, to: number): number => {
    let [before, after] = [from, to]
    while (after - before > 1000) {
      const middle = Math.floor((before + after) / 2000) * 1000
      if (offsetAt(middle) === offsetAt(to)) after = middle
      else before = middle
    }
    return after
  }

  return {
    around(at) {
      const today = Math.floor(wallAt(at.getTime()) / DAY_MS) * DAY_MS
      return { begin: new Date(beginOf(today)), end: new Date(beginOf(today + DAY_MS)) }
    },
    wallOf: (at) => wallAt(at.getTime()),
    // A change at midnight skips the end of one day or the beginning of another: both edges belong to the search.
    skippedOn(wallMidnight) {
      const [before, after] = [beginOf(wallMidnight) - 1000, beginOf(wallMidnight + DAY_MS)]
      const skippedMs = offsetAt(after) - offsetAt(before)
      if (skippedMs <= 0) return null
      const end = findChange(before, after)
      const to = wallAt(end) - wallMidnight
      const from = to - skippedMs
      if (to <= 0 || from >= DAY_MS) return null
      return { from: Math.max(from, 0) / 60_000, to: Math.min(to, DAY_MS) / 60_000, end: new Date(end) }
    },
  }
}
