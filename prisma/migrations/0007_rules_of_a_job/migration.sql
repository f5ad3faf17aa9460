-- What happens on its own: schedules, retention and clearing.

-- CreateTable
CREATE TABLE "clearing" (
    "id" UUID NOT NULL,
    "namespace_id" UUID NOT NULL,
    "subject" TEXT NOT NULL,
    "snapshot_id" UUID,
    "storage_id" UUID,
    "method" TEXT NOT NULL,
    "prefix" TEXT,
    "reason" TEXT NOT NULL,
    "message" TEXT,
    "forced" BOOLEAN NOT NULL DEFAULT false,
    "requested_by" TEXT NOT NULL,
    "requested_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "phase" TEXT NOT NULL DEFAULT 'LISTING',
    "found_empty" INTEGER NOT NULL DEFAULT 0,
    "objects" BIGINT NOT NULL DEFAULT 0,
    "bytes" BIGINT NOT NULL DEFAULT 0,
    "deleted" BIGINT NOT NULL DEFAULT 0,
    "trigger_id" TEXT,
    "asked_at" TIMESTAMPTZ(3),
    "error_code" TEXT,
    "error_message" TEXT,
    "error_at" TIMESTAMPTZ(3),
    "ended_at" TIMESTAMPTZ(3),
    "next_action_at" TIMESTAMPTZ(3),
    "tries" INTEGER NOT NULL DEFAULT 0,
    "lease_token" UUID,
    "lease_until" TIMESTAMPTZ(3),

    CONSTRAINT "clearing_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "clearing_batch" (
    "namespace_id" UUID NOT NULL,
    "clearing_id" UUID NOT NULL,
    "number" INTEGER NOT NULL,
    "locations" JSONB NOT NULL,
    "done_at" TIMESTAMPTZ(3),

    CONSTRAINT "clearing_batch_pkey" PRIMARY KEY ("clearing_id","number")
);

-- CreateTable
CREATE TABLE "schedule" (
    "namespace_id" UUID NOT NULL,
    "job_id" UUID NOT NULL,
    "cron" TEXT,
    "every_seconds" INTEGER,
    "time_zone" TEXT NOT NULL DEFAULT 'UTC',
    "format" TEXT,
    "description" TEXT,
    "timeout_seconds" INTEGER,
    "jitter_seconds" INTEGER NOT NULL DEFAULT 0,
    "enabled" BOOLEAN NOT NULL DEFAULT true,
    "paused_reason" TEXT,
    "paused_message" TEXT,
    "failures" INTEGER NOT NULL DEFAULT 0,
    "next_slot_at" TIMESTAMPTZ(3),
    "next_action_at" TIMESTAMPTZ(3),
    "last_slot_at" TIMESTAMPTZ(3),
    "lease_token" UUID,
    "lease_until" TIMESTAMPTZ(3),
    "row_version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "created_by" TEXT NOT NULL,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "schedule_pkey" PRIMARY KEY ("job_id")
);

-- CreateTable
CREATE TABLE "schedule_firing" (
    "namespace_id" UUID NOT NULL,
    "job_id" UUID NOT NULL,
    "slot_at" TIMESTAMPTZ(3) NOT NULL,
    "outcome" TEXT NOT NULL,
    "snapshot_id" UUID,
    "catch_up" BOOLEAN NOT NULL DEFAULT false,
    "code" TEXT,
    "message" TEXT,
    "fired_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "tries" INTEGER NOT NULL DEFAULT 0,
    "judged_at" TIMESTAMPTZ(3),
    "restored_before" INTEGER,

    CONSTRAINT "schedule_firing_pkey" PRIMARY KEY ("job_id","slot_at")
);

-- CreateTable
CREATE TABLE "retention" (
    "id" UUID NOT NULL,
    "namespace_id" UUID NOT NULL,
    "job_id" UUID,
    "keep_count" INTEGER,
    "max_age_seconds" BIGINT,
    "rollback_window_seconds" BIGINT,
    "row_version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "created_by" TEXT NOT NULL,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "retention_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "rule_round" (
    "rule" TEXT NOT NULL,
    "after_at" TIMESTAMPTZ(3),
    "after_id" UUID,
    "due_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "rule_round_pkey" PRIMARY KEY ("rule")
);

-- CreateTable
CREATE TABLE "audit_finding" (
    "namespace_id" UUID NOT NULL,
    "operation_id" UUID NOT NULL,
    "number" INTEGER NOT NULL,
    "kind" TEXT NOT NULL,
    "location" TEXT NOT NULL,
    "objects" BIGINT NOT NULL DEFAULT 0,
    "bytes" BIGINT NOT NULL DEFAULT 0,
    "newest_at" TIMESTAMPTZ(3),
    "snapshot_id" UUID,
    "message" TEXT NOT NULL,
    "clearing_id" UUID,

    CONSTRAINT "audit_finding_pkey" PRIMARY KEY ("operation_id","number")
);

-- CreateTable
CREATE TABLE "audit_usage" (
    "namespace_id" UUID NOT NULL,
    "operation_id" UUID NOT NULL,
    "job_key" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "kind" TEXT NOT NULL,
    "objects" BIGINT NOT NULL,
    "bytes" BIGINT NOT NULL,

    CONSTRAINT "audit_usage_pkey" PRIMARY KEY ("operation_id","job_key","version","kind")
);

-- CreateIndex
CREATE UNIQUE INDEX "clearing_namespace_id_id_key" ON "clearing"("namespace_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "clearing_namespace_id_snapshot_id_key" ON "clearing"("namespace_id", "snapshot_id");

-- CreateIndex
CREATE UNIQUE INDEX "schedule_namespace_id_job_id_key" ON "schedule"("namespace_id", "job_id");

-- CreateIndex
CREATE UNIQUE INDEX "retention_namespace_id_id_key" ON "retention"("namespace_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "retention_namespace_id_job_id_key" ON "retention"("namespace_id", "job_id");

-- AddForeignKey
ALTER TABLE "clearing" ADD CONSTRAINT "clearing_namespace_id_snapshot_id_fkey" FOREIGN KEY ("namespace_id", "snapshot_id") REFERENCES "snapshot"("namespace_id", "id") ON DELETE CASCADE ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "clearing" ADD CONSTRAINT "clearing_namespace_id_storage_id_fkey" FOREIGN KEY ("namespace_id", "storage_id") REFERENCES "storage"("namespace_id", "id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "clearing_batch" ADD CONSTRAINT "clearing_batch_namespace_id_clearing_id_fkey" FOREIGN KEY ("namespace_id", "clearing_id") REFERENCES "clearing"("namespace_id", "id") ON DELETE CASCADE ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "audit_finding" ADD CONSTRAINT "audit_finding_namespace_id_operation_id_fkey" FOREIGN KEY ("namespace_id", "operation_id") REFERENCES "operation"("namespace_id", "id") ON DELETE CASCADE ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "audit_usage" ADD CONSTRAINT "audit_usage_namespace_id_operation_id_fkey" FOREIGN KEY ("namespace_id", "operation_id") REFERENCES "operation"("namespace_id", "id") ON DELETE CASCADE ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "schedule" ADD CONSTRAINT "schedule_namespace_id_job_id_fkey" FOREIGN KEY ("namespace_id", "job_id") REFERENCES "job"("namespace_id", "id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "schedule_firing" ADD CONSTRAINT "schedule_firing_namespace_id_job_id_fkey" FOREIGN KEY ("namespace_id", "job_id") REFERENCES "job"("namespace_id", "id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "retention" ADD CONSTRAINT "retention_namespace_id_fkey" FOREIGN KEY ("namespace_id") REFERENCES "namespace"("id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "retention" ADD CONSTRAINT "retention_namespace_id_job_id_fkey" FOREIGN KEY ("namespace_id", "job_id") REFERENCES "job"("namespace_id", "id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- The sweeps read what is due, and nothing else.
create index clearing_due_idx on clearing (next_action_at) where next_action_at is not null;
create index schedule_due_idx on schedule (next_action_at) where next_action_at is not null;
create index schedule_firing_pending_idx on schedule_firing (fired_at) where outcome = 'PENDING';
create index schedule_firing_unjudged_idx on schedule_firing (fired_at) where outcome = 'FIRED' and judged_at is null;
create index schedule_firing_old_idx on schedule_firing (slot_at);
create index snapshot_expires_idx on snapshot (expires_at, id)
  where expires_at is not null and kind = 'SAVEPOINT' and status in ('Present', 'Failed', 'Timeout')
    and not pinned and claimed_by_run_id is null;
create index snapshot_job_expires_idx on snapshot (job_id, expires_at)
  where expires_at is not null and kind = 'SAVEPOINT' and status in ('Present', 'Failed', 'Timeout');

-- One place is cleared once at a time; a namespace has one default.
create unique index clearing_prefix_key on clearing (namespace_id, md5(prefix))
  where ended_at is null and prefix is not null;
create unique index retention_default_key on retention (namespace_id) where job_id is null;

-- What the rules of a job may clear, in the order in which it was asked for: a late completion overtakes nobody.
create index snapshot_ruled_idx on snapshot (job_id, created_at, id)
  where kind = 'SAVEPOINT' and status = 'Present' and source in ('SCHEDULE', 'DEPLOY');

-- One audit of a storage at a time; the last one that succeeded says what lies there.
create unique index operation_open_audit_key on operation (((input -> 'storage' ->> 'id')::uuid))
  where kind = 'AUDIT' and ended_at is null;
create index operation_audited_idx on operation (((input -> 'storage' ->> 'id')::uuid), ended_at desc)
  where kind = 'AUDIT' and status = 'SUCCEEDED';

alter table audit_finding
  add constraint audit_finding_kind_check check (kind in ('ORPHAN', 'UNREGISTERED', 'MISSING'));

alter table clearing
  add constraint clearing_subject_check check (subject in ('SNAPSHOT', 'ORPHAN')
    and (subject = 'SNAPSHOT') = (snapshot_id is not null)),
  add constraint clearing_method_check check (method in ('OBJECTS', 'FILES', 'FLINK', 'FORGET')),
  add constraint clearing_phase_check
    check (phase in ('LISTING', 'DELETING_METADATA', 'DELETING', 'VERIFYING', 'DONE')),
  add constraint clearing_lease_check check ((lease_token is null) = (lease_until is null));

alter table schedule
  add constraint schedule_rule_check check ((cron is null) <> (every_seconds is null)),
  add constraint schedule_lease_check check ((lease_token is null) = (lease_until is null));

alter table schedule_firing
  add constraint schedule_firing_outcome_check check (outcome in ('PENDING', 'FIRED', 'SKIPPED', 'FAILED'));

alter table retention
  add constraint retention_values_check check (keep_count >= 1 and max_age_seconds >= 1 and rollback_window_seconds >= 0);

-- Where the round of each rule stands: every worker takes the next page, so that no two look at the same one.
insert into rule_round (rule) values ('RETENTION'), ('EXPIRY');
