/** Who points at a snapshot. Rows only: what they mean is `domain/references.ts`. */

import type { OpenCopy, RestoredRun } from '../domain/references.ts'
import { isUuidShaped } from '../domain/resource-name.ts'
import type { Reference, SnapshotKind } from '../domain/snapshot.ts'
import type { ReferenceRepository } from '../ports/runs.ts'
import type { Database, Row, Sql } from './client.ts'
import { withDomainErrors } from './errors.ts'
import { MOST_HEIRS, restoredFrom, withHeirs } from './heirs.ts'
import { RUN_HAS_ENDED } from './lifecycles.ts'

/** Of heirs that live; one is enough to spare what they may use. */
const HEIRS_NAMED = 20

type ReferenceRow = Row & {
  kind: SnapshotKind
  claimed_by_run_id: string | null
  clusters: Reference[]
  runs: RestoredRun[]
  copies: OpenCopy[]
  heirs: RestoredRun[]
  many_heirs: boolean
}

export const createReferenceRepository = (db: Database): ReferenceRepository =>
  withDomainErrors({
    async read({ namespaceId }, snapshotId, folder = null) {
      if (!isUuidShaped(snapshotId)) return null
      return readReferences(db.sql, namespaceId, snapshotId, folder)
    },
  })

/** The same inside a transaction that holds the snapshot. */
export async function readReferences(
  sql: Sql,
  namespaceId: string,
  snapshotId: string,
  folder: string | null,
): ReturnType<ReferenceRepository['read']> {
  const [row] =
    folder === null
      ? await sql<ReferenceRow>(READ, [snapshotId, namespaceId], 'snapshot-references')
      : await sql<ReferenceRow>(READ_BELOW, [snapshotId, namespaceId, folder], 'snapshot-references-below')
  if (!row) return null
  return {
    kind: row.kind,
    clusters: row.clusters,
    runs: row.runs,
    claimedByRun: row.claimed_by_run_id,
    copies: row.copies,
    heirs: row.heirs,
    manyHeirs: row.many_heirs,
  }
}

/** A `RestoredRun` from the run `r`, its job `j` and its cluster `c`. */
const RUN_JSON = `json_build_object('id', r.id, 'state', r.state,
        'job', json_build_object('id', j.id, 'name', j.name), 'cluster', json_build_object('id', c.id, 'name', c.name),
        'attached', j.attach_flink_job_id is not null or j.attach_flink_job_name is not null,
        'endConfirmed', r.end_confirmed_at is not null, 'completedCheckpoints', r.completed_checkpoints,
        'succeeded', exists (select 1 from run later
          where later.job_id = r.job_id and later.namespace_id = r.namespace_id
            and (later.started_at, later.id) > (r.started_at, r.id) and later.completed_checkpoints > 0))`

/**
 * Of the snapshot `s`, as `copies`, `clusters` and `runs`. Everything by an index: `operation_open_copy_key`,
 * `cluster_recovery_idx`, `run_restored_idx`, `run_restored_snapshot_idx`, `run_restored_below_idx`. Runs that have certainly
 * ended are left out here, because application mode may have restored one location a thousand times. Across jobs: whoever
 * restored it counts. `folder`: whoever uses any place below it counts, too, known to us as a snapshot or not.
 */
const useColumns = (folder: string | null): string => `
    coalesce((select json_agg(json_build_object('operation', o.id, 'storage', o.input -> 'storage' ->> 'name') order by o.id)
      from operation o
      where o.kind = 'COPY' and o.ended_at is null and (o.input ->> 'snapshot')::uuid = s.id
        and o.namespace_id = s.namespace_id), '[]'::json) as copies,
    coalesce((select json_agg(json_build_object('id', c.id, 'name', c.name) order by c.name) from cluster c
      where c.namespace_id = s.namespace_id and c.deleted_at is null
        and (c.recovery_key = s.location_key${folder === null ? '' : ` or starts_with(c.recovery_key, ${folder})`})),
      '[]'::json) as clusters,
    coalesce((select json_agg(${RUN_JSON} order by r.started_at desc, r.id desc)
      from (
        select id from run where namespace_id = s.namespace_id and restored_key = s.location_key
        union
        select id from run where namespace_id = s.namespace_id and restored_snapshot_id = s.id${
          folder === null
            ? ''
            : `
        union
        select id from run where namespace_id = s.namespace_id and restored_key is not null
          and left(restored_key, 512) collate "C" >= left(${folder}, 512) collate "C"
          and left(restored_key, 512) collate "C" < (case when length(${folder}) <= 512
            then left(${folder}, -1) || '0' else left(${folder}, 512) || chr(1) end) collate "C"
          and starts_with(restored_key, ${folder})`
        }) hit
        join run r on r.id = hit.id join job j on j.id = r.job_id join cluster c on c.id = r.cluster_id
      where r.state not in ('FINISHED', 'CANCELED', 'FAILED')), '[]'::json) as runs`

export const USE_COLUMNS = useColumns(null)

/** Of a savepoint whose directory is ours; who may still use that of a checkpoint says `checkpoint-directories.ts`. */
const readOf = (columns: string): string => `
  select s.kind, s.claimed_by_run_id, coalesce(h.heirs, '[]'::json) as heirs, coalesce(h.many, false) as many_heirs, ${columns}
  from snapshot s left join lateral (
    with ${withHeirs('s.namespace_id', restoredFrom('s'))}
    select (select count(*) from heirs) > ${MOST_HEIRS} as many,
      (select json_agg(alive.run) from (
        select ${RUN_JSON} as run from heirs
          cross join lateral (select * from run r where r.id = heirs.id and not ${RUN_HAS_ENDED} limit 1) r
          join job j on j.id = r.job_id join cluster c on c.id = r.cluster_id
        order by r.started_at desc, r.id desc limit ${HEIRS_NAMED}) alive) as heirs) h
    on s.kind = 'SAVEPOINT' and s.owned_prefix is not null
  where s.id = $1::uuid and s.namespace_id = $2::uuid`
const READ = readOf(USE_COLUMNS)
const READ_BELOW = readOf(useColumns('$3::text'))
