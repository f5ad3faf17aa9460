/**
 * The worker's side of schedules. A slot has one row in `schedule_firing` (its primary key), written by the statement that
 * moves the schedule on to its next slot: whatever worker, clock or repetition comes later, the slot is never fired again.
 */
import type { RunState } from '../domain/resources.ts'
import { PUNCTUAL_MS, slotKey, slotPrincipal } from '../domain/schedule.ts'
import type { SnapshotStatus } from '../domain/snapshot-status.ts'
import type {
  DueRecord,
  DueWork,
  PendingFiring,
  ScheduleWorkRepository,
  SettledWork,
} from '../ports/schedules.ts'
import type { Database, Row } from './client.ts'
import { withDomainErrors } from './errors.ts'
import { inTransaction } from './row-lock.ts'
import type { ScheduleRecord } from './schedules.ts'

export type ScheduleWorkOptions = { leaseMs: number; newLease: () => string }

type OwnerRow = { namespace_id: string; namespace: string; job_id: string; job_name: string }
type DueRow = Row &
  OwnerRow &
  ScheduleRecord & {
    cluster_id: string
    run_state: RunState | null
    next_slot_at: string
    next_action_at: string
    catch_up: boolean
    now: string
    lease_token: string
  }
type PendingRow = Row &
  OwnerRow & {
    slot_at: string
    tries: number
    idle_ms: number
    superseded: boolean
    revoked: boolean
    has_schedule: boolean
  } & Pick<ScheduleRecord, 'cron' | 'every_seconds' | 'format' | 'description' | 'timeout_seconds'>
type SettledRow = Row & {
  namespace_id: string
  job_id: string
  slot_at: string
  snapshot_id: string
  status: SnapshotStatus
  completed: boolean
  failure_code: string | null
  triggered_at: string | null
  settled_at: string
  now: string
  run_state: RunState | null
  all_tasks_running: boolean
  tasks_running_since: string | null
  restored_before: number | null
  restored_now: number | null
  ended_at: string | null
  failures: number | null
}

export function createScheduleWorkRepository(
  db: Database,
  { leaseMs, newLease }: ScheduleWorkOptions,
): ScheduleWorkRepository {
  return withDomainErrors({
    claimDue: async (limit) => {
      const rows = await db.sql<DueRow>(CLAIM_DUE, [newLease(), leaseMs, limit], 'claim-due-schedules')
      return rows.map(toDueWork)
    },

    record: (clusterId, records, mostInFlight) =>
      inTransaction(db, async (tx) => {
        // Two workers that count at once would both find room; the count must come after the lock, as a statement of its own.
        await tx.$executeRawUnsafe(
          `select pg_advisory_xact_lock(hashtextextended('tidemark.schedules.' || $1::text, 0))`,
          clusterId,
        )
        // Jobs before schedules, as who deletes a job locks them; a firing's foreign key wants the job anyway.
        await tx.$executeRawUnsafe(
          `select 1 from job where id = any($1::uuid[]) for key share`,
          records.map(({ work }) => work.job.id),
        )
        const begun = await tx.$queryRawUnsafe<{ job_id: string; slot_at: Date }[]>(
          RECORD,
          JSON.stringify(records.map(toInput)),
          clusterId,
          mostInFlight,
        )
        return begun.map((row) => ({ jobId: row.job_id, slotAt: row.slot_at }))
      }),

    takePending: async (limit) => {
      const rows = await db.sql<PendingRow>(
        TAKE_PENDING,
        [leaseMs, limit, PUNCTUAL_MS],
        'take-pending-firings',
      )
      return rows.map(toPending)
    },

    findSlotSavepoint: async ({ namespaceId, job, slotAt }) => {
      const [row] = await db.sql<{ id: string }>(
        `select id from snapshot
         where namespace_id = $1 and job_id = $2 and kind = 'SAVEPOINT' and source = 'SCHEDULE' and created_by = $3
           and created_at >= $4::timestamptz - interval '1 hour'
         order by created_at, id limit 1`,
        [namespaceId, job.id, slotPrincipal(slotAt), slotAt],
      )
      return row?.id ?? null
    },

    conclude: async (firing, end) => {
      const of = [firing.namespaceId, firing.job.id, firing.slotAt]
      if (end.outcome === 'FIRED') {
        const rows = await db.sql(
          `update schedule_firing set outcome = 'FIRED', snapshot_id = $4::uuid, fired_at = now(),
             restored_before = (select (r.checkpoint_counts ->> 'restored')::int from snapshot s
               join run r on r.id = s.run_id and r.namespace_id = s.namespace_id
               where s.id = $4::uuid and s.namespace_id = $1::uuid)
           where namespace_id = $1::uuid and job_id = $2::uuid and slot_at = $3::timestamptz and outcome = 'PENDING'
           returning job_id`,
          [...of, end.snapshotId],
          'firing-fired',
        )
        return rows.length === 1
      }
      const key = slotKey(firing.job.id, firing.slotAt)
      const rows = await db.sql(
        CONCLUDE_WITHOUT,
        [...of, end.outcome, end.code, end.message, key.principal, key.route, key.key],
        'firing-without',
      )
      return rows.length === 1
    },

    listSettled: async (limit, settleMs) => {
      const rows = await db.sql<SettledRow>(LIST_SETTLED, [settleMs, limit], 'list-settled-firings')
      return rows.map(toSettled)
    },

    judge: async (work, { failures, pause }) => {
      const rows = await db.sql(JUDGE, [
        work.namespaceId,
        work.jobId,
        work.slotAt,
        work.failures,
        failures,
        pause?.reason ?? null,
        pause?.message ?? null,
        work.snapshotId,
      ])
      return rows.length === 1
    },
  })
}

const CLAIM_DUE = `
  with chosen as (
    select job_id from schedule
    where next_action_at <= now() + interval '1 ms' and (lease_until is null or lease_until < now())
    order by next_action_at limit $3 for update skip locked),
  claimed as (
    update schedule s set lease_token = $1::uuid, lease_until = now() + make_interval(secs => $2::float8 / 1000)
    from chosen where s.job_id = chosen.job_id
    returning s.*)
  select c.*, n.name as namespace, j.name as job_name, j.cluster_id, r.state as run_state, now() as now
  from claimed c
    join job j on j.id = c.job_id and j.namespace_id = c.namespace_id and j.deleted_at is null
    join namespace n on n.id = c.namespace_id
    left join run r on r.id = j.current_run_id and r.namespace_id = j.namespace_id
  order by c.next_action_at, c.job_id`

/**
 * In flight is a job whose scheduled savepoint is unsettled or whose slot is PENDING: `union` counts it once while it is
 * both. A slot that has its row already (the clock was set back) begins nothing.
 */
const RECORD = `
  with input as (
    select * from jsonb_to_recordset($1::jsonb) as x(position int, job uuid, lease uuid, fire timestamptz, "catchUp" boolean,
      skip jsonb, "nextSlotAt" timestamptz, "nextActionAt" timestamptz, "waitMs" float8)),
  held as (
    select s.namespace_id, s.rule_id, i.* from schedule s join input i on i.job = s.job_id and i.lease = s.lease_token
    for update of s),
  busy as (
    select count(*) as jobs from (
      select s.job_id from snapshot s join job j on j.id = s.job_id and j.namespace_id = s.namespace_id
      where j.cluster_id = $2::uuid and s.settled_at is null and s.source = 'SCHEDULE'
      union
      select f.job_id from schedule_firing f join job j on j.id = f.job_id and j.namespace_id = f.namespace_id
      where j.cluster_id = $2::uuid and f.outcome = 'PENDING') in_flight),
  turn as (
    select h.job, row_number() over (order by h.position) <= $3::int - busy.jobs as come
    from held h, busy where h.fire is not null),
  settled as (select h.*, coalesce(not t.come, false) as waits from held h left join turn t on t.job = h.job),
  moved as (
    update schedule s set lease_token = null, lease_until = null,
      next_slot_at = case when d.waits then s.next_slot_at else d."nextSlotAt" end,
      next_action_at = case when d.waits then now() + make_interval(secs => d."waitMs" / 1000) else d."nextActionAt" end,
      catch_up = d.waits and d."catchUp",
      last_slot_at = case when d.waits then s.last_slot_at else coalesce(d.fire, s.last_slot_at) end
    from settled d where s.job_id = d.job and s.namespace_id = d.namespace_id),
  skipped as (
    insert into schedule_firing (namespace_id, job_id, slot_at, outcome, code, message)
    select d.namespace_id, d.job, k."slotAt", 'SKIPPED', k.code, k.message
    from settled d, jsonb_to_recordset(d.skip) as k("slotAt" timestamptz, code text, message text)
    where not d.waits
    on conflict do nothing)
  insert into schedule_firing (namespace_id, job_id, slot_at, outcome, catch_up, tries, rule_id)
  select d.namespace_id, d.job, d.fire, 'PENDING', d."catchUp", 1, d.rule_id
  from settled d where d.fire is not null and not d.waits
  on conflict do nothing
  returning job_id::text, slot_at`

/**
 * `fired_at` of a PENDING row says when somebody last took it up: no worker takes it within a lease of another. Left alone for
 * longer than a lease and what counts as punctual, it comes after an outage.
 */
const TAKE_PENDING = `
  with chosen as (
    select job_id, slot_at, extract(epoch from now() - fired_at)::float8 * 1000 as idle_ms from schedule_firing
    where outcome = 'PENDING' and fired_at < now() - make_interval(secs => $1::float8 / 1000)
    order by fired_at limit $2 for update skip locked),
  taken as (
    update schedule_firing f set fired_at = now(), tries = f.tries + 1,
      catch_up = f.catch_up or chosen.idle_ms > $1::float8 + $3::float8
    from chosen where f.job_id = chosen.job_id and f.slot_at = chosen.slot_at
    returning f.namespace_id, f.job_id, f.slot_at, f.tries, f.rule_id, chosen.idle_ms)
  select t.*, n.name as namespace, j.name as job_name, s.job_id is not null as has_schedule,
    coalesce(s.next_slot_at <= now(), false) or exists (
      select 1 from schedule_firing newer where newer.job_id = t.job_id and newer.slot_at > t.slot_at) as superseded,
    coalesce(s.paused_reason is not null or not s.enabled or s.rule_id <> t.rule_id, false) as revoked, s.cron, s.every_seconds,
    s.format, s.description, s.timeout_seconds
  from taken t
    join namespace n on n.id = t.namespace_id
    join job j on j.id = t.job_id and j.namespace_id = t.namespace_id
    left join schedule s on s.job_id = t.job_id and s.namespace_id = t.namespace_id`

/** A spent key has a body hash that no request has; an expired one is taken over. Somebody's savepoint under it stays. */
const CONCLUDE_WITHOUT = `
  with spent as (
    insert into idempotency_record as held (namespace_id, principal, route, key, body_hash, resource_id)
    values ($1::uuid, $7, $8, $9, 'spent', $2::uuid::text)
    on conflict (namespace_id, principal, route, key) do update
      set body_hash = excluded.body_hash, resource_id = excluded.resource_id, created_at = now()
      where held.created_at < now() - interval '24 hours'
    returning key)
  update schedule_firing set outcome = $4, code = $5, message = $6, fired_at = now()
  where namespace_id = $1::uuid and job_id = $2::uuid and slot_at = $3::timestamptz and outcome = 'PENDING'
    and exists (select 1 from spent)
  returning job_id`

const LIST_SETTLED = `
  select f.namespace_id, f.job_id, f.slot_at, s.id as snapshot_id, s.status, s.completed_at is not null as completed,
    s.failure_code, s.triggered_at, s.settled_at, now() as now, r.state as run_state, coalesce(r.all_tasks_running, false) as all_tasks_running,
    r.tasks_running_since, r.ended_at, f.restored_before, (r.checkpoint_counts ->> 'restored')::int as restored_now, sc.failures
  from schedule_firing f
    join snapshot s on s.id = f.snapshot_id and s.namespace_id = f.namespace_id
    left join run r on r.id = s.run_id and r.namespace_id = s.namespace_id
    left join schedule sc on sc.job_id = f.job_id and sc.namespace_id = f.namespace_id
  where f.outcome = 'FIRED' and f.judged_at is null and s.settled_at < now() - make_interval(secs => $1::float8 / 1000)
  order by f.fired_at limit $2`

const JUDGE = `
  with judged as (
    update schedule_firing f set judged_at = now()
    where f.namespace_id = $1::uuid and f.job_id = $2::uuid and f.slot_at = $3::timestamptz and f.judged_at is null
      and ($4::int is null or exists (select 1 from schedule s
        where s.job_id = f.job_id and s.namespace_id = f.namespace_id and s.failures = $4::int))
    returning f.namespace_id, f.job_id, f.slot_at),
  counted as (
    update schedule s set failures = $5::int
    from judged where s.job_id = judged.job_id and s.namespace_id = judged.namespace_id
      and ($6::text is null or s.paused_reason is not null)),
  paused as (
    update schedule s set failures = $5::int, paused_reason = $6, paused_message = $7, next_slot_at = null,
      next_action_at = null, lease_token = null, lease_until = null, row_version = s.row_version + 1, updated_at = now()
    from judged where s.job_id = judged.job_id and s.namespace_id = judged.namespace_id
      and $6::text is not null and s.paused_reason is null
    returning s.namespace_id, s.job_id),
  told as (
    insert into history.event (namespace_id, type, job_id, snapshot_id, data)
    select namespace_id, 'schedule.paused', job_id, $8::uuid,
      jsonb_build_object('reason', $6::text, 'message', $7::text, 'failures', $5::int, 'by', 'tidemark') from paused)
  select job_id from judged`

const toInput = ({ work, fire, skip, next, waitMs }: DueRecord, position: number) => ({
  position,
  job: work.job.id,
  lease: work.lease,
  fire: fire?.slotAt ?? null,
  catchUp: fire?.catchUp ?? false,
  skip,
  nextSlotAt: next?.slotAt ?? null,
  nextActionAt: next?.actionAt ?? null,
  waitMs,
})

const toOwner = (row: OwnerRow) => ({
  namespaceId: row.namespace_id,
  namespace: row.namespace,
  job: { id: row.job_id, name: row.job_name },
})

const toDueWork = (row: DueRow): DueWork => ({
  ...toOwner(row),
  cron: row.cron,
  everySeconds: row.every_seconds,
  timeZone: row.time_zone,
  format: row.format,
  description: row.description,
  timeoutSeconds: row.timeout_seconds,
  jitterSeconds: row.jitter_seconds,
  enabled: row.enabled,
  clusterId: row.cluster_id,
  runState: row.run_state,
  nextSlotAt: new Date(row.next_slot_at),
  dueAt: new Date(row.next_action_at),
  catchUp: row.catch_up,
  now: new Date(row.now),
  lease: row.lease_token,
})

const toPending = (row: PendingRow): PendingFiring => ({
  ...toOwner(row),
  slotAt: new Date(row.slot_at),
  tries: row.tries,
  idleMs: row.idle_ms,
  isSuperseded: row.superseded,
  isRevoked: row.revoked,
  terms: row.has_schedule
    ? {
        cron: row.cron,
        everySeconds: row.every_seconds,
        format: row.format,
        description: row.description,
        timeoutSeconds: row.timeout_seconds,
      }
    : null,
})

const toSettled = (row: SettledRow): SettledWork => ({
  namespaceId: row.namespace_id,
  jobId: row.job_id,
  slotAt: new Date(row.slot_at),
  snapshotId: row.snapshot_id,
  status: row.status,
  completed: row.completed,
  failureCode: row.failure_code,
  triggeredAt: row.triggered_at === null ? null : new Date(row.triggered_at),
  settledAt: new Date(row.settled_at),
  now: new Date(row.now),
  run:
    row.run_state === null
      ? null
      : {
          state: row.run_state,
          allTasksRunning: row.all_tasks_running,
          tasksRunningSince: row.tasks_running_since === null ? null : new Date(row.tasks_running_since),
          endedAt: row.ended_at === null ? null : new Date(row.ended_at),
          restoredSince: row.restored_before === null ? 0 : (row.restored_now ?? 0) - row.restored_before,
        },
  failures: row.failures,
})
