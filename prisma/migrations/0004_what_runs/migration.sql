-- What runs where: what Flink reports of a run, checkpoints as snapshots, bulk operations.

-- AlterTable
ALTER TABLE "cluster" ADD COLUMN "recovery_path" TEXT,
ADD COLUMN "recovery_key" TEXT;

-- AlterTable
ALTER TABLE "run" ADD COLUMN "restored_key" TEXT,
ADD COLUMN "restored_checkpoint_id" BIGINT,
ADD COLUMN "declared_version" INTEGER,
ADD COLUMN "completed_checkpoints" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN "checkpoint_counts" JSONB,
ADD COLUMN "in_progress" JSONB,
ADD COLUMN "checkpoint_config" JSONB,
ADD COLUMN "recheck_at" TIMESTAMPTZ(3);

-- CreateTable
CREATE TABLE "cluster_revision" (
    "cluster_id" UUID NOT NULL,
    "namespace_id" UUID NOT NULL,
    "jobs" BIGINT NOT NULL DEFAULT 0,

    CONSTRAINT "cluster_revision_pkey" PRIMARY KEY ("cluster_id")
);

-- CreateTable
CREATE TABLE "operation_item" (
    "namespace_id" UUID NOT NULL,
    "operation_id" UUID NOT NULL,
    "position" INTEGER NOT NULL,
    "job_id" UUID NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'WAITING',
    "snapshot_id" UUID,
    "failure_code" TEXT,
    "failure_message" TEXT,
    "started_at" TIMESTAMPTZ(3),
    "ended_at" TIMESTAMPTZ(3),

    CONSTRAINT "operation_item_pkey" PRIMARY KEY ("operation_id","position")
);

-- CreateTable
CREATE TABLE "checkpoint_hour" (
    "namespace_id" UUID NOT NULL,
    "job_id" UUID NOT NULL,
    "hour" TIMESTAMPTZ(3) NOT NULL,
    "completed" INTEGER NOT NULL DEFAULT 0,
    "failed" INTEGER NOT NULL DEFAULT 0,
    "timed_out" INTEGER NOT NULL DEFAULT 0,
    "duration_ms_sum" BIGINT NOT NULL DEFAULT 0,
    "duration_ms_max" BIGINT NOT NULL DEFAULT 0,
    "size_bytes_sum" BIGINT NOT NULL DEFAULT 0,
    "size_bytes_max" BIGINT NOT NULL DEFAULT 0,
    "uploaded_bytes_sum" BIGINT NOT NULL DEFAULT 0,

    CONSTRAINT "checkpoint_hour_pkey" PRIMARY KEY ("job_id","hour")
);

-- CreateIndex
CREATE UNIQUE INDEX "cluster_revision_namespace_id_cluster_id_key" ON "cluster_revision"("namespace_id", "cluster_id");

-- CreateIndex
CREATE INDEX "run_cluster_id_flink_job_id_idx" ON "run"("cluster_id", "flink_job_id");

-- CreateIndex
CREATE UNIQUE INDEX "operation_item_operation_id_job_id_key" ON "operation_item"("operation_id", "job_id");

-- AddForeignKey
ALTER TABLE "cluster_revision" ADD CONSTRAINT "cluster_revision_namespace_id_cluster_id_fkey" FOREIGN KEY ("namespace_id", "cluster_id") REFERENCES "cluster"("namespace_id", "id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "operation_item" ADD CONSTRAINT "operation_item_namespace_id_operation_id_fkey" FOREIGN KEY ("namespace_id", "operation_id") REFERENCES "operation"("namespace_id", "id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "operation_item" ADD CONSTRAINT "operation_item_namespace_id_job_id_fkey" FOREIGN KEY ("namespace_id", "job_id") REFERENCES "job"("namespace_id", "id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "checkpoint_hour" ADD CONSTRAINT "checkpoint_hour_namespace_id_job_id_fkey" FOREIGN KEY ("namespace_id", "job_id") REFERENCES "job"("namespace_id", "id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- A checkpoint of a run is one row. Ids compare only within a run.
create unique index snapshot_checkpoint_key on snapshot (run_id, flink_checkpoint_id) where kind = 'CHECKPOINT';

-- What the observer of a cluster still has to look for in storage.
create index run_recheck_idx on run (recheck_at) where recheck_at is not null;
-- What the overview of a job and the folding of its old checkpoints read: finished ones by completion, failed ones (few, of
-- either kind) by the instant of their failure.
create index snapshot_checkpoints_idx on snapshot (job_id, completed_at, id)
  where kind = 'CHECKPOINT' and completed_at is not null;
create index snapshot_failed_idx on snapshot (job_id, kind, (coalesce(failed_at, created_at)), id)
  where status in ('Failed', 'Timeout');
-- Who refers to a snapshot: asked before its row is folded and before its data is cleared.
create index run_restored_snapshot_idx on run (restored_snapshot_id) where restored_snapshot_id is not null;
create index snapshot_supersedes_idx on snapshot (supersedes) where supersedes is not null;
create index run_restored_idx on run (namespace_id, restored_key) where restored_key is not null;
create index cluster_recovery_idx on cluster (namespace_id, recovery_key) where recovery_key is not null;

alter table operation_item
  add constraint operation_item_status_check check (status in ('WAITING', 'RUNNING', 'DONE', 'FAILED', 'SKIPPED'));
alter table operation
  add constraint operation_status_check check (status in ('RUNNING', 'SUCCEEDED', 'PARTIAL', 'FAILED'));
create index operation_item_open_idx on operation_item (operation_id, position) where ended_at is null;

-- An observer reads its jobs again only when one of them, or a run of theirs, has changed in what it goes by. Once per
-- statement: a poll that begins a thousand runs raises the revision of its cluster by one. The revision has a row of its
-- own, the last one a transaction locks, in one order: whoever holds a cluster or a job never waits for it in a circle.
create function raise_jobs_revision(clusters uuid[]) returns void language sql as $$
  insert into cluster_revision as r (cluster_id, namespace_id, jobs)
    select c.id, c.namespace_id, 1 from cluster c where c.id = any (clusters) order by c.id
  on conflict (cluster_id) do update set jobs = r.jobs + 1;
$$;

create function job_or_run_is_new() returns trigger language plpgsql as $$
begin
  perform raise_jobs_revision(array(select distinct cluster_id from changed));
  return null;
end $$;

create function job_has_changed() returns trigger language plpgsql as $$
begin
  perform raise_jobs_revision(array(
    select distinct unnest(array[b.cluster_id, a.cluster_id]) from before b join changed a on a.id = b.id
    where (a.cluster_id, a.attach_flink_job_id, a.attach_flink_job_name, a.deleted_at, a.current_run_id, a.ambiguous)
      is distinct from (b.cluster_id, b.attach_flink_job_id, b.attach_flink_job_name, b.deleted_at, b.current_run_id, b.ambiguous)));
  return null;
end $$;

create function run_has_changed() returns trigger language plpgsql as $$
begin
  perform raise_jobs_revision(array(
    select distinct a.cluster_id from before b join changed a on a.id = b.id
    where (a.state, a.flink_state, a.flink_start_time, a.all_tasks_running, a.missing_since, a.ended_at, a.end_confirmed_at)
      is distinct from (b.state, b.flink_state, b.flink_start_time, b.all_tasks_running, b.missing_since, b.ended_at, b.end_confirmed_at)));
  return null;
end $$;

create trigger job_followed after insert on job referencing new table as changed
  for each statement execute function job_or_run_is_new();
create trigger job_changed after update on job referencing old table as before new table as changed
  for each statement execute function job_has_changed();
create trigger run_begun after insert on run referencing new table as changed
  for each statement execute function job_or_run_is_new();
create trigger run_changed after update on run referencing old table as before new table as changed
  for each statement execute function run_has_changed();
