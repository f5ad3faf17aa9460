import { DomainError } from '../domain/errors.ts'
import type { JobStateRepository } from '../ports/runs.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'

const DAY_SECONDS = 86_400

export const readJobState =
  ({ jobStates }: { jobStates: JobStateRepository }): Services['readJobState'] =>
  async ({ caller, job, windowSeconds = DAY_SECONDS }) => {
    const state = await jobStates.read(scopeOf(caller), job, windowSeconds)
    if (!state) throw new DomainError('NOT_FOUND', `There is no job ${JSON.stringify(job.slice(0, 100))}.`)
    return state
  }
