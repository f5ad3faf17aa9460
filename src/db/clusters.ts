/** Clusters. Deleting one is refused while a live job follows it or an uncleared snapshot came from it. */
import { listUnsupported } from '../domain/capabilities.ts'
import type { Cluster, ClusterMode } from '../domain/resources.ts'
import type { ClusterRepository, ClusterRow, ClusterValues } from '../ports/resources.ts'
import type { Scope } from '../ports/scope.ts'
import { toClusterAddress } from './addresses.ts'
import type { Database, Row } from './client.ts'
import { withDomainErrors } from './errors.ts'
import type { Prisma } from './generated/client.ts'
import { claimKey } from './idempotency.ts'
import { readJson, readOptionalJson } from './json.ts'
import { startAfter, tokenAfter, toPage } from './paging.ts'
import { columnOf } from './reference.ts'
import { inTransaction, lockVersion } from './row-lock.ts'
import { describeUser, type User } from './users.ts'

type ClusterRecord = Row & {
  id: string
  name: string
  namespace: string
  url: string
  auth: unknown
  mode: ClusterMode
  follow_identity: boolean
  flink_version: string | null
  capabilities: unknown
  fingerprint: unknown
  changed_to: unknown
  recovery_path: string | null
  reachable: boolean | null
  observed_at: string | null
  last_error: string | null
  created_at: string
  updated_at: string
  row_version: number
}

const SELECT = `select c.*, n.name as namespace from cluster c join namespace n on n.id = c.namespace_id
  where c.namespace_id = $1 and c.deleted_at is null`

export const createClusterRepository = (db: Database): ClusterRepository =>
  withDomainErrors({
    insert: (scope, id, values, idempotency) =>
      inTransaction(db, async (tx) => {
        const claim = await claimKey(tx, scope, idempotency, id)
        if (claim.kind === 'inserted')
          await tx.cluster.create({ data: { id, namespaceId: scope.namespaceId, ...values } })
        return claim
      }),

    async find(scope, reference) {
      const column = columnOf(reference)
      if (column === null) return null
      const [row] = await db.sql<ClusterRecord>(`${SELECT} and c.${column} = $2`, [
        scope.namespaceId,
        reference,
      ])
      return row ? toClusterRow(row) : null
    },

    async list(scope, { pageSize, after }) {
      const rows = await db.sql<ClusterRecord>(
        `${SELECT} and ($2::timestamptz is null or (c.created_at, c.id) < ($2, $3::uuid))
         order by c.created_at desc, c.id desc limit $4`,
        [scope.namespaceId, ...startAfter(after), pageSize + 1],
      )
      return toPage(rows, pageSize, tokenAfter, toCluster)
    },

    update: (scope, id, etag, values) =>
      inTransaction(db, async (tx) => {
        const version = await lockVersion(tx, 'cluster', scope, id, etag)
        if (version)
          await tx.cluster.update({ where: { id }, data: { ...values, ...forget(values), ...version } })
        return version !== null
      }),

    async adoptIdentity(scope, id, seen, by) {
      const rows = await db.sql(ADOPT_IDENTITY, [id, scope.namespaceId, JSON.stringify(seen), by])
      return rows.length === 1
    },

    remove: (scope, id, etag) =>
      inTransaction(db, async (tx) => {
        const version = await lockVersion(tx, 'cluster', scope, id, etag)
        if (!version) return 'stale'
        const user = await findUser(tx, scope, id)
        if (user) return { usedBy: describeUser(user) }
        await tx.cluster.update({ where: { id }, data: { ...version, deletedAt: version.updatedAt } })
        return 'deleted'
      }),
  })

/**
 * What was seen at the old address says nothing about the new one. Version and fingerprint stay: another cluster there
 * must be noticed as a changed identity.
 */
const forget = (values: Partial<ClusterValues>) =>
  values.url === undefined && values.auth === undefined ? {} : { reachable: null, lastError: null }

/** Guarded by what was shown to the person: a third cluster that answered meanwhile is not adopted. */
const ADOPT_IDENTITY = `
  with was as (select id, fingerprint from cluster where id = $1::uuid and namespace_id = $2::uuid),
  adopted as (
    update cluster c set fingerprint = c.changed_to, changed_to = null, row_version = c.row_version + 1, updated_at = now()
    where c.id = $1::uuid and c.namespace_id = $2::uuid and c.deleted_at is null and c.changed_to = $3::jsonb
    returning c.id, c.namespace_id, c.name, c.fingerprint),
  told as (
    insert into history.event (namespace_id, type, data)
    select a.namespace_id, 'cluster.identity', jsonb_build_object('cluster', a.id, 'name', a.name, 'from', was.fingerprint,
      'to', a.fingerprint, 'by', $4::text)
    from adopted a join was on was.id = a.id)
  select id from adopted`

async function findUser(tx: Prisma.TransactionClient, scope: Scope, id: string): Promise<User | undefined> {
  const [user] = await tx.$queryRaw<User[]>`
    (select 'job' as kind, j.id::text, j.name as job, null as status from job j
      where j.namespace_id = ${scope.namespaceId}::uuid and j.cluster_id = ${id}::uuid and j.deleted_at is null limit 1)
    union all
    (select 'snapshot', s.id::text, j.name, s.status from job j join snapshot s on s.job_id = j.id
      where j.namespace_id = ${scope.namespaceId}::uuid and s.status <> 'Cleared'
        and (j.cluster_id = ${id}::uuid
          or exists (select 1 from run r where r.id = s.run_id and r.cluster_id = ${id}::uuid)) limit 1)
    limit 1`
  return user
}

function toCluster(row: ClusterRecord): Cluster {
  const capabilities = readOptionalJson('capabilities', row.capabilities)
  return {
    id: row.id,
    name: row.name,
    url: row.url,
    auth: readJson('auth', row.auth),
    mode: row.mode,
    followIdentity: row.follow_identity,
    flinkVersion: row.flink_version,
    capabilities,
    fingerprint: readOptionalJson('fingerprint', row.fingerprint),
    changedTo: readOptionalJson('fingerprint', row.changed_to),
    recoveryPath: row.recovery_path,
    unsupported: listUnsupported({ flinkVersion: row.flink_version, capabilities }),
    reachable: row.reachable,
    observedAt: row.observed_at,
    lastError: row.last_error,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    etag: String(row.row_version),
  }
}

function toClusterRow(row: ClusterRecord): ClusterRow {
  const cluster = toCluster(row)
  const { url, auth } = cluster
  return { ...cluster, address: toClusterAddress({ id: row.id, namespace: row.namespace, url, auth }) }
}
