/** The insert of an operation with its event and its idempotency record, in one statement. */
import type { IdempotencyKey, Scope } from '../ports/scope.ts'
import { type Database, type Row, violatedConstraint } from './client.ts'
import { forgetExpiredKey } from './idempotency.ts'

/** The CTE that tells of `op`, which returns id, namespace_id, kind, status and job_id. */
export const TOLD_OF_BEGUN = `told as (
    insert into history.event (namespace_id, type, job_id, data)
    select namespace_id, 'operation.status', job_id,
      jsonb_build_object('operation', id, 'kind', kind, 'from', null, 'to', status) from op)`

/** The CTE that remembers the key of `op`; its four values stand from `first` on. */
export const rememberedFrom = (first: number): string => `remembered as (
    insert into idempotency_record (namespace_id, principal, route, key, body_hash, resource_id)
    select namespace_id, $${first}, $${first + 1}, $${first + 2}, $${first + 3}, id::text from op
    where $${first + 2}::text is not null)`

type Statement = { text: string; values: readonly unknown[] }
type OperationInserted =
  | { kind: 'inserted' | 'gone' | 'idempotency-race' }
  /** null: it has ended meanwhile, or nobody asked which. */
  | { kind: 'open'; id: string | null }

/**
 * `text` answers the id, or no row when what it refers to is gone; the values of the key come after `values`. `open.key`: the
 * unique index that lets one such operation be open; `open.find` says which one it is.
 */
export async function insertOperation(
  db: Database,
  scope: Scope,
  key: IdempotencyKey | undefined,
  { text, values, open }: Statement & { open: { key: string; find?: Statement } },
): Promise<OperationInserted> {
  const ofKey = [key?.principal ?? null, key?.route ?? null, key?.key ?? null, key?.bodyHash ?? null]
  try {
    const rows = await db.sql<Row & { id: string }>(text, [...values, ...ofKey])
    return { kind: rows.length === 1 ? 'inserted' : 'gone' }
  } catch (error) {
    const constraint = violatedConstraint(error)
    if (constraint === open.key) {
      const [found] = open.find ? await db.sql<{ id: string }>(open.find.text, open.find.values) : []
      return { kind: 'open', id: found?.id ?? null }
    }
    if (constraint !== 'idempotency_record_pkey' || !key) throw error
    await forgetExpiredKey(db, scope, key)
    return { kind: 'idempotency-race' }
  }
}
