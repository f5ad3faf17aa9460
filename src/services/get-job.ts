import type { JobRepository } from '../ports/resources.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { findJob } from './find-resource.ts'

export const getJob =
  ({ jobs }: { jobs: Pick<JobRepository, 'find'> }): Services['getJob'] =>
  ({ caller, job }) =>
    findJob(jobs, scopeOf(caller), job)
