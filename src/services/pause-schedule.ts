/** Pauses a schedule by hand. What is paused already stays so, with the reason it had first. */
import type { Services } from './api.ts'
import { atVersion } from './at-version.ts'
import { scopeOf } from './caller.ts'
import { findSchedule, type SchedulePorts, showSchedule } from './schedule-input.ts'

export const pauseSchedule =
  (ports: SchedulePorts): Services['pauseSchedule'] =>
  async ({ caller, job }) => {
    const scope = scopeOf(caller)
    await atVersion(
      undefined,
      async () => {
        const found = await findSchedule(ports, scope, job)
        return { ...found, etag: found.schedule.etag }
      },
      async ({ schedule, job: owner, etag }) => {
        if (schedule.paused !== null) return 'paused'
        const message = `Paused by ${caller.principal}.`
        const paused = await ports.schedules.pause(scope, owner.id, etag, message, caller.principal)
        return paused ? 'paused' : 'stale'
      },
    )
    return showSchedule(await findSchedule(ports, scope, job))
  }
