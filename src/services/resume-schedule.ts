/** Lifts a pause, switches the schedule on and forgets its failures. Slots of the meantime are not made up for. */
import type { Services } from './api.ts'
import { atVersion } from './at-version.ts'
import { scopeOf } from './caller.ts'
import {
  findNext,
  findSchedule,
  refuseTooTight,
  type SchedulePorts,
  showSchedule,
  slotsOfRow,
} from './schedule-input.ts'

export const resumeSchedule =
  (ports: SchedulePorts): Services['resumeSchedule'] =>
  async ({ caller, job }) => {
    const scope = scopeOf(caller)
    await atVersion(
      undefined,
      async () => {
        const found = await findSchedule(ports, scope, job)
        return { ...found, etag: found.schedule.etag }
      },
      async ({ etag, ...context }) => {
        const { schedule } = context
        if (schedule.paused === null && schedule.enabled) return 'runs'
        const slots = slotsOfRow(schedule)
        refuseTooTight(context, slots)
        const next = findNext(context, slots, schedule.jitterSeconds)
        const { schedules } = ports
        return (await schedules.resume(scope, context.job.id, etag, next, caller.principal))
          ? 'runs'
          : 'stale'
      },
    )
    return showSchedule(await findSchedule(ports, scope, job))
  }
