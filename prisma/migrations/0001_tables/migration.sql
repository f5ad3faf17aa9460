-- CreateTable
CREATE TABLE "namespace" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "namespace_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "worker" (
    "id" UUID NOT NULL,
    "started_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "heartbeat_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "worker_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "cluster" (
    "id" UUID NOT NULL,
    "namespace_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "url" TEXT NOT NULL,
    "auth" JSONB NOT NULL DEFAULT '{"type": "none"}',
    "mode" TEXT NOT NULL DEFAULT 'MANAGE',
    "follow_identity" BOOLEAN NOT NULL DEFAULT false,
    "flink_version" TEXT,
    "capabilities" JSONB,
    "fingerprint" JSONB,
    "changed_to" JSONB,
    "reachable" BOOLEAN,
    "last_error" TEXT,
    "observed_at" TIMESTAMPTZ(3),
    "observer_id" UUID,
    "row_version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "deleted_at" TIMESTAMPTZ(3),

    CONSTRAINT "cluster_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "storage" (
    "id" UUID NOT NULL,
    "namespace_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "uri" TEXT NOT NULL,
    "root_key" TEXT NOT NULL,
    "provider" TEXT NOT NULL,
    "endpoint" TEXT,
    "region" TEXT,
    "path_style" BOOLEAN,
    "credentials" JSONB,
    "clear_checkpoints" BOOLEAN NOT NULL DEFAULT false,
    "row_version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "deleted_at" TIMESTAMPTZ(3),

    CONSTRAINT "storage_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "job" (
    "id" UUID NOT NULL,
    "namespace_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "cluster_id" UUID NOT NULL,
    "savepoint_storage_id" UUID NOT NULL,
    "attach_flink_job_id" TEXT,
    "attach_flink_job_name" TEXT,
    "allow_stop" BOOLEAN NOT NULL DEFAULT false,
    "savepoint_timeout_seconds" INTEGER NOT NULL DEFAULT 1800,
    "labels" JSONB NOT NULL DEFAULT '{}',
    "latest_version" INTEGER,
    "current_run_id" UUID,
    "ambiguous" JSONB,
    "row_version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "deleted_at" TIMESTAMPTZ(3),

    CONSTRAINT "job_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "job_version" (
    "namespace_id" UUID NOT NULL,
    "job_id" UUID NOT NULL,
    "number" INTEGER NOT NULL,
    "spec" JSONB NOT NULL DEFAULT '{}',
    "labels" JSONB NOT NULL DEFAULT '{}',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "created_by" TEXT NOT NULL,

    CONSTRAINT "job_version_pkey" PRIMARY KEY ("job_id","number")
);

-- CreateTable
CREATE TABLE "run" (
    "id" UUID NOT NULL,
    "namespace_id" UUID NOT NULL,
    "job_id" UUID NOT NULL,
    "cluster_id" UUID NOT NULL,
    "flink_job_id" TEXT NOT NULL,
    "epoch" INTEGER NOT NULL DEFAULT 1,
    "state" TEXT NOT NULL,
    "flink_state" TEXT NOT NULL,
    "all_tasks_running" BOOLEAN NOT NULL DEFAULT false,
    "tasks_running_since" TIMESTAMPTZ(3),
    "flink_start_time" BIGINT NOT NULL,
    "version" INTEGER,
    "version_basis" TEXT,
    "restored_snapshot_id" UUID,
    "restored_location" TEXT,
    "claim_mode" TEXT,
    "started_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),
    "end_confirmed_at" TIMESTAMPTZ(3),
    "missing_since" TIMESTAMPTZ(3),
    "failure" JSONB,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "run_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "snapshot" (
    "id" UUID NOT NULL,
    "namespace_id" UUID NOT NULL,
    "job_id" UUID NOT NULL,
    "run_id" UUID,
    "job_version" INTEGER,
    "storage_id" UUID,
    "kind" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "reason" TEXT NOT NULL,
    "message" TEXT,
    "source" TEXT NOT NULL,
    "description" TEXT NOT NULL,
    "labels" JSONB NOT NULL DEFAULT '{}',
    "format" TEXT,
    "checkpoint_type" TEXT,
    "incremental" BOOLEAN,
    "flink_checkpoint_id" BIGINT,
    "attempt" INTEGER,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "triggered_at" TIMESTAMPTZ(3),
    "completed_at" TIMESTAMPTZ(3),
    "settled_at" TIMESTAMPTZ(3),
    "deadline_at" TIMESTAMPTZ(3),
    "duration_ms" BIGINT,
    "owned_prefix" TEXT,
    "location" TEXT,
    "location_key" TEXT,
    "size_bytes" BIGINT,
    "uploaded_bytes" BIGINT,
    "flink_version" TEXT,
    "failure_code" TEXT,
    "failure_message" TEXT,
    "failed_at" TIMESTAMPTZ(3),
    "pinned" BOOLEAN NOT NULL DEFAULT false,
    "expires_at" TIMESTAMPTZ(3),
    "verified_at" TIMESTAMPTZ(3),
    "verdict" TEXT,
    "claimed_by_run_id" UUID,
    "supersedes" UUID,
    "restored_by" UUID[] DEFAULT ARRAY[]::UUID[],
    "created_by" TEXT NOT NULL,
    "next_action_at" TIMESTAMPTZ(3),
    "tries" INTEGER NOT NULL DEFAULT 0,
    "lease_token" UUID,
    "lease_until" TIMESTAMPTZ(3),
    "row_version" INTEGER NOT NULL DEFAULT 1,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "snapshot_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "attempt" (
    "namespace_id" UUID NOT NULL,
    "snapshot_id" UUID NOT NULL,
    "number" INTEGER NOT NULL,
    "trigger_id" TEXT NOT NULL,
    "flink_job_id" TEXT,
    "directory" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "asked_at" TIMESTAMPTZ(3),
    "asked_flink_start" BIGINT,
    "after_rescale" BOOLEAN NOT NULL DEFAULT false,
    "outcome" TEXT,
    "settled_at" TIMESTAMPTZ(3),
    "failure_code" TEXT,
    "failure_message" TEXT,
    "orphan_location" TEXT,

    CONSTRAINT "attempt_pkey" PRIMARY KEY ("snapshot_id","number")
);

-- CreateTable
CREATE TABLE "operation" (
    "id" UUID NOT NULL,
    "namespace_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "job_id" UUID,
    "input" JSONB NOT NULL DEFAULT '{}',
    "steps" JSONB NOT NULL DEFAULT '[]',
    "result" JSONB,
    "failure_code" TEXT,
    "failure_message" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "created_by" TEXT NOT NULL,
    "deadline_at" TIMESTAMPTZ(3),
    "ended_at" TIMESTAMPTZ(3),
    "next_action_at" TIMESTAMPTZ(3),
    "tries" INTEGER NOT NULL DEFAULT 0,
    "lease_token" UUID,
    "lease_until" TIMESTAMPTZ(3),
    "row_version" INTEGER NOT NULL DEFAULT 1,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "operation_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "idempotency_record" (
    "namespace_id" UUID NOT NULL,
    "principal" TEXT NOT NULL,
    "route" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "body_hash" TEXT NOT NULL,
    "resource_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "idempotency_record_pkey" PRIMARY KEY ("namespace_id","principal","route","key")
);

-- CreateIndex
CREATE UNIQUE INDEX "namespace_name_key" ON "namespace"("name");

-- CreateIndex
CREATE INDEX "cluster_namespace_id_created_at_id_idx" ON "cluster"("namespace_id", "created_at", "id");

-- CreateIndex
CREATE INDEX "cluster_observer_id_idx" ON "cluster"("observer_id");

-- CreateIndex
CREATE UNIQUE INDEX "cluster_namespace_id_id_key" ON "cluster"("namespace_id", "id");

-- CreateIndex
CREATE INDEX "storage_namespace_id_created_at_id_idx" ON "storage"("namespace_id", "created_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "storage_namespace_id_id_key" ON "storage"("namespace_id", "id");

-- CreateIndex
CREATE INDEX "job_namespace_id_created_at_id_idx" ON "job"("namespace_id", "created_at", "id");

-- CreateIndex
CREATE INDEX "job_cluster_id_idx" ON "job"("cluster_id");

-- CreateIndex
CREATE INDEX "job_savepoint_storage_id_idx" ON "job"("savepoint_storage_id");

-- CreateIndex
CREATE UNIQUE INDEX "job_namespace_id_id_key" ON "job"("namespace_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "job_version_namespace_id_job_id_number_key" ON "job_version"("namespace_id", "job_id", "number");

-- CreateIndex
CREATE INDEX "run_job_id_started_at_id_idx" ON "run"("job_id", "started_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "run_namespace_id_id_key" ON "run"("namespace_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "run_job_id_cluster_id_flink_job_id_epoch_key" ON "run"("job_id", "cluster_id", "flink_job_id", "epoch");

-- CreateIndex
CREATE INDEX "snapshot_job_id_created_at_id_idx" ON "snapshot"("job_id", "created_at", "id");

-- CreateIndex
CREATE INDEX "snapshot_job_id_status_created_at_id_idx" ON "snapshot"("job_id", "status", "created_at", "id");

-- CreateIndex
CREATE INDEX "snapshot_job_id_completed_at_id_idx" ON "snapshot"("job_id", "completed_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "snapshot_namespace_id_id_key" ON "snapshot"("namespace_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "attempt_trigger_id_key" ON "attempt"("trigger_id");

-- CreateIndex
CREATE INDEX "operation_namespace_id_created_at_id_idx" ON "operation"("namespace_id", "created_at", "id");

-- CreateIndex
CREATE INDEX "operation_job_id_created_at_id_idx" ON "operation"("job_id", "created_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "operation_namespace_id_id_key" ON "operation"("namespace_id", "id");

-- CreateIndex
CREATE INDEX "idempotency_record_created_at_idx" ON "idempotency_record"("created_at");

-- AddForeignKey
ALTER TABLE "cluster" ADD CONSTRAINT "cluster_namespace_id_fkey" FOREIGN KEY ("namespace_id") REFERENCES "namespace"("id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "storage" ADD CONSTRAINT "storage_namespace_id_fkey" FOREIGN KEY ("namespace_id") REFERENCES "namespace"("id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "job" ADD CONSTRAINT "job_namespace_id_cluster_id_fkey" FOREIGN KEY ("namespace_id", "cluster_id") REFERENCES "cluster"("namespace_id", "id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "job" ADD CONSTRAINT "job_namespace_id_savepoint_storage_id_fkey" FOREIGN KEY ("namespace_id", "savepoint_storage_id") REFERENCES "storage"("namespace_id", "id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "job" ADD CONSTRAINT "job_namespace_id_current_run_id_fkey" FOREIGN KEY ("namespace_id", "current_run_id") REFERENCES "run"("namespace_id", "id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "job_version" ADD CONSTRAINT "job_version_namespace_id_job_id_fkey" FOREIGN KEY ("namespace_id", "job_id") REFERENCES "job"("namespace_id", "id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "run" ADD CONSTRAINT "run_namespace_id_job_id_fkey" FOREIGN KEY ("namespace_id", "job_id") REFERENCES "job"("namespace_id", "id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "run" ADD CONSTRAINT "run_namespace_id_cluster_id_fkey" FOREIGN KEY ("namespace_id", "cluster_id") REFERENCES "cluster"("namespace_id", "id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "snapshot" ADD CONSTRAINT "snapshot_namespace_id_job_id_fkey" FOREIGN KEY ("namespace_id", "job_id") REFERENCES "job"("namespace_id", "id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "snapshot" ADD CONSTRAINT "snapshot_namespace_id_run_id_fkey" FOREIGN KEY ("namespace_id", "run_id") REFERENCES "run"("namespace_id", "id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "snapshot" ADD CONSTRAINT "snapshot_namespace_id_storage_id_fkey" FOREIGN KEY ("namespace_id", "storage_id") REFERENCES "storage"("namespace_id", "id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "attempt" ADD CONSTRAINT "attempt_namespace_id_snapshot_id_fkey" FOREIGN KEY ("namespace_id", "snapshot_id") REFERENCES "snapshot"("namespace_id", "id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "operation" ADD CONSTRAINT "operation_namespace_id_job_id_fkey" FOREIGN KEY ("namespace_id", "job_id") REFERENCES "job"("namespace_id", "id") ON DELETE NO ACTION ON UPDATE NO ACTION;

