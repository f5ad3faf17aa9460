import { DomainError } from '../domain/errors.ts'
import type { JobVersion } from '../domain/job-version.ts'
import type { Reference } from '../domain/snapshot.ts'
import type { JobRepository } from '../ports/resources.ts'
import type { Scope } from '../ports/scope.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { findJob } from './find-resource.ts'
import { showVersion } from './show-version.ts'

export const getJobVersion =
  ({ jobs }: { jobs: Pick<JobRepository, 'find' | 'findVersion'> }): Services['getJobVersion'] =>
  async ({ caller, job, number }) => {
    const scope = scopeOf(caller)
    return showVersion(await findJobVersion(jobs, scope, await findJob(jobs, scope, job), number))
  }

export async function findJobVersion(
  jobs: Pick<JobRepository, 'findVersion'>,
  scope: Scope,
  job: Reference,
  number: number,
): Promise<JobVersion> {
  const version = await jobs.findVersion(scope, job.id, number)
  if (version) return version
  throw new DomainError('NOT_FOUND', `Job ${job.name} has no version ${number}.`)
}
