/**
 * The worker's side of a start or a stop. A claim gives a lease token; every later write carries it, so a worker that slept
 * past its lease changes nothing. What Flink is asked to do is committed first, in one statement with all that follows from it.
 */
import type {
  LifecycleWork,
  LifecycleWorkRepository,
  Progress,
  StopSavepoint,
  StopWork,
  SubmittedRun,
} from '../ports/lifecycle.ts'
import { type Database, violatedConstraint } from './client.ts'
import { SELECT_WORK, toWork, type WorkRow } from './lifecycle-rows.ts'
import { RUN_HAS_ENDED } from './lifecycles.ts'
import { END_SETTLES_MS } from './observations.ts'
import { HELD, releaseOperation } from './operation-lease.ts'
import { HISTORY_OF_BEGUN } from './snapshot-history.ts'

export type LifecycleWorkOptions = { leaseMs: number; newLease: () => string }

export function createLifecycleWorkRepository(
  db: Database,
  { leaseMs, newLease }: LifecycleWorkOptions,
): LifecycleWorkRepository {
  const progressOf = (work: LifecycleWork, progress: Progress): [string, string] => [
    JSON.stringify(progress.steps),
    JSON.stringify({ ...work.result, ...progress.result }),
  ]
  return {
    claimDue: async (limit, kinds) => {
      const rows = await db.sql<WorkRow>(
        CLAIM_DUE,
        [newLease(), leaseMs, limit, kinds],
        'claim-due-lifecycles',
      )
      return rows.map(toWork)
    },

    renew: async (work) => {
      const [row] = await db.sql<WorkRow>(RENEW, [work.lease, leaseMs, work.id], 'renew-lifecycle')
      return row ? toWork(row) : null
    },

    record: async (work, progress) => {
      const rows = await db.sql(
        `update operation set steps = $3::jsonb, result = $4::jsonb, row_version = row_version + 1, updated_at = now()
         where id = $1::uuid and ${HELD} returning id`,
        [work.id, work.lease, ...progressOf(work, progress)],
      )
      return rows.length === 1
    },

    submit: async (work, run, progress) => {
      const [row] = await db.sql<{ held: boolean; begun: boolean }>(SUBMIT, [
        work.id,
        work.lease,
        ...progressOf(work, progress),
        ...submitValues(run),
        work.cluster.id,
        work.cluster.address.url,
      ])
      if (!row?.held) return 'lease-lost'
      return row.begun ? 'submitted' : 'taken'
    },

    unask: async (work) => {
      const rows = await db.sql(
        `update operation set asked_at = null, updated_at = now() where id = $1::uuid and ${HELD} returning id`,
        [work.id, work.lease],
      )
      return rows.length === 1
    },

    askAgain: async (work, progress) => {
      const rows = await db.sql(
        `update operation set asked_at = now(), steps = $3::jsonb, result = $4::jsonb, row_version = row_version + 1,
           updated_at = now()
         where id = $1::uuid and ${HELD} and asked_at is null and run_id is not null returning id`,
        [work.id, work.lease, ...progressOf(work, progress)],
      )
      return rows.length === 1
    },

    beginStopSavepoint: async (work, savepoint, progress) => {
      try {
        const [row] = await db.sql<{ held: boolean; begun: boolean }>(BEGIN_STOP_SAVEPOINT, [
          work.id,
          work.lease,
          ...progressOf(work, progress),
          ...stopValues(work, savepoint),
        ])
        return row?.begun ? 'begun' : 'lease-lost'
      } catch (error) {
        if (violatedConstraint(error) !== 'snapshot_unsettled_key') throw error
        return 'busy'
      }
    },

    markCancelAsked: async (work, progress) => {
      const rows = await db.sql(MARK_CANCEL_ASKED, [
        work.id,
        work.lease,
        ...progressOf(work, progress),
        work.run?.id ?? null,
      ])
      return rows.length === 1
    },

    end: async (work, { status, failure, seen, ...progress }) => {
      const rows = await db.sql(END, [
        work.id,
        work.lease,
        ...progressOf(work, progress),
        status,
        failure?.code ?? null,
        failure?.message ?? null,
        seen ? JSON.stringify(seen) : null,
      ])
      return rows.length === 1
    },

    release: (work, next) => releaseOperation(db, work, next),
  }
}

// ---------------------------------------------------------------------------------------------------- claim

/** Instants are kept to the millisecond, rounded: what is due now may stand half of one in the future. */
const CLAIM_DUE = `
  with chosen as (
    select id from operation
    where next_action_at <= now() + interval '1 ms' and (lease_until is null or lease_until < now()) and kind = any ($4::text[])
    order by next_action_at limit $3 for update skip locked),
  claimed as (
    update operation o set lease_token = $1::uuid, lease_until = now() + make_interval(secs => $2::float8 / 1000)
    from chosen where o.id = chosen.id
    returning o.*)
  ${SELECT_WORK}`

const RENEW = `
  with claimed as (
    update operation set lease_until = now() + make_interval(secs => $2::float8 / 1000)
    where id = $3::uuid and lease_token = $1::uuid and lease_until > now() and ended_at is null
    returning *)
  ${SELECT_WORK}`

// ---------------------------------------------------------------------------------------------------- start

const submitValues = (run: SubmittedRun): unknown[] => [
  run.id,
  run.flinkJobId,
  run.version,
  run.restored?.snapshotId ?? null,
  run.restored?.location ?? null,
  run.restored?.locationKey ?? null,
  run.claimMode,
]

/**
 * The snapshot must still be what the choice saw: Present and nobody's. From here on a claimed one is Flink's. The job must
 * still be on the cluster that is about to be asked, at the address the worker knows. The job's row is locked, so no other
 * run begins in between.
 */
const SUBMIT = `
  with held as (
    select id, namespace_id, job_id from operation where id = $1::uuid and ${HELD} and asked_at is null for update),
  free as (
    select j.id, j.namespace_id, j.cluster_id from held
      join job j on j.id = held.job_id and j.namespace_id = held.namespace_id and j.deleted_at is null
      join cluster c on c.id = j.cluster_id and c.namespace_id = j.namespace_id and c.id = $12::uuid and c.url = $13
        and c.mode = 'MANAGE' and (c.changed_to is null or c.follow_identity)
    where not exists (select 1 from run r where r.id = j.current_run_id and not ${RUN_HAS_ENDED})
    for update of j),
  taken as (
    update snapshot s set claimed_by_run_id = case when $11 = 'CLAIM' then $5::uuid end,
      restored_by = array_append(s.restored_by, $5::uuid), row_version = s.row_version + 1, updated_at = now()
    from free
    where s.id = $8::uuid and s.namespace_id = free.namespace_id and s.status = 'Present' and s.claimed_by_run_id is null
    returning s.id),
  begun as (
    insert into run (id, namespace_id, job_id, cluster_id, flink_job_id, state, flink_state, flink_start_time, version,
      version_basis, restored_snapshot_id, restored_location, restored_key, claim_mode, started_at)
    select $5::uuid, free.namespace_id, free.id, free.cluster_id, $6, 'SUBMITTING', 'SUBMITTING', 0, $7::int, 'STARTED',
      $8::uuid, $9, $10, $11, now()
    from free where $8::uuid is null or exists (select 1 from taken)
    returning id, namespace_id, job_id, state, flink_state),
  pointed as (
    update job j set current_run_id = begun.id, ambiguous = null, updated_at = now() from begun where j.id = begun.job_id),
  asked as (
    update operation o set asked_at = now(), run_id = begun.id, steps = $3::jsonb, result = $4::jsonb,
      row_version = o.row_version + 1, updated_at = now()
    from begun where o.id = $1::uuid),
  told as (
    insert into history.event (namespace_id, type, job_id, data)
    select namespace_id, 'run.state', job_id, jsonb_build_object('run', id, 'state', state, 'flinkState', flink_state) from begun)
  select exists (select 1 from held) as held, exists (select 1 from begun) as begun`

// ----------------------------------------------------------------------------------------------------- stop

const stopValues = (work: StopWork, savepoint: StopSavepoint): unknown[] => [
  savepoint.id,
  savepoint.description,
  savepoint.format,
  savepoint.timeoutSeconds,
  savepoint.ownedPrefix,
  savepoint.triggerId,
  savepoint.directory,
  savepoint.drain ? 'DRAIN' : 'SUSPEND',
  work.run?.id ?? null,
  work.run?.version ?? null,
  work.storage.id,
  work.createdBy,
]

const BEGIN_STOP_SAVEPOINT = `
  with held as (
    select id, namespace_id, job_id from operation where id = $1::uuid and ${HELD} and snapshot_id is null for update),
  snap as (
    insert into snapshot (id, namespace_id, job_id, run_id, job_version, storage_id, kind, status, reason, source,
      description, format, attempt, deadline_at, owned_prefix, created_by, next_action_at)
    select $5::uuid, held.namespace_id, held.job_id, $13::uuid, $14::int, $15::uuid, 'SAVEPOINT', 'Creating', 'REQUESTED', 'STOP',
      $6, $7, 1, now() + make_interval(secs => $8::float8), $9, $16, now()
    from held
    returning *),
  first as (
    insert into attempt (namespace_id, snapshot_id, number, trigger_id, directory, stop_mode)
    select namespace_id, id, 1, $10, $11, $12 from snap),
  ${HISTORY_OF_BEGUN},
  stopping as (
    update run r set state = 'STOPPING', updated_at = now() from snap
    where r.id = $13::uuid and r.namespace_id = snap.namespace_id and r.state = 'RUNNING'),
  noted as (
    update operation o set snapshot_id = snap.id, run_id = $13::uuid, steps = $3::jsonb, result = $4::jsonb,
      row_version = o.row_version + 1, updated_at = now()
    from snap where o.id = $1::uuid)
  select exists (select 1 from held) as held, exists (select 1 from snap) as begun`

const MARK_CANCEL_ASKED = `
  with asked as (
    update operation set asked_at = now(), run_id = $5::uuid, steps = $3::jsonb, result = $4::jsonb,
      row_version = row_version + 1, updated_at = now()
    where id = $1::uuid and ${HELD} and asked_at is null returning id, namespace_id),
  stopping as (
    update run r set state = 'STOPPING', updated_at = now() from asked
    where r.id = $5::uuid and r.namespace_id = asked.namespace_id and r.state = 'RUNNING')
  select id from asked`

const END = `
  with ended as (
    update operation set status = $5, failure_code = $6, failure_message = $7, steps = $3::jsonb, result = $4::jsonb,
      ended_at = now(), next_action_at = null, tries = 0, lease_token = null, lease_until = null,
      row_version = row_version + 1, updated_at = now()
    where id = $1::uuid and lease_token = $2::uuid and ended_at is null
    returning id, namespace_id, kind, status, job_id, run_id),
  goes_on as (
    update run r set state = 'RUNNING', updated_at = now() from ended
    where r.id = ended.run_id and r.namespace_id = ended.namespace_id and r.state = 'STOPPING' and ended.status = 'FAILED'
      and coalesce($8::jsonb ->> 'state', 'RUNNING') = 'RUNNING'),
  met as (
    update run r set state = x.state, flink_state = x."flinkState",
      flink_start_time = case when x."flinkStartTime" > 0 then x."flinkStartTime" else r.flink_start_time end,
      all_tasks_running = x."allTasksRunning", tasks_running_since = case when x."allTasksRunning" then now() end,
      ended_at = case when x.state <> 'RUNNING' then now() end, missing_since = null,
      recheck_at = case when x.state <> 'RUNNING' and x."flinkStartTime" > 0
        then now() + make_interval(secs => ${END_SETTLES_MS}::float8 / 1000) end,
      failure = nullif(x.failure, 'null'::jsonb), updated_at = now()
    from ended, jsonb_to_record($8::jsonb) as x(state text, "flinkState" text, "flinkStartTime" bigint,
      "allTasksRunning" boolean, failure jsonb)
    where $8::jsonb is not null and r.id = ended.run_id and r.namespace_id = ended.namespace_id
      and (r.state = 'SUBMITTING' or r.state in ('RUNNING', 'STOPPING', 'LOST') and x.state <> 'RUNNING')
    returning r.id, r.namespace_id, r.job_id, r.state, r.flink_state),
  told_of_run as (
    insert into history.event (namespace_id, type, job_id, data)
    select namespace_id, 'run.state', job_id, jsonb_build_object('run', id, 'state', state, 'flinkState', flink_state) from met),
  told as (
    insert into history.event (namespace_id, type, job_id, data)
    select namespace_id, 'operation.status', job_id,
      jsonb_build_object('operation', id, 'kind', kind, 'from', 'RUNNING', 'to', status) from ended)
  select id from ended`
