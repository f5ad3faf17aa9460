/**
 * Copies as the API accepts them and as workers move them on. A claim gives a lease token; every later write carries it, so a
 * worker that slept past its lease changes nothing. `operation_open_copy_key` lets one copy of a snapshot to a storage be open.
 */
import type { CopyRequest, CopyResult, OperationStep } from '../domain/operation.ts'
import type { CopyFile, CopyProgress, CopyRepository, CopyWork, CopyWorkRepository } from '../ports/copies.ts'
import { toStorageAddress } from './addresses.ts'
import type { Database, Row } from './client.ts'
import { insertOperation, rememberedFrom, TOLD_OF_BEGUN } from './insert-operation.ts'
import { HELD, releaseOperation, renewOperation } from './operation-lease.ts'
import { HISTORY_OF_BEGUN } from './snapshot-history.ts'

export const createCopyRepository = (db: Database): CopyRepository => ({
  insert: (scope, { id, request, steps, createdBy }, idempotency) => {
    return insertOperation(db, scope, idempotency, {
      text: INSERT,
      values: [
        id,
        scope.namespaceId,
        request.snapshot,
        request.storage.id,
        JSON.stringify(request),
        JSON.stringify(steps),
        createdBy,
        request.timeoutSeconds,
      ],
      open: {
        key: 'operation_open_copy_key',
        find: { text: FIND_OPEN, values: [scope.namespaceId, request.snapshot, request.storage.id] },
      },
    })
  },
})

/**
 * `for share`: whoever is clearing the snapshot right now is waited for, and then it is not Present. Whoever begins to
 * clear it afterwards finds the operation (`db/references.ts`).
 */
const INSERT = `
  with source as (
    select id, namespace_id, job_id from snapshot
    where id = $3::uuid and namespace_id = $2::uuid and status = 'Present' for share),
  place as (
    select id from storage where id = $4::uuid and namespace_id = $2::uuid and deleted_at is null for key share),
  op as (
    insert into operation (id, namespace_id, kind, status, job_id, input, steps, created_by, deadline_at, next_action_at)
    select $1::uuid, source.namespace_id, 'COPY', 'RUNNING', source.job_id, $5::jsonb, $6::jsonb, $7,
      now() + make_interval(secs => $8::float8), now()
    from source, place
    returning id, namespace_id, kind, status, job_id),
  ${TOLD_OF_BEGUN},
  ${rememberedFrom(9)}
  select id from op`

const FIND_OPEN = `
  select id from operation
  where namespace_id = $1::uuid and kind = 'COPY' and ended_at is null
    and (input ->> 'snapshot')::uuid = $2::uuid and (input -> 'storage' ->> 'id')::uuid = $3::uuid`

// ----------------------------------------------------------------------------------------------------- work

export type CopyWorkOptions = { leaseMs: number; newLease: () => string }

type WorkRow = Row & {
  id: string
  namespace_id: string
  namespace: string
  input: CopyRequest
  steps: OperationStep[]
  result: CopyResult | null
  created_by: string
  deadline_at: string
  now: string
  tries: number
  lease_token: string
  job_id: string
  job_name: string
  source_id: string
  source_location: string | null
  source_storage_id: string | null
  storage_id: string
  storage_deleted: boolean
  uri: string
  provider: CopyWork['target']['provider']
  endpoint: string | null
  region: string | null
  path_style: boolean | null
  credentials: CopyWork['target']['credentials']
}

type FileRow = Row & {
  position: number
  source: string
  source_offset: number | null
  target: string
  size_bytes: number
}

export function createCopyWorkRepository(
  db: Database,
  { leaseMs, newLease }: CopyWorkOptions,
): CopyWorkRepository {
  const progressOf = (work: CopyWork, { steps, result }: CopyProgress): [string, string, string, string] => [
    work.id,
    work.lease,
    JSON.stringify(steps),
    JSON.stringify({ ...work.result, ...result }),
  ]
  return {
    claimDue: async (limit) =>
      (await db.sql<WorkRow>(CLAIM_DUE, [newLease(), leaseMs, limit], 'claim-due-copies')).map(toWork),

    renew: (work) => renewOperation(db, work, leaseMs),

    record: async (work, progress) => {
      const rows = await db.sql(`with ${RECORDED} select id from held`, progressOf(work, progress))
      return rows.length === 1
    },

    recordPlan: async (work, files, progress) => {
      const rows = await db.sql(RECORD_PLAN, [
        ...progressOf(work, progress),
        files.map(({ position }) => position),
        files.map(({ source }) => source),
        files.map(({ sourceOffset }) => sourceOffset),
        files.map(({ target }) => target),
        files.map(({ sizeBytes }) => sizeBytes),
      ])
      return rows.length === 1
    },

    listFiles: async (work, { after, limit, open }) => {
      const rows = await db.sql<FileRow>(
        `select position, source, source_offset, target, size_bytes from operation_file
         where namespace_id = $1::uuid and operation_id = $2::uuid and position > $3
           and ($5::boolean is false or done_at is null)
         order by position limit $4`,
        [work.namespaceId, work.id, after, limit, open],
        'list-copy-files',
      )
      return rows.map(toFile)
    },

    recordCopied: async (work, positions, progress) => {
      const rows = await db.sql(RECORD_COPIED, [...progressOf(work, progress), positions], 'record-copied')
      return rows.length === 1
    },

    complete: async (work, { ownedPrefix, location, locationKey, format }, progress) => {
      const { request } = work
      const [row] = await db.sql<{ held: boolean; recorded: boolean }>(COMPLETE, [
        ...progressOf(work, progress),
        request.copy,
        request.storage.id,
        request.description,
        JSON.stringify(request.labels),
        ownedPrefix,
        location,
        locationKey,
        format,
        request.snapshot,
      ])
      if (!row?.held) return 'lease-lost'
      return row.recorded ? 'recorded' : 'gone'
    },

    fail: async (work, { code, message }, progress) => {
      const rows = await db.sql(FAIL, [...progressOf(work, progress), code, message])
      return rows.length === 1
    },

    release: (work, next) => releaseOperation(db, work, next),
  }
}

/** Writes the progress, and locks the row until the statement has written: nobody can claim it in between. */
const RECORDED = `held as (
    update operation set steps = $3::jsonb, result = $4::jsonb, row_version = row_version + 1, updated_at = now()
    where id = $1::uuid and ${HELD} returning id, namespace_id)`

/** Instants are kept to the millisecond, rounded: what is due now may stand half of one in the future. */
const CLAIM_DUE = `
  with chosen as (
    select id from operation
    where next_action_at <= now() + interval '1 ms' and (lease_until is null or lease_until < now()) and kind = 'COPY'
    order by next_action_at limit $3 for update skip locked),
  claimed as (
    update operation o set lease_token = $1::uuid, lease_until = now() + make_interval(secs => $2::float8 / 1000)
    from chosen where o.id = chosen.id
    returning o.*)
  select o.id, o.namespace_id, n.name as namespace, o.input, o.steps, o.result, o.created_by, o.deadline_at, now() as now,
    o.tries, o.lease_token, j.id as job_id, j.name as job_name, s.id as source_id, s.location as source_location,
    s.storage_id as source_storage_id, st.id as storage_id, st.deleted_at is not null as storage_deleted, st.uri,
    st.provider, st.endpoint, st.region, st.path_style, st.credentials
  from claimed o
    join namespace n on n.id = o.namespace_id
    join snapshot s on s.id = (o.input ->> 'snapshot')::uuid and s.namespace_id = o.namespace_id
    join job j on j.id = s.job_id and j.namespace_id = o.namespace_id
    join storage st on st.id = (o.input -> 'storage' ->> 'id')::uuid and st.namespace_id = o.namespace_id`

const RECORD_PLAN = `
  with ${RECORDED},
  planned as (
    insert into operation_file (namespace_id, operation_id, position, source, source_offset, target, size_bytes)
    select held.namespace_id, held.id, f.position, f.source, f.source_offset, f.target, f.size_bytes
    from held, unnest($5::int[], $6::text[], $7::bigint[], $8::text[], $9::bigint[])
      as f(position, source, source_offset, target, size_bytes))
  select id from held`

const RECORD_COPIED = `
  with ${RECORDED},
  copied as (
    update operation_file f set done_at = now() from held
    where f.operation_id = held.id and f.namespace_id = held.namespace_id and f.position = any($5::int[])
      and f.done_at is null)
  select id from held`

/**
 * Its state is its source's: run, version, checkpoint id, and how old it is. A run that is gone from the rows is none. Its
 * files were looked at one by one a moment ago.
 */
const COMPLETE = `
  with held as (
    select id, namespace_id, kind, created_by from operation where id = $1::uuid and ${HELD} for update),
  place as (
    select st.id from storage st, held
    where st.id = $6::uuid and st.namespace_id = held.namespace_id and st.deleted_at is null for key share of st),
  snap as (
    insert into snapshot (id, namespace_id, job_id, run_id, job_version, storage_id, kind, status, reason, source,
      description, labels, format, checkpoint_type, incremental, flink_checkpoint_id, triggered_at, completed_at, settled_at,
      owned_prefix, location, location_key, size_bytes, flink_version, verified_at, verify_at, verdict, copy_of, created_by)
    select $5::uuid, s.namespace_id, s.job_id, s.run_id, s.job_version, place.id, 'SAVEPOINT', 'Present', 'COPIED', 'COPY',
      $7, $8::jsonb, coalesce(s.format, $12), s.checkpoint_type, s.incremental, s.flink_checkpoint_id, s.triggered_at,
      s.completed_at, now(), $9, $10, $11, s.size_bytes, s.flink_version, now(), now(), 'WHOLE', s.id, held.created_by
    from held, place, snapshot s where s.id = $13::uuid and s.namespace_id = held.namespace_id
    returning *),
  ${HISTORY_OF_BEGUN},
  ended as (
    update operation o set status = 'SUCCEEDED', snapshot_id = snap.id, steps = $3::jsonb, result = $4::jsonb,
      ended_at = now(), next_action_at = null, tries = 0, lease_token = null, lease_until = null,
      row_version = o.row_version + 1, updated_at = now()
    from held, snap where o.id = held.id
    returning o.id, o.namespace_id, o.kind, o.status, o.job_id),
  ended_told as (
    insert into history.event (namespace_id, type, job_id, snapshot_id, data)
    select ended.namespace_id, 'operation.status', ended.job_id, snap.id,
      jsonb_build_object('operation', ended.id, 'kind', ended.kind, 'from', 'RUNNING', 'to', ended.status) from ended, snap)
  select exists (select 1 from held) as held, exists (select 1 from snap) as recorded`

const FAIL = `
  with ended as (
    update operation set status = 'FAILED', steps = $3::jsonb, result = $4::jsonb, failure_code = $5, failure_message = $6,
      ended_at = now(), next_action_at = null, tries = 0, lease_token = null, lease_until = null,
      row_version = row_version + 1, updated_at = now()
    where id = $1::uuid and ${HELD}
    returning id, namespace_id, kind, status, job_id, failure_code),
  told as (
    insert into history.event (namespace_id, type, job_id, data)
    select namespace_id, 'operation.status', job_id, jsonb_build_object('operation', id, 'kind', kind, 'from', 'RUNNING',
      'to', status, 'code', failure_code) from ended)
  select id from ended`

const toWork = (row: WorkRow): CopyWork => ({
  id: row.id,
  namespaceId: row.namespace_id,
  namespace: row.namespace,
  request: row.input,
  steps: row.steps,
  result: row.result ?? {},
  createdBy: row.created_by,
  deadlineAt: new Date(row.deadline_at),
  now: new Date(row.now),
  tries: row.tries,
  job: { id: row.job_id, name: row.job_name },
  source: { id: row.source_id, location: row.source_location, storageId: row.source_storage_id },
  target: {
    ...toStorageAddress({ ...row, id: row.storage_id, pathStyle: row.path_style }),
    deleted: row.storage_deleted,
  },
  lease: row.lease_token,
})

const toFile = (row: FileRow): CopyFile => ({
  position: row.position,
  source: row.source,
  sourceOffset: row.source_offset,
  target: row.target,
  sizeBytes: row.size_bytes,
})
