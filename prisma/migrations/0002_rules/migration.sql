-- What the database itself refuses, whatever the code does. Prisma cannot express these; test/integration/database-rules
-- shows each by behaviour.

-- Names are free again once their owner is deleted.
create unique index cluster_name_key on cluster (namespace_id, name) where deleted_at is null;
create unique index storage_name_key on storage (namespace_id, name) where deleted_at is null;
create unique index job_name_key on job (namespace_id, name) where deleted_at is null;

-- One Flink job is followed by one job of a cluster.
create unique index job_attach_id_key on job (cluster_id, attach_flink_job_id)
  where deleted_at is null and attach_flink_job_id is not null;
create unique index job_attach_name_key on job (cluster_id, attach_flink_job_name)
  where deleted_at is null and attach_flink_job_name is not null;

-- One unsettled savepoint that we asked for per job.
create unique index snapshot_unsettled_key on snapshot (job_id)
  where settled_at is null and source in ('MANUAL', 'STOP', 'DEPLOY', 'SCHEDULE');

-- One location is one row.
create unique index snapshot_location_key on snapshot (namespace_id, location_key)
  where location_key is not null and status <> 'Cleared';

-- One open lifecycle operation per job.
create unique index operation_open_key on operation (job_id)
  where ended_at is null and kind in ('START', 'STOP', 'DEPLOY', 'ROLLBACK');

-- The sweep reads what is due, and nothing else.
create index snapshot_due_idx on snapshot (next_action_at) where next_action_at is not null;
create index operation_due_idx on operation (next_action_at) where next_action_at is not null;

-- Lists by filter, (created_at, id) keyset; savepoints are few among checkpoints and need no index per source.
create index snapshot_savepoints_idx on snapshot (job_id, created_at, id) where kind = 'SAVEPOINT';
create index snapshot_version_idx on snapshot (job_id, job_version, created_at, id) where job_version is not null;
create index snapshot_labels_idx on snapshot using gin (labels jsonb_path_ops) where labels <> '{}'::jsonb;
create index snapshot_storage_idx on snapshot (storage_id) where status <> 'Cleared';

-- A savepoint's row is written four times in its life; with room on its page most of these touch no index.
alter table snapshot set (fillfactor = 80);
alter table attempt set (fillfactor = 80);

alter table snapshot
  add constraint snapshot_status_check
    check (status in ('Creating', 'Present', 'Clearing', 'Cleared', 'Timeout', 'Failed')),
  add constraint snapshot_kind_check check (kind in ('SAVEPOINT', 'CHECKPOINT')),
  add constraint snapshot_location_check check (location_key is null or location is not null),
  add constraint snapshot_present_check check (status <> 'Creating' or (kind = 'SAVEPOINT' and attempt is not null)),
  add constraint snapshot_lease_check check ((lease_token is null) = (lease_until is null));

alter table run
  add constraint run_state_check
    check (state in ('SUBMITTING', 'RUNNING', 'STOPPING', 'FINISHED', 'CANCELED', 'FAILED', 'LOST'));

alter table attempt
  add constraint attempt_outcome_check check (outcome in ('COMPLETED', 'FAILED', 'LOST', 'NEVER_ASKED')),
  add constraint attempt_settled_check check ((outcome is null) = (settled_at is null));

-- The same moves as src/domain/snapshot-status.ts; a test compares the two.
create function snapshot_may_move(before text, after text) returns boolean
  language sql immutable parallel safe
  return (before, after) in (
    ('Creating', 'Present'), ('Creating', 'Timeout'), ('Creating', 'Failed'),
    ('Timeout', 'Present'), ('Timeout', 'Failed'), ('Timeout', 'Clearing'),
    ('Present', 'Clearing'), ('Present', 'Cleared'),
    ('Failed', 'Clearing'),
    ('Clearing', 'Cleared'));

create function refuse_illegal_snapshot_move() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    if new.status = 'Creating' and new.source in ('MANUAL', 'STOP', 'DEPLOY', 'SCHEDULE')
      or new.status = 'Present' and new.source in ('EXTERNAL', 'IMPORT', 'COPY')
      or new.status in ('Present', 'Failed', 'Timeout') and new.source = 'SYSTEM' and new.kind = 'CHECKPOINT' then
      return new;
    end if;
    raise exception 'a snapshot of source % cannot begin as %', new.source, new.status using errcode = 'TM001';
  end if;
  if not snapshot_may_move(old.status, new.status) then
    raise exception 'a snapshot cannot move from % to %', old.status, new.status using errcode = 'TM001';
  end if;
  return new;
end $$;

create trigger snapshot_begins before insert on snapshot
  for each row execute function refuse_illegal_snapshot_move();
create trigger snapshot_moves before update of status on snapshot
  for each row when (old.status is distinct from new.status) execute function refuse_illegal_snapshot_move();
