/**
 * What lies inside snapshots, and which of them need the same files. Files are found by `left(file_key, 512)`: a location may
 * be longer than an index entry may be, so every condition asks for both, the beginning by the index and then the whole key.
 */
import type { SnapshotInspection, StoredFile } from '../domain/inspection.ts'
import { isUuidShaped } from '../domain/resource-name.ts'
import type { SnapshotKind } from '../domain/snapshot.ts'
import type { InspectionRepository, Sharer, SnapshotNeedsRepository } from '../ports/inspections.ts'
import type { Database, Row } from './client.ts'
import { withDomainErrors } from './errors.ts'
import { readJson } from './json.ts'
import { invalidToken, toPage } from './paging.ts'

/** Of the keys, this much is in `snapshot_file_key_idx`. */
const INDEXED = 512
const FILES_PER_STATEMENT = 5_000
const KEYS_PER_STATEMENT = 5_000
/** A file that more snapshots need than this is counted for some of them only. */
const SHARERS_PER_FILE = 1_000
/** Of a job, the newest Present snapshots that are looked at when those without an inspection are counted. */
const LOOKED_AT = 1_000

type InspectionRow = Row & {
  summary: unknown
  metadata_bytes: number
  file_count: number
  file_bytes: number
  inspected_at: string
}

type SharerRow = Row & { id: string; job_id: string; job_name: string; kind: SnapshotKind; files: number }

export const createInspectionRepository = (db: Database): InspectionRepository & SnapshotNeedsRepository =>
  withDomainErrors({
    async find({ namespaceId }, snapshotId) {
      if (!isUuidShaped(snapshotId)) return null
      const [row] = await db.sql<InspectionRow>(
        `select summary, metadata_bytes, file_count, file_bytes, inspected_at from snapshot_inspection
         where snapshot_id = $1 and namespace_id = $2`,
        [snapshotId, namespaceId],
        'find-inspection',
      )
      return row ? toInspection(row) : null
    },

    save: ({ namespaceId }, snapshotId, inspection, files) =>
      db.transaction(async (sql) => {
        const held = await sql(HOLD, [snapshotId, namespaceId])
        if (held.length === 0) return false
        await sql(SAVE_INSPECTION, [
          namespaceId,
          snapshotId,
          JSON.stringify(inspection.summary),
          inspection.metadataBytes,
          inspection.fileCount,
          inspection.fileBytes,
          inspection.inspectedAt,
        ])
        for (let at = 0; at < files.length; at += FILES_PER_STATEMENT) {
          const slice = files.slice(at, at + FILES_PER_STATEMENT)
          await sql(SAVE_FILES, [namespaceId, snapshotId, ...columnsOf(slice)])
        }
        await sql(FORGET_REST, [namespaceId, snapshotId, files.length])
        return true
      }),

    async listFiles({ namespaceId }, snapshotId, { pageSize, after }) {
      const from = after === null ? -1 : decodePosition(after, snapshotId)
      const rows = await db.sql<StoredFile & Row>(LIST_FILES, [namespaceId, snapshotId, from, pageSize + 1])
      return toPage(
        rows,
        pageSize,
        ({ position }) => encodePosition(position, snapshotId),
        (row) => row,
      )
    },

    async listSharers({ namespaceId }, snapshotId, limit) {
      return toSharers(await db.sql<SharerRow>(LIST_SHARERS, [namespaceId, snapshotId, limit]))
    },

    async listNeedersBelow({ namespaceId }, folderKey, except, limit) {
      return toSharers(
        await db.sql<SharerRow>(LIST_NEEDERS, [namespaceId, folderKey, except, limit], 'list-needers'),
      )
    },

    async findNeeded({ namespaceId }, fileKeys, except) {
      const needed: string[] = []
      const distinct = [...new Set(fileKeys)]
      for (let at = 0; at < distinct.length; at += KEYS_PER_STATEMENT) {
        const keys = distinct.slice(at, at + KEYS_PER_STATEMENT)
        const rows = await db.sql<{ key: string }>(FIND_NEEDED, [namespaceId, keys, except])
        needed.push(...rows.map(({ key }) => key))
      }
      return needed
    },

    async countNeeds({ namespaceId }, snapshotId, folderKey) {
      const [row] = await db.sql<{ files: number; outside: number; unplaced: number }>(
        COUNT_NEEDS,
        [namespaceId, snapshotId, folderKey],
        'count-needs',
      )
      return { files: row?.files ?? 0, outside: row?.outside ?? 0, unplaced: row?.unplaced ?? 0 }
    },

    async countUninspected({ namespaceId }, snapshotId) {
      const [row] = await db.sql<{ count: number }>(COUNT_UNINSPECTED, [namespaceId, snapshotId, LOOKED_AT])
      return row?.count ?? 0
    },
  })

const toInspection = (row: InspectionRow): SnapshotInspection => ({
  summary: readJson('summary', row.summary),
  metadataBytes: row.metadata_bytes,
  fileCount: row.file_count,
  fileBytes: row.file_bytes,
  inspectedAt: row.inspected_at,
})

const toSharers = (rows: readonly SharerRow[]): Sharer[] =>
  rows.map(({ id, job_id, job_name, kind, files }) => ({
    id,
    job: { id: job_id, name: job_name },
    kind,
    files,
  }))

// ---------------------------------------------------------------------------------------------------- save

/**
 * Nobody may clear the snapshot between the look and our commit, or its files would stay for ever. Taken first, because
 * clearing takes the row first too and then the rows of its files: the other way round would be a deadlock.
 */
const HOLD = `select 1 from snapshot where id = $1 and namespace_id = $2 and status <> 'Cleared' for share`

/** Always changes the row: of two who save at once the second waits here. */
const SAVE_INSPECTION = `
  insert into snapshot_inspection (namespace_id, snapshot_id, summary, metadata_bytes, file_count, file_bytes, inspected_at)
  values ($1, $2, $3::jsonb, $4, $5, $6, $7)
  on conflict (snapshot_id) do update set summary = excluded.summary, metadata_bytes = excluded.metadata_bytes,
    file_count = excluded.file_count, file_bytes = excluded.file_bytes, inspected_at = excluded.inspected_at`

/** A verification reads the same again and again: what has not changed is not written. Roles are texts of arrays of ours. */
const SAVE_FILES = `
  insert into snapshot_file as f
    (namespace_id, snapshot_id, position, file_key, path, kind, roles, size_bytes, "references", may_be_shared)
  select $1::uuid, $2::uuid, n.position, n.file_key, n.path, n.kind, n.roles::text[], n.size_bytes, n.refs, n.may_be_shared
  from unnest($3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::int[], $10::boolean[])
    as n(position, file_key, path, kind, roles, size_bytes, refs, may_be_shared)
  on conflict (snapshot_id, position) do update set file_key = excluded.file_key, path = excluded.path,
    kind = excluded.kind, roles = excluded.roles, size_bytes = excluded.size_bytes, "references" = excluded."references",
    may_be_shared = excluded.may_be_shared
  where (f.file_key, f.path, f.kind, f.roles, f.size_bytes, f."references", f.may_be_shared) is distinct from
    (excluded.file_key, excluded.path, excluded.kind, excluded.roles, excluded.size_bytes, excluded."references",
      excluded.may_be_shared)`

const FORGET_REST = `delete from snapshot_file where namespace_id = $1 and snapshot_id = $2 and position >= $3`

/** Roles are words of our own (`managedKeyed/incrementalShared`): nothing in them needs quotes. */
const columnsOf = (files: readonly StoredFile[]): unknown[] => [
  files.map((file) => file.position),
  files.map((file) => file.key),
  files.map((file) => file.path),
  files.map((file) => file.kind),
  files.map((file) => `{${file.roles.join(',')}}`),
  files.map((file) => file.sizeBytes),
  files.map((file) => file.references),
  files.map((file) => file.mayBeShared),
]

// --------------------------------------------------------------------------------------------------- files

const LIST_FILES = `
  select position, file_key as key, path, kind, roles, size_bytes as "sizeBytes", "references", may_be_shared as "mayBeShared"
  from snapshot_file where namespace_id = $1 and snapshot_id = $2 and position > $3 order by position limit $4`

/** A page token of one snapshot's files is none of another's. */
const encodePosition = (position: number, snapshotId: string): string =>
  Buffer.from(JSON.stringify([position, snapshotId])).toString('base64url')

function decodePosition(token: string, snapshotId: string): number {
  const [, digits, id] =
    /^\[(\d{1,9}),"([0-9a-f-]{36})"\]$/.exec(Buffer.from(token, 'base64url').toString('utf8')) ?? []
  if (digits === undefined || id !== snapshotId) throw invalidToken()
  return Number(digits)
}

// ------------------------------------------------------------------------------------------------- sharing

const beginningOf = (key: string): string => `left(${key}, ${INDEXED}) collate "C"`

/** The `snapshot_file` rows of others with this key, by `snapshot_file_key_idx`. */
const withKey = (key: string): string =>
  `o.namespace_id = $1::uuid and ${beginningOf('o.file_key')} = ${beginningOf(key)} and o.file_key = ${key}`

/** `hit` names snapshots and how many files of each. One by one, so that never the whole table of snapshots is read for a few. */
const NAMED_SHARERS = `
  select s.*, hit.files from hit cross join lateral (
    select s.id, s.kind, j.id as job_id, j.name as job_name
    from snapshot s join job j on j.id = s.job_id and j.namespace_id = s.namespace_id
    where s.id = hit.snapshot_id and s.namespace_id = $1::uuid and s.status <> 'Cleared' limit 1) s`

/**
 * File by file: the limit keeps the inner part a lookup of its own. Without it Postgres would rather read the whole table once
 * than look into the index ten thousand times.
 */
const LIST_SHARERS = `
  with hit as (
    select o.snapshot_id, count(distinct o.file_key)::int as files
    from snapshot_file m cross join lateral (
      select o.snapshot_id, o.file_key from snapshot_file o
      where ${withKey('m.file_key')} and o.snapshot_id <> $2::uuid
      limit ${SHARERS_PER_FILE}) o
    where m.namespace_id = $1::uuid and m.snapshot_id = $2::uuid and m.file_key is not null
    group by o.snapshot_id)
  ${NAMED_SHARERS} order by hit.files desc, s.id desc limit $3`

/**
 * What begins with a folder that ends in `/` lies from it to the same text with the next character, `0`, as bytes compare.
 * Of a folder longer than an entry the index has the beginning only.
 */
const LIST_NEEDERS = `
  with hit as (
    select o.snapshot_id, count(distinct o.file_key)::int as files
    from snapshot_file o
    where o.namespace_id = $1::uuid and ${beginningOf('o.file_key')} >= ${beginningOf('$2::text')}
      and ${beginningOf('o.file_key')} < (case when length($2::text) <= ${INDEXED}
        then left($2::text, -1) || '0' else left($2::text, ${INDEXED}) || chr(1) end) collate "C"
      and starts_with(o.file_key, $2::text) and ($3::uuid is null or o.snapshot_id <> $3::uuid)
    group by o.snapshot_id)
  ${NAMED_SHARERS} order by hit.files desc, s.id desc limit $4`

const FIND_NEEDED = `
  select k.key from unnest($2::text[]) as k(key) cross join lateral (
    select 1 from snapshot_file o cross join lateral (
      select 1 from snapshot s
      where s.id = o.snapshot_id and s.namespace_id = $1::uuid and s.status <> 'Cleared' limit 1) s
    where ${withKey('k.key')} and o.snapshot_id <> all ($3::uuid[])
    limit 1) hit`

const COUNT_NEEDS = `
  select count(*)::int as files, count(*) filter (where file_key is null)::int as unplaced,
    (count(*) filter (where not starts_with(file_key, $3::text)))::int as outside
  from snapshot_file where namespace_id = $1 and snapshot_id = $2`

/** By `snapshot_job_id_status_created_at_id_idx`: of a job with a long past only the newest are looked at. */
const COUNT_UNINSPECTED = `
  select count(*)::int as count from (
    select n.id from snapshot s join snapshot n on n.job_id = s.job_id and n.namespace_id = s.namespace_id
    where s.id = $2::uuid and s.namespace_id = $1::uuid and n.status = 'Present' and n.id <> s.id
    order by n.created_at desc, n.id desc limit $3) n
  where not exists (select 1 from snapshot_inspection i where i.snapshot_id = n.id and i.namespace_id = $1::uuid)`
