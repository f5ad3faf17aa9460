/**
 * Who polls which cluster, and what the polls changed. A worker is alive while its heartbeat is; the clusters of a silent
 * one are free. Every write names the worker and is refused once the cluster has another owner, so a worker that slept
 * past its lease changes nothing. Unchanged polls write nothing at all: the heartbeat vouches for them.
 */
import type { FollowedJob } from '../domain/run-observation.ts'
import type { ObservationRepository, ObservedCluster } from '../ports/observation.ts'
import { toClusterAddress } from './addresses.ts'
import type { Database, Row } from './client.ts'

/** Flink removes the checkpoints of an ended job after it has said that the job ended. */
export const END_SETTLES_MS = 2_000

/** Clusters taken at one claim: the rest is left for other workers. */
const CLAIM_SIZE = 50

export function createObservationRepository(db: Database, newId: () => string): ObservationRepository {
  return {
    registerWorker: async (workerId) => {
      await db.sql('insert into worker (id) values ($1)', [workerId])
    },

    heartbeat: async (workerId, leaseMs) => {
      const rows = await db.sql(
        `update worker set heartbeat_at = now()
         where id = $1 and heartbeat_at > now() - make_interval(secs => $2::float8 / 1000) returning id`,
        [workerId, leaseMs],
        'heartbeat',
      )
      return rows.length === 1
    },

    removeWorker: async (workerId) => {
      await db.sql(
        `with freed as (update cluster set observer_id = null where observer_id = $1)
         delete from worker where id = $1 or heartbeat_at < now() - interval '1 day'`,
        [workerId],
      )
    },

    claimClusters: async (workerId, leaseMs) => {
      await db.sql(CLAIM_CLUSTERS, [workerId, leaseMs, CLAIM_SIZE], 'claim-clusters')
    },

    listOwnClusters: async (workerId) => {
      const rows = await db.sql<ClusterRow>(OWN_CLUSTERS, [workerId], 'own-clusters')
      return rows.map(toObservedCluster)
    },

    listFollowedJobs: async (clusterIds) => {
      const rows = await db.sql<FollowedRow>(FOLLOWED_JOBS, [clusterIds], 'followed-jobs')
      return new Map(rows.map(({ clusterId, revision, jobs }) => [clusterId, { revision, jobs }]))
    },

    recordCluster: async (workerId, clusterId, seen) => {
      const rows = await db.sql(RECORD_CLUSTER, [
        clusterId,
        workerId,
        seen.reachable,
        seen.lastError,
        seen.flinkVersion ?? null,
        seen.capabilities ? JSON.stringify(seen.capabilities) : null,
        seen.fingerprint ? JSON.stringify(seen.fingerprint) : null,
        seen.changedTo !== undefined,
        seen.changedTo ? JSON.stringify(seen.changedTo) : null,
        seen.recovery !== undefined,
        seen.recovery?.path ?? null,
        seen.recovery?.key ?? null,
      ])
      return rows.length === 1
    },

    recordRuns: async (workerId, clusterId, changes) => {
      const numbered = changes.map((change) =>
        change.kind === 'new-run' ? { ...change, runId: newId() } : change,
      )
      const [row] = await db.sql<{ owned: boolean }>(RECORD_RUNS, [
        clusterId,
        workerId,
        JSON.stringify(numbered),
        END_SETTLES_MS,
      ])
      return row?.owned ?? false
    },
  }
}

/**
 * Every living worker polls as many as any other: who has more gives the rest back, who has fewer takes what is free.
 * Free is a cluster nobody polls or whose worker has been silent for longer than the lease. It is not known to be
 * reachable until its new owner has reached it: a heartbeat vouches only for polls that took place.
 */
const CLAIM_CLUSTERS = `
  with share as (
    select ceil((select count(*) from cluster where deleted_at is null)
        / greatest(1, (select count(*) from worker where heartbeat_at > now() - make_interval(secs => $2::float8 / 1000)))::float8)
      - (select count(*) from cluster where observer_id = $1::uuid and deleted_at is null) as missing),
  handed_over as (
    update cluster set observer_id = null
    where id in (select id from cluster where observer_id = $1::uuid order by id desc
      limit (select greatest(0, -missing)::bigint from share)))
  update cluster set observer_id = $1::uuid, reachable = null
  where id in (
    select c.id from cluster c left join worker w on w.id = c.observer_id
    where c.deleted_at is null
      and (w.id is null or w.heartbeat_at <= now() - make_interval(secs => $2::float8 / 1000))
    order by c.id limit (select least($3::bigint, greatest(0, missing)::bigint) from share) for update of c skip locked)`

type ClusterRow = Row & {
  id: string
  namespace_id: string
  namespace: string
  name: string
  url: string
  auth: ObservedCluster['address']['auth']
  flink_version: string | null
  fingerprint: ObservedCluster['fingerprint']
  follow_identity: boolean
  reachable: boolean | null
  last_error: string | null
  changed_to: ObservedCluster['changedTo']
  recovery_path: string | null
  jobs_revision: number
}

const OWN_CLUSTERS = `
  select c.id, c.namespace_id, n.name as namespace, c.name, c.url, c.auth, c.flink_version, c.fingerprint,
    c.changed_to, c.follow_identity, c.reachable, c.last_error, c.recovery_path,
    coalesce(v.jobs, 0) as jobs_revision
  from cluster c join namespace n on n.id = c.namespace_id left join cluster_revision v on v.cluster_id = c.id
  where c.observer_id = $1 and c.deleted_at is null`

const toObservedCluster = (row: ClusterRow): ObservedCluster => ({
  id: row.id,
  namespaceId: row.namespace_id,
  name: row.name,
  address: toClusterAddress(row),
  flinkVersion: row.flink_version,
  fingerprint: row.fingerprint,
  changedTo: row.changed_to,
  followIdentity: row.follow_identity,
  reachable: row.reachable,
  lastError: row.last_error,
  recoveryPath: row.recovery_path,
  jobsRevision: row.jobs_revision,
})

type FollowedRow = Row & { clusterId: string; revision: number; jobs: FollowedJob[] }

/** `revision` is read by the same snapshot as the jobs: a change after it is seen as a higher one. */
const FOLLOWED_JOBS = `
  select c.id as "clusterId", coalesce(v.jobs, 0) as revision, coalesce((
    select json_agg(json_build_object('id', j.id, 'ambiguous', j.ambiguous, 'currentRunId', j.current_run_id,
      'attach', case when j.attach_flink_job_id is not null then json_build_object('flinkJobId', j.attach_flink_job_id)
        when j.attach_flink_job_name is not null then json_build_object('flinkJobName', j.attach_flink_job_name) end,
      'runs', coalesce((select json_agg(json_build_object(
          'id', r.id, 'flinkJobId', r.flink_job_id, 'state', r.state, 'flinkState', r.flink_state,
          'flinkStartTime', r.flink_start_time, 'allTasksRunning', r.all_tasks_running,
          'missingForMs', (extract(epoch from now() - r.missing_since) * 1000)::bigint,
          'endConfirmed', r.end_confirmed_at is not null, 'declaredVersion', r.declared_version,
          'completedCheckpoints', r.completed_checkpoints, 'configured', r.checkpoint_config is not null,
          'startedByUs', r.version_basis is not distinct from 'STARTED', 'restoredKey', r.restored_key))
        from run r where r.cluster_id = j.cluster_id and r.job_id = j.id and (r.id = j.current_run_id or r.ended_at is null or r.ended_at > now() - interval '1 minute')),
        '[]'::json)))
    from job j where j.cluster_id = c.id and j.deleted_at is null), '[]'::json) as jobs
  from cluster c left join cluster_revision v on v.cluster_id = c.id where c.id = any($1::uuid[])`

const RECORD_CLUSTER = `
  update cluster set reachable = $3, last_error = $4, flink_version = coalesce($5, flink_version),
    capabilities = coalesce($6::jsonb, capabilities), fingerprint = coalesce($7::jsonb, fingerprint),
    changed_to = case when $8 then $9::jsonb else changed_to end,
    recovery_path = case when $10 then $11 else recovery_path end,
    recovery_key = case when $10 then $12 else recovery_key end,
    observed_at = now(), updated_at = now()
  where id = $1 and observer_id = $2 returning id`

/**
 * One statement for all changes of a poll; `owner` locks the cluster row, so a new owner waits or we change nothing. The poll
 * may be older than what a start or a stop has written: whether a live run is being stopped is not the observer's to say, a
 * run that the stop saw ended stays ended, and one whose start saw it run is not missed by a poll that began before it.
 *
 * What ends is looked for in storage (`recheck_at`), and so is what a new run under a known Flink job id may be
 * overwriting. The version of a new run: STARTED, that of the run it follows where we started that one (nobody else can
 * start its Flink job id), else DECLARED by the job, else REGISTERED: the newest one registered since the previous run
 * began, else ASSUMED: the previous run's (`product.md` §2).
 */
const RECORD_RUNS = `
  with owner as (
    select id, namespace_id from cluster where id = $1::uuid and observer_id = $2::uuid for share),
  change as (
    select c.*, o.namespace_id, o.id as cluster_id
    from owner o, jsonb_to_recordset($3::jsonb) as c(kind text, "jobId" uuid, "runId" uuid, "flinkJobId" text, state text,
      "flinkState" text, "flinkStartTime" bigint, "allTasksRunning" boolean, missing boolean, "flinkJobIds" jsonb,
      "declaredVersion" int, supersedes uuid, failure jsonb)),
  changed as (
    update run r set
      state = case when c.state in ('RUNNING', 'STOPPING') and r.state in ('RUNNING', 'STOPPING') then r.state else c.state end,
      flink_state = c."flinkState", flink_start_time = c."flinkStartTime",
      all_tasks_running = c."allTasksRunning",
      tasks_running_since = case when not c."allTasksRunning" then null
        when r.all_tasks_running then r.tasks_running_since else now() end,
      missing_since = case when c.missing then coalesce(r.missing_since, now()) end,
      ended_at = case when c.state in ('FINISHED', 'CANCELED', 'FAILED', 'LOST') then coalesce(r.ended_at, now()) end,
      recheck_at = case when c.state in ('FINISHED', 'CANCELED', 'FAILED', 'LOST') and r.ended_at is null
        then now() + make_interval(secs => $4::float8 / 1000) else r.recheck_at end,
      failure = coalesce(c.failure, r.failure), updated_at = now()
    from change c where c.kind = 'run-changed' and r.id = c."runId" and r.state not in ('FINISHED', 'CANCELED', 'FAILED')
      and (not c.missing or r.flink_start_time = c."flinkStartTime")
    returning r.id, r.namespace_id, r.job_id, r.state, r.flink_state),
  superseded as (
    update run r set state = 'LOST', all_tasks_running = false, tasks_running_since = null,
      ended_at = coalesce(r.ended_at, now()), end_confirmed_at = coalesce(r.end_confirmed_at, now()),
      recheck_at = now(), updated_at = now()
    from change c where c.kind = 'new-run' and r.id = c.supersedes
    returning r.id, r.namespace_id, r.job_id, r.state, r.flink_state),
  begun as (
    insert into run (id, namespace_id, job_id, cluster_id, flink_job_id, epoch, state, flink_state, flink_start_time,
      all_tasks_running, tasks_running_since, declared_version, version, version_basis, failure, started_at, ended_at)
    select c."runId", c.namespace_id, c."jobId", c.cluster_id, c."flinkJobId",
      1 + coalesce((select max(p.epoch) from run p
        where p.job_id = c."jobId" and p.cluster_id = c.cluster_id and p.flink_job_id = c."flinkJobId"), 0),
      c.state, c."flinkState", c."flinkStartTime", c."allTasksRunning",
      case when c."allTasksRunning" then now() end, c."declaredVersion",
      coalesce(ours.version, c."declaredVersion", registered.number, previous.version),
      case when ours.version is not null then 'STARTED' when c."declaredVersion" is not null then 'DECLARED' when registered.number is not null then 'REGISTERED'
        when previous.version is not null then 'ASSUMED' end,
      c.failure,
      to_timestamp(c."flinkStartTime" / 1000.0),
      case when c.state in ('FINISHED', 'CANCELED', 'FAILED') then now() end
    from change c join job j on j.id = c."jobId" and j.cluster_id = c.cluster_id
      left join run ours on ours.id = c.supersedes and ours.namespace_id = c.namespace_id and ours.version_basis = 'STARTED'
      left join lateral (
        select p.version, p.created_at from run p where p.job_id = j.id order by p.created_at desc, p.epoch desc limit 1) previous on true
      left join lateral (
        select v.number from job_version v
        where v.job_id = j.id and v.created_at >= coalesce(previous.created_at, '-infinity'::timestamptz)
        order by v.number desc limit 1) registered on true
    where c.kind = 'new-run'
    returning id, namespace_id, job_id, cluster_id, flink_job_id, state, flink_state),
  endangered as (
    update run r set recheck_at = now(), updated_at = now()
    from begun b where r.cluster_id = b.cluster_id and r.flink_job_id = b.flink_job_id and r.id <> b.id
      and r.namespace_id = b.namespace_id and r.id not in (select id from superseded) and r.id not in (select id from changed)
    returning r.id),
  doubted as (
    update snapshot s set verdict = 'ENDANGERED', row_version = s.row_version + 1, updated_at = now()
    from begun b join run r on r.cluster_id = b.cluster_id and r.flink_job_id = b.flink_job_id and r.namespace_id = b.namespace_id
    where s.run_id = r.id and r.id <> b.id and s.kind = 'CHECKPOINT' and s.status = 'Present' and s.location is not null),
  ambiguous as (
    select "jobId" as job_id, "flinkJobIds" as ids from change where kind = 'ambiguous'),
  pointed as (
    update job j set current_run_id = coalesce(b.id, j.current_run_id),
      ambiguous = case when a.job_id is not null then nullif(a.ids, 'null'::jsonb) else j.ambiguous end, updated_at = now()
    from (select job_id from begun union select job_id from ambiguous) t
      left join begun b on b.job_id = t.job_id left join ambiguous a on a.job_id = t.job_id
    where j.id = t.job_id and j.cluster_id = $1::uuid),
  told as (
    insert into history.event (namespace_id, type, job_id, data)
    select namespace_id, 'run.state', job_id, jsonb_build_object('run', id, 'state', state, 'flinkState', flink_state)
    from (select id, namespace_id, job_id, state, flink_state from changed
      union all select id, namespace_id, job_id, state, flink_state from superseded
      union all select id, namespace_id, job_id, state, flink_state from begun) news)
  select exists (select 1 from owner) as owned`
