import type { JobRepository } from '../ports/resources.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { findJob } from './find-resource.ts'
import { toPage, toPageRequest } from './list-page.ts'
import { showVersion } from './show-version.ts'

export const listJobVersions =
  ({ jobs }: { jobs: Pick<JobRepository, 'find' | 'listVersions'> }): Services['listJobVersions'] =>
  async (query) => {
    const scope = scopeOf(query.caller)
    const job = await findJob(jobs, scope, query.job)
    const page = toPage(await jobs.listVersions(scope, job.id, toPageRequest(query)))
    return { ...page, items: page.items.map(showVersion) }
  }
