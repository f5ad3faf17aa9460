/** Forgets the rule of a job, for which the default of the namespace then holds, or that default. */
import { DomainError } from '../domain/errors.ts'
import type { JobRepository } from '../ports/resources.ts'
import type { RetentionRepository } from '../ports/retention.ts'
import type { Services } from './api.ts'
import { atVersion } from './at-version.ts'
import { scopeOf } from './caller.ts'
import { findJob } from './find-resource.ts'

type Ports = {
  jobs: Pick<JobRepository, 'find'>
  retention: Pick<RetentionRepository, 'read' | 'remove'>
}

export const deleteRetention =
  ({ jobs, retention }: Ports): Services['deleteRetention'] =>
  async ({ caller, job, ifMatch }) => {
    const scope = scopeOf(caller)
    await atVersion(
      ifMatch,
      async () => {
        const jobId = job === null ? null : (await findJob(jobs, scope, job)).id
        const levels = await retention.read(scope, jobId)
        const saved = jobId === null ? levels.fallback : levels.own
        if (saved) return { jobId, etag: saved.etag }
        throw new DomainError(
          'NOT_FOUND',
          jobId === null ? 'The namespace has no default rule.' : 'The job has no rule of its own.',
        )
      },
      async ({ jobId, etag }) =>
        (await retention.remove(scope, jobId, etag, caller.principal)) ? 'deleted' : 'stale',
    )
  }
