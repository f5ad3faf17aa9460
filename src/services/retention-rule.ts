import type { Job } from '../domain/resources.ts'
import {
  clearsAnything,
  NAMESPACE_NOTICE,
  NO_POLICY,
  noticeForJob,
  type Retention,
  type RetentionOrigin,
} from '../domain/retention.ts'
import type { RetentionLevels, RetentionRepository, SavedRetention } from '../ports/retention.ts'
import type { Scope } from '../ports/scope.ts'

/** More savepoints without a rule than this are not counted one by one. */
const MOST_COUNTED = 10_000
/** Of a level that has no rule of its own, for If-Match. */
export const NO_RULE_ETAG = 'none'

/** The rule that holds for the job: its own, else the default of its namespace, else none. */
export function ruleInForce({ own, fallback }: RetentionLevels): {
  origin: RetentionOrigin
  saved: SavedRetention | null
} {
  if (own) return { origin: 'JOB', saved: own }
  return fallback ? { origin: 'NAMESPACE', saved: fallback } : { origin: 'NONE', saved: null }
}

/** `job` null: the default of the namespace. The etag is that of this level's own row. */
export async function showRetention(
  retention: Pick<RetentionRepository, 'read' | 'countUnruled'>,
  scope: Scope,
  job: Pick<Job, 'id' | 'name'> | null,
): Promise<Retention> {
  const levels = await retention.read(scope, job?.id ?? null)
  const { origin, saved } = ruleInForce(levels)
  const { updatedAt, etag: _inForce, ...policy } = saved ?? { ...NO_POLICY, updatedAt: null, etag: '' }
  const ownLevel = job ? levels.own : levels.fallback
  return {
    job: job && { id: job.id, name: job.name },
    origin,
    ...policy,
    updatedAt,
    notice: job
      ? noticeForJob(await retention.countUnruled(scope, job.id, clearsAnything(policy), MOST_COUNTED))
      : NAMESPACE_NOTICE,
    etag: ownLevel?.etag ?? NO_RULE_ETAG,
  }
}

export const readNotice = async (
  retention: Pick<RetentionRepository, 'countUnruled'>,
  scope: Scope,
  jobId: string,
  ruled: boolean,
) => noticeForJob(await retention.countUnruled(scope, jobId, ruled, MOST_COUNTED))
