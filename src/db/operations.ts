/**
 * Operations as the API creates and reads them. A bulk savepoint is one statement: the operation, an item for every job
 * selected at that moment, the event and the idempotency record. Counts of a running operation are counted; those of an
 * ended one stand in its row, so that a list of old operations reads no items.
 */

import { DomainError } from '../domain/errors.ts'
import type {
  AuditRequest,
  AuditResult,
  BulkSavepointRequest,
  CopyRequest,
  CopyResult,
  LifecycleResult,
  OperationCounts,
  OperationItem,
  OperationKind,
  OperationStatus,
  OperationStep,
  OperationSummary,
  StartRequest,
  StopRequest,
} from '../domain/operation.ts'
import { operationPrincipal } from '../domain/operation.ts'
import { isUuidShaped } from '../domain/resource-name.ts'
import type { SnapshotStatus } from '../domain/snapshot-status.ts'
import type { OperationRepository } from '../ports/operations.ts'
import { type Database, type Row, violatedConstraint } from './client.ts'
import { forgetExpiredKey } from './idempotency.ts'
import { startAfter, tokenAfter, toPage } from './paging.ts'

type CountsByStatus = Partial<Record<OperationItem['status'], number>>

type OperationRow = Row & {
  id: string
  kind: OperationKind
  status: OperationStatus
  input: BulkSavepointRequest | StartRequest | StopRequest | CopyRequest | AuditRequest
  counts: CountsByStatus | OperationCounts | null
  created_at: string
  created_by: string
  ended_at: string | null
  job_id: string | null
  job_name: string
  deadline_at: string
  run_id: string | null
  flink_job_id: string | null
  snapshot_id: string | null
  failure_code: string | null
  failure_message: string | null
  steps: OperationStep[]
  /** Each kind has its own part of these, all optional. */
  result: (LifecycleResult & CopyResult & AuditResult & { listing?: unknown }) | null
}

type ItemRow = Row & {
  position: number
  job_id: string
  job_name: string
  status: OperationItem['status']
  snapshot_id: string | null
  snapshot_status: SnapshotStatus | null
  joined: boolean
  started_at: string | null
  ended_at: string | null
  failure_code: string | null
  failure_message: string | null
}

export function createOperationRepository(db: Database): OperationRepository {
  return {
    insertBulkSavepoint: async (scope, { id, request, selection, maxJobs, createdBy }, idempotency) => {
      try {
        const [row] = await db.sql<{ selected: number; inserted: boolean }>(INSERT_BULK_SAVEPOINT, [
          id,
          scope.namespaceId,
          selection.clusterId,
          selection.labels ? JSON.stringify(selection.labels) : null,
          maxJobs,
          JSON.stringify(request),
          createdBy,
          idempotency?.principal ?? null,
          idempotency?.route ?? null,
          idempotency?.key ?? null,
          idempotency?.bodyHash ?? null,
        ])
        return row?.inserted ? { kind: 'inserted' } : { kind: 'refused', selected: row?.selected ?? 0 }
      } catch (error) {
        if (violatedConstraint(error) !== 'idempotency_record_pkey' || !idempotency) throw error
        await forgetExpiredKey(db, scope, idempotency)
        return { kind: 'idempotency-race' }
      }
    },

    find: async ({ namespaceId }, id, { pageSize, after }) => {
      if (!isUuidShaped(id)) return null
      const begin = after === null ? 0 : decodeItemToken(after, id)
      const [row] = await db.sql<OperationRow>(`${SELECT} where o.namespace_id = $1 and o.id = $2`, [
        namespaceId,
        id,
      ])
      if (!row) return null
      const summary = toSummary(row)
      if (summary.kind !== 'BULK_SAVEPOINT') {
        // where an audit goes on is nobody's business
        const { listing: _inside, ...result } = row.result ?? {}
        return { ...summary, steps: row.steps, result }
      }
      const rows = await db.sql<ItemRow>(SELECT_ITEMS, [
        namespaceId,
        id,
        begin,
        pageSize + 1,
        operationPrincipal(id),
      ])
      const page = toPage(rows, pageSize, (item) => encodeItemToken(item.position, id), toItem)
      return { ...summary, items: page.items, nextPageToken: page.next }
    },

    list: async ({ namespaceId }, { pageSize, after }) => {
      const rows = await db.sql<OperationRow>(
        `${SELECT} where o.namespace_id = $1 and ($2::timestamptz is null or (o.created_at, o.id) < ($2, $3::uuid))
         order by o.created_at desc, o.id desc limit $4`,
        [namespaceId, ...startAfter(after), pageSize + 1],
      )
      return toPage(rows, pageSize, tokenAfter, toSummary)
    },

    findEnded: async (ids) => {
      const rows = await db.sql<{ id: string }>(
        `select id from operation where id = any($1::uuid[]) and ended_at is not null`,
        [ids],
        'find-ended-operations',
      )
      return rows.map((row) => row.id)
    },
  }
}

/** `chosen` reads one job more than allowed, to tell "too many" without counting a whole namespace. */
const INSERT_BULK_SAVEPOINT = `
  with chosen as (
    select j.id, row_number() over (order by j.name, j.id) as position from job j
    where j.namespace_id = $2::uuid and j.deleted_at is null
      and ($3::uuid is null or j.cluster_id = $3) and ($4::jsonb is null or j.labels @> $4)
    order by j.name, j.id limit $5::int + 1),
  counted as (select count(*) as selected from chosen),
  op as (
    insert into operation (id, namespace_id, kind, status, input, created_by, next_action_at)
    select $1::uuid, $2::uuid, 'BULK_SAVEPOINT', 'RUNNING', $6::jsonb, $7, now()
    from counted where selected between 1 and $5::int
    returning id, namespace_id, kind, status),
  items as (
    insert into operation_item (namespace_id, operation_id, position, job_id)
    select op.namespace_id, op.id, chosen.position, chosen.id from op, chosen),
  told as (
    insert into history.event (namespace_id, type, data)
    select namespace_id, 'operation.status',
      jsonb_build_object('operation', id, 'kind', kind, 'from', null, 'to', status) from op),
  remembered as (
    insert into idempotency_record (namespace_id, principal, route, key, body_hash, resource_id)
    select namespace_id, $8, $9, $10, $11, id::text from op where $10::text is not null)
  select selected, exists (select 1 from op) as inserted from counted`

/** What `end` of operation-work wrote, or what stands now. */
const SELECT = `
  select o.id, o.kind, o.status, o.input, o.created_at, o.created_by, o.ended_at,
    case when o.kind <> 'BULK_SAVEPOINT' then null when o.ended_at is not null then o.result -> 'counts' else
      (select jsonb_object_agg(c.status, c.items) from
        (select i.status, count(*) as items from operation_item i where i.operation_id = o.id group by i.status) c)
    end as counts,
    o.job_id, j.name as job_name, o.deadline_at, o.run_id, r.flink_job_id, o.snapshot_id, o.failure_code, o.failure_message,
    o.steps, o.result
  from operation o
    left join job j on j.id = o.job_id and j.namespace_id = o.namespace_id
    left join run r on r.id = o.run_id and r.namespace_id = o.namespace_id`

const SELECT_ITEMS = `
  select i.position, i.job_id, j.name as job_name, i.status, i.snapshot_id, s.status as snapshot_status,
    coalesce(s.created_by <> $5, false) as joined, i.started_at, i.ended_at, i.failure_code, i.failure_message
  from operation_item i
    join job j on j.id = i.job_id and j.namespace_id = i.namespace_id
    left join snapshot s on s.id = i.snapshot_id and s.namespace_id = i.namespace_id
  where i.namespace_id = $1::uuid and i.operation_id = $2::uuid and i.position > $3::int
  order by i.position limit $4`

function toSummary(row: OperationRow): OperationSummary {
  const { id, status, created_at: createdAt, created_by: createdBy, ended_at: endedAt } = row
  const base = { id, status, createdAt, createdBy, endedAt }
  if ('maxParallel' in row.input)
    return { ...base, kind: 'BULK_SAVEPOINT', request: row.input, counts: toCounts(row.counts) }
  if ('storage' in row.input && !('copy' in row.input)) {
    return {
      ...base,
      kind: 'AUDIT',
      request: row.input,
      deadlineAt: row.deadline_at,
      failure: toFailure(row),
    }
  }
  if ('copy' in row.input) {
    return {
      ...base,
      kind: 'COPY',
      job: { id: row.job_id ?? '', name: row.job_name },
      request: row.input,
      deadlineAt: row.deadline_at,
      snapshot: row.snapshot_id,
      failure: toFailure(row),
    }
  }
  return {
    ...base,
    kind: row.kind === 'STOP' ? 'STOP' : 'START',
    job: { id: row.job_id ?? '', name: row.job_name },
    request: row.input,
    deadlineAt: row.deadline_at,
    run: row.run_id,
    flinkJobId: row.flink_job_id,
    snapshot: row.snapshot_id,
    failure: toFailure(row),
  }
}

const toFailure = ({ failure_code: code, failure_message: message }: OperationRow) =>
  code === null ? null : { code, message: message ?? '' }

export function toCounts(counts: CountsByStatus | OperationCounts | null): OperationCounts {
  if (counts !== null && 'done' in counts) return counts
  const of = (status: OperationItem['status']) => counts?.[status] ?? 0
  return {
    waiting: of('WAITING'),
    running: of('RUNNING'),
    done: of('DONE'),
    failed: of('FAILED'),
    skipped: of('SKIPPED'),
  }
}

const toItem = (row: ItemRow): OperationItem => ({
  position: row.position,
  job: { id: row.job_id, name: row.job_name },
  status: row.status,
  snapshot: row.snapshot_id,
  snapshotStatus: row.snapshot_status,
  joined: row.joined,
  startedAt: row.started_at,
  endedAt: row.ended_at,
  failure: row.failure_code === null ? null : { code: row.failure_code, message: row.failure_message ?? '' },
})

const encodeItemToken = (position: number, id: string): string =>
  Buffer.from(JSON.stringify([position, id])).toString('base64url')

/** The position a page goes on after. */
function decodeItemToken(token: string, id: string): number {
  const [, position] =
    /^\[(\d{1,9}),"([0-9a-f-]{36})"\]$/.exec(Buffer.from(token, 'base64url').toString()) ?? []
  if (position !== undefined && encodeItemToken(Number(position), id) === token) return Number(position)
  throw new DomainError('PAGE_TOKEN_INVALID', 'The page token is not one that this operation gave out.', {
    errors: [{ pointer: '/query/pageToken', detail: 'not a page token of this operation' }],
  })
}
