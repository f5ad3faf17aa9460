/**
 * What a restore is decided from. Rows only: what they mean is `domain/restore-point.ts`. Each list goes by an index from
 * the newest and is cut, so both statements are flat whatever the history of the job is.
 *
 * The surroundings are read before the candidates: a savepoint that completes in between is then seen twice (as unsettled
 * and as Present), never not at all.
 */
import { isUuidShaped } from '../domain/resource-name.ts'
import type { CandidateFacts } from '../domain/restore-point.ts'
import type { SnapshotKind, SnapshotSource } from '../domain/snapshot.ts'
import type { SnapshotStatus } from '../domain/snapshot-status.ts'
import type { RestoreSurroundings } from '../domain/unseen-snapshots.ts'
import { LAST_LOOKS_SECONDS } from '../domain/unseen-snapshots.ts'
import type { RestorePointRepository } from '../ports/runs.ts'
import type { Database, Row } from './client.ts'
import { withDomainErrors } from './errors.ts'
import { columnOf } from './reference.ts'
import { RESTORABLE } from './restorable.ts'
import { FRESH_OBSERVATION } from './snapshots.ts'

/** Of the newest; a job that restarts all the time leaves runs without any snapshot. */
const RUNS_READ = 200
/** Restorable checkpoints, and savepoints, read at most. */
const RESTORABLE_READ = 200
/** Others, to say why they are not restorable. */
const OTHERS_READ = 50
/** Flink retains few checkpoints per run. */
const CHECKPOINTS_OF_A_RUN = 20
/** Among so many of the newest savepoints a copy is looked for. */
const SAVEPOINTS_SCANNED = 300

type JobRow = Row & {
  id: string
  name: string
  latest_version: number | null
  now: string
  surroundings: Omit<RestoreSurroundings, 'job'>
}

export type CandidateRow = Row & {
  id: string
  kind: SnapshotKind
  source: SnapshotSource
  status: SnapshotStatus
  verdict: string | null
  claimed: boolean
  location: string | null
  completed_at: string | null
  job_id: string
  job_name: string
  job_version: number | null
  flink_checkpoint_id: number | null
  ranked_run_id: string | null
  ranked_run_started_at: string | null
  ranked_run_epoch: number | null
}

export const createRestorePointRepository = (db: Database): RestorePointRepository =>
  withDomainErrors({
    async readSurroundings({ namespaceId }, reference) {
      const column = columnOf(reference)
      if (column === null) return null
      const [row] = await db.sql<JobRow>(
        surroundingsSql(column),
        [namespaceId, reference],
        `restore-point-${column}`,
      )
      if (!row) return null
      const job = { id: row.id, name: row.name }
      return {
        surroundings: { job, ...row.surroundings },
        latestVersion: row.latest_version,
        now: row.now,
      }
    },

    async listCandidates({ namespaceId }, jobId) {
      const rows = await db.sql<CandidateRow>(CANDIDATES, [namespaceId, jobId], 'restore-candidates')
      return rows.map(toCandidate)
    },

    async findCandidate({ namespaceId }, place) {
      const byId = 'snapshot' in place
      if (byId && !isUuidShaped(place.snapshot)) return null
      const [row] = await db.sql<CandidateRow>(
        byId
          ? `${CANDIDATE_SELECT} where s.namespace_id = $1::uuid and s.id = $2::uuid`
          : `${CANDIDATE_SELECT} where s.namespace_id = $1::uuid and s.location_key = $2 and s.status <> 'Cleared'`,
        [namespaceId, byId ? place.snapshot : place.locationKey],
      )
      return row ? toCandidate(row) : null
    },
  })

// ---------------------------------------------------------------------------------------------- surroundings

/** As `client.ts` writes instants: json knows no type parser. */
const instant = (expression: string): string =>
  `to_char(${expression} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
const order = (run: string): string =>
  `json_build_object('id', ${run}.id, 'startedAt', ${instant(`${run}.started_at`)}, 'epoch', ${run}.epoch)`

/**
 * `unsettled`: a Timeout with a next action is still watched. An identity that was seen but not confirmed means that nobody
 * looks at the jobs there. The newest completed snapshot is asked for by its order, so that an index answers.
 */
const surroundingsSql = (column: 'id' | 'name'): string => `
  select j.id, j.name, j.latest_version, now() as now, json_build_object(
    'attached', j.attach_flink_job_id is not null or j.attach_flink_job_name is not null,
    'ambiguous', j.ambiguous is not null,
    'cluster', json_build_object('name', c.name,
      'asked', coalesce(c.reachable and w.heartbeat_at > now() - interval '${FRESH_OBSERVATION}', false),
      'changed', c.changed_to is not null and not c.follow_identity),
    'runs', coalesce((select json_agg(json_build_object('order', ${order('r')}, 'state', r.state,
        'live', r.ended_at is null, 'missing', r.missing_since is not null,
        'endedSecondsAgo', floor(extract(epoch from now() - r.ended_at)),
        'inProgressCheckpoint', (r.in_progress ->> 'id')::bigint) order by r.started_at desc, r.id desc)
      from (select * from run p where p.job_id = j.id and p.namespace_id = j.namespace_id
        order by p.started_at desc, p.id desc limit ${RUNS_READ}) r
      where r.state not in ('FINISHED', 'CANCELED', 'FAILED') or r.ended_at is null or r.in_progress is not null
        or r.ended_at > now() - interval '${LAST_LOOKS_SECONDS} seconds'), '[]'::json),
    'unsettled', coalesce((select json_agg(json_build_object('snapshot', u.id, 'status', u.status,
        'run', case when r.id is not null then ${order('r')} end) order by u.created_at desc)
      from (
        (select s.* from snapshot s where s.job_id = j.id and s.namespace_id = j.namespace_id and s.kind = 'SAVEPOINT'
          and s.status = 'Creating' order by s.created_at desc, s.id desc limit ${OTHERS_READ})
        union all
        (select t.* from (select s.* from snapshot s where s.job_id = j.id and s.namespace_id = j.namespace_id
            and s.kind = 'SAVEPOINT' and s.status = 'Timeout'
          order by s.created_at desc, s.id desc limit ${OTHERS_READ}) t where t.next_action_at is not null)) u
        left join run r on r.id = u.run_id and r.namespace_id = u.namespace_id), '[]'::json),
    'hadState', exists (select 1 from run r where r.job_id = j.id and r.namespace_id = j.namespace_id
        and (r.completed_checkpoints > 0 or r.restored_checkpoint_id is not null or r.restored_location is not null))
      or (select s.id from snapshot s where s.job_id = j.id and s.namespace_id = j.namespace_id
        and s.completed_at is not null and s.source <> 'IMPORT' order by s.completed_at desc, s.id desc limit 1) is not null
      or exists (select 1 from checkpoint_hour h where h.job_id = j.id and h.namespace_id = j.namespace_id
        and h.completed > 0),
    'lastRunBeganFrom', (select case when r.completed_checkpoints = 0 then r.restored_snapshot_id end from run r
      where r.job_id = j.id and r.namespace_id = j.namespace_id
      order by r.started_at desc, r.epoch desc, r.id desc limit 1)) as surroundings
  from job j
    join cluster c on c.id = j.cluster_id and c.namespace_id = j.namespace_id
    left join worker w on w.id = c.observer_id
  where j.namespace_id = $1 and j.deleted_at is null and j.${column} = $2`

// ------------------------------------------------------------------------------------------------ candidates

/**
 * A copy stands in the order of its source: the run and the checkpoint id of that one, where it is one of the same job.
 * `lateral … limit 1`: whatever the planner believes, it is a lookup.
 */
export const CANDIDATE_SELECT = `
  select s.id, s.kind, s.source, s.status, s.verdict, s.claimed_by_run_id is not null as claimed, s.location, s.completed_at,
    s.job_id, j.name as job_name, s.job_version,
    case when s.source = 'COPY' then coalesce(o.flink_checkpoint_id, s.flink_checkpoint_id) else s.flink_checkpoint_id end
      as flink_checkpoint_id,
    r.id as ranked_run_id, r.started_at as ranked_run_started_at, r.epoch as ranked_run_epoch
  from snapshot s
    join job j on j.id = s.job_id
    left join lateral (
      select o.run_id, o.flink_checkpoint_id from snapshot o
      where o.id = s.copy_of and o.namespace_id = s.namespace_id and o.job_id = s.job_id limit 1) o
      on s.source = 'COPY'
    left join run r on r.id = case when s.source = 'COPY' then coalesce(o.run_id, s.run_id) else s.run_id end
      and r.namespace_id = s.namespace_id and r.job_id = s.job_id`

const ofJob = `s.job_id = $2::uuid and s.namespace_id = $1::uuid`
/** By the run alone, which is one of the job: with the job's id beside it the planner may read the whole job for each run. */
const checkpointsOfRuns = (runs: number, condition: string, limit: number): string => `
    (select s.id from (select id, started_at from runs order by started_at desc, id desc limit ${runs}) r
      cross join lateral (
        select s.id, s.flink_checkpoint_id from snapshot s
        where s.run_id = r.id and s.kind = 'CHECKPOINT' ${condition}
        order by s.flink_checkpoint_id desc limit ${CHECKPOINTS_OF_A_RUN}) s
      order by r.started_at desc, r.id desc, s.flink_checkpoint_id desc limit ${limit})`

/**
 * Checkpoints by their rank (`snapshot_checkpoint_key`), whatever their state in the newest runs, Present in more of them;
 * and the restorable ones by completion (`snapshot_checkpoints_idx`), for a job with very many runs since. Savepoints by when
 * they were accepted (`snapshot_savepoints_idx`), which is the order of their runs. A copy or an import may be newer than
 * its content, so neither counts against the limit of the others.
 */
const CANDIDATES = `
  with runs as materialized (
    select r.id, r.started_at from run r where r.job_id = $2::uuid and r.namespace_id = $1::uuid
    order by r.started_at desc, r.id desc limit ${RUNS_READ}),
  recent as materialized (
    select s.id, s.source, row_number() over (order by s.created_at desc, s.id desc) as n from snapshot s
    where ${ofJob} and s.kind = 'SAVEPOINT' order by s.created_at desc, s.id desc limit ${SAVEPOINTS_SCANNED}),
  picked as materialized (
    ${checkpointsOfRuns(10, '', OTHERS_READ)}
    union
    ${checkpointsOfRuns(100, `and s.status = 'Present'`, RESTORABLE_READ)}
    union
    (select s.id from snapshot s where ${ofJob} and s.kind = 'CHECKPOINT' and ${RESTORABLE}
      order by s.completed_at desc, s.id desc limit ${RESTORABLE_READ})
    union
    (select id from recent where n <= ${OTHERS_READ} or source = 'COPY')
    union
    (select s.id from snapshot s where ${ofJob} and s.kind = 'SAVEPOINT' and ${RESTORABLE} and s.source <> 'COPY'
      order by s.created_at desc, s.id desc limit ${RESTORABLE_READ}))
  ${CANDIDATE_SELECT}
  where s.id = any (array(select id from picked)) and ${ofJob}`

export const toCandidate = (row: CandidateRow): CandidateFacts => ({
  snapshot: row.id,
  kind: row.kind,
  source: row.source,
  status: row.status,
  verdict: row.verdict,
  claimed: row.claimed,
  location: row.location,
  job: { id: row.job_id, name: row.job_name },
  jobVersion: row.job_version,
  completedAt: row.completed_at,
  flinkCheckpointId: row.flink_checkpoint_id,
  run:
    row.ranked_run_id && row.ranked_run_started_at && row.ranked_run_epoch !== null
      ? { id: row.ranked_run_id, startedAt: row.ranked_run_started_at, epoch: row.ranked_run_epoch }
      : null,
  metadata: { is: 'unchecked' },
})
