/**
 * The worker's side of clearing. A claim gives a lease token; every later write carries it, so a worker that slept past its
 * lease changes nothing. What is to be deleted is kept in batches, complete before the first of it goes.
 */
import type { ClearingBatch, ClearingEntry, ClearingWork, ClearingWorkRepository } from '../ports/clearing.ts'
import { toClusterAddress, toStorageAddress } from './addresses.ts'
import type { Database, Row } from './client.ts'

export type ClearingWorkOptions = { leaseMs: number; newLease: () => string; workerName: string }

export function createClearingWorkRepository(
  db: Database,
  { leaseMs, newLease, workerName }: ClearingWorkOptions,
): ClearingWorkRepository {
  /** `set` of the clearing's row, from $4 on. */
  const write = async (
    work: ClearingWork,
    name: string,
    set: string,
    values: readonly unknown[] = [],
  ): Promise<boolean> => {
    const rows = await db.sql(
      `update clearing set ${set}${RENEWED} where ${HELD} returning id`,
      [work.id, work.lease, leaseMs, ...values],
      name,
    )
    return rows.length === 1
  }
  return {
    claimDue: async (limit) => {
      const rows = await db.sql<WorkRow>(CLAIM_DUE, [newLease(), leaseMs, limit], 'claim-due-clearings')
      return rows.map(toWork)
    },

    renew: (work) => write(work, 'renew-clearing', ''),

    saveBatch: async (work, { number, entries }) => {
      const rows = await db.sql(
        SAVE_BATCH,
        [work.id, work.lease, leaseMs, number, JSON.stringify(entries.map(toJson))],
        'save-clearing-batch',
      )
      return rows.length === 1
    },

    completeList: async (work, { last, batches, objects, bytes, note = null }) => {
      const written = last.map(({ number, entries }) => ({ number, locations: entries.map(toJson) }))
      const rows = await db.sql(
        COMPLETE_LIST,
        [work.id, work.lease, leaseMs, batches, objects, bytes, note, JSON.stringify(written)],
        'complete-clearing-list',
      )
      return rows.length === 1
    },

    takeBatches: async (work, which, limit) => {
      const [row] = await db.sql<BatchesRow>(
        TAKE_BATCHES,
        [work.id, work.lease, leaseMs, which === 'metadata', limit],
        'take-clearing-batches',
      )
      return row ? toBatches(row) : null
    },

    recordBatches: async (work, batches, { moveTo, take }) => {
      const deleted = batches.reduce((sum, batch) => sum + batch.deleted, 0)
      const left = batches.map((batch) => ({ number: batch.number, locations: batch.left.map(toJson) }))
      const [row] = await db.sql<BatchesRow>(
        RECORD_BATCHES,
        [work.id, work.lease, leaseMs, deleted, JSON.stringify(left), moveTo, take],
        'record-clearing-batches',
      )
      return row && !row.given_up ? toBatches(row) : null
    },

    moveOn: (work, { phase }) =>
      write(work, 'move-clearing-on', `phase = $4, found_empty = 0, ${WENT_WELL}, `, [phase]),

    markAsked: async (work) => {
      const [row] = await db.sql<{ asked_at: string }>(
        `update clearing set asked_at = now(), trigger_id = null, ${RENEWED} where ${HELD} returning asked_at`,
        [work.id, work.lease, leaseMs],
      )
      return row ? new Date(row.asked_at) : null
    },

    markAccepted: (work, triggerId) =>
      write(work, 'mark-disposal-accepted', `trigger_id = $4, phase = 'DELETING', `, [triggerId]),

    pause: async (work, inMs) => {
      const rows = await db.sql(
        `update clearing set phase = $4, found_empty = $5, ${WENT_WELL}, ${GIVEN_BACK} returning id`,
        [work.id, work.lease, inMs, work.phase, work.foundEmpty],
        'pause-clearing',
      )
      return rows.length === 1
    },

    release: async (work, { inMs, tries, error }) => {
      const rows = await db.sql(
        `update clearing set tries = $4, error_code = $5, error_message = $6, error_at = now(), ${GIVEN_BACK} returning id`,
        [work.id, work.lease, inMs, tries, error.code, error.message.slice(0, 2_000)],
        'release-clearing',
      )
      return rows.length === 1
    },

    abandon: async (work, error) => {
      const rows = await db.sql(ABANDON, [work.id, work.lease, error.code, error.message.slice(0, 2_000)])
      return rows.length === 1
    },

    end: async (work, reason) => {
      const rows = await db.sql(END, [work.id, work.lease, reason, workerName], 'end-clearing')
      return rows.length === 1
    },

    endGivenUp: async (work) => {
      const rows = await db.sql(END_GIVEN_UP, [work.id, work.lease, 'GIVEN_UP'], 'end-given-up-clearing')
      return rows.length === 1
    },

    findOthersAt: async (work, locationKeys) => {
      const rows = await db.sql<{ id: string }>(
        `select id from snapshot where namespace_id = $1::uuid and location_key = any($2::text[]) and status <> 'Cleared'
           and id is distinct from $3::uuid limit 20`,
        [work.namespaceId, locationKeys, work.snapshotId],
        'find-others-at',
      )
      return rows.map(({ id }) => id)
    },
  }
}

const LEASED = `id = $1::uuid and lease_token = $2::uuid and lease_until > now() and ended_at is null`
const HELD = `${LEASED} and given_up_by is null`
const RENEWED = `lease_until = now() + make_interval(secs => $3::float8 / 1000)`
/** Nobody has taken it meanwhile, whether or not the lease has run out. */
const GIVEN_BACK = `
  next_action_at = now() + make_interval(secs => $3::float8 / 1000), lease_token = null, lease_until = null
  where id = $1::uuid and lease_token = $2::uuid and ended_at is null and given_up_by is null`
const WENT_WELL = `tries = 0, error_code = null, error_message = null, error_at = null`

/** A key alone is a text: most lists are long, and most buckets keep no versions. */
type EntryJson = string | [key: string, versionId: string]
const toJson = ({ key, versionId }: ClearingEntry): EntryJson => (versionId === null ? key : [key, versionId])
const fromJson = (json: EntryJson): ClearingEntry =>
  typeof json === 'string' ? { key: json, versionId: null } : { key: json[0], versionId: json[1] }

type BatchesRow = { given_up: boolean; batches: { number: number; locations: EntryJson[] }[] }
const toBatches = ({ batches }: BatchesRow): ClearingBatch[] =>
  batches.map(({ number, locations }) => ({ number, entries: locations.map(fromJson) }))

// ---------------------------------------------------------------------------------------------------- claim

type WorkRow = Row & {
  id: string
  namespace_id: string
  namespace: string
  subject: ClearingWork['subject']
  snapshot_id: string | null
  method: ClearingWork['method']
  prefix: string | null
  phase: ClearingWork['phase']
  found_empty: number
  deleted: number
  trigger_id: string | null
  asked_at: string | null
  given_up: boolean
  tries: number
  lease_token: string
  location: string | null
  blocked: ClearingWork['blocked']
  looked: boolean
  cluster_id: string | null
  took_it: boolean
  url: string
  auth: NonNullable<ClearingWork['cluster']>['auth']
  storage_id: string | null
  uri: string
  provider: NonNullable<ClearingWork['storage']>['provider']
  endpoint: string | null
  region: string | null
  path_style: boolean | null
  credentials: NonNullable<ClearingWork['storage']>['credentials']
}

/** Instants are kept to the millisecond, rounded: what is due now may stand half of one in the future. */
const CLAIM_DUE = `
  with chosen as (
    select id from clearing
    where next_action_at <= now() + interval '1 ms' and (lease_until is null or lease_until < now())
    order by next_action_at limit $3 for update skip locked),
  claimed as (
    update clearing c set lease_token = $1::uuid, lease_until = now() + make_interval(secs => $2::float8 / 1000)
    from chosen where c.id = chosen.id
    returning c.*)
  select w.id, w.namespace_id, n.name as namespace, w.subject, w.snapshot_id, w.method, w.prefix, w.phase, w.found_empty, w.deleted, w.looked,
    w.trigger_id, w.asked_at, w.given_up_by is not null as given_up, w.tries, w.lease_token, s.location,
    (select case when bool_or(b.mode = 'OBSERVE_ONLY') then 'OBSERVE_ONLY'
        when bool_or(b.changed_to is not null and not b.follow_identity) then 'CLUSTER_IDENTITY_CHANGED' end
      from cluster b where b.namespace_id = w.namespace_id and b.id in (j.cluster_id, r.cluster_id)) as blocked,
    c.id as cluster_id, r.id is not null as took_it, c.url, c.auth,
    st.id as storage_id, st.uri, st.provider, st.endpoint, st.region, st.path_style, st.credentials
  from claimed w
    join namespace n on n.id = w.namespace_id
    left join snapshot s on s.id = w.snapshot_id and s.namespace_id = w.namespace_id
    left join job j on j.id = s.job_id
    left join run r on r.id = s.run_id
    left join cluster c on c.id = coalesce(r.cluster_id, j.cluster_id) and c.deleted_at is null
    left join storage st on st.id = w.storage_id`

const toWork = (row: WorkRow): ClearingWork => ({
  id: row.id,
  namespaceId: row.namespace_id,
  namespace: row.namespace,
  subject: row.subject,
  snapshotId: row.snapshot_id,
  method: row.method,
  prefix: row.prefix,
  location: row.location,
  storage:
    row.storage_id === null
      ? null
      : toStorageAddress({ ...row, id: row.storage_id, pathStyle: row.path_style }),
  cluster: row.cluster_id === null ? null : toClusterAddress({ ...row, id: row.cluster_id }),
  clusterTookIt: row.took_it,
  blocked: row.blocked,
  looked: row.looked,
  phase: row.phase,
  foundEmpty: row.found_empty,
  deleted: Number(row.deleted),
  triggerId: row.trigger_id,
  askedAt: row.asked_at === null ? null : new Date(row.asked_at),
  givenUp: row.given_up,
  tries: row.tries,
  lease: row.lease_token,
})

// -------------------------------------------------------------------------------------------------- batches

const held = (columns: string, where = HELD): string => `
  held as (update clearing set ${columns}${RENEWED} where ${where} returning id, namespace_id, given_up_by)`

const SAVE_BATCH = `
  with ${held('')}
  insert into clearing_batch (namespace_id, clearing_id, number, locations)
  select namespace_id, id, $4::int, $5::jsonb from held
  on conflict (clearing_id, number) do update set locations = excluded.locations, done_at = null
  returning number`

/** Listed again because something lingered, it is still the same objects: the larger figure stays. */
const COMPLETE_LIST = `
  with ${held(`phase = 'DELETING_METADATA', found_empty = 0, objects = greatest(objects, $5::bigint),
    bytes = greatest(bytes, $6::bigint), message = coalesce($7, message), ${WENT_WELL}, `)},
  surplus as (
    delete from clearing_batch b using held where b.clearing_id = held.id and b.number > $4::int),
  written as (
    insert into clearing_batch (namespace_id, clearing_id, number, locations)
    select held.namespace_id, held.id, l.number, l.locations
    from held, jsonb_to_recordset($8::jsonb) as l(number int, locations jsonb)
    on conflict (clearing_id, number) do update set locations = excluded.locations, done_at = null)
  select id from held`

const batchesWhere = (condition: string, limit: string): string => `
  select coalesce((select json_agg(json_build_object('number', t.number, 'locations', t.locations) order by t.number)
    from (select b.number, b.locations from clearing_batch b
      where b.clearing_id = held.id and b.done_at is null and ${condition} order by b.number limit ${limit}) t), '[]') as batches, held.given_up_by is not null as given_up
  from held`

const TAKE_BATCHES = `
  with ${held('')}
  ${batchesWhere('(b.number = 0) = $4::boolean', '$5::int')}`

/** In a phase of its own nothing has failed, or it would stay where it is. What has gone is counted also after a giving up. */
const RECORD_BATCHES = `
  with ${held(
    `deleted = least(objects, deleted + $4::bigint), phase = coalesce($6::text, phase),
    tries = case when $6::text is null then tries else 0 end,
    error_code = case when $6::text is null then error_code end,
    error_message = case when $6::text is null then error_message end,
    error_at = case when $6::text is null then error_at end, `,
    LEASED,
  )},
  recorded as (select * from jsonb_to_recordset($5::jsonb) as l(number int, locations jsonb)),
  written as (
    update clearing_batch b set locations = l.locations, done_at = case when l.locations = '[]'::jsonb then now() end
    from held, recorded l where b.clearing_id = held.id and b.number = l.number)
  ${batchesWhere('b.number > 0 and b.number not in (select number from recorded)', '$7::int')}`

const ABANDON = `
  with done as (
    update clearing set ended_at = now(), next_action_at = null, error_code = $3, error_message = $4, error_at = now(),
      lease_token = null, lease_until = null
    where ${HELD} and subject = 'ORPHAN' returning id),
  emptied as (delete from clearing_batch b using done where b.clearing_id = done.id)
  select id from done`

/** The batches are nobody's any more: a finished clearing costs one row. */
const END = endClearing(`phase = 'DONE', ${WENT_WELL}`, HELD)

/** How far it had come stays to be seen: its phase, and how many of how many objects had gone. Flink takes nothing back. */
export const GIVEN_UP = `tries = 0, message = concat_ws(' ', message, case when method = 'FLINK' and asked_at is not null
  then 'Given up; Flink had been asked to delete it, and may still do so.' else 'Given up: what was left stays where it is.' end)`

/** Of the clearing `where`: its snapshot is Cleared for the reason $3 `by`. */
export function endClearing(set: string, where: string, by = '$4'): string {
  return `
  with done as (
    update clearing set ${set}, ended_at = now(), next_action_at = null, lease_token = null, lease_until = null
    where ${where}
    returning id, namespace_id, snapshot_id, reason, message, requested_by, given_up_by, objects, deleted, bytes),
  emptied as (delete from clearing_batch b using done where b.clearing_id = done.id),
  cleared as (
    update snapshot s set status = 'Cleared', reason = $3, message = done.message, verdict = null,
      row_version = s.row_version + 1, updated_at = now()
    from done where s.id = done.snapshot_id and s.namespace_id = done.namespace_id and s.status = 'Clearing'
    returning s.id, s.namespace_id, s.job_id, s.kind, s.source, s.reason, s.message),
  moved as (
    insert into history.snapshot_transition (namespace_id, snapshot_id, from_status, to_status, reason, message, by)
    select namespace_id, id, 'Clearing', 'Cleared', reason, message, ${by} from cleared),
  told as (
    insert into history.event (namespace_id, type, job_id, snapshot_id, data)
    select c.namespace_id, 'snapshot.status', c.job_id, c.id,
      jsonb_build_object('from', 'Clearing', 'to', 'Cleared', 'reason', c.reason, 'kind', c.kind, 'source', c.source,
        'clearing', done.reason, 'deleted', done.deleted, 'objects', done.objects, 'bytes', done.bytes)
    from cleared c, done)
  select id from done`
}

const END_GIVEN_UP = endClearing(
  GIVEN_UP,
  `${LEASED} and given_up_by is not null`,
  '(select given_up_by from done)',
)
