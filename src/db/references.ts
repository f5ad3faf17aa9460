/** Who points at a snapshot. Rows only: what they mean is `domain/references.ts`. */

import type { RestoredRun } from '../domain/references.ts'
import { isUuidShaped } from '../domain/resource-name.ts'
import type { Reference, SnapshotKind } from '../domain/snapshot.ts'
import type { ReferenceRepository } from '../ports/runs.ts'
import type { Database, Row } from './client.ts'
import { withDomainErrors } from './errors.ts'

type ReferenceRow = Row & {
  kind: SnapshotKind
  claimed_by_run_id: string | null
  clusters: Reference[]
  runs: RestoredRun[]
}

export const createReferenceRepository = (db: Database): ReferenceRepository =>
  withDomainErrors({
    async read({ namespaceId }, snapshotId) {
      if (!isUuidShaped(snapshotId)) return null
      const [row] = await db.sql<ReferenceRow>(READ, [snapshotId, namespaceId], 'snapshot-references')
      if (!row) return null
      return { kind: row.kind, clusters: row.clusters, runs: row.runs, claimedByRun: row.claimed_by_run_id }
    },
  })

/**
 * Everything by an index: `cluster_recovery_idx`, `run_restored_idx`, `run_restored_snapshot_idx`. Runs that have certainly
 * ended are left out here, because application mode may have restored one location a thousand times. Across jobs: whoever
 * restored it counts.
 */
const READ = `
  select s.kind, s.claimed_by_run_id,
    coalesce((select json_agg(json_build_object('id', c.id, 'name', c.name) order by c.name) from cluster c
      where c.namespace_id = s.namespace_id and c.recovery_key = s.location_key and c.deleted_at is null), '[]'::json) as clusters,
    coalesce((select json_agg(json_build_object('id', r.id, 'state', r.state,
        'job', json_build_object('id', j.id, 'name', j.name), 'cluster', json_build_object('id', c.id, 'name', c.name),
        'attached', j.attach_flink_job_id is not null or j.attach_flink_job_name is not null,
        'endConfirmed', r.end_confirmed_at is not null, 'completedCheckpoints', r.completed_checkpoints,
        'succeeded', exists (select 1 from run later
          where later.job_id = r.job_id and later.namespace_id = r.namespace_id
            and (later.started_at, later.id) > (r.started_at, r.id) and later.completed_checkpoints > 0))
        order by r.started_at desc, r.id desc)
      from (
        select id from run where namespace_id = s.namespace_id and restored_key = s.location_key
        union
        select id from run where namespace_id = s.namespace_id and restored_snapshot_id = s.id) hit
        join run r on r.id = hit.id join job j on j.id = r.job_id join cluster c on c.id = r.cluster_id
      where r.state not in ('FINISHED', 'CANCELED', 'FAILED')), '[]'::json) as runs
  from snapshot s where s.id = $1 and s.namespace_id = $2`
