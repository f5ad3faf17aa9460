/** Two namespaces with the same names everywhere: whatever forgets the namespace finds the wrong row at once. */
import { randomBytes } from 'node:crypto'
import { v7 } from 'uuid'
import type { Database } from '../../src/db/client.ts'
import type { SnapshotSource } from '../../src/domain/snapshot.ts'
import type { SnapshotStatus } from '../../src/domain/snapshot-status.ts'
import type { Caller } from '../../src/services/api.ts'

export type Tenant = { caller: Caller; clusterId: string; storageId: string; jobId: string; runId: string }

export async function createTenants(db: Database): Promise<{ ours: Tenant; theirs: Tenant }> {
  return { ours: await createTenant(db, 'ours'), theirs: await createTenant(db, 'theirs') }
}

export const createCaller = async (db: Database, namespace: string): Promise<Caller> => {
  const [row] = await db.sql<{ id: string }>(
    `insert into namespace (id, name) values ($1, $2)
     on conflict (name) do update set name = excluded.name returning id`,
    [v7(), namespace],
  )
  return { namespaceId: row?.id ?? '', namespace, principal: 'token:test' }
}

async function createTenant(db: Database, namespace: string): Promise<Tenant> {
  const caller = await createCaller(db, namespace)
  const ids = { clusterId: v7(), storageId: v7(), jobId: v7(), runId: v7() }
  const root = `s3://${namespace}/flink`
  await db.sql(
    `insert into cluster (id, namespace_id, name, url) values ($1, $2, 'flink', 'http://flink:8081')`,
    [ids.clusterId, caller.namespaceId],
  )
  await db.sql(
    `insert into storage (id, namespace_id, name, uri, root_key, provider) values ($1, $2, 'state', $3, $4, 'aws')`,
    [ids.storageId, caller.namespaceId, root, `${root}/`],
  )
  await db.sql(
    `insert into job (id, namespace_id, name, cluster_id, savepoint_storage_id, attach_flink_job_name)
     values ($1, $2, 'orders', $3, $4, 'orders')`,
    [ids.jobId, caller.namespaceId, ids.clusterId, ids.storageId],
  )
  const tenant = { caller, ...ids }
  await insertRun(db, tenant, { id: ids.runId })
  await db.sql('update job set current_run_id = $1 where id = $2', [ids.runId, ids.jobId])
  return tenant
}

export const newFlinkJobId = (): string => randomBytes(16).toString('hex')

export async function insertRun(
  db: Database,
  { caller, jobId, clusterId }: Tenant,
  { id = v7(), state = 'RUNNING' }: { id?: string; state?: string } = {},
): Promise<string> {
  await db.sql(
    `insert into run (id, namespace_id, job_id, cluster_id, flink_job_id, state, flink_state, flink_start_time, started_at)
     values ($1, $2, $3, $4, $5, $6, $6, 1, now())`,
    [id, caller.namespaceId, jobId, clusterId, newFlinkJobId(), state],
  )
  return id
}

/** A savepoint begins as Creating; the way from there to each status. */
export const WAY_TO: Record<SnapshotStatus, readonly SnapshotStatus[]> = {
  Creating: [],
  Present: ['Present'],
  Timeout: ['Timeout'],
  Failed: ['Failed'],
  Clearing: ['Present', 'Clearing'],
  Cleared: ['Present', 'Clearing', 'Cleared'],
}

export type SavepointFacts = {
  status?: SnapshotStatus
  source?: SnapshotSource
  settled?: boolean
  location?: string
}

/** A savepoint we asked for, brought to `status` by legal moves. */
export async function insertSavepoint(
  db: Database,
  { caller, jobId, storageId, runId }: Tenant,
  { status = 'Creating', source = 'MANUAL', settled = status !== 'Creating', location }: SavepointFacts = {},
): Promise<string> {
  const id = v7()
  await db.sql(
    `insert into snapshot (id, namespace_id, job_id, run_id, storage_id, kind, status, reason, source, description,
       attempt, created_by, settled_at, location, location_key)
     values ($1, $2, $3, $4, $5, 'SAVEPOINT', 'Creating', 'REQUESTED', $6, 'a test', 1, 'token:test',
       case when $7 then now() end, $8, $8)`,
    [id, caller.namespaceId, jobId, runId, storageId, source, settled, location ?? null],
  )
  for (const next of WAY_TO[status]) await db.sql('update snapshot set status = $1 where id = $2', [next, id])
  return id
}
