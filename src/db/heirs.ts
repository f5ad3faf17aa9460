/**
 * Heirs of a place: runs that may have built their checkpoints on files there. Whoever was restored from it otherwise than with
 * NO_CLAIM (not knowing the mode counts like CLAIM), then whoever was restored from a checkpoint of one of these, and so on.
 * Savepoints share no files (Flink's SavepointType says NO_SHARING), and the first checkpoint after NO_CLAIM is a full one
 * (FLINK-25195): with either the line ends.
 */

/** More are not followed: then it is not known who needs the place, and nothing there goes. */
export const MOST_HEIRS = 500

const MAY_BUILD_ON = `r.restored_key is not null and r.claim_mode is distinct from 'NO_CLAIM'`
const RUN = 'r.id, r.job_id, r.cluster_id, r.flink_job_id, r.started_at'
/** What application mode with HA calls every job. */
const EVERY_JOB = '0'.repeat(32)
/** Whose checkpoint the run `r` was restored from, as `run_restored_from_idx` has it: Flink puts each below its Flink job id. */
export const RESTORED_FROM = `substring(r.restored_key from '/([0-9a-f]{32})/chk-[0-9]+')`

/** Restored from the snapshot, by its id or its location. */
export const restoredFrom = (snapshot: string): string => `
    select ${RUN} from run r where r.namespace_id = ${snapshot}.namespace_id and r.restored_key = ${snapshot}.location_key
      and ${MAY_BUILD_ON}
    union
    select ${RUN} from run r where r.namespace_id = ${snapshot}.namespace_id and r.restored_snapshot_id = ${snapshot}.id
      and r.claim_mode is distinct from 'NO_CLAIM'`

/** Restored from the snapshot with this id, or from a directory (a key without `/` at its end) or below it. */
export const restoredAtOrBelow = (namespace: string, snapshotId: string, key: string): string => `
    select ${RUN} from run r where r.namespace_id = ${namespace} and r.restored_snapshot_id = ${snapshotId}
      and r.claim_mode is distinct from 'NO_CLAIM'
    union
    select ${RUN} from run r where r.namespace_id = ${namespace} and ${MAY_BUILD_ON}
      and left(r.restored_key, 512) collate "C" >= left(${key}, 512) collate "C"
      and left(r.restored_key, 512) collate "C" < left(${key}, 512) || '0' collate "C"
      and (r.restored_key = ${key} or starts_with(r.restored_key, ${key} || '/'))`

/**
 * For `with`: `heirs`, one more than are followed. Checkpoints that nobody has recorded are known by the Flink job id in their
 * location; an id that every job has says something only in the same directory, of the same job or on the same cluster.
 */
export const withHeirs = (namespace: string, first: string): string => `
  recursive heir as (
    select * from (${first}) f
    union
    select n.* from heir h cross join lateral (
      select ${RUN} from run r
      where r.namespace_id = ${namespace} and ${MAY_BUILD_ON} and ${RESTORED_FROM} = h.flink_job_id
        and (h.flink_job_id <> '${EVERY_JOB}' or r.job_id = h.job_id or r.cluster_id = h.cluster_id
          or starts_with(r.restored_key, (select regexp_replace(c.location_key, '[^/]+$', '') from snapshot c
            where c.run_id = h.id and c.kind = 'CHECKPOINT' and c.location_key is not null
            order by c.flink_checkpoint_id desc limit 1)))
      union all
      select r.* from snapshot c cross join lateral (${restoredFrom('c')}) r
      where c.run_id = h.id and c.namespace_id = ${namespace} and c.kind = 'CHECKPOINT') n),
  heirs as materialized (select * from heir limit ${MOST_HEIRS + 1})`

/**
 * Present snapshots of the `heirs`, without the one with the id `except`, that nobody has looked into. A later run of their jobs of
 * which nobody knows what it was restored from counts like an heir, and so does what was registered without a run.
 */
export const uninspectedOfHeirs = (namespace: string, except: string): string => `
  select n.id, n.created_at from (select job_id, min(started_at) as since from heirs group by job_id) h
    join snapshot n on n.job_id = h.job_id and n.namespace_id = ${namespace} and n.status = 'Present'
    left join lateral (select * from run m where m.id = n.run_id and m.namespace_id = n.namespace_id limit 1) m on true
  where n.id is distinct from ${except} and n.location is not null
    and (m.id is null or m.id in (select id from heirs)
      or m.restored_key is null and m.restored_snapshot_id is null and m.started_at >= h.since)
    and not exists (select 1 from snapshot_inspection i where i.snapshot_id = n.id and i.namespace_id = n.namespace_id)`
