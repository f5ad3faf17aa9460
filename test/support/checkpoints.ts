/** Checkpoints as the observer of a cluster records them. */
import { v7 } from 'uuid'
import type { Database } from '../../src/db/client.ts'
import type { Tenant } from './fixtures.ts'

export type CheckpointFacts = {
  status?: 'Present' | 'Failed' | 'Timeout' | 'Cleared'
  flinkCheckpointId: number
  /** When it completed or failed. */
  at: Date
  runId?: string
  durationMs?: number
  sizeBytes?: number
  uploadedBytes?: number
  location?: string | null
  verdict?: string
}

export async function insertCheckpoint(
  db: Database,
  tenant: Tenant,
  facts: CheckpointFacts,
): Promise<string> {
  const id = v7()
  const { status = 'Present', flinkCheckpointId, at, runId = tenant.runId, durationMs = 250 } = facts
  const failed = status === 'Failed' || status === 'Timeout'
  const place = `s3://${tenant.caller.namespace}/flink/${runId}/chk-${flinkCheckpointId}`
  const location = failed ? null : facts.location === undefined ? place : facts.location
  await db.sql(
    `insert into snapshot (id, namespace_id, job_id, run_id, job_version, kind, status, reason, source, description,
       checkpoint_type, flink_checkpoint_id, created_at, triggered_at, completed_at, failed_at, settled_at, duration_ms,
       size_bytes, uploaded_bytes, location, location_key, failure_code, failure_message, verdict, created_by)
     values ($1, $2, $3, $4, 1, 'CHECKPOINT', $5, 'OBSERVED', 'SYSTEM', '', 'CHECKPOINT', $6, $7, $8,
       case when $9 then null else $7::timestamptz end, case when $9 then $7::timestamptz end, $7, $10, $11, $12, $13, $13,
       case when $9 then 'CHECKPOINT_EXPIRED' end, case when $9 then 'Checkpoint expired before completing.' end, $14, 'flink')`,
    [
      id,
      tenant.caller.namespaceId,
      tenant.jobId,
      runId,
      status === 'Cleared' ? 'Present' : status,
      flinkCheckpointId,
      at.toISOString(),
      new Date(at.getTime() - durationMs).toISOString(),
      failed,
      failed ? null : durationMs,
      failed ? null : (facts.sizeBytes ?? 65_536),
      failed ? null : (facts.uploadedBytes ?? 4_096),
      location,
      facts.verdict ?? null,
    ],
  )
  if (status === 'Cleared') {
    await db.sql(`update snapshot set status = 'Cleared', reason = 'SUBSUMED' where id = $1`, [id])
  }
  return id
}

/** `count` checkpoints that Flink has dropped since, one a second, the newest at `endsAt`; one statement. */
export async function insertDropped(
  db: Database,
  tenant: Tenant,
  {
    count,
    endsAt,
    status = 'Cleared',
  }: { count: number; endsAt: Date; status?: 'Cleared' | 'Failed' | 'Timeout' },
): Promise<void> {
  await db.sql(
    `insert into snapshot (id, namespace_id, job_id, run_id, kind, status, reason, source, description, checkpoint_type,
       flink_checkpoint_id, created_at, triggered_at, completed_at, failed_at, settled_at, duration_ms, size_bytes,
       uploaded_bytes, location, location_key, created_by)
     select gen_random_uuid(), $1::uuid, $2::uuid, $3::uuid, 'CHECKPOINT', case when $6 = 'Cleared' then 'Present' else $6 end,
       'OBSERVED', 'SYSTEM', '', 'CHECKPOINT', $7::bigint + n, at, at, case when $6 = 'Cleared' then at end,
       case when $6 <> 'Cleared' then at end, at, n, n * 10, n * 2,
       case when $6 = 'Cleared' then 's3://dropped/' || $3 || '/chk-' || n end, null, 'flink'
     from (select n, $5::timestamptz - make_interval(secs => $4::int - n) as at from generate_series(1, $4::int) n) g`,
    [
      tenant.caller.namespaceId,
      tenant.jobId,
      tenant.runId,
      count,
      endsAt.toISOString(),
      status,
      { Cleared: 1_000_000, Failed: 2_000_000, Timeout: 3_000_000 }[status],
    ],
  )
  if (status === 'Cleared') {
    await db.sql(
      `update snapshot set status = 'Cleared', reason = 'SUBSUMED'
       where job_id = $1 and status = 'Present' and location like 's3://dropped/%'`,
      [tenant.jobId],
    )
  }
}
