/** Snapshots that exist already and are registered. One location is one row: the unique index decides, also between two at once. */

import type { SnapshotStatus } from '../domain/snapshot-status.ts'
import type { SnapshotRepository } from '../ports/snapshots.ts'
import { type Database, type Row, violatedConstraint } from './client.ts'
import { forgetExpiredKey } from './idempotency.ts'
import { HISTORY_OF_BEGUN } from './snapshot-history.ts'
import { SNAPSHOT_COLUMNS, SNAPSHOT_JOINS, type SnapshotRow, toSnapshot } from './snapshot-rows.ts'

type Methods = Pick<SnapshotRepository, 'findByLocation' | 'findOwners' | 'insertImport'>

type Owner = Row & { id: string; status: SnapshotStatus; owned_prefix: string }

export const createSnapshotImportMethods = (db: Database): Methods => ({
  findByLocation: async ({ namespaceId }, key) => {
    const [row] = await db.sql<SnapshotRow>(
      `select ${SNAPSHOT_COLUMNS} from snapshot s ${SNAPSHOT_JOINS}
       where s.namespace_id = $1 and s.location_key = $2 and s.status <> 'Cleared'`,
      [namespaceId, key],
    )
    return row ? toSnapshot(row) : null
  },

  findOwners: async ({ namespaceId }, ids, locationKeys) => {
    const rows = await db.sql<Owner>(
      `select id, status, owned_prefix from snapshot
       where namespace_id = $1 and status <> 'Cleared' and owned_prefix is not null
         and (id = any($2::uuid[]) or location_key = any($3::text[]))`,
      [namespaceId, ids, locationKeys],
    )
    return rows.map(({ id, status, owned_prefix }) => ({ id, status, ownedPrefix: owned_prefix }))
  },

  insertImport: async (scope, snapshot, idempotency) => {
    try {
      const rows = await db.sql(INSERT_IMPORT, [
        snapshot.id,
        snapshot.jobId,
        scope.namespaceId,
        snapshot.storageId,
        snapshot.description,
        JSON.stringify(snapshot.labels),
        snapshot.flinkCheckpointId,
        snapshot.completedAt,
        snapshot.location,
        snapshot.locationKey,
        snapshot.ownedPrefix,
        snapshot.createdBy,
        idempotency?.principal ?? null,
        idempotency?.route ?? null,
        idempotency?.key ?? null,
        idempotency?.bodyHash ?? null,
      ])
      return rows.length === 1 ? 'inserted' : 'exists'
    } catch (error) {
      if (violatedConstraint(error) !== 'idempotency_record_pkey' || !idempotency) throw error
      await forgetExpiredKey(db, scope, idempotency)
      return 'idempotency-race'
    }
  },
})

/** `for key share`: a job or a storage that is being deleted right now is waited for, and then has no row here. */
const INSERT_IMPORT = `
  with place as (
    select id from storage where id = $4::uuid and namespace_id = $3::uuid and deleted_at is null for key share),
  snap as (
    insert into snapshot (id, namespace_id, job_id, storage_id, kind, status, reason, source, description, labels,
      flink_checkpoint_id, completed_at, location, location_key, owned_prefix, verified_at, verify_at, settled_at, restored_by,
      created_by)
    select $1::uuid, j.namespace_id, j.id, place.id, 'SAVEPOINT', 'Present', 'IMPORTED', 'IMPORT', $5, $6::jsonb,
      $7::bigint, $8::timestamptz, $9, $10, $11, now(), now(), now(),
      array(select r.id from run r where r.namespace_id = j.namespace_id and r.restored_key = $10), $12
    from place, job j where j.id = $2::uuid and j.namespace_id = $3::uuid and j.deleted_at is null
    for key share of j
    on conflict (namespace_id, location_key) where location_key is not null and status <> 'Cleared' do nothing
    returning *),
  linked as ( -- runs that were restored from it before anybody told us of it
    update run r set restored_snapshot_id = snap.id, updated_at = now() from snap
    where r.namespace_id = snap.namespace_id and r.restored_key = snap.location_key and r.restored_snapshot_id is null),
  ${HISTORY_OF_BEGUN},
  remembered as (
    insert into idempotency_record (namespace_id, principal, route, key, body_hash, resource_id)
    select namespace_id, $13, $14, $15, $16, id::text from snap where $15::text is not null)
  select id from snap`
