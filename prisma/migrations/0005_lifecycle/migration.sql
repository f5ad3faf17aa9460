-- Operations in the life of one job: start and stop.

-- AlterTable
ALTER TABLE "attempt" ADD COLUMN "stop_mode" TEXT;

-- AlterTable
ALTER TABLE "operation" ADD COLUMN "asked_at" TIMESTAMPTZ(3),
ADD COLUMN "run_id" UUID,
ADD COLUMN "snapshot_id" UUID;

-- AddForeignKey
ALTER TABLE "operation" ADD CONSTRAINT "operation_namespace_id_run_id_fkey" FOREIGN KEY ("namespace_id", "run_id") REFERENCES "run"("namespace_id", "id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- A savepoint that stops its job is asked for by /stop.
alter table attempt
  add constraint attempt_stop_mode_check check (stop_mode in ('SUSPEND', 'DRAIN'));

-- Claimed snapshots are Flink's: whether they are still there is looked for.
create index snapshot_claimed_idx on snapshot (id)
  where claimed_by_run_id is not null and status = 'Present';
