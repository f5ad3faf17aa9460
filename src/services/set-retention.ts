/** Saves the rule of a job, or the default of a namespace, as a whole: what is not named is no condition. */
import { NO_POLICY } from '../domain/retention.ts'
import type { JobRepository } from '../ports/resources.ts'
import type { RetentionRepository } from '../ports/retention.ts'
import type { Services } from './api.ts'
import { atVersion } from './at-version.ts'
import { scopeOf } from './caller.ts'
import { findJob } from './find-resource.ts'
import { NO_RULE_ETAG, showRetention } from './retention-rule.ts'

type Ports = {
  jobs: Pick<JobRepository, 'find'>
  retention: Pick<RetentionRepository, 'read' | 'save' | 'countUnruled'>
  newId: () => string
}

export const setRetention =
  ({ jobs, retention, newId }: Ports): Services['setRetention'] =>
  async ({ caller, job, ifMatch, policy }) => {
    const scope = scopeOf(caller)
    const rule = { ...NO_POLICY, ...policy, id: newId(), by: caller.principal }
    const found = await atVersion(
      ifMatch,
      async () => {
        const row = job === null ? null : await findJob(jobs, scope, job)
        const levels = await retention.read(scope, row?.id ?? null)
        const level = row ? levels.own : levels.fallback
        return { job: row, etag: level?.etag ?? NO_RULE_ETAG }
      },
      async ({ job: row, etag }) => {
        const saved = await retention.save(scope, row?.id ?? null, etag === NO_RULE_ETAG ? null : etag, rule)
        return saved ? { job: row } : 'stale'
      },
    )
    return showRetention(retention, scope, found.job)
  }
