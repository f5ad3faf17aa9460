/** A clearing as the API and the worker see it, on real rows and whatever store a test names. */
import { v7 } from 'uuid'
import { createAuditWorkRepository } from '../../src/db/audit-work.ts'
import { createCheckpointDirectoryRepository } from '../../src/db/checkpoint-directories.ts'
import { createClearingWorkRepository } from '../../src/db/clearing-work.ts'
import { createClearingRepository } from '../../src/db/clearings.ts'
import type { Database } from '../../src/db/client.ts'
import { createInspectionRepository } from '../../src/db/inspections.ts'
import { createProtectionRepository } from '../../src/db/protections.ts'
import { createReferenceRepository } from '../../src/db/references.ts'
import { createSnapshotRepository } from '../../src/db/snapshots.ts'
import { createStorageRepository } from '../../src/db/storages.ts'
import type { ClearingWorkRepository } from '../../src/ports/clearing.ts'
import type { FlinkClient } from '../../src/ports/flink.ts'
import type { ObjectStores } from '../../src/ports/storage.ts'
import { type AdvanceClearingPorts, sweepClearings } from '../../src/services/advance-clearing.ts'
import type { Services } from '../../src/services/api.ts'
import { clearSnapshot } from '../../src/services/clear-snapshot.ts'
import { fakeFlink } from './fakes.ts'
import type { Tenant } from './fixtures.ts'

const LOG = { info: () => undefined, warn: () => undefined, error: () => undefined }

export type ClearingBench = {
  clear: Services['clearSnapshot']
  work: ClearingWorkRepository
  sweep(changes?: Partial<AdvanceClearingPorts>): Promise<number>
  /** Sweeps, without the pauses in between, until the clearing has ended or failed. */
  drain(snapshotId: string, changes?: Partial<AdvanceClearingPorts>): Promise<ClearingState>
  read(snapshotId: string): Promise<ClearingState>
}
export type ClearingState = {
  status: string
  reason: string
  phase: string | null
  ended: boolean
  error: string | null
  message: string | null
  objects: number
  deleted: number
  batches: number
}

export function openClearingBench(
  db: Database,
  stores: Pick<ObjectStores, 'of'>,
  flink: Partial<FlinkClient> = {},
): ClearingBench {
  const references = createReferenceRepository(db)
  const inspections = createInspectionRepository(db)
  const snapshots = createSnapshotRepository(db)
  const work = createClearingWorkRepository(db, { leaseMs: 20_000, newLease: v7, workerName: 'worker' })
  const ports: AdvanceClearingPorts = {
    clearingWork: work,
    references,
    inspections,
    checkpointDirectories: createCheckpointDirectoryRepository(db),
    orphans: createAuditWorkRepository(db, inspections, { leaseMs: 20_000, newLease: v7 }),
    storages: createStorageRepository(db),
    stores,
    flink: { to: () => fakeFlink(flink) },
    crashPoint: () => undefined,
    log: LOG,
    limits: { renewMs: 5_000 },
  }
  const read = async (id: string): Promise<ClearingState> => {
    const [row] = await db.sql<ClearingState>(
      `select s.status, s.reason, c.phase, c.ended_at is not null as ended, c.error_code as error,
         c.error_message as message, coalesce(c.objects, 0) as objects, coalesce(c.deleted, 0) as deleted,
         (select count(*)::int from clearing_batch b where b.clearing_id = c.id) as batches
       from snapshot s left join clearing c on c.snapshot_id = s.id where s.id = $1`,
      [id],
    )
    if (!row) throw new Error(`there is no snapshot ${id}`)
    return row
  }
  const sweep = async (changes: Partial<AdvanceClearingPorts> = {}): Promise<number> => {
    await db.sql('update clearing set next_action_at = now() where next_action_at is not null')
    const { claimed, done } = await sweepClearings({ ...ports, ...changes })(20)
    await done
    return claimed
  }
  return {
    clear: clearSnapshot({
      snapshots,
      storages: createStorageRepository(db),
      stores,
      inspections,
      clearings: createClearingRepository(db, {
        references,
        inspections,
        checkpointDirectories: createCheckpointDirectoryRepository(db),
      }),
      protections: createProtectionRepository(db),
      nudges: { savepointDue: () => undefined },
      newId: v7,
    }),
    work,
    sweep,
    read,
    async drain(id, changes) {
      for (let round = 0; round < 30; round++) {
        await sweep(changes)
        const state = await read(id)
        if (state.ended || state.error !== null) return state
      }
      throw new Error(`the clearing of ${id} does not end`)
    },
  }
}

export type SavepointAt = {
  id?: string
  status?: 'Present' | 'Failed' | 'Timeout'
  source?: string
  ownedPrefix?: string | null
  location?: string | null
  checkpointId?: number
  version?: number | null
}

/** A savepoint of ours below the root of its storage, with its attempt. */
export async function insertOwnedSavepoint(
  db: Database,
  { caller, jobId, storageId, runId }: Tenant,
  root: string,
  given: SavepointAt = {},
): Promise<{ id: string; prefix: string; location: string }> {
  const id = given.id ?? v7()
  const { status = 'Present', source = 'MANUAL', checkpointId = 1, version = null } = given
  const prefix = `${root}/${caller.namespace}/orders/savepoints/${id}/`
  const location = `${prefix}1/savepoint-abcdef-0123456789ab`
  const ownedPrefix = given.ownedPrefix === undefined ? prefix : given.ownedPrefix
  const place = given.location === undefined ? (status === 'Present' ? location : null) : given.location
  const imported = source === 'IMPORT' || source === 'EXTERNAL'
  await db.sql(
    `insert into snapshot (id, namespace_id, job_id, run_id, storage_id, kind, status, reason, source, description,
       attempt, created_by, settled_at, completed_at, flink_checkpoint_id, owned_prefix, location, location_key, job_version)
     values ($1, $2, $3, $4, $5, 'SAVEPOINT', $6, 'COMPLETED', $7, 'a test', $8, 'token:test', now(), now(), $9, $10,
       $11, $11, $12)`,
    [
      id,
      caller.namespaceId,
      jobId,
      runId,
      storageId,
      imported ? 'Present' : 'Creating',
      source,
      imported ? null : 1,
      checkpointId,
      ownedPrefix,
      place,
      version,
    ],
  )
  if (!imported) {
    await db.sql(
      `insert into attempt (namespace_id, snapshot_id, number, trigger_id, directory, asked_at, outcome, settled_at)
       values ($1, $2, 1, $3, $4, now(), 'COMPLETED', now())`,
      [caller.namespaceId, id, v7(), `${ownedPrefix ?? prefix}1/`],
    )
    await db.sql('update snapshot set status = $1 where id = $2', [status, id])
  }
  return { id, prefix, location }
}
