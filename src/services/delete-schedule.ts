import type { Services } from './api.ts'
import { atVersion } from './at-version.ts'
import { scopeOf } from './caller.ts'
import { findSchedule, type SchedulePorts } from './schedule-input.ts'

export const deleteSchedule =
  (ports: SchedulePorts): Services['deleteSchedule'] =>
  async ({ caller, job, ifMatch }) => {
    const scope = scopeOf(caller)
    await atVersion(
      ifMatch,
      async () => {
        const { schedule, job: owner } = await findSchedule(ports, scope, job)
        return { jobId: owner.id, etag: schedule.etag }
      },
      async ({ jobId, etag }) =>
        (await ports.schedules.remove(scope, jobId, etag, caller.principal)) ? 'deleted' : 'stale',
    )
  }
