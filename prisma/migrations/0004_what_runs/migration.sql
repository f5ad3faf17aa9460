-- What runs where: what Flink reports of a run, checkpoints as snapshots, bulk operations.

-- AlterTable
ALTER TABLE "cluster" ADD COLUMN "recovery_path" TEXT,
ADD COLUMN "recovery_key" TEXT,
ADD COLUMN "jobs_revision" BIGINT NOT NULL DEFAULT 0;

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
CREATE INDEX "run_cluster_id_flink_job_id_idx" ON "run"("cluster_id", "flink_job_id");

-- CreateIndex
CREATE UNIQUE INDEX "operation_item_operation_id_job_id_key" ON "operation_item"("operation_id", "job_id");

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
create index run_restored_idx on run (namespace_id, restored_key) where restored_key is not null;
create index cluster_recovery_idx on cluster (namespace_id, recovery_key) where recovery_key is not null;

alter table operation_item
  add constraint operation_item_status_check check (status in ('WAITING', 'RUNNING', 'DONE', 'FAILED', 'SKIPPED'));
alter table operation
  add constraint operation_status_check check (status in ('RUNNING', 'SUCCEEDED', 'PARTIAL', 'FAILED'));
create index operation_item_open_idx on operation_item (operation_id, position) where ended_at is null;

-- An observer reads its jobs again only when one of them, or a run of theirs, has changed.
create function raise_jobs_revision() returns trigger language plpgsql as $$
begin
  update cluster set jobs_revision = jobs_revision + 1
  where id = new.cluster_id or (tg_op = 'UPDATE' and id = old.cluster_id);
  return null;
end $$;

create trigger job_followed after insert or update of cluster_id, attach_flink_job_id, attach_flink_job_name, deleted_at,
  current_run_id, ambiguous on job for each row execute function raise_jobs_revision();
create trigger run_known after insert or update of state, flink_state, flink_start_time, all_tasks_running, missing_since,
  ended_at on run for each row execute function raise_jobs_revision();
