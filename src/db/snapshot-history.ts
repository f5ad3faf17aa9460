/** The first transition and event of snapshots that `snap` has just inserted: parts of that same statement. */
export const HISTORY_OF_BEGUN = `
  moved as (
    insert into history.snapshot_transition (namespace_id, snapshot_id, to_status, reason, by)
    select namespace_id, id, status, reason, created_by from snap),
  told as (
    insert into history.event (namespace_id, type, job_id, snapshot_id, data)
    select namespace_id, 'snapshot.status', job_id, id,
      jsonb_build_object('from', null, 'to', status, 'reason', reason, 'kind', kind, 'source', source) from snap)`
