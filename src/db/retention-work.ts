/**
 * The round of retention over all jobs. Workers share it page by page: who takes a page moves the mark on in the same
 * statement, so no two look at the same jobs. A worker that dies leaves its page to the next round; that a snapshot is asked
 * to go twice does no harm.
 */
import type { RetentionPolicy } from '../domain/retention.ts'
import type { DueJob, ExpiredSnapshot, JobRange, RetentionWorkRepository } from '../ports/retention.ts'
import type { Database, Row } from './client.ts'
import {
  IDENTITY_CHANGED,
  IS_RUNNING,
  type RetainedRow,
  RULED,
  retainedColumns,
  SAVED_RULE,
  toRetained,
} from './retention.ts'

export const createRetentionWorkRepository = (db: Database): RetentionWorkRepository => ({
  async claimJobs({ limit, everyMs }) {
    const [range] = await db.sql<JobRange>(CLAIM_JOBS, [limit, everyMs], 'claim-retention-jobs')
    return range ?? null
  },

  async listDue({ after, until }) {
    const rows = await db.sql<DueRow>(LIST_DUE, [after, until, SIGNED], 'list-retention-due')
    return rows.map(toDueJob)
  },

  async listCandidates({ job, namespaceId, policy }, { limit, except }) {
    const rows = await db.sql<RetainedRow & { now: string; beyond_count: boolean }>(
      LIST_CANDIDATES,
      [namespaceId, job.id, policy.keepCount, policy.maxAgeSeconds, limit, except],
      'list-retention-candidates',
    )
    // Without a row there is nothing whose age would matter.
    const now = new Date(rows[0]?.now ?? 0)
    return {
      now,
      candidates: rows.map((row) => ({ ...toRetained(row), uses: [], beyondCount: row.beyond_count })),
    }
  },

  async claimExpired({ limit, everyMs }) {
    const rows = await db.sql<ExpiredRow>(CLAIM_EXPIRED, [limit, everyMs], 'claim-expired')
    return rows.map(toExpired)
  },

  async recordApplied({ namespaceId, jobId, cleared, kept }) {
    await db.sql(
      `insert into history.event (namespace_id, type, job_id, data) values ($1, 'retention.applied', $2, $3)`,
      [namespaceId, jobId, JSON.stringify({ cleared, kept })],
    )
  },
})

/** So many of the oldest make the signature of a job. */
const SIGNED = 200

type DueRow = Row & {
  id: string
  name: string
  namespace_id: string
  namespace: string
  keep_count: number | null
  max_age_seconds: number | null
  rollback_window_seconds: number | null
  saved: string
  ids: string
}

const toDueJob = (row: DueRow): DueJob => ({
  job: { id: row.id, name: row.name },
  namespaceId: row.namespace_id,
  namespace: row.namespace,
  policy: toPolicy(row),
  saved: row.saved,
  signature: `${row.saved}.${row.ids}`,
})

const toPolicy = (row: DueRow): RetentionPolicy => ({
  keepCount: row.keep_count,
  maxAgeSeconds: row.max_age_seconds,
  rollbackWindowSeconds: row.rollback_window_seconds,
})

type ExpiredRow = Row & {
  id: string
  job_id: string
  namespace_id: string
  namespace: string
  expires_at: string
}

const toExpired = (row: ExpiredRow): ExpiredSnapshot => ({
  id: row.id,
  jobId: row.job_id,
  namespaceId: row.namespace_id,
  namespace: row.namespace,
  expiresAt: row.expires_at,
})

const NIL = `'00000000-0000-0000-0000-000000000000'::uuid`

/**
 * Which row is whose is settled by its lock; a second worker waits for it and takes the page after. Instants are kept to the
 * millisecond, rounded: what is due now may stand half of one in the future.
 */
const markOf = (rule: string): string => `
  mine as materialized (
    select * from rule_round where rule = '${rule}' and due_at <= clock_timestamp() + interval '1 ms'
    for update)`

/** A page that is not full is the last one: the next round begins after the pause. */
const moveMark = (columns: string): string => `
  moved as (
    update rule_round r set ${columns}, due_at = case when e.rows = $1::int then r.due_at
        else clock_timestamp() + make_interval(secs => $2::float8 / 1000) end
    from mine, ending e where r.rule = mine.rule)`

/** Where nobody has saved a rule the round costs one row. */
const CLAIM_JOBS = `
  with ${markOf('RETENTION')},
  page as materialized (
    select j.id from mine cross join lateral (
      select id from job
      where id > coalesce(mine.after_id, ${NIL}) and exists (select 1 from retention)
      order by id limit $1::int) j),
  ending as materialized (
    select (select count(*) from page) as rows, (select id from page order by id desc limit 1) as last_id),
  ${moveMark(`after_id = case when e.rows = $1::int then e.last_id end`)}
  select coalesce(mine.after_id, ${NIL}) as after, e.last_id as until from mine, ending e where e.rows > 0`

/**
 * Of the savepoints `s` of one job what is to go: from the first one beyond the newest `keepCount` on, and what is too old.
 * What is too old was accepted as long ago at least, so one range of `snapshot_ruled_idx` holds both.
 */
const candidates = (
  is: { job: string; namespace: string; keepCount: string; maxAge: string; extra?: string },
  columns: string,
  limit: string,
): string => `
    select ${columns} from (
        select b.created_at, b.id from (select 1) one left join lateral (
          select s.created_at, s.id from snapshot s
          where s.job_id = ${is.job} and s.namespace_id = ${is.namespace} and ${RULED} and ${is.keepCount} is not null
          order by s.created_at desc, s.id desc offset ${is.keepCount} limit 1) b on true) first_beyond
      cross join lateral (
        select s.* from snapshot s
        where s.job_id = ${is.job} and s.namespace_id = ${is.namespace} and ${RULED}
          and not s.pinned and s.claimed_by_run_id is null ${is.extra ?? ''}
          and s.created_at <= greatest(first_beyond.created_at, now() - make_interval(secs => ${is.maxAge}))
          and ((s.created_at, s.id) <= (first_beyond.created_at, first_beyond.id)
            or greatest(s.created_at, s.completed_at) < now() - make_interval(secs => ${is.maxAge}))
        order by s.created_at, s.id limit ${limit}) s`

const LIST_DUE = `
  select j.id, j.name, j.namespace_id, n.name as namespace, p.keep_count, p.max_age_seconds, p.rollback_window_seconds,
    ${SAVED_RULE} as saved, due.ids
  from job j
    join namespace n on n.id = j.namespace_id
    join cluster c on c.id = j.cluster_id and c.namespace_id = j.namespace_id
      and c.mode <> 'OBSERVE_ONLY' and not ${IDENTITY_CHANGED}
    join run r on r.id = j.current_run_id and r.namespace_id = j.namespace_id and ${IS_RUNNING}
    cross join lateral (
      select * from retention p where p.namespace_id = j.namespace_id and (p.job_id = j.id or p.job_id is null)
      order by p.job_id nulls last limit 1) p
    cross join lateral (
      select md5(string_agg(found.id::text, ',' order by found.created_at, found.id)) as ids from (${candidates(
        {
          job: 'j.id',
          namespace: 'j.namespace_id',
          keepCount: 'p.keep_count',
          maxAge: 'p.max_age_seconds::float8',
        },
        's.id, s.created_at',
        '$3::int',
      )}) found) due
  where j.id > $1::uuid and j.id <= $2::uuid and j.deleted_at is null and due.ids is not null
  order by j.id`

const LIST_CANDIDATES = candidates(
  {
    job: '$2::uuid',
    namespace: '$1::uuid',
    keepCount: '$3::int',
    maxAge: '$4::float8',
    extra: 'and s.id <> all($6::uuid[])',
  },
  `${retainedColumns}, now() as now,
      coalesce((s.created_at, s.id) <= (first_beyond.created_at, first_beyond.id), false) as beyond_count`,
  '$5::int',
)

/**
 * `snapshot_expires_idx` holds nothing else, in this order. What has not expired yet is cut off the page afterwards: a range
 * of two unknown bounds would be taken for a few rows, and be sorted.
 */
const CLAIM_EXPIRED = `
  with ${markOf('EXPIRY')},
  page as materialized (
    select s.* from mine cross join lateral (
      select s.id, s.job_id, s.namespace_id, s.expires_at from snapshot s
      where s.expires_at is not null and s.kind = 'SAVEPOINT' and s.status in ('Present', 'Failed', 'Timeout')
        and not s.pinned and s.claimed_by_run_id is null
        and (s.expires_at, s.id) > (coalesce(mine.after_at, '-infinity'), coalesce(mine.after_id, ${NIL}))
      order by s.expires_at, s.id limit $1::int) s
    where s.expires_at <= now()),
  ending as materialized (
    select (select count(*) from page) as rows, l.expires_at as last_at, l.id as last_id
    from (select 1) one left join lateral (
      select expires_at, id from page order by expires_at desc, id desc limit 1) l on true),
  ${moveMark(`after_at = case when e.rows = $1::int then e.last_at end,
      after_id = case when e.rows = $1::int then e.last_id end`)}
  select p.id, p.job_id, p.namespace_id, n.name as namespace, p.expires_at
  from page p join namespace n on n.id = p.namespace_id
  order by p.expires_at, p.id`
