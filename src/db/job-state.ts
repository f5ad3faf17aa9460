/**
 * The overview of a job in two statements: what runs, and its figures. Both are bounded whatever the job's history is: each
 * list goes by an index from the newest and stops at `ROWS_READ`, older figures come from `checkpoint_hour`.
 */
import type { CheckpointConfig } from '../domain/flink.ts'
import type {
  CheckpointHour,
  JobState,
  LastSnapshot,
  Percentiles,
  SnapshotCounts,
} from '../domain/job-state.ts'
import type { CheckpointCounts, CheckpointInProgress } from '../domain/run.ts'
import type { JobStateRepository } from '../ports/runs.ts'
import type { Database, Row } from './client.ts'
import { withDomainErrors } from './errors.ts'
import { columnOf } from './reference.ts'
import { newestRestorable } from './restorable.ts'
import { RUN_COLUMNS, type RunRecord, toRun } from './runs.ts'
import { FRESH_OBSERVATION } from './snapshots.ts'

/** Of each list at most so many of the newest; folding keeps far fewer checkpoints than that. */
const ROWS_READ = 1000

type JobRow = Row & {
  state_job_id: string
  state_job_name: string
  fresh: boolean
  reachable: boolean | null
  seen_at: string | null
  checkpoint_counts: CheckpointCounts | null
  in_progress: CheckpointInProgress | null
  checkpoint_config: CheckpointConfig | null
} & (RunRecord | { id: null })

type FigureRow = Row & {
  checkpoint_counts: SnapshotCounts
  checkpoint_durations: Percentiles
  checkpoint_sizes: Percentiles
  checkpoint_uploads: Percentiles
  checkpoints_since: string
  last_checkpoint: LastSnapshot | null
  last_failed_checkpoint: LastSnapshot | null
  savepoint_counts: SnapshotCounts
  savepoint_durations: Percentiles
  savepoint_sizes: Percentiles
  savepoints_since: string
  last_savepoint: LastSnapshot | null
  last_failed_savepoint: LastSnapshot | null
  open_savepoint: LastSnapshot | null
  history: CheckpointHour[]
  restore_point: JobState['restorePoint']
}

export const createJobStateRepository = (db: Database): JobStateRepository =>
  withDomainErrors({
    async read({ namespaceId }, reference, windowSeconds) {
      const column = columnOf(reference)
      if (column === null) return null
      const [job] = await db.sql<JobRow>(jobSql(column), [namespaceId, reference], `job-state-${column}`)
      if (!job) return null
      const values = [namespaceId, job.state_job_id, windowSeconds]
      const [figures] = await db.sql<FigureRow>(FIGURES, values, 'job-state-figures')
      return figures ? toJobState(job, figures, windowSeconds) : null
    },
  })

const jobSql = (column: 'id' | 'name'): string => `
  select j.id as state_job_id, j.name as state_job_name,
    coalesce(here.reachable and w.heartbeat_at > now() - interval '${FRESH_OBSERVATION}', false) as fresh, here.reachable,
    case when here.reachable then w.heartbeat_at else here.observed_at end as seen_at,
    r.checkpoint_counts, r.in_progress, r.checkpoint_config, ${RUN_COLUMNS}
  from job j
    join cluster here on here.id = j.cluster_id
    left join worker w on w.id = here.observer_id
    left join run r on r.id = j.current_run_id and r.namespace_id = j.namespace_id
    left join cluster c on c.id = r.cluster_id
  where j.namespace_id = $1 and j.deleted_at is null and j.${column} = $2`

const instant = (expression: string): string =>
  `to_char(${expression} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

/** A `LastSnapshot` from the row `s`. */
const LAST = `json_build_object('snapshot', s.id, 'status', s.status, 'source', s.source,
  'flinkCheckpointId', s.flink_checkpoint_id, 'triggeredAt', ${instant('s.triggered_at')},
  'completedAt', ${instant('s.completed_at')}, 'failedAt', ${instant('s.failed_at')}, 'durationMs', s.duration_ms,
  'sizeBytes', s.size_bytes, 'uploadedBytes', s.uploaded_bytes, 'location', s.location,
  'failure', case when s.failure_code is not null
    then json_build_object('code', s.failure_code, 'message', coalesce(s.failure_message, '')) end)`

const percentiles = (column: string, from: string): string => `(select json_build_object(
  'p50', percentile_disc(0.5) within group (order by ${column}), 'p90', percentile_disc(0.9) within group (order by ${column}),
  'p99', percentile_disc(0.99) within group (order by ${column}), 'max', max(${column})) from ${from})`

const counts = (done: string, failed: string, folded: string | null): string => {
  const more = (column: string) =>
    folded === null ? '' : ` + (select coalesce(sum(${column}), 0)::bigint from ${folded})`
  return `json_build_object(
    'completed', (select count(*) from ${done})${more('completed')},
    'present', (select count(*) from ${done} where status = 'Present'),
    'cleared', (select count(*) from ${done} where status <> 'Present')${more('completed')},
    'failed', (select count(*) from ${failed} where status = 'Failed')${more('failed')},
    'timedOut', (select count(*) from ${failed} where status = 'Timeout')${more('timed_out')})`
}

/** Where a list ended that was cut; else the window's begin. */
const since = (rows: string, at: string): string =>
  `case when (select count(*) from ${rows}) >= ${ROWS_READ} then (select min(${at}) from ${rows}) else w.since end`

/** Written out wherever an index is read: as a column of another row it would be a filter over the whole job. */
const SINCE = `(now() - make_interval(secs => $3::float8))`
const WHOLE_HOURS = `date_trunc('hour', ${SINCE})`

const DONE = `s.status in ('Present', 'Clearing', 'Cleared') and s.completed_at is not null`
const FAILED_AT = `coalesce(s.failed_at, s.created_at)`
/** Failed and timed-out rows of a kind, the newest first, by `snapshot_failed_idx`. */
const failedRows = (kind: 'CHECKPOINT' | 'SAVEPOINT') => `
    select s.id, s.status, ${FAILED_AT} as at from snapshot s
    where s.job_id = $2::uuid and s.namespace_id = $1::uuid and s.kind = '${kind}' and s.status in ('Failed', 'Timeout')
      and ${FAILED_AT} >= ${WHOLE_HOURS}
    order by ${FAILED_AT} desc, s.id desc limit ${ROWS_READ}`
const lastFailed = (kind: 'CHECKPOINT' | 'SAVEPOINT') => `(
    select ${LAST} from snapshot s
    where s.job_id = $2::uuid and s.namespace_id = $1::uuid and s.kind = '${kind}' and s.status in ('Failed', 'Timeout')
    order by ${FAILED_AT} desc, s.id desc limit 1)`
/** The rows of `cte` within the window itself; the lists reach back to the whole hour for the history. */
const inWindow = (cte: string, at: string) =>
  `(select x.* from ${cte} x, window_of w where x.${at} >= w.since) x`

/**
 * What counts when: a finished one by its completion, a failed one by the instant of its failure. Savepoints go by when they
 * were accepted (`snapshot_savepoints_idx`), with a day before the window for those that completed in it; an imported one
 * was completed elsewhere, so it is neither the last successful one nor in a figure. An hour folded counts when it began in
 * the window. The restore point is the newest by the order of runs and of Flink's ids within a run, never by completion
 * alone, among the newest restorable checkpoint and the ten newest restorable savepoints.
 */
const FIGURES = `
  with window_of as materialized (select ${SINCE} as since),
  done as materialized (
    select s.status, s.completed_at as at, s.duration_ms, s.size_bytes, s.uploaded_bytes from snapshot s
    where s.job_id = $2::uuid and s.namespace_id = $1::uuid and s.kind = 'CHECKPOINT' and ${DONE}
      and s.completed_at >= ${WHOLE_HOURS}
    order by s.completed_at desc, s.id desc limit ${ROWS_READ}),
  failed as materialized (${failedRows('CHECKPOINT')}),
  done_savepoints as materialized (
    select s.status, s.completed_at as at, s.created_at, s.duration_ms, s.size_bytes from snapshot s
    where s.job_id = $2::uuid and s.namespace_id = $1::uuid and s.kind = 'SAVEPOINT' and ${DONE} and s.source <> 'IMPORT'
      and s.created_at >= ${WHOLE_HOURS} - interval '1 day' and s.completed_at >= ${WHOLE_HOURS}
    order by s.created_at desc, s.id desc limit ${ROWS_READ}),
  failed_savepoints as materialized (${failedRows('SAVEPOINT')}),
  folded as materialized (
    select h.* from checkpoint_hour h
    where h.job_id = $2::uuid and h.namespace_id = $1::uuid and h.hour >= ${WHOLE_HOURS}),
  recent as (select * from ${inWindow('done', 'at')}),
  recent_failed as (select * from ${inWindow('failed', 'at')}),
  recent_savepoints as (select * from ${inWindow('done_savepoints', 'at')}),
  recent_failed_savepoints as (select * from ${inWindow('failed_savepoints', 'at')}),
  recent_folded as (select * from ${inWindow('folded', 'hour')}),
  hours as (
    select hour, sum(completed)::bigint as completed, sum(failed)::bigint as failed, sum(timed_out)::bigint as timed_out,
      sum(duration_ms_sum) as duration_sum, max(duration_ms_max) as duration_max, sum(size_bytes_sum) as size_sum,
      max(size_bytes_max) as size_max, sum(uploaded_bytes_sum) as uploaded
    from (
      select hour, completed, failed, timed_out, duration_ms_sum, duration_ms_max, size_bytes_sum, size_bytes_max,
        uploaded_bytes_sum from folded
      union all
      select date_trunc('hour', at), 1, 0, 0, coalesce(duration_ms, 0), duration_ms, coalesce(size_bytes, 0), size_bytes,
        coalesce(uploaded_bytes, 0) from done
      union all
      select date_trunc('hour', at), 0, (status = 'Failed')::int, (status = 'Timeout')::int, 0, null, 0, null, 0 from failed
    ) parts group by hour),
  candidates as (${newestRestorable('s.id, s.kind, s.run_id, s.flink_checkpoint_id, s.completed_at', '$2::uuid', '$1::uuid')})
  select
    ${counts('recent', 'recent_failed', 'recent_folded')} as checkpoint_counts,
    ${percentiles('duration_ms', 'recent')} as checkpoint_durations,
    ${percentiles('size_bytes', 'recent')} as checkpoint_sizes,
    ${percentiles('uploaded_bytes', 'recent')} as checkpoint_uploads,
    greatest(w.since, ${since('done', 'at')}, case when exists (select 1 from folded where completed > 0) then
      coalesce((select min(at) from recent where status <> 'Present'), (select min(at) from recent)) end) as checkpoints_since,
    (select ${LAST} from snapshot s
      where s.job_id = $2::uuid and s.namespace_id = $1::uuid and s.kind = 'CHECKPOINT' and ${DONE}
      order by s.completed_at desc, s.id desc limit 1) as last_checkpoint,
    ${lastFailed('CHECKPOINT')} as last_failed_checkpoint,
    ${counts('recent_savepoints', 'recent_failed_savepoints', null)} as savepoint_counts,
    ${percentiles('duration_ms', 'recent_savepoints')} as savepoint_durations,
    ${percentiles('size_bytes', 'recent_savepoints')} as savepoint_sizes,
    greatest(w.since, ${since('done_savepoints', 'created_at')}) as savepoints_since,
    (select ${LAST} from snapshot s
      where s.job_id = $2::uuid and s.namespace_id = $1::uuid and s.kind = 'SAVEPOINT' and ${DONE} and s.source <> 'IMPORT'
      order by s.created_at desc, s.id desc limit 1) as last_savepoint,
    ${lastFailed('SAVEPOINT')} as last_failed_savepoint,
    (select ${LAST} from snapshot s
      where s.job_id = $2::uuid and s.namespace_id = $1::uuid and s.kind = 'SAVEPOINT' and s.status = 'Creating'
      order by s.created_at desc, s.id desc limit 1) as open_savepoint,
    (select coalesce(json_agg(json_build_object('hour', ${instant('hour')}, 'completed', completed, 'failed', failed,
        'timedOut', timed_out, 'durationMsAvg', round(duration_sum / nullif(completed, 0)), 'durationMsMax', case when completed > 0 then duration_max end,
        'sizeBytesAvg', round(size_sum / nullif(completed, 0)), 'sizeBytesMax', case when completed > 0 then size_max end,
        'uploadedBytes', uploaded) order by hour), '[]'::json) from hours) as history,
    (select json_build_object('snapshot', s.id, 'kind', s.kind, 'completedAt', ${instant('s.completed_at')},
        'ageSeconds', greatest(0, floor(extract(epoch from now() - s.completed_at))))
      from candidates s left join run r on r.id = s.run_id
      order by r.started_at desc nulls last, r.id desc nulls last, s.flink_checkpoint_id desc nulls last, s.completed_at desc
      limit 1) as restore_point
  from window_of w`

function toJobState(job: JobRow, figures: FigureRow, windowSeconds: number): JobState {
  return {
    job: { id: job.state_job_id, name: job.state_job_name },
    run: job.id === null ? null : toRun(job),
    observation: { fresh: job.fresh, clusterReachable: job.reachable, observedAt: job.seen_at },
    windowSeconds,
    checkpoints: {
      lastSuccessful: figures.last_checkpoint,
      lastFailed: figures.last_failed_checkpoint,
      inProgress: job.id === null || job.ended_at !== null ? null : job.in_progress,
      counts: figures.checkpoint_counts,
      durationMs: figures.checkpoint_durations,
      sizeBytes: figures.checkpoint_sizes,
      uploadedBytes: figures.checkpoint_uploads,
      coveredSince: figures.checkpoints_since,
    },
    savepoints: {
      lastSuccessful: figures.last_savepoint,
      lastFailed: figures.last_failed_savepoint,
      inProgress: figures.open_savepoint,
      counts: figures.savepoint_counts,
      durationMs: figures.savepoint_durations,
      sizeBytes: figures.savepoint_sizes,
      coveredSince: figures.savepoints_since,
    },
    history: figures.history,
    checkpointConfig: job.checkpoint_config,
    flinkCounts: job.checkpoint_counts,
    restorePoint: figures.restore_point,
  }
}
