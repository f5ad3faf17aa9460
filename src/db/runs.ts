/** Runs of jobs: what was observed of them, and a person's word that one has ended. */
import { isUuidShaped } from '../domain/resource-name.ts'
import type { RunState } from '../domain/resources.ts'
import type { Run, VersionBasis } from '../domain/run.ts'
import type { RunRepository, RunRow } from '../ports/runs.ts'
import type { Database, Row } from './client.ts'
import { withDomainErrors } from './errors.ts'
import { decodePageToken, encodePageToken, toPage } from './paging.ts'

const SHAPE = 'startedAt-desc'

export type RunRecord = Row & {
  id: string
  job_id: string
  job_name: string
  cluster_id: string
  cluster_name: string
  cluster_unreachable: boolean
  flink_job_id: string
  epoch: number
  state: RunState
  flink_state: string
  version: number | null
  version_basis: VersionBasis | null
  declared_version: number | null
  restored_snapshot_id: string | null
  restored_location: string | null
  restored_checkpoint_id: number | null
  claim_mode: string | null
  started_at: string
  ended_at: string | null
  end_confirmed_at: string | null
  missing_since: string | null
  completed_checkpoints: number
  under_review: boolean
  failure: Run['failure']
  created_at: string
  updated_at: string
}

/** `r`, its job `j` and its cluster `c`. A cluster nobody has tried yet is not unreachable. */
export const RUN_COLUMNS = `
  r.id, r.job_id, j.name as job_name, r.cluster_id, c.name as cluster_name,
  coalesce(not c.reachable, false) or c.deleted_at is not null as cluster_unreachable,
  r.flink_job_id, r.epoch, r.state, r.flink_state, r.version, r.version_basis, r.declared_version,
  r.restored_snapshot_id, r.restored_location, r.restored_checkpoint_id, r.claim_mode, r.started_at, r.ended_at,
  r.end_confirmed_at, r.missing_since, r.completed_checkpoints, r.recheck_at is not null as under_review,
  r.failure, r.created_at, r.updated_at`

const SELECT = `select ${RUN_COLUMNS} from run r
    join job j on j.id = r.job_id and j.namespace_id = r.namespace_id
    join cluster c on c.id = r.cluster_id and c.namespace_id = r.namespace_id
  where r.namespace_id = $1`

export const createRunRepository = (db: Database): RunRepository =>
  withDomainErrors({
    async find({ namespaceId }, id) {
      if (!isUuidShaped(id)) return null
      const [row] = await db.sql<RunRecord>(`${SELECT} and r.id = $2`, [namespaceId, id], 'find-run')
      return row ? toRunRow(row) : null
    },

    async list({ namespaceId }, jobId, { pageSize, after }) {
      const [startedAt, id] = after === null ? [null, null] : decodePageToken(after, SHAPE)
      const rows = await db.sql<RunRecord>(
        `${SELECT} and r.job_id = $2 and ($3::timestamptz is null or (r.started_at, r.id) < ($3, $4::uuid))
         order by r.started_at desc, r.id desc limit $5`,
        [namespaceId, jobId, startedAt, id, pageSize + 1],
      )
      return toPage(rows, pageSize, (row) => encodePageToken([row.started_at, row.id], SHAPE), toRun)
    },

    async confirmEnd({ namespaceId }, id, by) {
      const rows = await db.sql(CONFIRM_END, [id, namespaceId, by])
      return rows.length === 1
    },
  })

/**
 * The same condition as `judgeEnd`, at the moment of writing: a run that is listed again meanwhile is left alone. What ends
 * here was not seen to end, so its checkpoints are looked for in storage like those of any ended run.
 */
const CONFIRM_END = `
  with confirmed as (
    update run r set end_confirmed_at = now(), state = 'LOST', ended_at = coalesce(r.ended_at, now()),
      all_tasks_running = false, tasks_running_since = null, in_progress = null,
      recheck_at = case when r.ended_at is null then now() else r.recheck_at end, updated_at = now()
    from cluster c
    where r.id = $1::uuid and r.namespace_id = $2::uuid and c.id = r.cluster_id and c.namespace_id = r.namespace_id
      and ((r.state = 'LOST' and r.end_confirmed_at is null)
        or (r.state in ('SUBMITTING', 'RUNNING', 'STOPPING')
          and (r.missing_since is not null or not c.reachable or c.deleted_at is not null)))
    returning r.id, r.namespace_id, r.job_id, r.state, r.flink_state),
  told as (
    insert into history.event (namespace_id, type, job_id, data)
    select namespace_id, 'run.state', job_id, jsonb_build_object('run', id, 'state', state, 'flinkState', flink_state,
      'endConfirmed', true, 'by', $3::text)
    from confirmed)
  select id from confirmed`

const toRunRow = (row: RunRecord): RunRow => ({ ...toRun(row), clusterUnreachable: row.cluster_unreachable })

export const toRun = (row: RunRecord): Run => ({
  id: row.id,
  job: { id: row.job_id, name: row.job_name },
  cluster: { id: row.cluster_id, name: row.cluster_name },
  flinkJobId: row.flink_job_id,
  epoch: row.epoch,
  state: row.state,
  flinkState: row.flink_state,
  version: row.version,
  versionBasis: row.version_basis,
  declaredVersion: row.declared_version,
  restoredFrom: toRestoredFrom(row),
  claimMode: row.claim_mode,
  startedAt: row.started_at,
  endedAt: row.ended_at,
  endConfirmedAt: row.end_confirmed_at,
  missingSince: row.missing_since,
  completedCheckpoints: row.completed_checkpoints,
  checkpointsUnderReview: row.under_review,
  failure: row.failure,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
})

function toRestoredFrom(row: RunRecord): Run['restoredFrom'] {
  const [snapshot, location, flinkCheckpointId] = [
    row.restored_snapshot_id,
    row.restored_location,
    row.restored_checkpoint_id,
  ]
  if (snapshot === null && location === null && flinkCheckpointId === null) return null
  return { snapshot, location, flinkCheckpointId }
}
