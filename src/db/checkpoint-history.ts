/**
 * Old checkpoints become hourly figures: per job the 100 newest finished and the 20 newest failed ones stay as rows, and
 * every one that is Present, in work, pinned or referenced. Rows go and figures grow in one statement, so a checkpoint is
 * counted once whatever happens in between. Savepoints are never folded.
 */
import type { CheckpointHistoryRepository } from '../ports/runs.ts'
import type { Database, Row } from './client.ts'
import { withDomainErrors } from './errors.ts'

export const KEPT_FINISHED = 100
export const KEPT_FAILED = 20

export const createCheckpointHistoryRepository = (db: Database): CheckpointHistoryRepository =>
  withDomainErrors({
    async listJobs(after, limit) {
      const rows = await db.sql<{ id: string }>(
        'select id from job where $1::uuid is null or id > $1 order by id limit $2',
        [after, limit],
        'jobs-to-fold',
      )
      return rows.map(({ id }) => id)
    },

    async foldCheckpoints(jobIds, limit) {
      if (jobIds.length === 0) return 0
      const [row] = await db.sql<Row & { folded: number }>(FOLD, [jobIds, limit], 'fold-checkpoints')
      return row?.folded ?? 0
    },
  })

/** Nobody needs the row any more. Asked again of the locked row, in case somebody pinned it meanwhile. */
const FREE = `s.status in ('Cleared', 'Failed', 'Timeout') and not s.pinned and s.claimed_by_run_id is null
      and cardinality(s.restored_by) = 0 and s.next_action_at is null`
const UNREFERENCED = `not exists (select 1 from run r where r.restored_snapshot_id = s.id and r.namespace_id = s.namespace_id)
        and not exists (select 1 from snapshot n where n.supersedes = s.id and n.namespace_id = s.namespace_id)`

/** Beyond what an hourly figure may hold a number means nothing: a cluster that answers nonsense stops no folding. */
const LARGEST = Number.MAX_SAFE_INTEGER
const bounded = (sum: string): string => `least(${sum}, ${LARGEST})::bigint`
const added = (column: string): string =>
  `${column} = ${bounded(`checkpoint_hour.${column}::numeric + excluded.${column}`)}`
const larger = (column: string): string =>
  `${column} = greatest(checkpoint_hour.${column}, excluded.${column})`

/**
 * A job with nothing to fold costs two index probes: the 100th newest finished row (`snapshot_checkpoints_idx`) and the 20th
 * newest failed one (`snapshot_failed_idx`). Rows another worker folds, or the observer writes, are skipped. Hours are added
 * to in one order, so that two workers never wait for each other.
 */
const FOLD = `
  with edge as materialized (
    select j.id, j.namespace_id, finished.at as finished_at, finished.id as finished_id, failed.at as failed_at,
      failed.id as failed_id
    from job j
      left join lateral (
        select s.completed_at as at, s.id from snapshot s
        where s.job_id = j.id and s.kind = 'CHECKPOINT' and s.completed_at is not null
        order by s.completed_at desc, s.id desc offset ${KEPT_FINISHED - 1} limit 1) finished on true
      left join lateral (
        select coalesce(s.failed_at, s.created_at) as at, s.id from snapshot s
        where s.job_id = j.id and s.kind = 'CHECKPOINT' and s.status in ('Failed', 'Timeout')
        order by coalesce(s.failed_at, s.created_at) desc, s.id desc offset ${KEPT_FAILED - 1} limit 1) failed on true
    where j.id = any($1::uuid[])),
  finished as (
    select old.id from edge e cross join lateral (
      select s.id from snapshot s
      where s.job_id = e.id and s.namespace_id = e.namespace_id and s.kind = 'CHECKPOINT' and s.completed_at is not null
        and (s.completed_at, s.id) < (e.finished_at, e.finished_id) and ${FREE} and s.status = 'Cleared'
        and ${UNREFERENCED}
      order by s.completed_at, s.id limit $2 for update of s skip locked) old
    where e.finished_id is not null limit $2),
  failed as (
    select old.id from edge e cross join lateral (
      select s.id from snapshot s
      where s.job_id = e.id and s.namespace_id = e.namespace_id and s.kind = 'CHECKPOINT'
        and s.status in ('Failed', 'Timeout')
        and (coalesce(s.failed_at, s.created_at), s.id) < (e.failed_at, e.failed_id) and ${FREE}
        and ${UNREFERENCED}
      order by coalesce(s.failed_at, s.created_at), s.id limit $2 for update of s skip locked) old
    where e.failed_id is not null limit $2),
  gone as (
    delete from snapshot s
    where s.id in (select id from finished union all select id from failed limit $2) and s.kind = 'CHECKPOINT' and ${FREE}
    returning s.namespace_id, s.job_id, s.status, date_trunc('hour', case when s.status = 'Cleared' then s.completed_at
      else coalesce(s.failed_at, s.created_at) end) as hour, s.duration_ms, s.size_bytes, s.uploaded_bytes),
  figures as (
    insert into checkpoint_hour (namespace_id, job_id, hour, completed, failed, timed_out, duration_ms_sum, duration_ms_max,
      size_bytes_sum, size_bytes_max, uploaded_bytes_sum)
    select namespace_id, job_id, hour, count(*) filter (where status = 'Cleared'), count(*) filter (where status = 'Failed'),
      count(*) filter (where status = 'Timeout'),
      ${['sum(duration_ms)', 'max(duration_ms)', 'sum(size_bytes)', 'max(size_bytes)', 'sum(uploaded_bytes)']
        .map((figure) => bounded(`coalesce(${figure} filter (where status = 'Cleared'), 0)`))
        .join(',\n      ')}
    from gone group by namespace_id, job_id, hour order by job_id, hour
    on conflict (job_id, hour) do update set
      completed = checkpoint_hour.completed + excluded.completed, failed = checkpoint_hour.failed + excluded.failed,
      timed_out = checkpoint_hour.timed_out + excluded.timed_out,
      ${['duration_ms_sum', 'size_bytes_sum', 'uploaded_bytes_sum'].map(added).join(', ')},
      ${['duration_ms_max', 'size_bytes_max'].map(larger).join(', ')})
  select count(*)::int as folded from gone`
