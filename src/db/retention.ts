/** The rules of retention as people save them, and what a preview is decided from. */

import { listUses, type OpenCopy, type RestoredRun } from '../domain/references.ts'
import { RULED_SOURCES } from '../domain/retention.ts'
import type { Reference, SnapshotKind, SnapshotSource } from '../domain/snapshot.ts'
import type { SnapshotStatus } from '../domain/snapshot-status.ts'
import type {
  PreviewedSnapshot,
  RetentionHistory,
  RetentionLevels,
  RetentionRepository,
  SavedRetention,
} from '../ports/retention.ts'
import type { Database, Row } from './client.ts'
import { withDomainErrors } from './errors.ts'
import { USE_COLUMNS } from './references.ts'

export const createRetentionRepository = (db: Database): RetentionRepository =>
  withDomainErrors({
    async read({ namespaceId }, jobId): Promise<RetentionLevels> {
      const rows = await db.sql<RetentionRow>(READ, [namespaceId, jobId], 'read-retention')
      const level = (own: boolean) => rows.find((row) => (row.job_id !== null) === own)
      return { own: toSaved(level(true)), fallback: toSaved(level(false)) }
    },

    async save({ namespaceId }, jobId, etag, rule) {
      const values = [
        namespaceId,
        jobId,
        rule.keepCount,
        rule.maxAgeSeconds,
        rule.rollbackWindowSeconds,
        rule.by,
        etag ?? rule.id,
      ]
      const rows = await db.sql(etag === null ? INSERT : UPDATE, values)
      return rows.length > 0
    },

    async remove({ namespaceId }, jobId, etag, by) {
      return (await db.sql(REMOVE, [namespaceId, jobId, etag, by])).length > 0
    },

    async readHistory({ namespaceId }, jobId, limit): Promise<RetentionHistory | null> {
      const [context, rows] = await Promise.all([
        db.sql<ContextRow>(CONTEXT, [namespaceId, jobId], 'retention-context'),
        db.sql<HistoryRow>(HISTORY, [namespaceId, jobId, limit], 'retention-history'),
      ])
      const [found] = context
      if (!found) return null
      const ruled = rows.filter((row) => row.ruled)
      const others = rows.filter((row) => !row.ruled)
      return {
        snapshots: [...ruled.slice(0, limit), ...others.slice(0, limit)].map(toPreviewed),
        more: ruled.length > limit || others.length > limit,
        now: new Date(found.now),
        running: found.running,
        observeOnly: found.observe_only,
        identityChanged: found.identity_changed,
      }
    },

    async countUnruled({ namespaceId }, jobId, ruled, limit) {
      const [row] = await db.sql<{ savepoints: number; bytes: number; more: boolean }>(
        COUNT_UNRULED,
        [namespaceId, jobId, ruled, limit],
        'count-unruled',
      )
      return { savepoints: row?.savepoints ?? 0, bytes: row?.bytes ?? 0, more: row?.more ?? false }
    },
  })

type RetentionRow = Row & {
  job_id: string | null
  keep_count: number | null
  max_age_seconds: number | null
  rollback_window_seconds: number | null
  updated_at: string
  etag: string
}

const toSaved = (row: RetentionRow | undefined): SavedRetention | null =>
  row
    ? {
        keepCount: row.keep_count,
        maxAgeSeconds: row.max_age_seconds,
        rollbackWindowSeconds: row.rollback_window_seconds,
        updatedAt: row.updated_at,
        etag: row.etag,
      }
    : null

/** A rule that was deleted and saved again begins at version 1: with a part of its id nobody takes it for the old one. */
const ETAG = `(row_version || '.' || right(id::text, 8))`

const READ = `
  select job_id, keep_count, max_age_seconds, rollback_window_seconds, updated_at, ${ETAG} as etag
  from retention where namespace_id = $1::uuid and (job_id is null or job_id = $2::uuid)`

const OF_LEVEL = `namespace_id = $1::uuid and (job_id = $2::uuid or $2::uuid is null and job_id is null)`

const eventOf = (rows: string, by: string): string => `
  told as (
    insert into history.event (namespace_id, type, job_id, data)
    select namespace_id, 'retention.changed', job_id, jsonb_build_object('keepCount', keep_count,
      'maxAgeSeconds', max_age_seconds, 'rollbackWindowSeconds', rollback_window_seconds, 'by', ${by}::text) from ${rows})`

/** The job is held, so that one that is just being deleted gets no rule. */
const INSERT = `
  with held as materialized (
    select id from job where namespace_id = $1::uuid and id = $2::uuid and deleted_at is null for share),
  saved as (
    insert into retention (id, namespace_id, job_id, keep_count, max_age_seconds, rollback_window_seconds, created_by)
    select $7::uuid, $1::uuid, $2::uuid, $3::int, $4::bigint, $5::bigint, $6
    where $2::uuid is null or exists (select 1 from held)
    on conflict do nothing
    returning *),
  ${eventOf('saved', '$6')}
  select 1 from saved`

const UPDATE = `
  with held as materialized (
    select * from retention where ${OF_LEVEL} and ${ETAG} = $7 for update),
  saved as (
    update retention r set keep_count = $3::int, max_age_seconds = $4::bigint, rollback_window_seconds = $5::bigint,
      row_version = r.row_version + 1, updated_at = now()
    from held h where r.id = h.id
      and (h.keep_count, h.max_age_seconds, h.rollback_window_seconds) is distinct from ($3::int, $4::bigint, $5::bigint)
    returning r.*),
  ${eventOf('saved', '$6')}
  select 1 from held`

const REMOVE = `
  with gone as (
    delete from retention where ${OF_LEVEL} and ${ETAG} = $3 returning namespace_id, job_id),
  told as (
    insert into history.event (namespace_id, type, job_id, data)
    select namespace_id, 'retention.changed', job_id, jsonb_build_object('deleted', true, 'by', $4::text) from gone)
  select 1 from gone`

// ---------------------------------------------------------------------------------------------------- history

type ContextRow = Row & { now: string; running: boolean; observe_only: boolean; identity_changed: boolean }

export const retainedColumns = `s.id, s.kind, s.status, s.source, s.created_at, s.completed_at, s.settled_at, s.expires_at,
  s.pinned, s.claimed_by_run_id`

export type RetainedRow = Row & {
  id: string
  kind: SnapshotKind
  status: SnapshotStatus
  source: SnapshotSource
  created_at: string
  completed_at: string | null
  settled_at: string | null
  expires_at: string | null
  pinned: boolean
  claimed_by_run_id: string | null
}

type HistoryRow = RetainedRow & {
  ruled: boolean
  description: string
  job_version: number | null
  size_bytes: number | null
  clusters: Reference[]
  runs: RestoredRun[]
  copies: OpenCopy[]
}

export const toRetained = (row: RetainedRow) => ({
  id: row.id,
  kind: row.kind,
  status: row.status,
  source: row.source,
  createdAt: row.created_at,
  completedAt: row.completed_at,
  settledAt: row.settled_at,
  expiresAt: row.expires_at,
  pinned: row.pinned,
  claimed: row.claimed_by_run_id !== null,
})

const toPreviewed = (row: HistoryRow): PreviewedSnapshot => ({
  ...toRetained(row),
  uses: listUses({
    kind: row.kind,
    clusters: row.clusters,
    runs: row.runs,
    claimedByRun: row.claimed_by_run_id,
    copies: row.copies,
  }),
  description: row.description,
  jobVersion: row.job_version,
  sizeBytes: row.size_bytes,
})

const SOURCES = RULED_SOURCES.map((source) => `'${source}'`).join(', ')

/** What the rules of a job own: `snapshot_ruled_idx`. */
export const RULED = `s.kind = 'SAVEPOINT' and s.status = 'Present' and s.source in (${SOURCES})`

/** Whether the rule of the job `j` is carried out now, on the cluster `c`, with its current run `r`. */
export const IS_RUNNING = `coalesce(r.state = 'RUNNING', false)`
/** Another one as soon as the rule `p` is changed, or deleted and saved again. */
export const SAVED_RULE = `(p.id || '.' || p.row_version)`
export const IDENTITY_CHANGED = `(c.changed_to is not null and not c.follow_identity)`

const CONTEXT = `
  select now() as now, ${IS_RUNNING} as running, c.mode = 'OBSERVE_ONLY' as observe_only,
    ${IDENTITY_CHANGED} as identity_changed
  from job j
    join cluster c on c.id = j.cluster_id and c.namespace_id = j.namespace_id
    left join run r on r.id = j.current_run_id and r.namespace_id = j.namespace_id
  where j.namespace_id = $1::uuid and j.id = $2::uuid and j.deleted_at is null`

/** One more of each list than is shown says that there are more. What a rule owns may have expired, too: it is one row. */
const HISTORY = `
  with picked as materialized (
    (select s.id from snapshot s where s.job_id = $2::uuid and s.namespace_id = $1::uuid and ${RULED}
      order by s.created_at desc, s.id desc limit $3::int + 1)
    union
    (select s.id from snapshot s
      where s.job_id = $2::uuid and s.namespace_id = $1::uuid and s.kind = 'SAVEPOINT'
        and s.expires_at <= now() and s.expires_at is not null and s.status in ('Present', 'Failed', 'Timeout')
      order by s.expires_at limit $3::int + 1))
  select ${retainedColumns}, s.description, s.job_version, s.size_bytes, (${RULED}) as ruled, ${USE_COLUMNS}
  from picked p join snapshot s on s.id = p.id and s.namespace_id = $1::uuid
  order by s.created_at desc, s.id desc`

const COUNT_UNRULED = `
  select least(count(*), $4::int) as savepoints, coalesce(sum(size_bytes) filter (where n <= $4::int), 0)::bigint as bytes,
    count(*) > $4::int as more
  from (
    select s.size_bytes, row_number() over () as n from snapshot s
    where s.job_id = $2::uuid and s.namespace_id = $1::uuid and s.kind = 'SAVEPOINT' and s.status = 'Present'
      and s.expires_at is null and not ($3::boolean and s.source in (${SOURCES}))
    limit $4::int + 1) t`
