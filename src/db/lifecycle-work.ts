/**
 * The worker's side of a start or a stop. A claim gives a lease token; every later write carries it, so a worker that slept
 * past its lease changes nothing. What Flink is asked to do is committed first, in one statement with all that follows from it.
 */
import type { JobVersionSpec } from '../domain/job-version.ts'
import type { LifecycleResult, OperationStep, StartRequest, StopRequest } from '../domain/operation.ts'
import type {
  LifecycleWork,
  LifecycleWorkRepository,
  Progress,
  StopSavepoint,
  StopWork,
  SubmittedRun,
} from '../ports/lifecycle.ts'
import { toClusterAddress, toStorageAddress } from './addresses.ts'
import { type Database, type Row, violatedConstraint } from './client.ts'
import { RUN_HAS_ENDED, runHasEnded } from './lifecycles.ts'
import { END_SETTLES_MS } from './observations.ts'
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

    release: async (work, { nextActionInMs, tries }) => {
      const rows = await db.sql(
        `update operation set next_action_at = now() + make_interval(secs => $3::float8 / 1000), tries = $4,
           lease_token = null, lease_until = null
         where id = $1::uuid and lease_token = $2::uuid and ended_at is null returning id`,
        [work.id, work.lease, nextActionInMs, tries],
        'release-lifecycle',
      )
      return rows.length === 1
    },
  }
}

const HELD = `lease_token = $2::uuid and lease_until > now() and ended_at is null`

// ---------------------------------------------------------------------------------------------------- claim

type WorkRow = Row & {
  id: string
  kind: 'START' | 'STOP'
  namespace_id: string
  namespace: string
  input: StartRequest | StopRequest
  steps: OperationStep[]
  result: LifecycleResult | null
  created_by: string
  created_at: string
  deadline_at: string
  asked_at: string | null
  now: string
  tries: number
  lease_token: string
  job_id: string
  job_name: string
  attach_flink_job_id: string | null
  attach_flink_job_name: string | null
  ambiguous: string[] | null
  current_run_id: string | null
  other_run: LifecycleWork['job']['otherRun']
  jar_submission: boolean | null
  cluster_id: string
  cluster_name: string
  mode: LifecycleWork['cluster']['mode']
  identity_changed: boolean
  flink_version: string | null
  claim_mode: boolean
  idempotent_triggers: boolean
  url: string
  auth: LifecycleWork['cluster']['address']['auth']
  storage_id: string
  storage_name: string
  uri: string
  provider: LifecycleWork['storage']['provider']
  endpoint: string | null
  region: string | null
  path_style: boolean | null
  credentials: LifecycleWork['storage']['credentials']
  run_id: string | null
  run_flink_job_id: string
  run_state: NonNullable<LifecycleWork['run']>['state']
  run_over: boolean
  run_flink_start_time: number
  all_tasks_running: boolean
  run_failure: { code: string; message: string } | null
  run_version: number | null
  snapshot_id: string | null
  snapshot_status: NonNullable<LifecycleWork['snapshot']>['status']
  snapshot_reason: string
  snapshot_settled: boolean
  snapshot_asked_flink_start: number | null
  snapshot_location: string | null
  snapshot_failure: { code: string; message: string } | null
  version_number: number | null
  spec: JobVersionSpec | null
}

const SELECT_WORK = `
  select o.id, o.kind, o.namespace_id, n.name as namespace, o.input, o.steps, o.result, o.created_by, o.created_at, o.deadline_at,
    o.asked_at, now() as now, o.tries, o.lease_token, j.id as job_id, j.name as job_name, j.attach_flink_job_id,
    j.attach_flink_job_name, j.ambiguous, j.current_run_id,
    case when cr.id is not null then json_build_object('id', cr.id, 'state', cr.state, 'missing', cr.missing_since is not null) end as other_run,
    c.id as cluster_id, c.name as cluster_name, c.mode,
    c.changed_to is not null and not c.follow_identity as identity_changed, c.flink_version,
    coalesce((c.capabilities ->> 'claimMode')::boolean, true) as claim_mode,
    (c.capabilities ->> 'jarSubmission')::boolean as jar_submission,
    coalesce((c.capabilities ->> 'idempotentTriggers')::boolean, true) as idempotent_triggers, c.url, c.auth,
    st.id as storage_id, st.name as storage_name, st.uri, st.provider, st.endpoint, st.region, st.path_style, st.credentials,
    r.id as run_id, r.flink_job_id as run_flink_job_id, r.state as run_state, ${RUN_HAS_ENDED} as run_over,
    r.flink_start_time as run_flink_start_time, r.all_tasks_running, r.failure as run_failure, r.version as run_version,
    s.id as snapshot_id, s.status as snapshot_status, s.reason as snapshot_reason, s.settled_at is not null as snapshot_settled,
    a.asked_flink_start as snapshot_asked_flink_start, s.location as snapshot_location,
    case when s.failure_code is not null then json_build_object('code', s.failure_code, 'message', coalesce(s.failure_message, '')) end as snapshot_failure,
    v.number as version_number, v.spec
  from claimed o
    join namespace n on n.id = o.namespace_id
    join job j on j.id = o.job_id
    join cluster c on c.id = j.cluster_id
    join storage st on st.id = j.savepoint_storage_id
    left join run r on r.id = coalesce(o.run_id, case when o.kind = 'STOP' then j.current_run_id end)
    left join run cr on cr.id = j.current_run_id and cr.namespace_id = o.namespace_id and cr.id is distinct from o.run_id
      and not ${runHasEnded('cr')}
    left join snapshot s on s.id = o.snapshot_id
    left join attempt a on a.snapshot_id = s.id and a.number = s.attempt
    left join job_version v on o.kind = 'START' and v.job_id = o.job_id and v.number = (o.input ->> 'version')::int`

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

function toWork(row: WorkRow): LifecycleWork {
  const common = {
    id: row.id,
    namespaceId: row.namespace_id,
    namespace: row.namespace,
    steps: row.steps,
    result: row.result ?? {},
    createdBy: row.created_by,
    createdAt: new Date(row.created_at),
    deadlineAt: new Date(row.deadline_at),
    askedAt: row.asked_at === null ? null : new Date(row.asked_at),
    now: new Date(row.now),
    tries: row.tries,
    job: {
      id: row.job_id,
      name: row.job_name,
      attach: row.attach_flink_job_id
        ? { flinkJobId: row.attach_flink_job_id }
        : row.attach_flink_job_name
          ? { flinkJobName: row.attach_flink_job_name }
          : null,
      ambiguous: row.ambiguous,
      currentRunId: row.current_run_id,
      otherRun: row.other_run,
    },
    cluster: {
      id: row.cluster_id,
      name: row.cluster_name,
      mode: row.mode,
      identityChanged: row.identity_changed,
      flinkVersion: row.flink_version,
      claimMode: row.claim_mode,
      idempotentTriggers: row.idempotent_triggers,
      jarSubmission: row.jar_submission,
      address: toClusterAddress({
        id: row.cluster_id,
        namespace: row.namespace,
        url: row.url,
        auth: row.auth,
      }),
    },
    storage: {
      id: row.storage_id,
      name: row.storage_name,
      uri: row.uri,
      ...toStorageAddress({ ...row, id: row.storage_id, pathStyle: row.path_style }),
    },
    run: row.run_id
      ? {
          id: row.run_id,
          flinkJobId: row.run_flink_job_id,
          state: row.run_state,
          over: row.run_over,
          flinkStartTime: row.run_flink_start_time,
          allTasksRunning: row.all_tasks_running,
          failure: row.run_failure,
          version: row.run_version,
        }
      : null,
    snapshot: row.snapshot_id
      ? {
          id: row.snapshot_id,
          status: row.snapshot_status,
          reason: row.snapshot_reason,
          settled: row.snapshot_settled,
          askedFlinkStart: row.snapshot_asked_flink_start,
          location: row.snapshot_location,
          failure: row.snapshot_failure,
        }
      : null,
    lease: row.lease_token,
  }
  if ('mode' in row.input) return { ...common, kind: 'STOP', request: row.input, version: null }
  if (row.version_number === null) throw new Error(`the version of operation ${row.id} is gone`)
  const version = { ...row.spec, number: row.version_number }
  return { ...common, kind: 'START', request: row.input, version }
}

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
