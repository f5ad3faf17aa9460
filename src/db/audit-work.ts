/**
 * Audits as workers move them on, and the orphans they found. A claim gives a lease token; every later write carries it, and
 * what was found is written with where the listing goes on: a worker that died, or slept past its lease, counts nothing twice.
 */
import { FINDING_KINDS, type UnitFacts, type UnitRow } from '../domain/audit.ts'
import type { AuditRequest, AuditResult, OperationStep } from '../domain/operation.ts'
import type {
  AuditProgress,
  AuditWork,
  AuditWorkRepository,
  ListingState,
  OrphanRepository,
} from '../ports/audits.ts'
import type { InspectionRepository } from '../ports/inspections.ts'
import { toStorageAddress } from './addresses.ts'
import type { Database, Row } from './client.ts'
import { MOST_HEIRS, restoredAtOrBelow, uninspectedOfHeirs, withHeirs } from './heirs.ts'
import { RUN_HAS_ENDED, runHasEnded } from './lifecycles.ts'
import { HELD, releaseOperation, renewOperation } from './operation-lease.ts'

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
      facts.push({
        row: row.row,
        beingCopied: row.being_copied,
        needed: needers.length > 0,
        builtOn: row.built_on,
        run: row.run,
      })
    }
    return facts
  }

  return {
    readUnits,

    claimDue: async (limit) =>
      (await db.sql<WorkRow>(CLAIM_DUE, [newLease(), leaseMs, limit], 'claim-due-audits')).map(toWork),

    renew: (work) => renewOperation(db, work, leaseMs),

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

    release: (work, next) => releaseOperation(db, work, next),

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

type UnitFactsRow = Row & {
  row: UnitRow | null
  being_copied: boolean
  built_on: boolean
  run: UnitFacts['run']
}

/** Of the directory `u`: what its heirs hold is known when all of them are over and somebody has looked into what they left. */
const IS_BUILT_ON = `(
  with ${withHeirs('$1::uuid', restoredAtOrBelow('$1::uuid', 'u.snapshot_id', `rtrim(u.key, '/')`))}
  select (select count(*) from heirs) > ${MOST_HEIRS}
    or exists (select 1 from heirs cross join lateral (
      select 1 from run r where r.id = heirs.id and not ${RUN_HAS_ENDED} limit 1) alive)
    or exists (${uninspectedOfHeirs('$1::uuid', 'u.snapshot_id')}))`

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
    u.snapshot_id is not null and ${IS_BUILT_ON} as built_on,
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
