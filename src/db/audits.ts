/**
 * Audits as the API accepts and shows them, and as workers move them on. A claim gives a lease token; every later write carries
 * it, and what was found is written with where the listing goes on: a worker that died, or slept past its lease, counts
 * nothing twice. `operation_open_audit_key` lets one audit of a storage be open.
 */
import {
  type Amount,
  type AuditFinding,
  FINDING_KINDS,
  type FindingKind,
  RECLAIMABLE_KINDS,
  type StorageUsage,
  type UnitFacts,
  type UnitRow,
  type UsageKind,
} from '../domain/audit.ts'
import type { ClearingPhase } from '../domain/clearing.ts'
import type { AuditRequest, AuditResult, OperationStep } from '../domain/operation.ts'
import { isUuidShaped } from '../domain/resource-name.ts'
import type {
  AuditProgress,
  AuditRepository,
  AuditWork,
  AuditWorkRepository,
  ListingState,
  OrphanRepository,
} from '../ports/audits.ts'
import type { InspectionRepository } from '../ports/inspections.ts'
import { toStorageAddress } from './addresses.ts'
import { type Database, type Row, violatedConstraint } from './client.ts'
import { forgetExpiredKey } from './idempotency.ts'
import { runHasEnded } from './lifecycles.ts'
import { invalidToken, toPage } from './paging.ts'

const JOBS_SHOWN = 1_000

export const createAuditRepository = (db: Database): AuditRepository => ({
  insert: async (scope, { id, request, steps, createdBy }, idempotency) => {
    try {
      const rows = await db.sql(INSERT, [
        id,
        scope.namespaceId,
        request.storage.id,
        JSON.stringify(request),
        JSON.stringify(steps),
        createdBy,
        request.timeoutSeconds,
        idempotency?.principal ?? null,
        idempotency?.route ?? null,
        idempotency?.key ?? null,
        idempotency?.bodyHash ?? null,
      ])
      return { kind: rows.length === 1 ? 'inserted' : 'gone' }
    } catch (error) {
      const constraint = violatedConstraint(error)
      if (constraint === 'operation_open_audit_key') {
        const [open] = await db.sql<{ id: string }>(FIND_OPEN, [scope.namespaceId, request.storage.id])
        return { kind: 'open', id: open?.id ?? null }
      }
      if (constraint !== 'idempotency_record_pkey' || !idempotency) throw error
      await forgetExpiredKey(db, scope, idempotency)
      return { kind: 'idempotency-race' }
    }
  },

  listFindings: async ({ namespaceId }, operationId, kind, { pageSize, after }) => {
    if (!isUuidShaped(operationId)) return null
    const from = after === null ? -1 : decodeNumber(after, operationId)
    const [audit] = await db.sql(
      `select 1 from operation where id = $1::uuid and namespace_id = $2::uuid and kind = 'AUDIT'`,
      [operationId, namespaceId],
    )
    if (!audit) return null
    const rows = await db.sql<FindingRow>(LIST_FINDINGS, [namespaceId, operationId, kind, from, pageSize + 1])
    return toPage(rows, pageSize, ({ number }) => encodeNumber(number, operationId), toFinding)
  },

  readUsage: async ({ namespaceId }, storage) => {
    const [audit] = await db.sql<{ id: string; ended_at: string }>(LAST_AUDIT, [namespaceId, storage.id])
    if (!audit) return NEVER_MEASURED(storage)
    const [kinds, jobs] = await Promise.all([
      db.sql<UsageRow>(USAGE_BY_KIND, [namespaceId, audit.id]),
      db.sql<JobUsageRow>(USAGE_BY_JOB, [namespaceId, audit.id, JOBS_SHOWN]),
    ])
    const byKind = kinds.map(({ kind, objects, bytes }) => ({ kind, objects, bytes }))
    return {
      storage,
      measuredAt: audit.ended_at,
      operation: audit.id,
      total: sumOf(byKind),
      kinds: byKind,
      reclaimable: byKind.filter(({ kind }) => RECLAIMABLE_KINDS.includes(kind)),
      jobs: jobs.map((row) => ({
        job: row.job_id === null ? null : { id: row.job_id, name: row.job_name },
        version: row.version === 0 ? null : row.version,
        kind: row.kind,
        objects: row.objects,
        bytes: row.bytes,
      })),
      jobsLeftOut: Math.max(0, (jobs[0]?.total ?? 0) - jobs.length),
    }
  },

  beginOrphan: async ({ namespaceId }, { clearingId, operationId, number, storageId, requestedBy }) => {
    try {
      const [row] = await db.sql<{ id: string | null; location: string; allowed: boolean }>(BEGIN_ORPHAN, [
        namespaceId,
        operationId,
        number,
        storageId,
        clearingId,
        requestedBy,
      ])
      if (!row) return { kind: 'refused', code: 'NOT_FOUND' }
      if (row.id !== null) return { kind: 'clearing', id: row.id, location: row.location }
      return { kind: 'refused', code: 'CLEARING_NOT_ENABLED' }
    } catch (error) {
      if (violatedConstraint(error) !== 'clearing_prefix_key') throw error
      return { kind: 'refused', code: 'SNAPSHOT_IN_USE' }
    }
  },
})

const NEVER_MEASURED = (storage: StorageUsage['storage']): StorageUsage => ({
  storage,
  measuredAt: null,
  operation: null,
  total: { objects: 0, bytes: 0 },
  kinds: [],
  reclaimable: [],
  jobs: [],
  jobsLeftOut: 0,
})

const sumOf = (amounts: readonly Amount[]): Amount => ({
  objects: amounts.reduce((sum, { objects }) => sum + objects, 0),
  bytes: amounts.reduce((sum, { bytes }) => sum + bytes, 0),
})

type UsageRow = Row & { kind: UsageKind; objects: number; bytes: number }
type JobUsageRow = UsageRow & { job_id: string | null; job_name: string; version: number; total: number }
type FindingRow = Row & {
  number: number
  kind: FindingKind
  location: string
  objects: number
  bytes: number
  newest_at: string | null
  snapshot_id: string | null
  message: string
  clearing_id: string | null
  phase: ClearingPhase
  deleted: number
  error_code: string | null
  error_message: string | null
  ended_at: string | null
}

const toFinding = (row: FindingRow): AuditFinding => ({
  number: row.number,
  kind: row.kind,
  location: row.location,
  objects: row.objects,
  bytes: row.bytes,
  newestAt: row.newest_at,
  snapshot: row.snapshot_id,
  message: row.message,
  clearing:
    row.clearing_id === null
      ? null
      : {
          id: row.clearing_id,
          phase: row.phase,
          deleted: row.deleted,
          error: row.error_code === null ? null : { code: row.error_code, message: row.error_message ?? '' },
          endedAt: row.ended_at,
        },
})

const encodeNumber = (number: number, operationId: string): string =>
  Buffer.from(JSON.stringify([number, operationId])).toString('base64url')

function decodeNumber(token: string, operationId: string): number {
  const [, digits, id] =
    /^\[(\d{1,9}),"([0-9a-f-]{36})"\]$/.exec(Buffer.from(token, 'base64url').toString('utf8')) ?? []
  if (digits === undefined || id !== operationId) throw invalidToken()
  return Number(digits)
}

const INSERT = `
  with place as (
    select id, namespace_id from storage where id = $3::uuid and namespace_id = $2::uuid and deleted_at is null for key share),
  op as (
    insert into operation (id, namespace_id, kind, status, input, steps, created_by, deadline_at, next_action_at)
    select $1::uuid, place.namespace_id, 'AUDIT', 'RUNNING', $4::jsonb, $5::jsonb, $6,
      now() + make_interval(secs => $7::float8), now()
    from place
    returning id, namespace_id, kind, status),
  told as (
    insert into history.event (namespace_id, type, data)
    select namespace_id, 'operation.status',
      jsonb_build_object('operation', id, 'kind', kind, 'from', null, 'to', status) from op),
  remembered as (
    insert into idempotency_record (namespace_id, principal, route, key, body_hash, resource_id)
    select namespace_id, $8, $9, $10, $11, id::text from op where $10::text is not null)
  select id from op`

const FIND_OPEN = `
  select id from operation
  where namespace_id = $1::uuid and kind = 'AUDIT' and ended_at is null and (input -> 'storage' ->> 'id')::uuid = $2::uuid`

const LAST_AUDIT = `
  select id, ended_at from operation
  where namespace_id = $1::uuid and kind = 'AUDIT' and status = 'SUCCEEDED'
    and (input -> 'storage' ->> 'id')::uuid = $2::uuid
  order by ended_at desc limit 1`

const LIST_FINDINGS = `
  select f.number, f.kind, f.location, f.objects, f.bytes, f.newest_at, f.snapshot_id, f.message, c.id as clearing_id,
    c.phase, c.deleted, c.error_code, c.error_message, c.ended_at
  from audit_finding f left join clearing c on c.id = f.clearing_id and c.namespace_id = f.namespace_id
  where f.namespace_id = $1::uuid and f.operation_id = $2::uuid and ($3::text is null or f.kind = $3) and f.number > $4
  order by f.number limit $5`

const USAGE_BY_KIND = `
  select kind, sum(objects)::bigint as objects, sum(bytes)::bigint as bytes from audit_usage
  where namespace_id = $1::uuid and operation_id = $2::uuid group by kind order by 3 desc, 1`

const USAGE_BY_JOB = `
  select j.id as job_id, j.name as job_name, u.version, u.kind, u.objects, u.bytes, count(*) over ()::int as total
  from audit_usage u left join job j on j.id::text = u.job_key and j.namespace_id = u.namespace_id
  where u.namespace_id = $1::uuid and u.operation_id = $2::uuid
  order by u.bytes desc, u.job_key, u.version, u.kind limit $3`

/** `for update` of the finding, `for share` of the storage: twice at once it is begun once, and not while that changes its mind. */
const BEGIN_ORPHAN = `
  with finding as (
    select f.* from audit_finding f join operation o on o.id = f.operation_id and o.namespace_id = f.namespace_id
    where f.namespace_id = $1::uuid and f.operation_id = $2::uuid and f.number = $3::int and f.kind = 'ORPHAN'
      and (o.input -> 'storage' ->> 'id')::uuid = $4::uuid
    for update of f),
  place as (
    select id from storage where id = $4::uuid and namespace_id = $1::uuid and deleted_at is null and clear_checkpoints
    for share),
  begun as (
    insert into clearing (id, namespace_id, subject, storage_id, method, prefix, reason, message, requested_by, next_action_at)
    select $5::uuid, finding.namespace_id, 'ORPHAN', place.id, 'OBJECTS', finding.location, 'ORPHAN', finding.message, $6, now()
    from finding, place where finding.clearing_id is null
    returning id),
  linked as (
    update audit_finding f set clearing_id = begun.id from begun
    where f.namespace_id = $1::uuid and f.operation_id = $2::uuid and f.number = $3::int)
  select coalesce(begun.id, finding.clearing_id) as id, finding.location from finding left join begun on true`

// ----------------------------------------------------------------------------------------------------- work

export type AuditWorkOptions = { leaseMs: number; newLease: () => string }

type WorkRow = Row & {
  id: string
  namespace_id: string
  namespace: string
  input: AuditRequest
  steps: OperationStep[]
  result: (AuditResult & { listing?: ListingState | null }) | null
  created_at: string
  deadline_at: string
  now: string
  tries: number
  lease_token: string
  storage_id: string
  storage_deleted: boolean
  uri: string
  provider: AuditWork['storage']['provider']
  endpoint: string | null
  region: string | null
  path_style: boolean | null
  credentials: AuditWork['storage']['credentials']
}

export function createAuditWorkRepository(
  db: Database,
  inspections: Pick<InspectionRepository, 'listNeedersBelow'>,
  { leaseMs, newLease }: AuditWorkOptions,
): AuditWorkRepository & OrphanRepository {
  const progressOf = (work: AuditWork, { steps, result, listing }: AuditProgress): unknown[] => [
    work.id,
    work.lease,
    JSON.stringify(steps),
    JSON.stringify({ ...result, listing }),
  ]
  const write = async (text: string, values: readonly unknown[], name: string): Promise<boolean> =>
    (await db.sql(text, values, name)).length === 1

  const readUnits: AuditWorkRepository['readUnits'] = async ({ namespaceId }, units) => {
    const rows = await db.sql<UnitFactsRow>(
      READ_UNITS,
      [
        namespaceId,
        units.map(({ key }) => key),
        units.map(({ snapshotId }) => snapshotId),
        units.map(({ flinkJobId }) => flinkJobId),
      ],
      'read-audit-units',
    )
    const facts: UnitFacts[] = []
    for (const [index, row] of rows.entries()) {
      const unit = units[index]
      // only what may be an orphan is asked about: it has an id in its path
      const needers =
        unit?.snapshotId == null
          ? []
          : await inspections.listNeedersBelow({ namespaceId }, `${unit.key.replace(/\/$/, '')}/`, null, 1)
      facts.push({ row: row.row, beingCopied: row.being_copied, needed: needers.length > 0, run: row.run })
    }
    return facts
  }

  return {
    readUnits,

    claimDue: async (limit) =>
      (await db.sql<WorkRow>(CLAIM_DUE, [newLease(), leaseMs, limit], 'claim-due-audits')).map(toWork),

    renew: (work) =>
      write(
        `update operation set lease_until = now() + make_interval(secs => $3::float8 / 1000)
         where id = $1::uuid and ${HELD} returning id`,
        [work.id, work.lease, leaseMs],
        'renew-audit',
      ),

    record: (work, { findings, usage }, progress) =>
      write(
        RECORD,
        [
          ...progressOf(work, progress),
          JSON.stringify(findings),
          JSON.stringify(
            usage.map(({ job, version, ...rest }) => ({ ...rest, job: job ?? '', version: version ?? 0 })),
          ),
          leaseMs,
        ],
        'record-audit',
      ),

    restart: (work, progress) => write(RESTART, progressOf(work, progress), 'restart-audit'),
    complete: (work, progress) =>
      write(COMPLETE, [...progressOf(work, progress), work.request.storage.id], 'complete-audit'),
    fail: (work, { code, message }, progress) =>
      write(FAIL, [...progressOf(work, progress), code, message], 'fail-audit'),

    release: (work, { nextActionInMs, tries }) =>
      write(
        `update operation set next_action_at = now() + make_interval(secs => $3::float8 / 1000), tries = $4,
           lease_token = null, lease_until = null
         where id = $1::uuid and lease_token = $2::uuid and ended_at is null returning id`,
        [work.id, work.lease, nextActionInMs, tries],
        'release-audit',
      ),

    listPresent: (work, after, limit) =>
      db.sql<{ id: string; location: string }>(
        LIST_PRESENT,
        [work.namespaceId, work.request.storage.id, after, work.createdAt, limit],
        'list-audited-rows',
      ),

    findStillPresent: async (work, snapshots) => {
      const rows = await db.sql<{ id: string }>(
        `select s.id from snapshot s join unnest($2::uuid[], $3::text[]) as g(id, location) on g.id = s.id
         where s.namespace_id = $1::uuid and s.status = 'Present' and s.location = g.location`,
        [work.namespaceId, snapshots.map(({ id }) => id), snapshots.map(({ location }) => location)],
      )
      return rows.map(({ id }) => id)
    },

    readOrphan: async ({ namespaceId }, { clearingId, key, snapshotId }) => {
      const [facts] = await readUnits({ namespaceId }, [{ key, snapshotId, flinkJobId: null }])
      const [row] = await db.sql<{ allowed: boolean; now: string }>(
        `select now() as now, exists (select 1 from clearing c join storage st on st.id = c.storage_id
           and st.namespace_id = c.namespace_id where c.id = $1::uuid and c.namespace_id = $2::uuid
           and st.deleted_at is null and st.clear_checkpoints) as allowed`,
        [clearingId, namespaceId],
      )
      if (!facts || !row) throw new Error('the rows of an orphan could not be read')
      return { facts, clearCheckpoints: row.allowed, now: new Date(row.now) }
    },
  }
}

const HELD = `lease_token = $2::uuid and lease_until > now() and ended_at is null`

/** Instants are kept to the millisecond, rounded: what is due now may stand half of one in the future. */
const CLAIM_DUE = `
  with chosen as (
    select id from operation
    where next_action_at <= now() + interval '1 ms' and (lease_until is null or lease_until < now()) and kind = 'AUDIT'
    order by next_action_at limit $3 for update skip locked),
  claimed as (
    update operation o set lease_token = $1::uuid, lease_until = now() + make_interval(secs => $2::float8 / 1000)
    from chosen where o.id = chosen.id
    returning o.*)
  select o.id, o.namespace_id, n.name as namespace, o.input, o.steps, o.result, o.created_at, o.deadline_at, now() as now,
    o.tries, o.lease_token, st.id as storage_id, st.deleted_at is not null as storage_deleted, st.uri, st.provider,
    st.endpoint, st.region, st.path_style, st.credentials
  from claimed o
    join namespace n on n.id = o.namespace_id
    join storage st on st.id = (o.input -> 'storage' ->> 'id')::uuid and st.namespace_id = o.namespace_id`

/** Writes the progress, and locks the row until the statement has written: nobody can claim it in between. */
const recorded = (more = ''): string => `held as (
    update operation set steps = $3::jsonb, result = $4::jsonb, ${more} row_version = row_version + 1, updated_at = now()
    where id = $1::uuid and ${HELD} returning id, namespace_id)`

const RECORD = `
  with ${recorded('lease_until = now() + make_interval(secs => $7::float8 / 1000),')},
  found as (
    insert into audit_finding (namespace_id, operation_id, number, kind, location, objects, bytes, newest_at, snapshot_id, message)
    select held.namespace_id, held.id, f.number, f.kind, f.location, f.objects, f.bytes, f."newestAt", f.snapshot, f.message
    from held, jsonb_to_recordset($5::jsonb) as f(number int, kind text, location text, objects bigint, bytes bigint,
      "newestAt" timestamptz, snapshot uuid, message text)),
  used as (
    insert into audit_usage as a (namespace_id, operation_id, job_key, version, kind, objects, bytes)
    select held.namespace_id, held.id, u.job, u.version, u.kind, u.objects, u.bytes
    from held, jsonb_to_recordset($6::jsonb) as u(job text, version int, kind text, objects bigint, bytes bigint)
    on conflict (operation_id, job_key, version, kind)
      do update set objects = a.objects + excluded.objects, bytes = a.bytes + excluded.bytes)
  select id from held`

const RESTART = `
  with ${recorded()},
  findings as (delete from audit_finding f using held where f.operation_id = held.id and f.namespace_id = held.namespace_id),
  usage as (delete from audit_usage u using held where u.operation_id = held.id and u.namespace_id = held.namespace_id)
  select id from held`

const ended = (status: string, more = ''): string => `
  ended as (
    update operation set status = '${status}', steps = $3::jsonb, result = $4::jsonb - 'listing', ${more} ended_at = now(),
      next_action_at = null, tries = 0, lease_token = null, lease_until = null, row_version = row_version + 1,
      updated_at = now()
    where id = $1::uuid and ${HELD}
    returning id, namespace_id, kind, status, failure_code),
  told as (
    insert into history.event (namespace_id, type, data)
    select namespace_id, 'operation.status', jsonb_build_object('operation', id, 'kind', kind, 'from', 'RUNNING',
      'to', status, 'code', failure_code) from ended)`

const COMPLETE = `
  with ${ended('SUCCEEDED')},
  older as (
    select o.id, o.ended_at from operation o, ended
    where o.namespace_id = ended.namespace_id and o.kind = 'AUDIT' and o.id <> ended.id and o.ended_at is not null
      and (o.input -> 'storage' ->> 'id')::uuid = $5::uuid),
  forgotten as (delete from audit_usage u using older where u.operation_id = older.id),
  outdated as (
    delete from audit_finding f using older
    where f.operation_id = older.id and older.ended_at < now() - interval '90 days')
  select id from ended`

const FAIL = `with ${ended('FAILED', 'failure_code = $5, failure_message = $6,')} select id from ended`

const LIST_PRESENT = `
  select s.id, s.location from snapshot s left join run r on r.id = s.run_id and r.namespace_id = s.namespace_id
  where s.namespace_id = $1::uuid and s.storage_id = $2::uuid and s.status = 'Present' and s.location is not null
    and s.created_at < $4::timestamptz and ($3::uuid is null or s.id > $3)
    and (s.kind = 'SAVEPOINT' or r.id is null or ${runHasEnded('r')})
  order by s.id limit $5`

type UnitFactsRow = Row & { row: UnitRow | null; being_copied: boolean; run: UnitFacts['run'] }

/** A row by the id in the path, else by its location, which is unique; the newest run by its Flink job id. */
const READ_UNITS = `
  with unit as (
    select * from unnest($2::text[], $3::uuid[], $4::text[]) with ordinality as u(key, snapshot_id, flink_job_id, position))
  select
    (select json_build_object('id', s.id, 'status', s.status, 'job', s.job_id, 'version', s.job_version,
        'isHere', s.location_key is not null and s.status <> 'Cleared' and (rtrim(s.location_key, '/') = rtrim(u.key, '/')
          or starts_with(s.location_key, rtrim(u.key, '/') || '/') or starts_with(u.key, rtrim(s.location_key, '/') || '/')),
        'settled', s.settled_at is not null and s.status in ('Present', 'Failed', 'Timeout', 'Clearing', 'Cleared'),
        'runIsOver', r.id is null or ${runHasEnded('r')})
      from snapshot s left join run r on r.id = s.run_id and r.namespace_id = s.namespace_id
      where s.namespace_id = $1::uuid and s.id = coalesce(u.snapshot_id, (select l.id from snapshot l
        where l.namespace_id = $1::uuid and l.location_key = u.key and l.status <> 'Cleared' limit 1))) as row,
    u.snapshot_id is not null and exists (select 1 from operation o where o.namespace_id = $1::uuid and o.kind = 'COPY'
      and o.ended_at is null and o.input ->> 'copy' = u.snapshot_id::text) as being_copied,
    case when u.flink_job_id is null then null else (
      select json_build_object('job', r.job_id, 'version', r.version, 'isOver', ${runHasEnded('r')})
      from run r where r.namespace_id = $1::uuid and r.flink_job_id = u.flink_job_id
        and r.cluster_id in (select id from cluster where namespace_id = $1::uuid)
      order by r.started_at desc, r.epoch desc, r.id desc limit 1) end as run
  from unit u order by u.position`

const NO_NUMBERS = Object.fromEntries(FINDING_KINDS.map((kind) => [kind, 0]))

const toWork = (row: WorkRow): AuditWork => {
  const { listing = null, ...result } = row.result ?? {}
  return {
    id: row.id,
    namespaceId: row.namespace_id,
    namespace: row.namespace,
    request: row.input,
    steps: row.steps,
    result,
    listing: listing && { ...listing, numbers: { ...NO_NUMBERS, ...listing.numbers } },
    deadlineAt: new Date(row.deadline_at),
    createdAt: new Date(row.created_at),
    now: new Date(row.now),
    tries: row.tries,
    storage: {
      ...toStorageAddress({ ...row, id: row.storage_id, pathStyle: row.path_style }),
      deleted: row.storage_deleted,
    },
    lease: row.lease_token,
  }
}
