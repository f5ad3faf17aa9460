/**
 * Accepting savepoints: row, first attempt, transition, event and idempotency record of each in one statement, which those
 * that are accepted at the same moment share.
 */
import { notRestorableBecause } from '../domain/restorable.ts'
import type { Snapshot } from '../domain/snapshot.ts'
import type { IdempotencyKey } from '../ports/scope.ts'
import type { NewSavepoint, SnapshotRepository } from '../ports/snapshots.ts'
import { type Database, type Row, violatedConstraint } from './client.ts'
import { forgetExpiredKey } from './idempotency.ts'
import { HISTORY_OF_BEGUN } from './snapshot-history.ts'
import type { SnapshotRow } from './snapshot-rows.ts'
import { type Locking, together } from './together.ts'

type Accepted = { namespaceId: string; savepoint: NewSavepoint; key: IdempotencyKey | undefined }

/** Locked, refused or in progress among others, it is done once more alone, and that answer counts. */
export function createSavepointInsert(db: Database): SnapshotRepository['insertSavepoint'] {
  const insert = together<Accepted, CreatedRow | null>(
    async (accepted, locking) => {
      const values = [
        JSON.stringify(accepted.map(toParameters)),
        accepted.map(({ savepoint }) => savepoint.job.id),
      ]
      const rows = await db.sql<CreatedRow>(insertSql(locking), values, `insert-savepoints${locking}`)
      const created = new Map(rows.map((row) => [row.id, row]))
      return accepted.map(({ savepoint }) => created.get(savepoint.id) ?? null)
    },
    (row) => row !== null,
    ({ savepoint }) => savepoint.id,
  )
  return async ({ namespaceId }, savepoint, key) => {
    try {
      const row = await insert({ namespaceId, savepoint, key })
      return row ? { kind: 'inserted', snapshot: asCreated(row, savepoint) } : { kind: 'in-progress' }
    } catch (error) {
      if (violatedConstraint(error) !== 'idempotency_record_pkey' || !key) throw error
      await forgetExpiredKey(db, { namespaceId }, key)
      return { kind: 'idempotency-race' }
    }
  }
}

const toParameters = ({ namespaceId, savepoint, key }: Accepted) => ({
  ...savepoint,
  job: savepoint.job.id,
  storage: savepoint.storage.id,
  namespace: namespaceId,
  key: key ?? null,
})

/**
 * The idempotency record is inserted without `on conflict`: a second request with the same key fails as a whole and finds
 * the first one's record. A job with an unsettled savepoint inserts nothing and answers no row. Both in one order
 * everywhere, so that two statements never wait for each other. `for key share`: a job that is being deleted right now is
 * waited for (alone), and then has no row here.
 */
const insertSql = (locking: Locking): string => `
  with accepted as (
    select * from jsonb_to_recordset($1::jsonb) as a(id uuid, namespace uuid, job uuid, "runId" uuid, "jobVersion" int,
      storage uuid, source text, description text, labels jsonb, format text, "timeoutSeconds" float8, "ownedPrefix" text,
      "expiresAt" timestamptz, "createdBy" text, "triggerId" text, directory text, key jsonb)),
  free as (
    select id, namespace_id from job where id = any ($2::uuid[]) and deleted_at is null order by id for key share${locking}),
  snap as (
    insert into snapshot (id, namespace_id, job_id, run_id, job_version, storage_id, kind, status, reason, source,
      description, labels, format, attempt, deadline_at, owned_prefix, expires_at, created_by, next_action_at)
    select a.id, free.namespace_id, free.id, a."runId", a."jobVersion", a.storage, 'SAVEPOINT', 'Creating', 'REQUESTED',
      a.source, a.description, a.labels, a.format, 1, now() + make_interval(secs => a."timeoutSeconds"), a."ownedPrefix",
      a."expiresAt", a."createdBy", now()
    from accepted a join free on free.id = a.job and free.namespace_id = a.namespace
    order by free.id, a.id
    on conflict (job_id) where settled_at is null and source in ('MANUAL', 'STOP', 'DEPLOY', 'SCHEDULE') do nothing
    returning *),
  first as (
    insert into attempt (namespace_id, snapshot_id, number, trigger_id, directory)
    select snap.namespace_id, snap.id, 1, a."triggerId", a.directory from snap join accepted a on a.id = snap.id),
  ${HISTORY_OF_BEGUN},
  remembered as (
    insert into idempotency_record (namespace_id, principal, route, key, body_hash, resource_id)
    select snap.namespace_id, a.key ->> 'principal', a.key ->> 'route', a.key ->> 'key', a.key ->> 'bodyHash', snap.id::text
    from snap join accepted a on a.id = snap.id where jsonb_typeof(a.key) = 'object'
    order by a.key ->> 'key')
  select id, labels, created_at, updated_at, deadline_at, expires_at from snap`

/** What only Postgres knows of a fresh row. Reading back all of its columns costs a tenth of the statement. */
type CreatedRow = Row &
  Pick<SnapshotRow, 'id' | 'labels' | 'created_at' | 'updated_at' | 'deadline_at' | 'expires_at'>

/** What reading a fresh row would answer, without reading it again; a test compares the two. */
const asCreated = (row: CreatedRow, savepoint: NewSavepoint): Snapshot => ({
  id: savepoint.id,
  kind: 'SAVEPOINT',
  status: 'Creating',
  reason: 'REQUESTED',
  message: null,
  source: savepoint.source,
  description: savepoint.description,
  labels: row.labels,
  job: savepoint.job,
  jobVersion: savepoint.jobVersion,
  run: savepoint.runId,
  format: savepoint.format,
  checkpointType: null,
  incremental: null,
  flinkCheckpointId: null,
  triggerId: savepoint.triggerId,
  attempt: 1,
  attempts: [
    {
      number: 1,
      triggerId: savepoint.triggerId,
      flinkJobId: null,
      directory: savepoint.directory,
      createdAt: row.created_at,
      askedAt: null,
      outcome: null,
      settledAt: null,
      failure: null,
      orphanLocation: null,
    },
  ],
  createdAt: row.created_at,
  triggeredAt: null,
  completedAt: null,
  settledAt: null,
  durationMs: null,
  deadlineAt: row.deadline_at,
  storage: { id: savepoint.storage.id, name: savepoint.storage.name },
  ownedPrefix: savepoint.ownedPrefix,
  location: null,
  sizeBytes: null,
  uploadedBytes: null,
  flinkVersion: null,
  failure: null,
  pinned: false,
  expiresAt: row.expires_at,
  verifiedAt: null,
  verdict: null,
  restorable: false,
  notRestorableBecause: NOT_YET,
  supersedes: null,
  copyOf: null,
  restoredBy: [],
  createdBy: savepoint.createdBy,
  updatedAt: row.updated_at,
  etag: '1',
})

const NOT_YET = notRestorableBecause({ status: 'Creating', location: null, verdict: null, claimed: false })
