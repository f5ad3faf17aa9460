import type { JobRepository } from '../ports/resources.ts'
import type { RunRepository } from '../ports/runs.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { findJob } from './find-resource.ts'
import { toPage, toPageRequest } from './list-page.ts'

type Ports = { jobs: Pick<JobRepository, 'find'>; runs: Pick<RunRepository, 'list'> }

export const listRuns =
  ({ jobs, runs }: Ports): Services['listRuns'] =>
  async (query) => {
    const scope = scopeOf(query.caller)
    const job = await findJob(jobs, scope, query.job)
    return toPage(await runs.list(scope, job.id, toPageRequest(query)))
  }
