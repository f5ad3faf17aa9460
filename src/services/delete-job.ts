import type { JobRepository } from '../ports/resources.ts'
import type { Services } from './api.ts'
import { atVersion, refuseInUse } from './at-version.ts'
import { scopeOf } from './caller.ts'
import { findJob } from './find-resource.ts'

/** Its snapshots stay, and its name is free again. */
export const deleteJob =
  ({ jobs }: { jobs: Pick<JobRepository, 'find' | 'remove'> }): Services['deleteJob'] =>
  async ({ caller, job, ifMatch }) => {
    const scope = scopeOf(caller)
    await atVersion(
      ifMatch,
      () => findJob(jobs, scope, job),
      async (row) => refuseInUse('job', await jobs.remove(scope, row.id, row.etag)),
    )
  }
