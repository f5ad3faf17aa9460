import type { JobRepository } from '../ports.ts'
import type { Services } from './api.ts'
import { idempotencyKeyOf, scopeOf } from './caller.ts'
import { keyReused } from './create-once.ts'
import { findJob } from './find-resource.ts'
import { findJobVersion } from './get-job-version.ts'

type Ports = { jobs: Pick<JobRepository, 'find' | 'insertVersion' | 'findVersion'> }

export const createJobVersion =
  ({ jobs }: Ports): Services['createJobVersion'] =>
  async (command) => {
    const scope = scopeOf(command.caller)
    const job = await findJob(jobs, scope, command.job)
    const version = { spec: command.spec, labels: command.labels ?? {}, createdBy: command.caller.principal }
    const inserted = await jobs.insertVersion(scope, job.id, version, idempotencyKeyOf(command))
    if (inserted.kind === 'key-reused') throw keyReused()
    const resource = await findJobVersion(jobs, scope, job, inserted.number)
    return { resource, replayed: inserted.kind === 'replayed' }
  }
