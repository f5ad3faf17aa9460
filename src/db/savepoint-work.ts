/**
 * The worker's side of a savepoint. A claim gives a lease token; every later write carries it, so a worker that slept
 * past its lease changes nothing. Its writes
 * stand in `savepoint-writes.ts`.
 */
import { canMove } from '../domain/snapshot-status.ts'
import type { AttemptEnd, SavepointWork, SavepointWorkRepository } from '../ports/savepoint-work.ts'
import { toClusterAddress, toStorageAddress } from './addresses.ts'
import { toAttachment } from './attachment.ts'
import type { Database, Row } from './client.ts'
import { createSavepointWrites, type WriteOptions } from './savepoint-writes.ts'
import { FRESH_OBSERVATION } from './snapshots.ts'

export type SavepointWorkOptions = WriteOptions & { newLease: () => string }

export function createSavepointWorkRepository(
  db: Database,
  options: SavepointWorkOptions,
): SavepointWorkRepository {
  const writes = createSavepointWrites(db, options)
  return {
    claimDue: async (limit) => {
      const rows = await db.sql<WorkRow>(
        CLAIM_DUE,
        [options.newLease(), options.leaseMs, limit],
        'claim-due-savepoints',
      )
      return rows.map(toWork)
    },

    markAsked: writes.markAsked,

    move: async (work, change) => {
      if (!canMove(work.status, change.to))
        throw new Error(`a snapshot cannot move from ${work.status} to ${change.to}`)
      return writes.move(work, change)
    },

    beginAttempt: async (work, ended, next) => {
      const rows = await db.sql(BEGIN_ATTEMPT, [
        work.id,
        work.lease,
        work.attempt.number,
        ...endValues(ended),
        next.triggerId,
        next.directory,
        next.afterRescale,
        next.startInMs,
      ])
      return rows.length === 1
    },

    release: writes.release,
  }
}

const endValues = (end: AttemptEnd | null): unknown[] => [
  end?.outcome ?? null,
  end?.failure?.code ?? null,
  end?.failure?.message ?? null,
  end?.orphanLocation ?? null,
]

// ---------------------------------------------------------------------------------------------------- claim

/** A job nobody lists may still be writing (`product.md` §2): a LOST run is over when its job has moved on without it. */
const RUN_IS_OVER = `r.state in ('FINISHED', 'CANCELED', 'FAILED') or r.state = 'LOST' and (r.end_confirmed_at is not null
    or exists (select 1 from run later where later.job_id = r.job_id and later.started_at > r.started_at
      and later.completed_checkpoints > 0))`

/**
 * $1 lease token, $2 lease in ms, $3 the snapshot or the limit. An unasked attempt follows the job to its newest run, but that
 * of a stop: nobody asked to stop another run.
 */
const claimSql = (chosen: string): string => `
  with chosen as (${chosen}),
  claimed as (
    update snapshot s set lease_token = $1::uuid, lease_until = now() + make_interval(secs => $2::float8 / 1000)
    from chosen where s.id = chosen.id
    returning s.*)
  select s.id, s.namespace_id, n.name as namespace, s.status, s.source, s.format, s.owned_prefix, s.created_at,
    s.deadline_at, s.settled_at, s.tries, s.lease_token, now() as now, s.job_id, j.name as job_name, j.ambiguous,
    j.attach_flink_job_id, j.attach_flink_job_name,
    a.number, a.trigger_id, a.flink_job_id, a.directory, a.created_at as attempt_created_at, a.asked_at,
    a.asked_flink_start, a.after_rescale, a.stop_mode, a.outcome,
    (select count(*) from attempt o where o.snapshot_id = s.id and not o.after_rescale) as counted_attempts,
    r.id as run_id, r.flink_job_id as run_flink_job_id, r.state as run_state, coalesce(${RUN_IS_OVER}, false) as run_over, r.flink_start_time, r.all_tasks_running,
    r.tasks_running_since,
    coalesce(c.reachable and w.heartbeat_at > now() - interval '${FRESH_OBSERVATION}', false) as fresh,
    c.id as cluster_id, c.name as cluster_name, c.mode, c.flink_version, c.changed_to is not null and not c.follow_identity as identity_changed,
    coalesce((c.capabilities ->> 'idempotentTriggers')::boolean, true) as supported, c.url, c.auth,
    st.id as storage_id, st.uri, st.provider, st.endpoint, st.region, st.path_style, st.credentials
  from claimed s
    join attempt a on a.snapshot_id = s.id and a.number = s.attempt
    join namespace n on n.id = s.namespace_id
    join job j on j.id = s.job_id
    join cluster c on c.id = j.cluster_id
    join storage st on st.id = s.storage_id
    left join run r on r.id = case when a.asked_at is null and a.stop_mode is null then coalesce(j.current_run_id, s.run_id) else s.run_id end
    left join worker w on w.id = c.observer_id`

const FREE = `next_action_at is not null and (lease_until is null or lease_until < now())`

/** Instants are kept to the millisecond, rounded: what is due now may stand half of one in the future. */
const CLAIM_DUE = claimSql(
  `select id from snapshot where next_action_at <= now() + interval '1 ms' and ${FREE} and kind = 'SAVEPOINT' and status in ('Creating', 'Timeout')
   order by next_action_at limit $3 for update skip locked`,
)

type WorkRow = Row & {
  id: string
  namespace_id: string
  namespace: string
  status: SavepointWork['status']
  source: SavepointWork['source']
  format: SavepointWork['format']
  owned_prefix: string
  created_at: string
  deadline_at: string
  settled_at: string | null
  tries: number
  lease_token: string
  now: string
  job_id: string
  job_name: string
  ambiguous: string[] | null
  attach_flink_job_id: string | null
  attach_flink_job_name: string | null
  number: number
  trigger_id: string
  flink_job_id: string | null
  directory: string
  attempt_created_at: string
  asked_at: string | null
  asked_flink_start: number | null
  after_rescale: boolean
  stop_mode: SavepointWork['attempt']['stopMode']
  outcome: SavepointWork['attempt']['outcome']
  counted_attempts: number
  run_id: string | null
  run_flink_job_id: string
  run_state: 'RUNNING'
  run_over: boolean
  flink_start_time: number
  all_tasks_running: boolean
  tasks_running_since: string | null
  fresh: boolean
  cluster_id: string
  cluster_name: string
  mode: SavepointWork['cluster']['mode']
  flink_version: string | null
  identity_changed: boolean
  supported: boolean
  url: string
  auth: SavepointWork['cluster']['address']['auth']
  storage_id: string
  uri: string
  provider: SavepointWork['storage']['provider']
  endpoint: string | null
  region: string | null
  path_style: boolean | null
  credentials: SavepointWork['storage']['credentials']
}

const instant = (text: string | null): Date | null => (text === null ? null : new Date(text))

function toWork(row: WorkRow): SavepointWork {
  return {
    id: row.id,
    namespaceId: row.namespace_id,
    namespace: row.namespace,
    status: row.status,
    source: row.source,
    format: row.format,
    ownedPrefix: row.owned_prefix,
    createdAt: new Date(row.created_at),
    deadlineAt: new Date(row.deadline_at),
    settledAt: instant(row.settled_at),
    now: new Date(row.now),
    tries: row.tries,
    job: { id: row.job_id, name: row.job_name },
    attempt: {
      number: row.number,
      triggerId: row.trigger_id,
      flinkJobId: row.flink_job_id,
      directory: row.directory,
      createdAt: new Date(row.attempt_created_at),
      askedAt: instant(row.asked_at),
      askedFlinkStart: row.asked_flink_start,
      afterRescale: row.after_rescale,
      stopMode: row.stop_mode,
      outcome: row.outcome,
    },
    countedAttempts: row.counted_attempts,
    run: row.run_id
      ? {
          id: row.run_id,
          flinkJobId: row.run_flink_job_id,
          state: row.run_state,
          over: row.run_over,
          flinkStartTime: row.flink_start_time,
          allTasksRunning: row.all_tasks_running,
          tasksRunningSince: instant(row.tasks_running_since),
        }
      : null,
    attach: toAttachment(row),
    ambiguous: row.ambiguous,
    observationIsFresh: row.fresh,
    cluster: {
      name: row.cluster_name,
      mode: row.mode,
      flinkVersion: row.flink_version,
      identityChanged: row.identity_changed,
      supported: row.supported,
      address: toClusterAddress({
        id: row.cluster_id,
        namespace: row.namespace,
        url: row.url,
        auth: row.auth,
      }),
    },
    storage: toStorageAddress({
      id: row.storage_id,
      namespace: row.namespace,
      uri: row.uri,
      provider: row.provider,
      endpoint: row.endpoint,
      region: row.region,
      pathStyle: row.path_style,
      credentials: row.credentials,
    }),
    lease: row.lease_token,
  }
}

const BEGIN_ATTEMPT = `
  with held as (
    update snapshot set attempt = $3::int + 1, next_action_at = now() + make_interval(secs => $11::float8 / 1000),
      tries = 0, lease_token = null, lease_until = null, row_version = row_version + 1, updated_at = now()
    where id = $1::uuid and lease_token = $2::uuid and status = 'Creating' and attempt = $3::int
    returning id, namespace_id),
  ended as (
    update attempt a set outcome = $4, failure_code = $5, failure_message = $6, orphan_location = $7, settled_at = now()
    from held where a.snapshot_id = held.id and a.number = $3::int)
  insert into attempt (namespace_id, snapshot_id, number, trigger_id, directory, after_rescale)
  select namespace_id, id, $3::int + 1, $8, $9, $10 from held
  returning number`
