import type { JobRepository } from '../ports/resources.ts'
import type { ScheduleRepository } from '../ports/schedules.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { findJob } from './find-resource.ts'
import { toPage, toPageRequest } from './list-page.ts'

type Ports = { jobs: Pick<JobRepository, 'find'>; schedules: Pick<ScheduleRepository, 'listFirings'> }

export const listScheduleFirings =
  ({ jobs, schedules }: Ports): Services['listScheduleFirings'] =>
  async (query) => {
    const scope = scopeOf(query.caller)
    const job = await findJob(jobs, scope, query.job)
    return toPage(await schedules.listFirings(scope, job.id, toPageRequest(query)))
  }
