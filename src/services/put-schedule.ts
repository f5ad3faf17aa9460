/**
 * Creates or replaces the schedule of a job. The rule is checked before anything is written; the next slot is worked out from
 * the database's clock and written with it, so that a worker needs nothing but the row.
 */
import { DomainError } from '../domain/errors.ts'
import type { ScheduleContext, ScheduleValues } from '../ports/schedules.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { refuseInput } from './check-input.ts'
import {
  findContext,
  findNext,
  findSchedule,
  readRule,
  refuseTooTight,
  type SchedulePorts,
  showSchedule,
} from './schedule-input.ts'

const MAX_RACES = 5

export const putSchedule =
  (ports: SchedulePorts): Services['putSchedule'] =>
  async ({ caller, job, ifMatch, schedule }) => {
    const scope = scopeOf(caller)
    const { rule, slots } = readRule(schedule)
    const { jitterSeconds = 0, enabled = true } = schedule
    // With more, a slot could be due after the next one.
    if (jitterSeconds * 2 > slots.intervalSeconds) {
      refuseInput(
        '/jitterSeconds',
        `the jitter is more than half of the ${slots.intervalSeconds} s between two runs`,
      )
    }
    const values: ScheduleValues = {
      ...rule,
      format: schedule.format ?? null,
      description: schedule.description?.trim() || null,
      timeoutSeconds: schedule.timeoutSeconds ?? null,
      jitterSeconds,
      enabled,
    }
    for (let race = 0; race < MAX_RACES; race++) {
      const context = await findContext(ports, scope, job)
      refuseOtherVersion(context, ifMatch)
      if (enabled) refuseTooTight(context, slots)
      const next = enabled ? findNext(context, slots, jitterSeconds) : null
      const etag = context.schedule?.etag ?? null
      if (await ports.schedules.put(scope, context.job.id, etag, values, next, caller.principal)) {
        const resource = showSchedule(await findSchedule(ports, scope, context.job.id))
        return { resource, created: etag === null }
      }
    }
    throw new DomainError('OVERLOADED', `Others changed it ${MAX_RACES} times in between; try again.`)
  }

function refuseOtherVersion({ schedule }: ScheduleContext, ifMatch: string | undefined): void {
  if (ifMatch === undefined || ifMatch === '*' || ifMatch === schedule?.etag) return
  throw new DomainError(
    'PRECONDITION_FAILED',
    schedule
      ? `If-Match names another version; the current one is ${schedule.etag}.`
      : 'If-Match names a version, but there is no schedule (any more).',
  )
}
