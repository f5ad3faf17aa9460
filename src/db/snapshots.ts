/**
 * Snapshots as the API reads and creates them. Creating one is a single statement (row, first attempt, transition, event
 * and idempotency record); lists are raw row-value keyset, because the form Prisma can express reads the whole job.
 */

import { DomainError } from '../domain/errors.ts'
import { isUuidShaped } from '../domain/resource-name.ts'
import { notRestorableBecause } from '../domain/restorable.ts'
import type { Snapshot, Transition } from '../domain/snapshot.ts'
import type { IdempotencyKey } from '../ports/scope.ts'
import type {
  NewSavepoint,
  SavepointContext,
  SnapshotFilter,
  SnapshotRepository,
} from '../ports/snapshots.ts'
import { inBatches } from './batches.ts'
import { type Database, type Row, violatedConstraint } from './client.ts'
import { findIdempotent, forgetExpiredKey, rememberKey } from './idempotency.ts'
import { decodePageToken, encodePageToken } from './paging.ts'
import { columnOf } from './reference.ts'
import { HISTORY_OF_BEGUN } from './snapshot-history.ts'
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
    readContext: ({ namespaceId }, job, reuse) => readContext(namespaceId, job, reuse),

    insertSavepoint: async ({ namespaceId }, savepoint, idempotency) => {
      try {
        const [row] = await db.sql<CreatedRow>(
          INSERT_SAVEPOINT,
          insertValues(namespaceId, savepoint, idempotency),
          'insert-savepoint',
        )
        if (!row) return { kind: 'in-progress' }
        return { kind: 'inserted', snapshot: asCreated(row, savepoint) }
      } catch (error) {
        if (violatedConstraint(error) !== 'idempotency_record_pkey' || !idempotency) throw error
        await forgetExpiredKey(db, { namespaceId }, idempotency)
        return { kind: 'idempotency-race' }
      }
    },

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

// -------------------------------------------------------------------------------------------------- create

/**
 * The idempotency record is inserted without `on conflict`: a second request with the same key fails as a whole and finds
 * the first one's record. A job with an unsettled savepoint inserts nothing and answers no row.
 */
const INSERT_SAVEPOINT = `
  with snap as (
    insert into snapshot (id, namespace_id, job_id, run_id, job_version, storage_id, kind, status, reason, source,
      description, labels, format, attempt, deadline_at, owned_prefix, expires_at, created_by, next_action_at)
    select $1::uuid, j.namespace_id, j.id, $4::uuid, $5::int, $6::uuid, 'SAVEPOINT', 'Creating', 'REQUESTED', $7,
      $8, $9::jsonb, $10, 1, now() + make_interval(secs => $11::float8), $12, $13::timestamptz, $14,
      now()
    from job j where j.id = $2::uuid and j.namespace_id = $3::uuid and j.deleted_at is null
    for key share of j -- a job that is being deleted right now is waited for, and then has no row here
    on conflict (job_id) where settled_at is null and source in ('MANUAL', 'STOP', 'DEPLOY', 'SCHEDULE') do nothing
    returning *),
  first as (
    insert into attempt (namespace_id, snapshot_id, number, trigger_id, directory)
    select namespace_id, id, 1, $15, $16 from snap),
  ${HISTORY_OF_BEGUN},
  remembered as (
    insert into idempotency_record (namespace_id, principal, route, key, body_hash, resource_id)
    select namespace_id, $17, $18, $19, $20, id::text from snap where $19::text is not null)
  select labels, created_at, updated_at, deadline_at, expires_at from snap`

const insertValues = (
  namespaceId: string,
  savepoint: NewSavepoint,
  idempotency: IdempotencyKey | undefined,
): unknown[] => [
  savepoint.id,
  savepoint.job.id,
  namespaceId,
  savepoint.runId,
  savepoint.jobVersion,
  savepoint.storage.id,
  savepoint.source,
  savepoint.description,
  JSON.stringify(savepoint.labels),
  savepoint.format,
  savepoint.timeoutSeconds,
  savepoint.ownedPrefix,
  savepoint.expiresAt,
  savepoint.createdBy,
  savepoint.triggerId,
  savepoint.directory,
  idempotency?.principal ?? null,
  idempotency?.route ?? null,
  idempotency?.key ?? null,
  idempotency?.bodyHash ?? null,
]

/** What only Postgres knows of a fresh row. Reading back all of its columns costs a tenth of the statement. */
type CreatedRow = Row &
  Pick<SnapshotRow, 'labels' | 'created_at' | 'updated_at' | 'deadline_at' | 'expires_at'>

/** What reading a fresh row would answer, without reading it again; a test compares the two. */
const asCreated = (row: CreatedRow, savepoint: NewSavepoint): Snapshot => ({
  id: savepoint.id,
  kind: 'SAVEPOINT',
  status: 'Creating',
  reason: 'REQUESTED',
  message: null,
  source: savepoint.source,
  description: savepoint.description,
  labels: row.labels,
  job: savepoint.job,
  jobVersion: savepoint.jobVersion,
  run: savepoint.runId,
  format: savepoint.format,
  checkpointType: null,
  incremental: null,
  flinkCheckpointId: null,
  triggerId: savepoint.triggerId,
  attempt: 1,
  attempts: [
    {
      number: 1,
      triggerId: savepoint.triggerId,
      flinkJobId: null,
      directory: savepoint.directory,
      createdAt: row.created_at,
      askedAt: null,
      outcome: null,
      settledAt: null,
      failure: null,
      orphanLocation: null,
    },
  ],
  createdAt: row.created_at,
  triggeredAt: null,
  completedAt: null,
  settledAt: null,
  durationMs: null,
  deadlineAt: row.deadline_at,
  storage: { id: savepoint.storage.id, name: savepoint.storage.name },
  ownedPrefix: savepoint.ownedPrefix,
  location: null,
  sizeBytes: null,
  uploadedBytes: null,
  flinkVersion: null,
  failure: null,
  pinned: false,
  expiresAt: row.expires_at,
  verifiedAt: null,
  verdict: null,
  restorable: false,
  notRestorableBecause: NOT_YET,
  supersedes: null,
  restoredBy: [],
  createdBy: savepoint.createdBy,
  updatedAt: row.updated_at,
  etag: '1',
})

const NOT_YET = notRestorableBecause({ status: 'Creating', location: null, verdict: null, claimed: false })

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
