-- Failed rows of one kind, for statements that name the kind. A list by status alone must not see this index: where the
-- statistics have never met the status (a hundred among a million), it looked cheapest, and every failed row of the job was
-- read and sorted for a page that (job_id, status, created_at, id) gives in its order. Postgres proves the predicate from
-- `kind = …` only; the column's own check does not count.
drop index snapshot_failed_idx;
create index snapshot_failed_idx on snapshot (job_id, kind, (coalesce(failed_at, created_at)), id)
  where status in ('Failed', 'Timeout') and kind in ('SAVEPOINT', 'CHECKPOINT');
