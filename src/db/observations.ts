/**
 * Who polls which cluster, and what the polls changed. A worker is alive while its heartbeat is; the clusters of a silent
 * one are free. Every write names the worker and is refused once the cluster has another owner, so a worker that slept
 * past its lease changes nothing. Unchanged polls write nothing at all: the heartbeat vouches for them.
 */
import type { FollowedJob, KnownRun } from '../domain/run-observation.ts'
import type { ObservationRepository, ObservedCluster } from '../ports.ts'
import { toClusterAddress } from './addresses.ts'
import type { Database, Row } from './client.ts'

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

    listFollowedJobs: (clusterId) => db.sql<FollowedRow>(FOLLOWED_JOBS, [clusterId], 'followed-jobs'),

    recordCluster: async (workerId, clusterId, seen) => {
      const rows = await db.sql(RECORD_CLUSTER, [
        clusterId,
        workerId,
        seen.reachable,
        seen.lastError,
        seen.flinkVersion ?? null,
        seen.capabilities ? JSON.stringify(seen.capabilities) : null,
        seen.fingerprint ? JSON.stringify(seen.fingerprint) : null,
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
      ])
      return row?.owned ?? false
    },
  }
}

/**
 * Free is a cluster nobody polls or whose worker has been silent for longer than the lease. It is not known to be
 * reachable until its new owner has reached it: a heartbeat vouches only for polls that took place.
 */
const CLAIM_CLUSTERS = `
  update cluster set observer_id = $1::uuid, reachable = null
  where id in (
    select c.id from cluster c left join worker w on w.id = c.observer_id
    where c.deleted_at is null
      and (w.id is null or w.heartbeat_at <= now() - make_interval(secs => $2::float8 / 1000))
    order by c.id limit $3 for update of c skip locked)`

type ClusterRow = Row & {
  id: string
  namespace_id: string
  namespace: string
  name: string
  url: string
  auth: ObservedCluster['address']['auth']
  flink_version: string | null
  fingerprint: ObservedCluster['fingerprint']
  identity_changed: boolean
  follow_identity: boolean
  reachable: boolean | null
  last_error: string | null
}

const OWN_CLUSTERS = `
  select c.id, c.namespace_id, n.name as namespace, c.name, c.url, c.auth, c.flink_version, c.fingerprint,
    c.changed_to is not null as identity_changed, c.follow_identity, c.reachable, c.last_error
  from cluster c join namespace n on n.id = c.namespace_id
  where c.observer_id = $1 and c.deleted_at is null`

const toObservedCluster = (row: ClusterRow): ObservedCluster => ({
  id: row.id,
  namespaceId: row.namespace_id,
  name: row.name,
  address: toClusterAddress(row),
  flinkVersion: row.flink_version,
  fingerprint: row.fingerprint,
  identityChanged: row.identity_changed,
  followIdentity: row.follow_identity,
  reachable: row.reachable,
  lastError: row.last_error,
})

type FollowedRow = Row & FollowedJob & { runs: KnownRun[] }

const FOLLOWED_JOBS = `
  select j.id, j.ambiguous, j.current_run_id as "currentRunId",
    case when j.attach_flink_job_id is not null then json_build_object('flinkJobId', j.attach_flink_job_id)
         when j.attach_flink_job_name is not null then json_build_object('flinkJobName', j.attach_flink_job_name) end as attach,
    coalesce((select json_agg(json_build_object(
        'id', r.id, 'flinkJobId', r.flink_job_id, 'state', r.state, 'flinkState', r.flink_state,
        'flinkStartTime', r.flink_start_time, 'allTasksRunning', r.all_tasks_running,
        'missingForMs', (extract(epoch from now() - r.missing_since) * 1000)::bigint))
      from run r where r.cluster_id = j.cluster_id and r.job_id = j.id and (r.id = j.current_run_id or r.ended_at is null)),
      '[]'::json) as runs
  from job j where j.cluster_id = $1 and j.deleted_at is null`

const RECORD_CLUSTER = `
  update cluster set reachable = $3, last_error = $4, flink_version = coalesce($5, flink_version),
    capabilities = coalesce($6::jsonb, capabilities), fingerprint = coalesce($7::jsonb, fingerprint),
    observed_at = now(), updated_at = now()
  where id = $1 and observer_id = $2 returning id`

/** One statement for all changes of a poll; `owner` locks the cluster row, so a new owner waits or we change nothing. */
const RECORD_RUNS = `
  with owner as (
    select id, namespace_id from cluster where id = $1::uuid and observer_id = $2::uuid for share),
  change as (
    select c.*, o.namespace_id, o.id as cluster_id
    from owner o, jsonb_to_recordset($3::jsonb) as c(kind text, "jobId" uuid, "runId" uuid, "flinkJobId" text, state text,
      "flinkState" text, "flinkStartTime" bigint, "allTasksRunning" boolean, missing boolean, "flinkJobIds" jsonb)),
  changed as (
    update run r set state = c.state, flink_state = c."flinkState", flink_start_time = c."flinkStartTime",
      all_tasks_running = c."allTasksRunning",
      tasks_running_since = case when not c."allTasksRunning" then null
        when r.all_tasks_running then r.tasks_running_since else now() end,
      missing_since = case when c.missing then coalesce(r.missing_since, now()) end,
      ended_at = case when c.state in ('FINISHED', 'CANCELED', 'FAILED', 'LOST') then coalesce(r.ended_at, now()) end,
      updated_at = now()
    from change c where c.kind = 'run-changed' and r.id = c."runId"
    returning r.id, r.namespace_id, r.job_id, r.state, r.flink_state),
  begun as (
    insert into run (id, namespace_id, job_id, cluster_id, flink_job_id, epoch, state, flink_state, flink_start_time,
      all_tasks_running, tasks_running_since, version, version_basis, started_at, ended_at)
    select c."runId", c.namespace_id, c."jobId", c.cluster_id, c."flinkJobId",
      1 + coalesce((select max(p.epoch) from run p
        where p.job_id = c."jobId" and p.cluster_id = c.cluster_id and p.flink_job_id = c."flinkJobId"), 0),
      c.state, c."flinkState", c."flinkStartTime", c."allTasksRunning",
      case when c."allTasksRunning" then now() end, j.latest_version, case when j.latest_version is not null then 'REGISTERED' end,
      to_timestamp(c."flinkStartTime" / 1000.0),
      case when c.state in ('FINISHED', 'CANCELED', 'FAILED') then now() end
    from change c join job j on j.id = c."jobId" and j.cluster_id = c.cluster_id where c.kind = 'new-run'
    returning id, namespace_id, job_id, state, flink_state),
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
    from (select * from changed union all select * from begun) news)
  select exists (select 1 from owner) as owned`
