/**
 * Schedules as the API reads and writes them. Every change ends the lease of a worker that has the row in hand: what it worked
 * out from the old rule is then refused. Each write is one statement with its event.
 */
import type { JobVersionSpec } from '../domain/job-version.ts'
import type { Firing, FiringOutcome, PauseReason } from '../domain/schedule.ts'
import type { SavepointFormat } from '../domain/snapshot.ts'
import type { ScheduleContext, ScheduleRepository, ScheduleRow } from '../ports/schedules.ts'
import type { Database, Row } from './client.ts'
import { withDomainErrors } from './errors.ts'
import { decodePageToken, encodePageToken, toPage } from './paging.ts'
import { columnOf } from './reference.ts'

export type ScheduleRecord = {
  cron: string | null
  every_seconds: number | null
  time_zone: string
  format: SavepointFormat | null
  description: string | null
  timeout_seconds: number | null
  jitter_seconds: number
  enabled: boolean
  paused_reason: PauseReason | null
  paused_message: string | null
  failures: number
  next_slot_at: string | null
  last_slot_at: string | null
  etag: string
  created_at: string
  created_by: string
  updated_at: string
}
type ContextRow = Row & {
  now: string
  context_job_id: string
  context_job_name: string
  attached: boolean
  observe_only: boolean
  spec: JobVersionSpec | null
  p90: number | null
} & (ScheduleRecord | { etag: null })

type FiringRow = Row & {
  slot_at: string
  outcome: FiringOutcome
  code: string | null
  message: string | null
  snapshot_id: string | null
  catch_up: boolean
  fired_at: string
}

export const createScheduleRepository = (db: Database): ScheduleRepository =>
  withDomainErrors({
    async readContext({ namespaceId }, reference) {
      const column = columnOf(reference)
      if (column === null) return null
      const [row] = await db.sql<ContextRow>(contextSql(column), [namespaceId, reference])
      return row ? toContext(row) : null
    },

    async put({ namespaceId }, jobId, etag, values, next, by) {
      const rows = await db.sql(PUT, [
        namespaceId,
        jobId,
        etag,
        values.cron,
        values.everySeconds,
        values.timeZone,
        values.format,
        values.description,
        values.timeoutSeconds,
        values.jitterSeconds,
        values.enabled,
        next?.slotAt ?? null,
        next?.actionAt ?? null,
        by,
      ])
      return rows.length === 1
    },

    async pause({ namespaceId }, jobId, etag, message, by) {
      const rows = await db.sql(
        changeSql(
          `paused_reason = 'REQUESTED', paused_message = $4, next_slot_at = null, next_action_at = null, catch_up = false`,
          'schedule.paused',
          `'reason', 'REQUESTED', 'message', $4::text`,
          '$5',
        ),
        [namespaceId, jobId, etag, message, by],
      )
      return rows.length === 1
    },

    async resume({ namespaceId }, jobId, etag, next, by) {
      const rows = await db.sql(
        changeSql(
          `paused_reason = null, paused_message = null, enabled = true, failures = 0,
           next_slot_at = $4::timestamptz, next_action_at = $5::timestamptz, catch_up = false`,
          'schedule.resumed',
          '',
          '$6',
        ),
        [namespaceId, jobId, etag, next?.slotAt ?? null, next?.actionAt ?? null, by],
      )
      return rows.length === 1
    },

    async remove({ namespaceId }, jobId, etag, by) {
      const rows = await db.sql(
        `with gone as (
           delete from schedule where namespace_id = $1 and job_id = $2 and ${etagOf('schedule')} = $3
           returning namespace_id, job_id),
         told as (
           insert into history.event (namespace_id, type, job_id, data)
           select namespace_id, 'schedule.deleted', job_id, jsonb_build_object('by', $4::text) from gone)
         select job_id from gone`,
        [namespaceId, jobId, etag, by],
      )
      return rows.length === 1
    },

    async listFirings({ namespaceId }, jobId, { pageSize, after }) {
      // The token names the job, too: that of another job's list is refused.
      const before = after === null ? null : decodePageToken(after, SHAPE, (id) => id === jobId)[0]
      const rows = await db.sql<FiringRow>(
        `select slot_at, outcome, code, message, snapshot_id, catch_up, fired_at from schedule_firing
         where namespace_id = $1 and job_id = $2 and ($3::timestamptz is null or slot_at < $3)
         order by slot_at desc limit $4`,
        [namespaceId, jobId, before, pageSize + 1],
      )
      return toPage(rows, pageSize, (row) => encodePageToken([row.slot_at, jobId], SHAPE), toFiring)
    },
  })

/** One that was deleted and created again begins at version 1: with a part of its rule's id nobody takes it for the old one. */
const etagOf = (table: string): string => `(${table}.row_version || '.' || right(${table}.rule_id::text, 8))`

const SHAPE = 'firing-slot-desc'

/** The p90 is that of the newest hundred by `snapshot_savepoints_idx`: what savepoints of this job take nowadays. */
const contextSql = (column: 'id' | 'name'): string => `
  select now() as now, j.id as context_job_id, j.name as context_job_name,
    (j.attach_flink_job_id is not null or j.attach_flink_job_name is not null) as attached,
    c.mode = 'OBSERVE_ONLY' as observe_only, v.spec,
    (select percentile_disc(0.9) within group (order by recent.duration_ms) from (
       select s.duration_ms from snapshot s
       where s.namespace_id = $1 and s.job_id = j.id and s.kind = 'SAVEPOINT' and s.completed_at is not null
         and s.duration_ms is not null and s.source in ('MANUAL', 'STOP', 'DEPLOY', 'SCHEDULE')
       order by s.created_at desc, s.id desc limit 100) recent) as p90,
    sc.cron, sc.every_seconds, sc.time_zone, sc.format, sc.description, sc.timeout_seconds, sc.jitter_seconds, sc.enabled,
    sc.paused_reason, sc.paused_message, sc.failures, sc.next_slot_at, sc.last_slot_at, ${etagOf('sc')} as etag, sc.created_at,
    sc.created_by, sc.updated_at
  from job j
    join cluster c on c.id = j.cluster_id and c.namespace_id = j.namespace_id
    left join run r on r.id = j.current_run_id and r.namespace_id = j.namespace_id
    left join job_version v on v.namespace_id = j.namespace_id and v.job_id = j.id
      and v.number = coalesce(r.version, j.latest_version)
    left join schedule sc on sc.job_id = j.id and sc.namespace_id = j.namespace_id
  where j.namespace_id = $1 and j.deleted_at is null and j.${column} = $2`

/** A slot that waits for its turn is not lost because somebody sends the same rule again. */
const SAME_SLOTS = `s.cron is not distinct from excluded.cron
      and s.every_seconds is not distinct from excluded.every_seconds and s.time_zone = excluded.time_zone`
const SAME_RULE = `${SAME_SLOTS} and s.jitter_seconds = excluded.jitter_seconds and s.next_slot_at is not null`
const kept = (column: string): string => `${column} = case
      when not excluded.enabled or s.paused_reason is not null then null
      when ${SAME_RULE} then s.${column} else excluded.${column} end`

/** A pause is lifted by a resume only: whoever sends the same schedule every hour must not lift it unseen. */
const PUT = `
  with live as (
    select id, namespace_id from job
    where namespace_id = $1::uuid and id = $2::uuid and deleted_at is null
      and ($3::text is null or exists (select 1 from schedule where namespace_id = $1::uuid and job_id = $2::uuid))
    for key share),
  written as (
    insert into schedule as s (namespace_id, job_id, cron, every_seconds, time_zone, format, description, timeout_seconds,
      jitter_seconds, enabled, next_slot_at, next_action_at, created_by)
    select namespace_id, id, $4, $5::int, $6, $7, $8, $9::int, $10::int, $11::boolean, $12::timestamptz, $13::timestamptz, $14
    from live
    on conflict (job_id) do update set cron = excluded.cron, every_seconds = excluded.every_seconds,
      time_zone = excluded.time_zone, format = excluded.format, description = excluded.description,
      timeout_seconds = excluded.timeout_seconds, jitter_seconds = excluded.jitter_seconds, enabled = excluded.enabled,
      ${kept('next_slot_at')}, ${kept('next_action_at')},
      rule_id = case when ${SAME_SLOTS} then s.rule_id else excluded.rule_id end,
      catch_up = s.catch_up and ${SAME_RULE},
      lease_token = null, lease_until = null, row_version = s.row_version + 1, updated_at = now()
    where ${etagOf('s')} = $3::text
    returning namespace_id, job_id, cron, every_seconds, time_zone, enabled),
  told as (
    insert into history.event (namespace_id, type, job_id, data)
    select namespace_id, 'schedule.changed', job_id, jsonb_build_object('cron', cron, 'everySeconds', every_seconds,
      'timeZone', time_zone, 'enabled', enabled, 'by', $14::text) from written)
  select job_id from written`

const changeSql = (set: string, type: string, data: string, by: string): string => `
  with changed as (
    update schedule set ${set}, lease_token = null, lease_until = null, row_version = row_version + 1, updated_at = now()
    where namespace_id = $1 and job_id = $2 and ${etagOf('schedule')} = $3
    returning namespace_id, job_id),
  told as (
    insert into history.event (namespace_id, type, job_id, data)
    select namespace_id, '${type}', job_id, jsonb_build_object(${data}${data && ', '}'by', ${by}::text) from changed)
  select job_id from changed`

const toContext = (row: ContextRow): ScheduleContext => ({
  now: new Date(row.now),
  job: { id: row.context_job_id, name: row.context_job_name, attached: row.attached },
  observeOnly: row.observe_only,
  version: row.spec,
  savepointP90Ms: row.p90,
  schedule: row.etag === null ? null : toSchedule(row),
})

const toSchedule = (row: ScheduleRecord): ScheduleRow => ({
  cron: row.cron,
  everySeconds: row.every_seconds,
  timeZone: row.time_zone,
  format: row.format,
  description: row.description,
  timeoutSeconds: row.timeout_seconds,
  jitterSeconds: row.jitter_seconds,
  enabled: row.enabled,
  paused:
    row.paused_reason === null ? null : { reason: row.paused_reason, message: row.paused_message ?? '' },
  failures: row.failures,
  nextSlotAt: row.next_slot_at,
  lastSlotAt: row.last_slot_at,
  createdAt: row.created_at,
  createdBy: row.created_by,
  updatedAt: row.updated_at,
  etag: row.etag,
})

const toFiring = (row: FiringRow): Firing => ({
  slotAt: row.slot_at,
  outcome: row.outcome,
  code: row.code,
  message: row.message,
  snapshot: row.snapshot_id,
  catchUp: row.catch_up,
  firedAt: row.fired_at,
})
