/** What both sides stand on: one namespace, one cluster, one storage, many jobs; written in SQL, not measured. */
import { randomBytes } from 'node:crypto'
import type { Pool } from 'pg'
import { v7 } from 'uuid'

export const TOKEN = 'bench-token-of-sixteen'

export type Ground = { namespaceId: string; clusterId: string; storageId: string; jobs: BenchJob[] }
export type BenchJob = { id: string; name: string; flinkJobId: string; runId: string }

/** `runs`: as if an observer had seen every job running; without it the worker has to find out. */
export async function layGround(
  pool: Pool,
  jobCount: number,
  { flinkUrl = 'http://127.0.0.1:9', runs = false }: { flinkUrl?: string; runs?: boolean } = {},
): Promise<Ground> {
  const ids = { namespaceId: v7(), clusterId: v7(), storageId: v7() }
  const jobs = Array.from({ length: jobCount }, (_, index) => ({
    id: v7(),
    name: `job-${index}`,
    flinkJobId: randomBytes(16).toString('hex'),
    runId: v7(),
  }))
  await pool.query(`insert into namespace (id, name) values ($1, 'default')`, [ids.namespaceId])
  await pool.query(`insert into cluster (id, namespace_id, name, url) values ($1, $2, 'flink', $3)`, [
    ids.clusterId,
    ids.namespaceId,
    flinkUrl,
  ])
  await pool.query(
    `insert into storage (id, namespace_id, name, uri, root_key, provider)
     values ($1, $2, 'state', 's3://bench/flink', 's3://bench/flink/', 'flink-only')`,
    [ids.storageId, ids.namespaceId],
  )
  const table = `jsonb_to_recordset($1::jsonb) as g(id uuid, name text, "flinkJobId" text, "runId" uuid)`
  await pool.query(
    `insert into job (id, namespace_id, name, cluster_id, savepoint_storage_id, attach_flink_job_id)
     select id, $2, name, $3, $4, "flinkJobId" from ${table}`,
    [JSON.stringify(jobs), ids.namespaceId, ids.clusterId, ids.storageId],
  )
  if (runs) {
    await pool.query(
      `with r as (
         insert into run (id, namespace_id, job_id, cluster_id, flink_job_id, state, flink_state, flink_start_time,
           all_tasks_running, tasks_running_since, started_at)
         select "runId", $2, id, $3, "flinkJobId", 'RUNNING', 'RUNNING', 1, true, now(), now() from ${table}
         returning id, job_id)
       update job set current_run_id = r.id from r where job.id = r.job_id`,
      [JSON.stringify(jobs), ids.namespaceId, ids.clusterId],
    )
  }
  await pool.query('vacuum analyze')
  return { ...ids, jobs }
}

/** Each side begins with the same empty tables, and with no checkpoint of the other side's pages to come. */
export async function clearSnapshots(pool: Pool): Promise<void> {
  await pool.query(
    'truncate snapshot, attempt, idempotency_record, history.snapshot_transition, history.event cascade',
  )
  await pool.query('checkpoint')
}
