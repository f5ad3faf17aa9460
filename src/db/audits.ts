/** Audits as the API accepts and shows them. `operation_open_audit_key` lets one audit of a storage be open. */
import {
  type Amount,
  type AuditFinding,
  type FindingKind,
  RECLAIMABLE_KINDS,
  type StorageUsage,
  type UsageKind,
} from '../domain/audit.ts'
import type { ClearingPhase } from '../domain/clearing.ts'
import { isUuidShaped } from '../domain/resource-name.ts'
import type { AuditRepository } from '../ports/audits.ts'
import { type Database, type Row, violatedConstraint } from './client.ts'
import { insertOperation, rememberedFrom, TOLD_OF_BEGUN } from './insert-operation.ts'
import { invalidToken, toPage } from './paging.ts'

const JOBS_SHOWN = 1_000

export const createAuditRepository = (db: Database): AuditRepository => ({
  insert: (scope, { id, request, steps, createdBy }, idempotency) => {
    return insertOperation(db, scope, idempotency, {
      text: INSERT,
      values: [
        id,
        scope.namespaceId,
        request.storage.id,
        JSON.stringify(request),
        JSON.stringify(steps),
        createdBy,
        request.timeoutSeconds,
      ],
      open: {
        key: 'operation_open_audit_key',
        find: { text: FIND_OPEN, values: [scope.namespaceId, request.storage.id] },
      },
    })
  },

  listFindings: async ({ namespaceId }, operationId, kind, { pageSize, after }) => {
    if (!isUuidShaped(operationId)) return null
    const from = after === null ? -1 : decodeNumber(after, operationId)
    const [audit] = await db.sql(
      `select 1 from operation where id = $1::uuid and namespace_id = $2::uuid and kind = 'AUDIT'`,
      [operationId, namespaceId],
    )
    if (!audit) return null
    const rows = await db.sql<FindingRow>(LIST_FINDINGS, [namespaceId, operationId, kind, from, pageSize + 1])
    return toPage(rows, pageSize, ({ number }) => encodeNumber(number, operationId), toFinding)
  },

  readUsage: async ({ namespaceId }, storage) => {
    const [audit] = await db.sql<{ id: string; ended_at: string }>(LAST_AUDIT, [namespaceId, storage.id])
    if (!audit) return NEVER_MEASURED(storage)
    const [kinds, jobs] = await Promise.all([
      db.sql<UsageRow>(USAGE_BY_KIND, [namespaceId, audit.id]),
      db.sql<JobUsageRow>(USAGE_BY_JOB, [namespaceId, audit.id, JOBS_SHOWN]),
    ])
    const byKind = kinds.map(({ kind, objects, bytes }) => ({ kind, objects, bytes }))
    return {
      storage,
      measuredAt: audit.ended_at,
      operation: audit.id,
      total: sumOf(byKind),
      kinds: byKind,
      reclaimable: byKind.filter(({ kind }) => RECLAIMABLE_KINDS.includes(kind)),
      jobs: jobs.map((row) => ({
        job: row.job_id === null ? null : { id: row.job_id, name: row.job_name },
        version: row.version === 0 ? null : row.version,
        kind: row.kind,
        objects: row.objects,
        bytes: row.bytes,
      })),
      jobsLeftOut: Math.max(0, (jobs[0]?.total ?? 0) - jobs.length),
    }
  },

  beginOrphan: async ({ namespaceId }, { clearingId, operationId, number, storageId, requestedBy }) => {
    try {
      const [row] = await db.sql<{ id: string | null; location: string; allowed: boolean }>(BEGIN_ORPHAN, [
        namespaceId,
        operationId,
        number,
        storageId,
        clearingId,
        requestedBy,
      ])
      if (!row) return { kind: 'refused', code: 'NOT_FOUND' }
      if (row.id !== null) return { kind: 'clearing', id: row.id, location: row.location }
      return { kind: 'refused', code: 'CLEARING_NOT_ENABLED' }
    } catch (error) {
      if (violatedConstraint(error) !== 'clearing_prefix_key') throw error
      return { kind: 'refused', code: 'SNAPSHOT_IN_USE' }
    }
  },
})

const NEVER_MEASURED = (storage: StorageUsage['storage']): StorageUsage => ({
  storage,
  measuredAt: null,
  operation: null,
  total: { objects: 0, bytes: 0 },
  kinds: [],
  reclaimable: [],
  jobs: [],
  jobsLeftOut: 0,
})

const sumOf = (amounts: readonly Amount[]): Amount => ({
  objects: amounts.reduce((sum, { objects }) => sum + objects, 0),
  bytes: amounts.reduce((sum, { bytes }) => sum + bytes, 0),
})

type UsageRow = Row & { kind: UsageKind; objects: number; bytes: number }
type JobUsageRow = UsageRow & { job_id: string | null; job_name: string; version: number; total: number }
type FindingRow = Row & {
  number: number
  kind: FindingKind
  location: string
  objects: number
  bytes: number
  newest_at: string | null
  snapshot_id: string | null
  message: string
  clearing_id: string | null
  phase: ClearingPhase
  deleted: number
  error_code: string | null
  error_message: string | null
  ended_at: string | null
}

const toFinding = (row: FindingRow): AuditFinding => ({
  number: row.number,
  kind: row.kind,
  location: row.location,
  objects: row.objects,
  bytes: row.bytes,
  newestAt: row.newest_at,
  snapshot: row.snapshot_id,
  message: row.message,
  clearing:
    row.clearing_id === null
      ? null
      : {
          id: row.clearing_id,
          phase: row.phase,
          deleted: row.deleted,
          error: row.error_code === null ? null : { code: row.error_code, message: row.error_message ?? '' },
          endedAt: row.ended_at,
        },
})

const encodeNumber = (number: number, operationId: string): string =>
  Buffer.from(JSON.stringify([number, operationId])).toString('base64url')

function decodeNumber(token: string, operationId: string): number {
  const [, digits, id] =
    /^\[(\d{1,9}),"([0-9a-f-]{36})"\]$/.exec(Buffer.from(token, 'base64url').toString('utf8')) ?? []
  if (digits === undefined || id !== operationId) throw invalidToken()
  return Number(digits)
}

const INSERT = `
  with place as (
    select id, namespace_id from storage where id = $3::uuid and namespace_id = $2::uuid and deleted_at is null for key share),
  op as (
    insert into operation (id, namespace_id, kind, status, input, steps, created_by, deadline_at, next_action_at)
    select $1::uuid, place.namespace_id, 'AUDIT', 'RUNNING', $4::jsonb, $5::jsonb, $6,
      now() + make_interval(secs => $7::float8), now()
    from place
    returning id, namespace_id, kind, status, job_id),
  ${TOLD_OF_BEGUN},
  ${rememberedFrom(8)}
  select id from op`

const FIND_OPEN = `
  select id from operation
  where namespace_id = $1::uuid and kind = 'AUDIT' and ended_at is null and (input -> 'storage' ->> 'id')::uuid = $2::uuid`

const LAST_AUDIT = `
  select id, ended_at from operation
  where namespace_id = $1::uuid and kind = 'AUDIT' and status = 'SUCCEEDED'
    and (input -> 'storage' ->> 'id')::uuid = $2::uuid
  order by ended_at desc limit 1`

const LIST_FINDINGS = `
  select f.number, f.kind, f.location, f.objects, f.bytes, f.newest_at, f.snapshot_id, f.message, c.id as clearing_id,
    c.phase, c.deleted, c.error_code, c.error_message, c.ended_at
  from audit_finding f left join clearing c on c.id = f.clearing_id and c.namespace_id = f.namespace_id
  where f.namespace_id = $1::uuid and f.operation_id = $2::uuid and ($3::text is null or f.kind = $3) and f.number > $4
  order by f.number limit $5`

const USAGE_BY_KIND = `
  select kind, sum(objects)::bigint as objects, sum(bytes)::bigint as bytes from audit_usage
  where namespace_id = $1::uuid and operation_id = $2::uuid group by kind order by 3 desc, 1`

const USAGE_BY_JOB = `
  select j.id as job_id, j.name as job_name, u.version, u.kind, u.objects, u.bytes, count(*) over ()::int as total
  from audit_usage u left join job j on j.id::text = u.job_key and j.namespace_id = u.namespace_id
  where u.namespace_id = $1::uuid and u.operation_id = $2::uuid
  order by u.bytes desc, u.job_key, u.version, u.kind limit $3`

/** `for update` of the finding, `for share` of the storage: twice at once it is begun once, and not while that changes its mind. */
const BEGIN_ORPHAN = `
  with finding as (
    select f.* from audit_finding f join operation o on o.id = f.operation_id and o.namespace_id = f.namespace_id
    where f.namespace_id = $1::uuid and f.operation_id = $2::uuid and f.number = $3::int and f.kind = 'ORPHAN'
      and (o.input -> 'storage' ->> 'id')::uuid = $4::uuid
    for update of f),
  place as (
    select id from storage where id = $4::uuid and namespace_id = $1::uuid and deleted_at is null and clear_checkpoints
    for share),
  begun as (
    insert into clearing (id, namespace_id, subject, storage_id, method, prefix, reason, message, requested_by, next_action_at)
    select $5::uuid, finding.namespace_id, 'ORPHAN', place.id, 'OBJECTS', finding.location, 'ORPHAN', finding.message, $6, now()
    from finding, place where finding.clearing_id is null
    returning id),
  linked as (
    update audit_finding f set clearing_id = begun.id from begun
    where f.namespace_id = $1::uuid and f.operation_id = $2::uuid and f.number = $3::int)
  select coalesce(begun.id, finding.clearing_id) as id, finding.location from finding left join begun on true`
