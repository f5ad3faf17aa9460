/**
 * Storages. The roots of two namespaces never overlap: every insert and every change of a root holds one advisory lock
 * while it looks, so that two at once cannot both find the place free. A root in use cannot change.
 */
import { DomainError } from '../domain/errors.ts'
import { formatLocation, locationKey, parseLocation } from '../domain/location.ts'
import type { Storage, StorageProvider } from '../domain/resources.ts'
import type { StorageRepository, StorageRow, StorageValues } from '../ports/resources.ts'
import type { Scope } from '../ports/scope.ts'
import { toStorageAddress } from './addresses.ts'
import type { Database, Row } from './client.ts'
import { withDomainErrors } from './errors.ts'
import { Prisma } from './generated/client.ts'
import { claimKey } from './idempotency.ts'
import { readOptionalJson } from './json.ts'
import { startAfter, tokenAfter, toPage } from './paging.ts'
import { columnOf } from './reference.ts'
import { inTransaction, lockVersion } from './row-lock.ts'
import { describeUser, type User } from './users.ts'

type StorageRecord = Row & {
  id: string
  name: string
  namespace: string
  uri: string
  provider: StorageProvider
  endpoint: string | null
  region: string | null
  path_style: boolean | null
  credentials: unknown
  clear_checkpoints: boolean
  created_at: string
  updated_at: string
  row_version: number
}

const SELECT = `select s.*, n.name as namespace from storage s join namespace n on n.id = s.namespace_id
  where s.namespace_id = $1 and s.deleted_at is null`

export const createStorageRepository = (db: Database): StorageRepository =>
  withDomainErrors({
    insert: (scope, id, values, idempotency) =>
      inTransaction(db, async (tx) => {
        const claim = await claimKey(tx, scope, idempotency, id)
        if (claim.kind !== 'inserted') return claim
        const rootKey = await reserveRoot(tx, scope, values.uri)
        const { credentials, ...columns } = values
        await tx.storage.create({
          data: { id, namespaceId: scope.namespaceId, ...columns, ...asJson(credentials), rootKey },
        })
        return claim
      }),

    async find(scope, reference) {
      const column = columnOf(reference)
      if (column === null) return null
      const [row] = await db.sql<StorageRecord>(
        `${SELECT} and s.${column} = $2`,
        [scope.namespaceId, reference],
        `find-storage-by-${column}`,
      )
      return row ? toStorageRow(row) : null
    },

    async list(scope, { pageSize, after }) {
      const rows = await db.sql<StorageRecord>(
        `${SELECT} and ($2::timestamptz is null or (s.created_at, s.id) < ($2, $3::uuid))
         order by s.created_at desc, s.id desc limit $4`,
        [scope.namespaceId, ...startAfter(after), pageSize + 1],
      )
      return toPage(rows, pageSize, tokenAfter, toStorage)
    },

    async findContaining(scope, location) {
      const [row] = await db.sql<StorageRecord>(
        `${SELECT} and starts_with($2, s.root_key) order by length(s.root_key) desc, s.id limit 1`,
        [scope.namespaceId, toRootKey(formatLocation(location))],
      )
      return row ? toStorageRow(row) : null
    },

    update: (scope, id, etag, values) =>
      inTransaction(db, async (tx) => {
        const version = await lockVersion(tx, 'storage', scope, id, etag)
        if (!version) return false
        const { credentials, ...columns } = values
        const root = values.uri === undefined ? {} : { rootKey: await moveRoot(tx, scope, id, values.uri) }
        const data = { ...columns, ...asJson(credentials), ...root, ...version }
        await tx.storage.update({ where: { id }, data })
        return true
      }),

    remove: (scope, id, etag) =>
      inTransaction(db, async (tx) => {
        const version = await lockVersion(tx, 'storage', scope, id, etag)
        if (!version) return 'stale'
        const user = await findUser(tx, scope, id)
        if (user) return { usedBy: describeUser(user) }
        await tx.storage.update({ where: { id }, data: { ...version, deletedAt: version.updatedAt } })
        return 'deleted'
      }),
  })

/** `s3a://b/x` and `s3://b/x/` are one place; the final `/` makes a string prefix mean a segment prefix. */
const toRootKey = (uri: string): string => `${locationKey(parseLocation(uri)).replace(/\/$/, '')}/`

async function reserveRoot(tx: Prisma.TransactionClient, scope: Scope, uri: string): Promise<string> {
  const rootKey = toRootKey(uri)
  await tx.$executeRaw`select pg_advisory_xact_lock(hashtext('tidemark.storage.roots'))`
  const others = await tx.$queryRaw<unknown[]>`
    select 1 from storage where namespace_id <> ${scope.namespaceId}::uuid and deleted_at is null
      and (starts_with(root_key, ${rootKey}) or starts_with(${rootKey}, root_key)) limit 1`
  if (others.length === 0) return rootKey
  throw new DomainError('STORAGE_ROOT_OVERLAP', `${uri} overlaps the root of a storage in another namespace.`)
}

async function moveRoot(
  tx: Prisma.TransactionClient,
  scope: Scope,
  id: string,
  uri: string,
): Promise<string> {
  const rootKey = toRootKey(uri)
  const { rootKey: before } = await tx.storage.findUniqueOrThrow({ where: { id }, select: { rootKey: true } })
  if (rootKey === before) return rootKey
  const user = await findUser(tx, scope, id)
  if (user) {
    throw new DomainError(
      'STORAGE_ROOT_IN_USE',
      `The root of this storage cannot change: ${describeUser(user)}.`,
    )
  }
  return reserveRoot(tx, scope, uri)
}

async function findUser(tx: Prisma.TransactionClient, scope: Scope, id: string): Promise<User | undefined> {
  const [user] = await tx.$queryRaw<User[]>`
    (select 'job' as kind, j.id::text, j.name as job, null as status from job j
      where j.namespace_id = ${scope.namespaceId}::uuid and j.savepoint_storage_id = ${id}::uuid
        and j.deleted_at is null limit 1)
    union all
    (select 'snapshot', s.id::text, j.name, s.status from snapshot s join job j on j.id = s.job_id
      where s.namespace_id = ${scope.namespaceId}::uuid and s.storage_id = ${id}::uuid and s.status <> 'Cleared' limit 1)
    union all
    (select 'operation', o.id::text, j.name, o.status from operation o join job j on j.id = o.job_id
      where o.namespace_id = ${scope.namespaceId}::uuid and o.kind = 'COPY' and o.ended_at is null
        and (o.input -> 'storage' ->> 'id')::uuid = ${id}::uuid limit 1)
    limit 1`
  return user
}

/** A json column takes Prisma's own null. */
const asJson = (credentials: StorageValues['credentials'] | undefined) =>
  credentials === undefined ? {} : { credentials: credentials ?? Prisma.DbNull }

const toStorage = (row: StorageRecord): Storage => ({
  id: row.id,
  name: row.name,
  uri: row.uri,
  provider: row.provider,
  endpoint: row.endpoint,
  region: row.region,
  pathStyle: row.path_style,
  credentials: readOptionalJson('credentials', row.credentials),
  clearCheckpoints: row.clear_checkpoints,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  etag: String(row.row_version),
})

const toStorageRow = (row: StorageRecord): StorageRow => {
  const storage = toStorage(row)
  return { ...storage, address: toStorageAddress({ ...storage, namespace: row.namespace }) }
}
