/**
 * Who may change a cluster, a storage or a job. A writer locks the row FOR UPDATE, which also waits for transactions that
 * are just adding a row that refers to it (their foreign key check holds the row); whoever adds such a row to a live owner
 * locks the owner FOR SHARE. So "nothing refers to it" stays true until it is deleted.
 */
import { DomainError } from '../domain/errors.ts'
import type { Scope } from '../ports/scope.ts'
import type { Database } from './client.ts'
import { Prisma } from './generated/client.ts'

type Table = 'cluster' | 'storage' | 'job'
type Locked = { row_version: number; now: Date }

/** Transactions here wait for row locks, never for Flink or a store: five seconds mean that something is wrong. */
export const inTransaction = <Result>(
  db: Database,
  work: (tx: Prisma.TransactionClient) => Promise<Result>,
): Promise<Result> => db.prisma.$transaction(work, { maxWait: 5_000, timeout: 10_000 })

/** Locks a live row of this version and answers the next version's columns; null when `etag` is no longer the row's. */
export async function lockVersion(
  tx: Prisma.TransactionClient,
  table: Table,
  scope: Scope,
  id: string,
  etag: string,
): Promise<{ rowVersion: number; updatedAt: Date } | null> {
  const [row] = await tx.$queryRaw<Locked[]>`
    select row_version, clock_timestamp() as now from ${Prisma.raw(table)}
    where id = ${id}::uuid and namespace_id = ${scope.namespaceId}::uuid and deleted_at is null
    for update`
  if (!row || String(row.row_version) !== etag) return null
  return { rowVersion: row.row_version + 1, updatedAt: row.now }
}

/** Keeps a live row from being deleted until this transaction ends; throws REFERENCE_NOT_FOUND when it is gone. */
export async function holdLive(
  tx: Prisma.TransactionClient,
  table: 'cluster' | 'storage',
  scope: Scope,
  id: string,
): Promise<void> {
  const rows = await tx.$queryRaw<unknown[]>`
    select 1 from ${Prisma.raw(table)}
    where id = ${id}::uuid and namespace_id = ${scope.namespaceId}::uuid and deleted_at is null
    for share`
  if (rows.length === 0) throw new DomainError('REFERENCE_NOT_FOUND', `There is no ${table} ${id}.`)
}
