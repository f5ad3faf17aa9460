/**
 * What falls into an hour that the clock skips happens at its end, whatever else the rule names on that day. No cron engine
 * can be asked for it: they lose such a time, move it by the length of the gap, or move it for single times only. So the
 * moments of an engine are taken where its clock really shows them, and the ends of gaps are found here.
 */
import type { Moments } from './cron.ts'
import { localDaysOf, type SkippedTime } from './time-zone.ts'

export type WallTimes = {
  /** By the date alone; weekdays are 1, Monday, to 7, Sunday. */
  matchesDay(day: { month: number; dayOfMonth: number; dayOfWeek: number }): boolean
  /** Minutes since midnight, ascending; the same on each of its days. */
  minutes: readonly number[]
}

const DAY_MS = 86_400_000
const MOST_KEPT = 400

/** `engine` finds the moments of `times` on ordinary days. No moment is looked for beyond `lastMs`. */
export function atEndsOfGaps(engine: Moments, times: WallTimes, timeZone: string, lastMs: number): Moments {
  const days = localDaysOf(timeZone)
  const midnightOf = (at: Date) => Math.floor(days.wallOf(at) / DAY_MS) * DAY_MS
  const known = new Map<number, SkippedTime | null>()
  const skippedOn = (midnight: number): SkippedTime | null => {
    const found = known.get(midnight)
    if (found !== undefined) return found
    if (known.size >= MOST_KEPT) known.clear()
    const skipped = days.skippedOn(midnight)
    known.set(midnight, skipped)
    return skipped
  }
  const isDay = (midnight: number) => {
    const date = new Date(midnight)
    return times.matchesDay({
      month: date.getUTCMonth() + 1,
      dayOfMonth: date.getUTCDate(),
      dayOfWeek: date.getUTCDay() || 7,
    })
  }
  const minutes = new Set(times.minutes)

  /** On a day with a gap the engine may have moved a time, and not to the gap's end. */
  const isShown = (at: Date): boolean => {
    const wall = days.wallOf(at)
    const midnight = Math.floor(wall / DAY_MS) * DAY_MS
    return skippedOn(midnight) === null || (isDay(midnight) && minutes.has((wall - midnight) / 60_000))
  }
  const nextShown = (at: Date): Date | null => {
    let moment = engine.next(at)
    while (moment !== null && !isShown(moment)) moment = engine.next(moment)
    return moment
  }

  return {
    next(at) {
      const shown = nextShown(at)
      const last = shown === null ? lastMs : midnightOf(shown)
      for (let midnight = midnightOf(at); midnight <= last; midnight += DAY_MS) {
        if (!isDay(midnight)) continue
        const skipped = skippedOn(midnight)
        if (skipped === null || skipped.end <= at) continue
        if (shown !== null && skipped.end >= shown) break
        if (times.minutes.some((minute) => minute >= skipped.from && minute < skipped.to)) return skipped.end
      }
      return shown
    },
  }
}
