/**
 * Checkpoints as snapshots. Flink owns them: they begin as they ended (Present, Failed, Timeout) and are Cleared when Flink
 * has dropped them. A checkpoint of a run is one row, so the same report twice, or by two workers, writes it once.
 */
import type { CheckpointRepository, CheckpointReview, RecordedReports } from '../ports/observation.ts'
import { toStorageAddress } from './addresses.ts'
import type { Database, Row } from './client.ts'

/** More than Flink retains for anyone; older ones cannot be what a job went back to. */
const COMPLETED_KEPT_IN_VIEW = 100
/** Looked for at one claim; the oldest first. */
const REVIEWED_AT_ONCE = 200

export function createCheckpointRepository(db: Database, newId: () => string): CheckpointRepository {
  return {
    record: async (workerId, clusterId, reports) => {
      const numbered = reports.map((report) => ({
        ...report,
        // Ids rise with time and so does the order of rows that are written together.
        snapshots: report.snapshots
          .toSorted((one, other) => one.flinkCheckpointId - other.flinkCheckpointId)
          .map((snapshot) => ({ id: newId(), ...snapshot })),
      }))
      // Planned anew each time: a plan made while the table was small would read all of it for ever.
      const [row] = await db.sql<RecordedReports & Row>(RECORD, [
        clusterId,
        workerId,
        JSON.stringify(numbered),
      ])
      return { owned: row?.owned ?? false, again: row?.again ?? false, unsettled: row?.unsettled ?? [] }
    },

    listCompleted: (runId) =>
      db.sql<{ flinkCheckpointId: number; locationKey: string | null } & Row>(LIST_COMPLETED, [
        runId,
        COMPLETED_KEPT_IN_VIEW,
      ]),

    claimReviews: async (limit, leaseMs) => {
      const rows = await db.sql<ReviewRow>(
        CLAIM_REVIEWS,
        [limit, leaseMs, REVIEWED_AT_ONCE],
        'claim-checkpoint-reviews',
      )
      return rows.map(toReview)
    },

    recordReview: async (runId, findings, againInMs) => {
      await db.sql(RECORD_REVIEW, [runId, JSON.stringify(findings), againInMs])
    },
  }
}

// -------------------------------------------------------------------------------------------------- record

/**
 * A snapshot may be seen after the run that was restored from it: whichever comes second names the other.
 *
 * `fresh` is what no row shows yet; a savepoint in the directory of one of our attempts is not somebody else's.
 *
 * `met` are checkpoints of an older run at the number of a fresh one: the same Flink job id counts from 1 again. One that
 * completed there has overwritten it, which is Cleared before the new row claims the place (the order of the two parts of the
 * statement depends on that). One that failed there may have taken the old directory with it when Flink cleaned up (seen on
 * 1.20 and 2.3): the old one is looked for again.
 *
 * Rows are found by `lateral … limit 1` and changed by arrays of ids: whatever the planner believes about the size of the
 * json, each is an index lookup.
 */
const RECORD = `
  with owner as (
    select id, namespace_id, flink_version from cluster where id = $1::uuid and observer_id = $2::uuid for share),
  report as (
    select x.*, r.namespace_id, r.job_id, r.version, r.flink_job_id as "flinkJobId", o.flink_version,
      r.restored_checkpoint_id is null and x.restored is not null as has_origin
    from owner o, jsonb_to_recordset($3::jsonb) as x("runId" uuid, counts jsonb, "inProgress" jsonb, config jsonb,
        restored jsonb, snapshots jsonb, "oldestListedId" bigint)
      join run r on r.id = x."runId" and r.cluster_id = $1::uuid),
  entry as (
    select e.*, p."runId" as run_id, p.namespace_id, p.job_id, p.version, p.flink_version
    from report p, jsonb_to_recordset(p.snapshots) as e(id uuid, kind text, status text, source text, reason text,
      "flinkCheckpointId" bigint, "checkpointType" text, format text, incremental boolean, "triggeredAt" timestamptz,
      "completedAt" timestamptz, "failedAt" timestamptz, "durationMs" bigint, "sizeBytes" bigint, "uploadedBytes" bigint,
      location text, "locationKey" text, "failureCode" text, "failureMessage" text, discarded boolean,
      "ownSnapshotId" uuid)),
  recorded as (
    select e.id as entry_id, e.discarded, s.id, s.status from entry e cross join lateral (
      select s.id, s.status from snapshot s
      where s.run_id = e.run_id and s.flink_checkpoint_id = e."flinkCheckpointId" and s.kind = 'CHECKPOINT' limit 1) s
    where e.kind = 'CHECKPOINT'
    union all
    select e.id, false, s.id, s.status from entry e cross join lateral (
      select s.id, s.status from snapshot s where s.id = e."ownSnapshotId" and s.namespace_id = e.namespace_id limit 1) s
    where e.kind = 'SAVEPOINT'
    union all
    select e.id, false, s.id, s.status from entry e cross join lateral (
      select s.id, s.status from snapshot s where s.job_id = e.job_id and s.kind = 'SAVEPOINT'
        and s.run_id = e.run_id and s.flink_checkpoint_id = e."flinkCheckpointId" limit 1) s
    where e.kind = 'SAVEPOINT'),
  fresh as (
    select * from entry where id not in (select entry_id from recorded)),
  met as (
    select s.id, s.run_id, f.status, f.location_key from (
        select f.*, f."locationKey" as location_key, p."flinkJobId" from fresh f join report p on p."runId" = f.run_id) f
      cross join lateral (
        select r.id from run r where r.cluster_id = $1::uuid and r.flink_job_id = f."flinkJobId" and r.job_id = f.job_id
          and r.id <> f.run_id) older
      cross join lateral (
        select s.id, s.run_id from snapshot s where s.run_id = older.id and s.flink_checkpoint_id = f."flinkCheckpointId"
          and s.kind = 'CHECKPOINT' and s.status = 'Present' and s.location_key is not null
          and (f."locationKey" is null or s.location_key = f."locationKey") limit 1) s
    where f.kind = 'CHECKPOINT'),
  overwritten as (
    update snapshot s set status = 'Cleared', reason = 'DATA_LOST',
      message = 'A later run under the same Flink job id has written its own checkpoint at this place.',
      verdict = null, row_version = s.row_version + 1, updated_at = now()
    where s.id = any (array(select id from met where location_key is not null)) and s.status = 'Present'
    returning s.id, s.namespace_id, s.job_id, s.kind, s.source, s.status, s.reason, s.message),
  endangered as (
    update snapshot s set verdict = 'ENDANGERED', row_version = s.row_version + 1, updated_at = now()
    where s.id = any (array(select id from met where location_key is null)) and s.status = 'Present'
      and s.verdict is distinct from 'ENDANGERED'),
  reviewed as (
    update run r set recheck_at = now(), updated_at = now()
    where r.id = any (array(select run_id from met where location_key is null))),
  added as (
    insert into snapshot (id, namespace_id, job_id, run_id, job_version, storage_id, kind, status, reason, source,
      description, format, checkpoint_type, incremental, flink_checkpoint_id, triggered_at, completed_at, settled_at,
      duration_ms, location, location_key, size_bytes, uploaded_bytes, flink_version, failure_code, failure_message,
      failed_at, verify_at, restored_by, created_by)
    select f.id, f.namespace_id, f.job_id, f.run_id, f.version,
      (select st.id from storage st where st.namespace_id = f.namespace_id and st.deleted_at is null
         and starts_with(f."locationKey", st.root_key) order by length(st.root_key) desc limit 1),
      f.kind, f.status, f.reason, f.source,
      case when f.kind = 'CHECKPOINT' then 'Checkpoint ' || f."flinkCheckpointId"
        else 'Savepoint ' || f."flinkCheckpointId" || ', not asked for by Tidemark' end,
      f.format, f."checkpointType", f.incremental, f."flinkCheckpointId", f."triggeredAt", f."completedAt", now(),
      f."durationMs", f.location, f."locationKey", f."sizeBytes", f."uploadedBytes", f.flink_version, f."failureCode",
      f."failureMessage", f."failedAt", case when f.kind = 'SAVEPOINT' and f.status = 'Present' then now() end,
      array(select r.id from run r where r.namespace_id = f.namespace_id and r.restored_key = f."locationKey"
        union select p."runId" from report p where p.has_origin and p.restored ->> 'locationKey' = f."locationKey"), 'flink'
    from fresh f, (select count(*) from overwritten) before
    on conflict do nothing
    returning id, namespace_id, job_id, run_id, kind, source, status, reason, message, failure_message, location_key),
  filled as ( -- what our own savepoint could not be told of while Flink answered from its cache
    update snapshot s set size_bytes = e."sizeBytes", uploaded_bytes = e."uploadedBytes",
      duration_ms = coalesce(s.duration_ms, e."durationMs"), checkpoint_type = coalesce(s.checkpoint_type, e."checkpointType"),
      flink_checkpoint_id = coalesce(s.flink_checkpoint_id, e."flinkCheckpointId"),
      row_version = s.row_version + 1, updated_at = now()
    from entry e
    where s.id = any (array(select "ownSnapshotId" from entry)) and s.id = e."ownSnapshotId"
      and s.namespace_id = e.namespace_id and s.location_key = e."locationKey" and s.status = 'Present'
      and s.size_bytes is null and e."sizeBytes" is not null),
  subsumed as (
    update snapshot s set status = 'Cleared', reason = 'SUBSUMED', message = 'Flink has dropped it.',
      verdict = null, row_version = s.row_version + 1, updated_at = now()
    where s.id = any (array(select id from recorded where discarded and status = 'Present')) and s.status = 'Present'
    returning s.id, s.namespace_id, s.job_id, s.kind, s.source, s.status, s.reason, s.message),
  news as (
    select id, namespace_id, job_id, kind, source, null as before, status, reason, coalesce(message, failure_message) as message from added
    union all select id, namespace_id, job_id, kind, source, 'Present', status, reason, message from subsumed
    union all select id, namespace_id, job_id, kind, source, 'Present', status, reason, message from overwritten),
  moved as (
    insert into history.snapshot_transition (namespace_id, snapshot_id, from_status, to_status, reason, message, by)
    select namespace_id, id, before, status, reason, message, 'flink' from news),
  told as (
    insert into history.event (namespace_id, type, job_id, snapshot_id, data)
    select namespace_id, 'snapshot.status', job_id, id,
      jsonb_build_object('from', before, 'to', status, 'reason', reason, 'kind', kind, 'source', source) from news),
  origin as (
    update snapshot s set restored_by = array_append(s.restored_by, p."runId"), row_version = s.row_version + 1, updated_at = now()
    from report p
    where p.has_origin and s.namespace_id = p.namespace_id and s.location_key = p.restored ->> 'locationKey'
      and s.status <> 'Cleared' and not p."runId" = any(s.restored_by)
      and s.id not in (select id from overwritten) and s.id not in (select id from subsumed)),
  linked as (
    update run r set restored_snapshot_id = a.id, updated_at = now() from added a
    where r.namespace_id = a.namespace_id and r.restored_key = a.location_key and r.restored_snapshot_id is null
      and r.id not in (select "runId" from report)),
  noted as (
    update run r set checkpoint_counts = p.counts, in_progress = nullif(p."inProgress", 'null'::jsonb),
      checkpoint_config = coalesce(nullif(p.config, 'null'::jsonb), r.checkpoint_config),
      completed_checkpoints = r.completed_checkpoints
        + (select count(*) from added a where a.run_id = r.id and a.kind = 'CHECKPOINT' and a.status = 'Present'),
      restored_location = case when p.has_origin then p.restored ->> 'location' else r.restored_location end,
      restored_key = case when p.has_origin then p.restored ->> 'locationKey' else r.restored_key end,
      restored_checkpoint_id = case when p.has_origin then (p.restored ->> 'flinkCheckpointId')::bigint else r.restored_checkpoint_id end,
      restored_snapshot_id = coalesce(r.restored_snapshot_id, (select s.id from snapshot s
          where s.namespace_id = p.namespace_id and s.location_key = coalesce(r.restored_key, p.restored ->> 'locationKey')
            and s.status <> 'Cleared'),
        (select a.id from added a where a.location_key = coalesce(r.restored_key, p.restored ->> 'locationKey'))),
      recheck_at = case when r.recheck_at is null and exists (select 1 from snapshot s where s.run_id = r.id
          and s.kind = 'CHECKPOINT' and s.status = 'Present' and s.flink_checkpoint_id < p."oldestListedId")
        then now() else r.recheck_at end,
      updated_at = now()
    from report p where r.id = p."runId" and (p.has_origin or exists (select 1 from added a where a.run_id = r.id)
      or exists (select 1 from snapshot s where s.run_id = r.id and s.kind = 'CHECKPOINT' and s.status = 'Present'
        and s.flink_checkpoint_id < p."oldestListedId")
      or (r.checkpoint_counts, coalesce(r.in_progress, 'null'), coalesce(r.checkpoint_config, 'null'))
        is distinct from (p.counts, coalesce(p."inProgress", 'null'), coalesce(p.config, r.checkpoint_config, 'null'))))
  select exists (select 1 from owner) as owned,
    exists (select 1 from added a join entry e on e.id = a.id where e.discarded) as again,
    array(select id::text from recorded where status in ('Creating', 'Timeout')) as unsettled`

const LIST_COMPLETED = `
  select flink_checkpoint_id as "flinkCheckpointId", location_key as "locationKey" from snapshot
  where run_id = $1::uuid and kind = 'CHECKPOINT' and status in ('Present', 'Cleared')
  order by flink_checkpoint_id desc limit $2`

// -------------------------------------------------------------------------------------------------- review

/** Clocks of Flink and of the store differ; only an end that nobody can take back counts as one. */
const CLAIM_REVIEWS = `
  with due as (
    select id from run where recheck_at <= now() + interval '1 ms' order by recheck_at limit $1 for update skip locked),
  claimed as (
    update run r set recheck_at = now() + make_interval(secs => $2::float8 / 1000) from due where r.id = due.id
    returning r.id, r.namespace_id, r.flink_job_id, r.state, r.ended_at)
  select r.id, r.flink_job_id, r.state, r.ended_at is null as live, coalesce((
    select json_agg(json_build_object('id', s.id, 'flinkCheckpointId', s.flink_checkpoint_id, 'location', s.location,
        'completedAt', s.completed_at::text, 'endangered', s.verdict is not distinct from 'ENDANGERED',
        'storage', case when st.id is not null then json_build_object('id', st.id, 'namespace', n.name, 'uri', st.uri,
          'provider', st.provider, 'endpoint', st.endpoint, 'region', st.region, 'pathStyle', st.path_style,
          'credentials', st.credentials) end)
      order by s.flink_checkpoint_id)
    from (select * from snapshot p where p.run_id = r.id and p.kind = 'CHECKPOINT' and p.status = 'Present'
        and p.location is not null order by p.flink_checkpoint_id limit $3) s
      left join storage st on st.id = s.storage_id and st.deleted_at is null
      join namespace n on n.id = s.namespace_id), '[]'::json) as snapshots
  from claimed r`

type StorageJson = Parameters<typeof toStorageAddress>[0]
type ReviewRow = Row & {
  id: string
  flink_job_id: string
  state: CheckpointReview['run']['state']
  live: boolean
  snapshots: {
    id: string
    flinkCheckpointId: number
    location: string
    completedAt: string
    endangered: boolean
    storage: StorageJson | null
  }[]
}

const toReview = (row: ReviewRow): CheckpointReview => ({
  run: { id: row.id, flinkJobId: row.flink_job_id, state: row.state, live: row.live },
  snapshots: row.snapshots.map((snapshot) => ({
    ...snapshot,
    completedAt: new Date(snapshot.completedAt),
    storage:
      snapshot.storage && snapshot.storage.provider !== 'flink-only'
        ? toStorageAddress(snapshot.storage)
        : null,
  })),
})

const RECORD_REVIEW = `
  with finding as (
    select * from jsonb_to_recordset($2::jsonb) as f(id uuid, found text, reason text, message text)),
  gone as (
    update snapshot s set status = 'Cleared', reason = f.reason, message = f.message, verdict = null, verified_at = now(),
      row_version = s.row_version + 1, updated_at = now()
    from finding f where f.found = 'gone' and s.id = f.id and s.run_id = $1::uuid and s.status = 'Present'
    returning s.id, s.namespace_id, s.job_id, s.kind, s.source, s.reason, s.message),
  standing as (
    update snapshot s set verdict = null, verified_at = now(), verify_at = now(), row_version = s.row_version + 1,
      updated_at = now()
    from finding f where f.found = 'standing' and s.id = f.id and s.run_id = $1::uuid and s.status = 'Present'
      and s.verdict is not distinct from 'ENDANGERED'),
  retained as ( -- the newest that an ended run left behind is what its job would go back to: verified like a savepoint
    update snapshot s set verify_at = now()
    where s.id = (select p.id from run r cross join lateral (
          select p.id, p.verify_at from snapshot p where p.run_id = r.id and p.kind = 'CHECKPOINT' and p.status = 'Present'
            and p.location is not null and p.verdict is distinct from 'ENDANGERED'
            and p.id not in (select id from finding where found = 'gone')
          order by p.flink_checkpoint_id desc limit 1) p
        where r.id = $1::uuid and r.ended_at is not null and $3::float8 is null and p.verify_at is null)
      and s.status = 'Present'),
  moved as (
    insert into history.snapshot_transition (namespace_id, snapshot_id, from_status, to_status, reason, message, by)
    select namespace_id, id, 'Present', 'Cleared', reason, message, 'worker' from gone),
  told as (
    insert into history.event (namespace_id, type, job_id, snapshot_id, data)
    select namespace_id, 'snapshot.status', job_id, id,
      jsonb_build_object('from', 'Present', 'to', 'Cleared', 'reason', reason, 'kind', kind, 'source', source) from gone)
  update run set recheck_at = now() + make_interval(secs => $3::float8 / 1000) where id = $1::uuid`
