-- What lies inside a snapshot: inspection, the files it needs, verification, copies.

-- AlterTable
ALTER TABLE "snapshot" ADD COLUMN "copy_of" UUID,
ADD COLUMN "verify_at" TIMESTAMPTZ(3);

-- CreateTable
CREATE TABLE "snapshot_inspection" (
    "namespace_id" UUID NOT NULL,
    "snapshot_id" UUID NOT NULL,
    "summary" JSONB NOT NULL,
    "metadata_bytes" BIGINT NOT NULL,
    "file_count" INTEGER NOT NULL,
    "file_bytes" BIGINT NOT NULL,
    "inspected_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "snapshot_inspection_pkey" PRIMARY KEY ("snapshot_id")
);

-- CreateTable
CREATE TABLE "snapshot_file" (
    "namespace_id" UUID NOT NULL,
    "snapshot_id" UUID NOT NULL,
    "position" INTEGER NOT NULL,
    "file_key" TEXT,
    "path" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "roles" TEXT[],
    "size_bytes" BIGINT,
    "references" INTEGER NOT NULL,
    "may_be_shared" BOOLEAN NOT NULL,

    CONSTRAINT "snapshot_file_pkey" PRIMARY KEY ("snapshot_id","position")
);

-- CreateTable
CREATE TABLE "snapshot_verification" (
    "namespace_id" UUID NOT NULL,
    "snapshot_id" UUID NOT NULL,
    "verdict" TEXT NOT NULL,
    "message" TEXT,
    "findings" JSONB NOT NULL DEFAULT '[]',
    "finding_count" INTEGER NOT NULL DEFAULT 0,
    "checked_files" INTEGER NOT NULL DEFAULT 0,
    "checked_bytes" BIGINT NOT NULL DEFAULT 0,
    "requests" INTEGER NOT NULL DEFAULT 0,
    "duration_ms" BIGINT NOT NULL DEFAULT 0,
    "verified_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "verified_by" TEXT NOT NULL,

    CONSTRAINT "snapshot_verification_pkey" PRIMARY KEY ("snapshot_id")
);

-- CreateTable
CREATE TABLE "operation_file" (
    "namespace_id" UUID NOT NULL,
    "operation_id" UUID NOT NULL,
    "position" INTEGER NOT NULL,
    "source" TEXT NOT NULL,
    "source_offset" BIGINT,
    "target" TEXT NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "done_at" TIMESTAMPTZ(3),

    CONSTRAINT "operation_file_pkey" PRIMARY KEY ("operation_id","position")
);

-- CreateIndex
CREATE UNIQUE INDEX "snapshot_inspection_namespace_id_snapshot_id_key" ON "snapshot_inspection"("namespace_id", "snapshot_id");

-- CreateIndex
CREATE UNIQUE INDEX "snapshot_verification_namespace_id_snapshot_id_key" ON "snapshot_verification"("namespace_id", "snapshot_id");

-- AddForeignKey
ALTER TABLE "snapshot_inspection" ADD CONSTRAINT "snapshot_inspection_namespace_id_snapshot_id_fkey" FOREIGN KEY ("namespace_id", "snapshot_id") REFERENCES "snapshot"("namespace_id", "id") ON DELETE CASCADE ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "snapshot_file" ADD CONSTRAINT "snapshot_file_namespace_id_snapshot_id_fkey" FOREIGN KEY ("namespace_id", "snapshot_id") REFERENCES "snapshot"("namespace_id", "id") ON DELETE CASCADE ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "snapshot_verification" ADD CONSTRAINT "snapshot_verification_namespace_id_snapshot_id_fkey" FOREIGN KEY ("namespace_id", "snapshot_id") REFERENCES "snapshot"("namespace_id", "id") ON DELETE CASCADE ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "operation_file" ADD CONSTRAINT "operation_file_namespace_id_operation_id_fkey" FOREIGN KEY ("namespace_id", "operation_id") REFERENCES "operation"("namespace_id", "id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- Who needs a file, or anything below a folder. A location may be longer than an index entry may be: 2,704 bytes, and a
-- character takes up to four.
create index snapshot_file_key_idx on snapshot_file (namespace_id, left(file_key, 512) collate "C")
  where file_key is not null;

-- The verification reads what is due, and nothing else.
create index snapshot_verify_idx on snapshot (verify_at) where verify_at is not null and status = 'Present';

alter table snapshot_verification
  add constraint snapshot_verification_verdict_check
    check (verdict in ('WHOLE', 'DAMAGED', 'UNREADABLE', 'METADATA_MISSING', 'NOT_ASKED'));

-- What is cleared needs no file any more, and what lies elsewhere needs others.
create function forget_snapshot_files() returns trigger language plpgsql as $$
begin
  delete from snapshot_file where snapshot_id = new.id and namespace_id = new.namespace_id;
  delete from snapshot_inspection where snapshot_id = new.id and namespace_id = new.namespace_id;
  return null;
end $$;
create trigger snapshot_forgets_files after update of status, location on snapshot
  for each row when (new.status = 'Cleared' and old.status is distinct from new.status
    or old.location is not null and old.location is distinct from new.location)
  execute function forget_snapshot_files();

-- Asked for twice while it is open, a copy is made once; and who is being copied is in use.
create unique index operation_open_copy_key
  on operation (((input ->> 'snapshot')::uuid), ((input -> 'storage' ->> 'id')::uuid))
  where kind = 'COPY' and ended_at is null;
