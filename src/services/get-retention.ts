import type { JobRepository } from '../ports/resources.ts'
import type { RetentionRepository } from '../ports/retention.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { findJob } from './find-resource.ts'
import { showRetention } from './retention-rule.ts'

export const getRetention =
  (ports: {
    jobs: Pick<JobRepository, 'find'>
    retention: Pick<RetentionRepository, 'read' | 'countUnruled'>
  }): Services['getRetention'] =>
  async ({ caller, job }) => {
    const scope = scopeOf(caller)
    return showRetention(ports.retention, scope, job === null ? null : await findJob(ports.jobs, scope, job))
  }
