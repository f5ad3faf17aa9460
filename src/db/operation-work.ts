/**
 * The worker's side of a bulk savepoint. A claim gives a lease token; every write carries it and locks the operation's row
 * while it writes, so a worker that slept past its lease changes nothing, not even items.
 */
import type { ItemSnapshot } from '../domain/bulk-savepoint.ts'
import type { BulkSavepointRequest } from '../domain/operation.ts'
import type { ItemAnswer, OperationWork, OperationWorkRepository } from '../ports/operations.ts'
import type { Database, Row } from './client.ts'
import { toCounts } from './operations.ts'

export type OperationWorkOptions = { leaseMs: number; newLease: () => string }

type WorkRow = Row & {
  id: string
  namespace_id: string
  namespace: string
  input: BulkSavepointRequest
  created_by: string
  tries: number
  lease_token: string
}

type OpenRow = Row & {
  position: number
  job_id: string
  job_name: string
  status: 'WAITING' | 'RUNNING'
  snapshot_id: string | null
  snapshot_status: ItemSnapshot['status']
  reason: string
  completed: boolean
  verdict: string | null
  failure_code: string | null
  failure_message: string | null
}

export function createOperationWorkRepository(
  db: Database,
  { leaseMs, newLease }: OperationWorkOptions,
): OperationWorkRepository {
  return {
    claimDue: async (limit) => {
      const rows = await db.sql<WorkRow>(CLAIM_DUE, [newLease(), leaseMs, limit], 'claim-due-operations')
      return rows.map((row) => ({
        id: row.id,
        namespaceId: row.namespace_id,
        namespace: row.namespace,
        request: row.input,
        createdBy: row.created_by,
        tries: row.tries,
        lease: row.lease_token,
      }))
    },

    listOpen: async (work, limit) => {
      const rows = await db.sql<OpenRow>(LIST_OPEN, [work.namespaceId, work.id, limit], 'list-open-items')
      return rows.map((row) => ({
        position: row.position,
        job: { id: row.job_id, name: row.job_name },
        status: row.status,
        snapshot: row.snapshot_id === null ? null : toItemSnapshot(row.snapshot_id, row),
      }))
    },

    recordStep: async (work, { finish, takeUp }) => {
      const rows = await db.sql(
        RECORD_STEP,
        [
          work.id,
          work.lease,
          finish.map(({ position }) => position),
          finish.map(({ end }) => end.status),
          finish.map(({ end }) => end.failure?.code ?? null),
          finish.map(({ end }) => end.failure?.message ?? null),
          takeUp,
        ],
        'record-bulk-step',
      )
      return rows.length === 1
    },

    recordAnswers: async (work, answers) => {
      const rows = await db.sql(RECORD_ANSWERS, answerValues(work, answers), 'record-bulk-answers')
      return rows.length === 1
    },

    countItems: async (work) => {
      const [row] = await db.sql<{ counts: Parameters<typeof toCounts>[0] }>(
        `select jsonb_object_agg(c.status, c.items) as counts from (
           select status, count(*) as items from operation_item
           where operation_id = $1 and namespace_id = $2 group by status) c`,
        [work.id, work.namespaceId],
      )
      return toCounts(row?.counts ?? null)
    },

    end: async (work, status, counts) => {
      const rows = await db.sql(END, [work.id, work.lease, status, JSON.stringify({ counts })])
      return rows.length === 1
    },

    release: async (work, { nextActionInMs, tries }) => {
      const rows = await db.sql(
        `update operation set next_action_at = now() + make_interval(secs => $3::float8 / 1000), tries = $4,
           lease_token = null, lease_until = null
         where id = $1::uuid and lease_token = $2::uuid returning id`,
        [work.id, work.lease, nextActionInMs, tries],
        'release-operation',
      )
      return rows.length === 1
    },
  }
}

const toItemSnapshot = (id: string, row: OpenRow): ItemSnapshot => ({
  id,
  status: row.snapshot_status,
  reason: row.reason,
  completed: row.completed,
  verdict: row.verdict,
  failure: row.failure_code === null ? null : { code: row.failure_code, message: row.failure_message ?? '' },
})

function answerValues(work: OperationWork, answers: readonly ItemAnswer[]): unknown[] {
  const end = (answer: ItemAnswer) => ('refusal' in answer ? answer.refusal : null)
  return [
    work.id,
    work.lease,
    answers.map(({ position }) => position),
    answers.map((answer) => ('snapshotId' in answer ? answer.snapshotId : null)),
    answers.map((answer) => end(answer)?.status ?? null),
    answers.map((answer) => end(answer)?.failure?.code ?? null),
    answers.map((answer) => end(answer)?.failure?.message ?? null),
    answers.map(({ key }) => key.principal),
    answers.map(({ key }) => key.route),
    answers.map(({ key }) => key.key),
  ]
}

/** Instants are kept to the millisecond, rounded: what is due now may stand half of one in the future. */
const CLAIM_DUE = `
  with chosen as (
    select id from operation
    where next_action_at <= now() + interval '1 ms' and (lease_until is null or lease_until < now()) and kind = 'BULK_SAVEPOINT'
    order by next_action_at limit $3 for update skip locked),
  claimed as (
    update operation o set lease_token = $1::uuid, lease_until = now() + make_interval(secs => $2::float8 / 1000)
    from chosen where o.id = chosen.id
    returning o.*)
  select c.id, c.namespace_id, n.name as namespace, c.input, c.created_by, c.tries, c.lease_token
  from claimed c join namespace n on n.id = c.namespace_id`

/** operation_item_open_idx answers it in order: however many items wait, only the first are read. */
const LIST_OPEN = `
  select i.position, i.job_id, j.name as job_name, i.status, i.snapshot_id, s.status as snapshot_status, s.reason,
    (s.status = 'Present' or s.completed_at is not null) as completed, s.verdict, s.failure_code, s.failure_message
  from operation_item i
    join job j on j.id = i.job_id and j.namespace_id = i.namespace_id
    left join snapshot s on s.id = i.snapshot_id and s.namespace_id = i.namespace_id
  where i.namespace_id = $1::uuid and i.operation_id = $2::uuid and i.ended_at is null
  order by i.position limit $3`

/** The row of the operation, locked until the statement has written: nobody can claim it in between. */
const HELD = `held as (
    select id, namespace_id, kind, status from operation
    where id = $1::uuid and lease_token = $2::uuid and ended_at is null for update)`

const RECORD_STEP = `
  with ${HELD},
  finished as (
    update operation_item i set status = f.status, failure_code = f.code, failure_message = f.message, ended_at = now()
    from held, unnest($3::int[], $4::text[], $5::text[], $6::text[]) as f(position, status, code, message)
    where i.operation_id = held.id and i.namespace_id = held.namespace_id and i.position = f.position
      and i.status = 'RUNNING'),
  taken as (
    update operation_item i set status = 'RUNNING', started_at = now()
    from held where i.operation_id = held.id and i.namespace_id = held.namespace_id and i.position = any($7::int[])
      and i.status = 'WAITING')
  select id from held`

/** A spent key has a body hash that no request has: whoever asks under it is refused as IDEMPOTENCY_KEY_REUSED. */
const RECORD_ANSWERS = `
  with ${HELD},
  answer as (
    select * from unnest($3::int[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
      as a(position, snapshot_id, status, code, message, principal, route, key)),
  spent as (
    insert into idempotency_record (namespace_id, principal, route, key, body_hash, resource_id)
    select held.namespace_id, a.principal, a.route, a.key, 'spent', held.id::text
    from held, answer a where a.snapshot_id is null
    on conflict do nothing
    returning key),
  written as (
    update operation_item i set snapshot_id = a.snapshot_id, status = coalesce(a.status, i.status),
      failure_code = a.code, failure_message = a.message, ended_at = case when a.status is null then null else now() end
    from held, answer a
    where i.operation_id = held.id and i.namespace_id = held.namespace_id and i.position = a.position
      and i.status = 'RUNNING' and i.snapshot_id is null
      and (a.snapshot_id is not null or a.key in (select key from spent)))
  select id from held`

const END = `
  with ended as (
    update operation set status = $3, result = $4::jsonb, ended_at = now(), next_action_at = null, tries = 0,
      lease_token = null, lease_until = null, row_version = row_version + 1, updated_at = now()
    where id = $1::uuid and lease_token = $2::uuid and ended_at is null
      and not exists (select 1 from operation_item i where i.operation_id = $1::uuid and i.ended_at is null)
    returning id, namespace_id, kind, status),
  told as (
    insert into history.event (namespace_id, type, data)
    select namespace_id, 'operation.status',
      jsonb_build_object('operation', id, 'kind', kind, 'from', 'RUNNING', 'to', status) from ended)
  select id from ended`
