/**
 * One record per (namespace, principal, route, key), written in the transaction of the resource it names: either both are
 * there or neither. A concurrent request with the same key waits for that transaction and then finds its record.
 */
import type { IdempotencyKey, Inserted, Scope } from '../ports/scope.ts'
import type { Database } from './client.ts'
import type { Prisma } from './generated/client.ts'

/** What an earlier request with the key came to. */
type Held = Exclude<Inserted, { kind: 'inserted' }>
type Record = { body_hash: string; resource_id: string }

/** How long a key answers with the first request's resource; an older record is taken over like a missing one. */
const KEPT = '24 hours'

/**
 * Books `resourceId` under the key. Anything but `inserted` means that an earlier request has it, and that nothing was
 * written: the caller ends its transaction without creating anything.
 */
export async function claimKey(
  tx: Prisma.TransactionClient,
  scope: Scope,
  key: IdempotencyKey | undefined,
  resourceId: string,
): Promise<Inserted> {
  if (!key) return { kind: 'inserted' }
  const claimed = await tx.$executeRaw`
    insert into idempotency_record as held (namespace_id, principal, route, key, body_hash, resource_id)
    values (${scope.namespaceId}::uuid, ${key.principal}, ${key.route}, ${key.key}, ${key.bodyHash}, ${resourceId})
    on conflict (namespace_id, principal, route, key) do update
      set body_hash = excluded.body_hash, resource_id = excluded.resource_id, created_at = now()
      where held.created_at < now() - ${KEPT}::interval`
  if (claimed > 0) return { kind: 'inserted' }
  const [held] = await tx.$queryRaw<Record[]>`
    select body_hash, resource_id from idempotency_record
    where namespace_id = ${scope.namespaceId}::uuid and principal = ${key.principal}
      and route = ${key.route} and key = ${key.key}`
  return held ? compare(held, key) : { kind: 'key-reused' } // swept in this very moment: the client may ask again
}

/** What an earlier request with this key came to; null when there was none in the last 24 hours. */
export async function findIdempotent(
  db: Pick<Database, 'sql'>,
  scope: Scope,
  key: IdempotencyKey,
): Promise<Held | null> {
  const [held] = await db.sql<Record>(
    `select body_hash, resource_id from idempotency_record
     where namespace_id = $1 and principal = $2 and route = $3 and key = $4 and created_at >= now() - $5::interval`,
    [scope.namespaceId, key.principal, key.route, key.key, KEPT],
    'find-idempotent',
  )
  return held ? compare(held, key) : null
}

/** Books `resourceId` under the key outside its transaction (it exists already); false when the key is taken. */
export async function rememberKey(
  db: Pick<Database, 'sql'>,
  scope: Scope,
  key: IdempotencyKey,
  resourceId: string,
): Promise<boolean> {
  await forgetExpiredKey(db, scope, key)
  const rows = await db.sql(
    `insert into idempotency_record (namespace_id, principal, route, key, body_hash, resource_id)
     values ($1, $2, $3, $4, $5, $6) on conflict do nothing returning key`,
    [scope.namespaceId, key.principal, key.route, key.key, key.bodyHash, resourceId],
  )
  return rows.length === 1
}

/** A key is free again after its time, also when nobody has swept its record yet. */
export const forgetExpiredKey = (db: Pick<Database, 'sql'>, scope: Scope, key: IdempotencyKey) =>
  db.sql(
    `delete from idempotency_record where namespace_id = $1 and principal = $2 and route = $3 and key = $4
       and created_at < now() - $5::interval`,
    [scope.namespaceId, key.principal, key.route, key.key, KEPT],
  )

const compare = (held: Record, key: IdempotencyKey): Held =>
  held.body_hash === key.bodyHash ? { kind: 'replayed', id: held.resource_id } : { kind: 'key-reused' }
