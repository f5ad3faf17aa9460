/** A dry run of a rule: computation only, the same as workers do. */
import { slotWarnings } from '../domain/schedule.ts'
import type { Services } from './api.ts'
import { readRule } from './schedule-input.ts'

const DEFAULT_COUNT = 10
const MAX_COUNT = 100

export const previewSchedule = (): Services['previewSchedule'] => async (query) => {
  const { rule, slots } = readRule(query)
  const from = query.from === undefined ? new Date() : new Date(query.from)
  const count = Math.min(Math.max(query.count ?? DEFAULT_COUNT, 1), MAX_COUNT)
  const nextRuns: string[] = []
  let slot = slots.next(from)
  while (slot !== null && nextRuns.length < count) {
    nextRuns.push(slot.toISOString())
    slot = slots.next(slot)
  }
  return {
    cron: rule.cron,
    timeZone: rule.timeZone,
    meaning: slots.meaning,
    effectiveIntervalSeconds: slots.intervalSeconds,
    floored: slots.floored,
    from: from.toISOString(),
    nextRuns,
    warnings: slotWarnings(slots),
  }
}
