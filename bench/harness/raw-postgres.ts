/** The raw side of a savepoint in Postgres: one prepared statement for a row with its event, one for the move. */
import type { Pool } from 'pg'
import { v7 } from 'uuid'
import type { BenchJob, Ground } from './ground.ts'

const INSERT = `
  with snap as (
    insert into snapshot (id, namespace_id, job_id, run_id, storage_id, kind, status, reason, source, description, format,
      attempt, deadline_at, owned_prefix, created_by, next_action_at)
    values ($1, $2, $3, $4, $5, 'SAVEPOINT', 'Creating', 'REQUESTED', 'MANUAL', $6, 'CANONICAL',
      1, now() + interval '30 minutes', $7, 'raw', now())
    returning id, namespace_id, job_id)
  insert into history.event (namespace_id, type, job_id, snapshot_id, data)
  select namespace_id, 'snapshot.status', job_id, id, '{"from": null, "to": "Creating"}' from snap`

const MOVE = `
  with moved as (
    update snapshot set status = 'Present', reason = 'COMPLETED', location = $2, location_key = $2, completed_at = now(),
      settled_at = now(), size_bytes = 1, next_action_at = null, row_version = row_version + 1, updated_at = now()
    where id = $1 and status = 'Creating'
    returning id, namespace_id, job_id)
  insert into history.event (namespace_id, type, job_id, snapshot_id, data)
  select namespace_id, 'snapshot.status', job_id, id, '{"from": "Creating", "to": "Present"}' from moved`

export async function insertRaw(
  pool: Pool,
  ground: Ground,
  job: BenchJob,
  withRun: boolean,
): Promise<string> {
  const id = v7()
  const prefix = `s3://bench/flink/default/${job.name}/savepoints/${id}/`
  const description = `Savepoint of ${job.name}, requested by raw code`
  const run = withRun ? job.runId : null
  await pool.query({
    name: 'raw-insert',
    text: INSERT,
    values: [id, ground.namespaceId, job.id, run, ground.storageId, description, prefix],
  })
  return id
}

export async function moveRaw(pool: Pool, id: string): Promise<void> {
  const location = `s3://bench/flink/default/savepoints/${id}/1/savepoint-000000-000000000000`
  const { rowCount } = await pool.query({ name: 'raw-move', text: MOVE, values: [id, location] })
  if (rowCount !== 1) throw new Error(`the raw move of ${id} changed ${rowCount} rows`)
}
