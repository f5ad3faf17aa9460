/**
 * Snapshots as the API reads and creates them. Creating one is a single statement (row, first attempt, transition, event
 * and idempotency record); lists are raw row-value keyset, because the form Prisma can express reads the whole job.
 */

import { DomainError } from '../domain/errors.ts'
import { isUuidShaped } from '../domain/resource-name.ts'
import type { Snapshot, Transition } from '../domain/snapshot.ts'
import type { SavepointContext, SnapshotFilter, SnapshotRepository } from '../ports/snapshots.ts'
import { inBatches } from './batches.ts'
import type { Database, Row } from './client.ts'
import { findIdempotent, rememberKey } from './idempotency.ts'
import { decodePageToken, encodePageToken } from './paging.ts'
import { columnOf } from './reference.ts'
import { createSavepointInsert } from './savepoint-insert.ts'
import { createSnapshotImportMethods } from './snapshot-imports.ts'
import {
  SNAPSHOT_COLUMNS,
  SNAPSHOT_JOINS,
  type SnapshotRow,
  selectOfJob,
  toSnapshot,
} from './snapshot-rows.ts'

/** How long what a cluster's living observer last saw counts as known. */
export const FRESH_OBSERVATION = `10 seconds`

export function createSnapshotRepository(db: Database): SnapshotRepository {
  const readContext = createContextReader(db)
  return {
    ...createSnapshotImportMethods(db),
    insertSavepoint: createSavepointInsert(db),
    readContext: ({ namespaceId }, job, reuse) => readContext(namespaceId, job, reuse),

    rememberIdempotent: (scope, key, id) => rememberKey(db, scope, key, id),
    findIdempotent: (scope, key) => findIdempotent(db, scope, key),

    find: async ({ namespaceId }, id) => {
      if (!isUuidShaped(id)) return null
      const [row] = await db.sql<SnapshotRow>(
        `select ${SNAPSHOT_COLUMNS} from snapshot s ${SNAPSHOT_JOINS} where s.id = $1 and s.namespace_id = $2`,
        [id, namespaceId],
        'find-snapshot',
      )
      return row ? toSnapshot(row) : null
    },

    list: async ({ namespaceId }, filter, page) => {
      const statement = listSql(namespaceId, filter, page.pageSize + 1, page.after)
      if (statement === null) return { items: [], next: null }
      const { text, values } = statement
      const rows = await db.sql<SnapshotRow>(text, values, statementName(text))
      const items = rows.slice(0, page.pageSize).map(toSnapshot)
      const last = items.at(-1)
      return { items, next: rows.length > page.pageSize && last ? tokenAfter(last, filter) : null }
    },

    update: async ({ namespaceId }, id, etag, changes) => {
      const rows = await db.sql(
        `update snapshot set description = coalesce($4, description), labels = coalesce($5::jsonb, labels),
           pinned = coalesce($6, pinned), expires_at = case when $7 then $8::timestamptz else expires_at end,
           row_version = row_version + 1, updated_at = now()
         where id = $1 and namespace_id = $2 and ($3::int is null or row_version = $3::int) returning id`,
        [
          id,
          namespaceId,
          etag === null ? null : toRowVersion(etag),
          changes.description ?? null,
          changes.labels ? JSON.stringify(changes.labels) : null,
          changes.pinned ?? null,
          changes.expiresAt !== undefined,
          changes.expiresAt ?? null,
        ],
      )
      return rows.length === 1
    },

    listTransitions: ({ namespaceId }, id) =>
      db.sql<Transition & Row>(
        `select from_status as "from", to_status as "to", reason, message, at, by from history.snapshot_transition
         where snapshot_id = $1 and namespace_id = $2
         order by at, array_position(array['Creating','Timeout','Present','Failed','Clearing','Cleared'], to_status)`,
        [id, namespaceId],
      ),

    findDecided: async (ids) => {
      const rows = await db.sql<{ id: string }>(
        `select id from snapshot where id = any($1::uuid[]) and status <> 'Creating'`,
        [ids],
        'find-decided',
      )
      return rows.map((row) => row.id)
    },
  }
}

const toRowVersion = (etag: string): number => (/^\d{1,9}$/.test(etag) ? Number(etag) : -1)

// ------------------------------------------------------------------------------------------------- context

type ContextKey = { namespaceId: string; job: string }
type ContextReader = (namespaceId: string, job: string, reuse: boolean) => Promise<SavepointContext | null>

/** Requests that come together are read together; `by id` and `reuse` are statements of their own. */
function createContextReader(db: Database): ContextReader {
  const readerOf = (byId: boolean, reuse: boolean) => {
    const text = contextSql(byId, reuse)
    return inBatches<ContextKey, SavepointContext | null>(
      async (keys) => {
        const rows = await db.sql<ContextRow>(
          text,
          [keys.map(({ namespaceId }) => namespaceId), keys.map(({ job }) => job)],
          `context-${byId}-${reuse}`,
        )
        const found = new Map(rows.map((row) => [row.position, row]))
        return keys.map((_, index) => {
          const row = found.get(index + 1)
          return row ? toContext(row) : null
        })
      },
      { atOnce: 2, largest: 64 },
    )
  }
  const byName = { plain: readerOf(false, false), reuse: readerOf(false, true) }
  const byId = { plain: readerOf(true, false), reuse: readerOf(true, true) }
  return (namespaceId, job, reuse) =>
    (isUuidShaped(job) ? byId : byName)[reuse ? 'reuse' : 'plain']({ namespaceId, job })
}

type ContextRow = Row & {
  /** Of its key among those asked for, from 1. */
  position: number
  job_id: string
  job_name: string
  attached: boolean
  savepoint_timeout_seconds: number
  latest_version: number | null
  ambiguous: string[] | null
  cluster_name: string
  mode: SavepointContext['cluster']['mode']
  flink_version: string | null
  capabilities: SavepointContext['cluster']['capabilities']
  follow_identity: boolean
  identity_changed: boolean
  storage_id: string
  storage_name: string
  storage_uri: string
  run_id: string | null
  run_state: 'RUNNING'
  run_version: number | null
  fresh: boolean
  unsettled_id: string | null
  reuse_id: string | null
  reuse_completed_at: string | null
  reuse_age: number | null
}

const contextSql = (byId: boolean, reuse: boolean): string => `
  select q.position, j.id as job_id, j.name as job_name,
    (j.attach_flink_job_id is not null or j.attach_flink_job_name is not null) as attached, j.savepoint_timeout_seconds, j.latest_version, j.ambiguous,
    c.name as cluster_name, c.mode, c.flink_version, c.capabilities, c.follow_identity,
    c.changed_to is not null as identity_changed, st.id as storage_id, st.name as storage_name, st.uri as storage_uri,
    r.id as run_id, r.state as run_state, r.version as run_version,
    coalesce(c.reachable and w.heartbeat_at > now() - interval '${FRESH_OBSERVATION}', false) as fresh,
    (select u.id from snapshot u where u.job_id = j.id and u.settled_at is null
       and u.source in ('MANUAL', 'STOP', 'DEPLOY', 'SCHEDULE')) as unsettled_id,
    ${reuse ? 'f.id' : 'null::uuid'} as reuse_id, ${reuse ? 'f.completed_at' : 'null::timestamptz'} as reuse_completed_at,
    ${reuse ? 'extract(epoch from now() - f.completed_at)::float8' : 'null::float8'} as reuse_age
  from unnest($1::uuid[], $2::${byId ? 'uuid' : 'text'}[]) with ordinality as q(namespace_id, job, position)
    join job j on j.namespace_id = q.namespace_id and j.deleted_at is null and j.${byId ? 'id' : 'name'} = q.job
    join cluster c on c.id = j.cluster_id
    join storage st on st.id = j.savepoint_storage_id
    left join run r on r.id = j.current_run_id
    left join worker w on w.id = c.observer_id
    ${
      reuse
        ? `left join lateral (
      select p.id, p.completed_at from snapshot p
      where p.job_id = j.id and p.kind = 'SAVEPOINT' and p.status = 'Present' and p.run_id = r.id
        and p.job_version is not distinct from coalesce(r.version, j.latest_version) and p.completed_at is not null
      order by p.completed_at desc limit 1) f on true`
        : ''
    }`

function toContext(row: ContextRow): SavepointContext {
  return {
    job: {
      id: row.job_id,
      name: row.job_name,
      attached: row.attached,
      savepointTimeoutSeconds: row.savepoint_timeout_seconds,
      latestVersion: row.latest_version,
      ambiguous: row.ambiguous,
    },
    cluster: {
      name: row.cluster_name,
      mode: row.mode,
      flinkVersion: row.flink_version,
      capabilities: row.capabilities,
      followIdentity: row.follow_identity,
      identityChanged: row.identity_changed,
    },
    storage: { id: row.storage_id, name: row.storage_name, uri: row.storage_uri },
    run: row.run_id ? { id: row.run_id, state: row.run_state, version: row.run_version } : null,
    observationIsFresh: row.fresh,
    unsettled: row.unsettled_id ? { id: row.unsettled_id } : null,
    fresh:
      row.reuse_id && row.reuse_completed_at !== null && row.reuse_age !== null
        ? { id: row.reuse_id, completedAt: row.reuse_completed_at, ageSeconds: row.reuse_age }
        : null,
  }
}

// ---------------------------------------------------------------------------------------------------- list

function listSql(namespaceId: string, filter: SnapshotFilter, limit: number, after: string | null) {
  const jobKey = columnOf(filter.job)
  if (jobKey === null) return null // the name of no job
  const values: unknown[] = [namespaceId]
  const bind = (value: unknown) => `$${values.push(value)}`
  const column = filter.orderBy === 'completedAt' ? 's.completed_at' : 's.created_at'
  const [compare, direction] = filter.order === 'asc' ? ['>', 'asc'] : ['<', 'desc']
  const job = `from job where namespace_id = $1 and deleted_at is null and ${jobKey} = ${bind(filter.job)}`
  const { columns, joins, condition } = selectOfJob((jobColumn) => `(select ${jobColumn} ${job})`)
  const where = ['s.namespace_id = $1', condition]

  if (filter.kind === 'SAVEPOINT') where.push(`s.kind = 'SAVEPOINT'`)
  if (filter.kind === 'CHECKPOINT') where.push(`s.kind = 'CHECKPOINT'`)
  if (filter.status?.length) where.push(anyOf('s.status', filter.status, bind))
  if (filter.source?.length) {
    where.push(anyOf('s.source', filter.source, bind))
    if (!filter.source.includes('SYSTEM')) where.push(`s.kind = 'SAVEPOINT'`) // its partial index serves them
  }
  if (filter.version !== undefined) where.push(`s.job_version = ${bind(filter.version)}::int`)
  if (filter.labels && Object.keys(filter.labels).length > 0) {
    where.push(`s.labels <> '{}'::jsonb and s.labels @> ${bind(JSON.stringify(filter.labels))}::jsonb`)
  }
  if (filter.createdAfter) where.push(`s.created_at > ${bind(filter.createdAfter)}::timestamptz`)
  if (filter.createdBefore) where.push(`s.created_at < ${bind(filter.createdBefore)}::timestamptz`)
  if (filter.orderBy === 'completedAt') where.push('s.completed_at is not null')
  if (after) {
    const [instant, id] = decodePageToken(after, shapeOf(filter))
    where.push(`(${column}, s.id) ${compare} (${bind(instant)}::timestamptz, ${bind(id)}::uuid)`)
  }
  const text = `select ${columns} from snapshot s ${joins} where ${where.join(' and ')}
    order by ${column} ${direction}, s.id ${direction} limit ${limit}`
  return { text, values }
}

/**
 * Planning such a statement costs as much as running it, so its shapes are prepared, as many as a connection should keep.
 * The limit stands in the text, not in a parameter: a plan for any limit would sort the whole job.
 */
const MAX_SHAPES = 64
const shapes = new Map<string, string>()
function statementName(text: string): string | undefined {
  if (!shapes.has(text) && shapes.size < MAX_SHAPES) shapes.set(text, `list-snapshots-${shapes.size}`)
  return shapes.get(text)
}

/** One value as `=`, so that the index on (job, that column, time) gives the order too. */
function anyOf(column: string, wanted: readonly string[], bind: (value: unknown) => string): string {
  return wanted.length === 1 ? `${column} = ${bind(wanted[0])}` : `${column} = any(${bind(wanted)}::text[])`
}

/** A token continues the list it came from and no other order. */
const shapeOf = (filter: SnapshotFilter): string => `${filter.orderBy}-${filter.order}`

function tokenAfter(last: Snapshot, filter: SnapshotFilter): string {
  const instant = filter.orderBy === 'completedAt' ? last.completedAt : last.createdAt
  if (instant === null)
    throw new DomainError('INTERNAL', 'a snapshot without completion time in a list ordered by it')
  return encodePageToken([instant, last.id], shapeOf(filter))
}
