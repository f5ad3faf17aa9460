/**
 * Who may still use the directory of a Flink job id, as the rows say. Asked for one checkpoint at a time, by a person and by
 * the worker that clears it: a Flink job id is not unique in time, and CLAIM lets other runs build on its files.
 */
import { DomainError } from '../domain/errors.ts'
import { parseLocation, snapshotDirectory } from '../domain/location.ts'
import { isUuidShaped } from '../domain/resource-name.ts'
import type { CheckpointDirectoryHeir, CheckpointDirectoryUser } from '../domain/retained-checkpoint.ts'
import type { Reference } from '../domain/snapshot.ts'
import { folderKey } from '../domain/snapshot-files.ts'
import type { SnapshotStatus } from '../domain/snapshot-status.ts'
import type { CheckpointDirectoryRepository } from '../ports/clearing.ts'
import type { Database, Row } from './client.ts'
import { withDomainErrors } from './errors.ts'
import { RESTORED_FROM } from './heirs.ts'
import { runHasEnded } from './lifecycles.ts'

/** One more than a worker looks into for one clearing. */
const UNINSPECTED_READ = 501

export const createCheckpointDirectoryRepository = (db: Database): CheckpointDirectoryRepository =>
  withDomainErrors({
    async read({ namespaceId }, snapshotId) {
      if (!isUuidShaped(snapshotId)) return null
      const [own] = await db.sql<OwnRow>(OWN, [snapshotId, namespaceId], 'checkpoint-directory')
      if (!own) return null
      const folder = directoryKey(own.location)
      if (folder === null) {
        return { flinkJobId: own.flink_job_id, live: [], withoutSubdirectory: true, heirs: [] }
      }
      const [row] = await db.sql<FactsRow>(
        FACTS,
        [namespaceId, own.flink_job_id, folder],
        'checkpoint-directory-users',
      )
      return {
        flinkJobId: own.flink_job_id,
        live: row?.live ?? [],
        withoutSubdirectory: row?.without_subdirectory ?? true,
        heirs: row?.heirs ?? [],
      }
    },

    async listUninspected({ namespaceId }, snapshotId) {
      const [own] = await db.sql<OwnRow>(OWN, [snapshotId, namespaceId])
      const folder = own && directoryKey(own.location)
      if (!own || !folder) return []
      const rows = await db.sql<UninspectedRow>(
        UNINSPECTED,
        [namespaceId, own.flink_job_id, folder, snapshotId],
        'checkpoint-directory-uninspected',
      )
      return rows.map(({ id, status, location, storage, verdict }) => ({
        id,
        status,
        location,
        storage,
        verdict,
      }))
    },

    async findLiveAmong({ namespaceId }, locationKeys) {
      const [row] = await db.sql<CheckpointDirectoryUser & Row>(
        LIVE_AMONG,
        [namespaceId, locationKeys],
        'checkpoint-directory-live',
      )
      return row ?? null
    },

    async findClearingBefore({ namespaceId }, clearingId) {
      const [row] = await db.sql<{ snapshot_id: string }>(CLEARED_BEFORE, [clearingId, namespaceId])
      return row?.snapshot_id ?? null
    },

    async readInstants({ namespaceId }, clearingId) {
      const [row] = await db.sql<{ now: string; requested_at: string; completed_at: string | null }>(
        `select now() as now, w.requested_at, s.completed_at from clearing w
           join snapshot s on s.id = w.snapshot_id and s.namespace_id = w.namespace_id
         where w.id = $1::uuid and w.namespace_id = $2::uuid`,
        [clearingId, namespaceId],
      )
      if (!row) return null
      return {
        now: new Date(row.now),
        requestedAt: new Date(row.requested_at),
        completedAt: row.completed_at === null ? null : new Date(row.completed_at),
      }
    },
  })

type OwnRow = Row & {
  location: string | null
  flink_job_id: string
}
type FactsRow = Row & {
  live: CheckpointDirectoryUser[]
  heirs: CheckpointDirectoryHeir[]
  without_subdirectory: boolean
}
type UninspectedRow = Row & {
  id: string
  status: SnapshotStatus
  location: string
  storage: Reference | null
  verdict: string | null
}

/** The directory that the one of the checkpoint lies in, as keys of files begin; null when it lies in none. */
function directoryKey(location: string | null): string | null {
  if (location === null) return null
  try {
    const own = snapshotDirectory(parseLocation(location))
    return own.segments.length < 2 ? null : folderKey({ ...own, segments: own.segments.slice(0, -1) })
  } catch (error) {
    if (error instanceof DomainError) return null
    throw error
  }
}

const OWN = `
  select s.location, r.flink_job_id from snapshot s
    join run r on r.id = s.run_id and r.namespace_id = s.namespace_id
  where s.id = $1::uuid and s.namespace_id = $2::uuid and s.kind = 'CHECKPOINT'`

/**
 * `kin`: runs with this Flink job id on any cluster, or restored from below the folder; then whoever was restored from a
 * snapshot of one of these, and so on. With NO_CLAIM the first checkpoint is a full one and nothing is built on: only not
 * knowing the mode counts like CLAIM. Of a checkpoint that nobody saw there is no row that would lead on; but Flink puts each
 * below its Flink job id, so the place says whose it was. No run is taken twice, so it ends.
 */
const KIN = `
  recursive kin as (
    (select r.id, r.job_id, r.flink_job_id from run r
      where r.namespace_id = $1::uuid and r.cluster_id in (select id from cluster where namespace_id = $1::uuid)
        and r.flink_job_id = $2
    union
    select r.id, r.job_id, r.flink_job_id from run r
      where r.namespace_id = $1::uuid and starts_with(r.restored_key, $3) and r.claim_mode is distinct from 'NO_CLAIM')
    union
    select n.id, n.job_id, n.flink_job_id
    from kin cross join lateral (
      select r.id, r.job_id, r.flink_job_id
      from snapshot s cross join lateral (
        select r.id, r.job_id, r.flink_job_id from run r
          where r.namespace_id = $1::uuid and r.restored_key = s.location_key and r.claim_mode is distinct from 'NO_CLAIM'
        union all
        select r.id, r.job_id, r.flink_job_id from run r
          where r.namespace_id = $1::uuid and r.restored_snapshot_id = s.id and r.claim_mode is distinct from 'NO_CLAIM') r
      where s.run_id = kin.id and s.job_id = kin.job_id and s.namespace_id = $1::uuid
      union all
      select r.id, r.job_id, r.flink_job_id from run r
        where r.namespace_id = $1::uuid and r.restored_key is not null and ${RESTORED_FROM} = kin.flink_job_id
          and r.claim_mode is distinct from 'NO_CLAIM') n)`

const saysNo = (key: string): string => `lower(btrim(v.spec -> 'flinkConfiguration' ->> '${key}')) = 'false'`

const FACTS = `
  with ${KIN}
  select
    coalesce((select json_agg(json_build_object('run', r.id, 'job', j.name, 'state', r.state) order by r.started_at desc, r.id)
      from kin join run r on r.id = kin.id join job j on j.id = r.job_id where not ${runHasEnded('r')}), '[]'::json) as live,
    coalesce((select json_agg(h order by h."flinkJobId") from (
      select k.flink_job_id as "flinkJobId",
        coalesce(array_agg(distinct regexp_replace(s.location, '/[^/]+(/_metadata)?/?$', ''))
          filter (where s.location is not null), '{}') as directories
      from kin k left join snapshot s on s.run_id = k.id and s.namespace_id = $1::uuid and s.kind = 'CHECKPOINT'
      group by k.flink_job_id) h), '[]'::json) as heirs,
    exists (select 1 from job_version v where v.namespace_id = $1::uuid and v.job_id in (select job_id from kin)
      and (${saysNo('execution.checkpointing.create-subdir')} or ${saysNo('state.checkpoints.create-subdir')}))
      as without_subdirectory
`

/** What lies below the folder itself is read afresh in any case, and counts no less for being here. */
const UNINSPECTED = `
  with ${KIN}
  select s.id, s.status, s.location, s.verdict,
    case when st.id is null then null else json_build_object('id', st.id, 'name', st.name) end as storage
  from snapshot s left join storage st on st.id = s.storage_id and st.namespace_id = s.namespace_id
  where s.namespace_id = $1::uuid and s.status = 'Present' and s.location is not null and s.id <> $4::uuid
    and s.job_id in (select job_id from kin)
    and not exists (select 1 from snapshot_inspection i where i.snapshot_id = s.id and i.namespace_id = s.namespace_id)
  order by s.created_at desc, s.id desc limit ${UNINSPECTED_READ}`

/** With `create-subdir: false` another job may have been given this very directory. */
const LIVE_AMONG = `
  select r.id as run, j.name as job, r.state
  from snapshot s join run r on r.id = s.run_id and r.namespace_id = s.namespace_id join job j on j.id = s.job_id
  where s.namespace_id = $1::uuid and s.location_key = any($2::text[]) and s.status <> 'Cleared'
    and not ${runHasEnded('r')}
  limit 1`

/**
 * They go one after the other: of two at once each would spare what the other one needs, and nobody would delete it. Of one that
 * failed before anything went it is not waited for; `It waits` is no failure (`clear-files.ts`).
 */
const CLEARED_BEFORE = `
  select o.snapshot_id from clearing w
    join clearing o on o.namespace_id = w.namespace_id and o.ended_at is null and o.method = 'FILES' and o.id <> w.id
      and regexp_replace(o.prefix, '[^/]+/$', '') = regexp_replace(w.prefix, '[^/]+/$', '')
      and (o.phase <> 'LISTING' or (o.requested_at, o.id) < (w.requested_at, w.id)
        and (o.error_code is null or starts_with(o.error_message, 'It waits for the clearing of ')))
  where w.id = $1::uuid and w.namespace_id = $2::uuid
  order by o.requested_at, o.id limit 1`
