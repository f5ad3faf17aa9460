/**
 * A job with as many snapshots as asked for, by one statement: as after months of life nine of ten are Flink's
 * checkpoints, one is a savepoint with its attempt, and a hundred of all have failed, spread evenly over the time.
 */
import type { Pool, PoolClient } from 'pg'

/** Any job's snapshots lie in this span, however many they are. */
export const SPAN_SECONDS = 1_000_000
/** How many of a job's snapshots have the status Failed. */
export const FAILED_ROWS = 100

export type SeededJob = { namespaceId: string; jobId: string; runId: string; storageId: string }

/** Rules and references are not checked meanwhile: a million rows take seconds instead of minutes. */
export async function seedSnapshots(pool: Pool, job: SeededJob, count: number, endsAt: Date): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    await client.query('set local session_replication_role = replica')
    await client.query('set local statement_timeout = 0')
    const rebuildIndexes = await dropIndexes(client)
    await client.query(SEED, [
      job.namespaceId,
      job.jobId,
      job.runId,
      job.storageId,
      count,
      new Date(endsAt.getTime() - SPAN_SECONDS * 1000).toISOString(),
      SPAN_SECONDS,
      FAILED_ROWS,
    ])
    await rebuildIndexes()
    await client.query('commit')
  } finally {
    client.release()
  }
  await pool.query('vacuum analyze snapshot, attempt')
}

/**
 * Statistics that have met none of the rare rows, as a sample of 30,000 of a million has one time in twenty: such a status
 * counts as one row, and any plan that reads all of it looks as good as one that reads a page.
 */
export async function forgetRareStatus(pool: Pool, jobId: string): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('set session_replication_role = replica')
    const { rows } = await client.query<{ id: string }>(
      `update snapshot set status = 'Present' where job_id = $1 and status = 'Failed' returning id`,
      [jobId],
    )
    await client.query('analyze snapshot')
    await client.query(`update snapshot set status = 'Failed' where id = any($1::uuid[])`, [
      rows.map((row) => row.id),
    ])
  } finally {
    client.release(true)
  }
}

/** Building an index over a million rows takes a fraction of the time of keeping it up row by row. */
async function dropIndexes(client: PoolClient): Promise<() => Promise<void>> {
  const { rows } = await client.query<{ name: string; definition: string }>(
    `select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition from pg_index
     where indrelid = 'snapshot'::regclass
       and not exists (select 1 from pg_constraint where conindid = indexrelid)`,
  )
  for (const { name } of rows) await client.query(`drop index ${name}`)
  return async () => {
    await client.query(`set local maintenance_work_mem = '256MB'`)
    for (const { definition } of rows) await client.query(definition)
  }
}

/** Ids as uuid v7 makes them: ordered by time. */
const SEED = `
  with made as (
    insert into snapshot (id, namespace_id, job_id, run_id, job_version, storage_id, kind, status, reason, source, description,
      checkpoint_type, format, attempt, flink_checkpoint_id, created_at, triggered_at, completed_at, settled_at, duration_ms,
      deadline_at, owned_prefix, location, location_key, size_bytes, uploaded_bytes, flink_version,
      failure_code, failure_message, failed_at, created_by)
    select (lpad(to_hex((extract(epoch from g.at) * 1000)::bigint), 12, '0') || '7' || substr(md5(g.n::text || $2), 1, 3)
          || '8' || substr(md5(g.n::text || $2), 4, 15))::uuid,
      $1::uuid, $2::uuid, $3::uuid, 1, $4::uuid, case when g.ours then 'SAVEPOINT' else 'CHECKPOINT' end,
      case when g.failed then 'Failed' else 'Present' end, case when g.failed then 'EXPIRED' else 'COMPLETED' end,
      case when g.ours then 'MANUAL' else 'SYSTEM' end, case when g.ours then 'a savepoint' else '' end,
      case when g.ours then 'SAVEPOINT' else 'CHECKPOINT' end, case when g.ours then 'CANONICAL' end,
      case when g.ours then 1 end, g.n, g.at, g.at, g.at, g.at, 250, case when g.ours then g.at end,
      case when g.ours then 's3://seed/' || $2 || '/savepoints/' || g.n || '/' end,
      's3://seed/' || $2 || '/' || g.n, 's3://seed/' || $2 || '/' || g.n, 65536, 4096, '2.3.0',
      case when g.failed then 'CHECKPOINT_EXPIRED' end, case when g.failed then 'Checkpoint expired before completing.' end,
      case when g.failed then g.at end, 'seed'
    from (
      select n, n % 10 = 0 as ours, n % ($5::int / $8::int) = 0 as failed,
        date_trunc('milliseconds', $6::timestamptz + make_interval(secs => n::float8 * $7::float8 / $5::int)) as at
      from generate_series(1, $5::int) as n) g
    returning id, namespace_id, kind, created_at)
  insert into attempt (namespace_id, snapshot_id, number, trigger_id, flink_job_id, directory, created_at, asked_at, outcome,
    settled_at)
  select namespace_id, id, 1, replace(id::text, '-', ''), md5($2), 's3://seed/' || $2 || '/savepoints/' || id || '/1/',
    created_at, created_at, 'COMPLETED', created_at
  from made where kind = 'SAVEPOINT'`
