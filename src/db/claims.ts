/** Claimed snapshots, as the review of claims reads and writes them. `snapshot_claimed_idx` holds nothing else. */
import { LAST_LOOKS_SECONDS } from '../domain/unseen-snapshots.ts'
import type { ClaimedSnapshot, ClaimRepository } from '../ports/claims.ts'
import { toStorageAddress } from './addresses.ts'
import type { Database, Row } from './client.ts'
import { RUN_HAS_ENDED } from './lifecycles.ts'

export const createClaimRepository = (db: Database): ClaimRepository => ({
  list: async ({ after, limit, everyMs }) => {
    const rows = await db.sql<ClaimRow>(LIST, [after, limit, everyMs], 'list-claims')
    return rows.map(toClaim)
  },

  listReturnable: async ({ namespaceId }, jobId, limit) => {
    const rows = await db.sql<ClaimRow>(
      LIST_RETURNABLE,
      [namespaceId, jobId, limit],
      'list-returnable-claims',
    )
    return rows.map(toClaim)
  },

  record: async (findings) => {
    if (findings.length === 0) return { cleared: 0, givenBack: 0 }
    const [row] = await db.sql<{ cleared: number; given_back: number }>(RECORD, [JSON.stringify(findings)])
    return { cleared: row?.cleared ?? 0, givenBack: row?.given_back ?? 0 }
  },
})

type ClaimRow = Row & {
  id: string
  run_id: string
  location: string
  namespace: string
  storage_id: string
  uri: string
  provider: ClaimedSnapshot['storage']['provider']
  endpoint: string | null
  region: string | null
  path_style: boolean | null
  credentials: ClaimedSnapshot['storage']['credentials']
}

const toClaim = (row: ClaimRow): ClaimedSnapshot => ({
  id: row.id,
  runId: row.run_id,
  location: row.location,
  storage: toStorageAddress({ ...row, id: row.storage_id, pathStyle: row.path_style }),
})

/**
 * The run `r` is over and has completed no checkpoint that could use the files of what it claimed. A run that Flink has
 * shown may have completed one a moment before its end: the observer's last looks are waited for.
 */
const RETURNABLE = `(${RUN_HAS_ENDED} and r.completed_checkpoints = 0
      and coalesce((r.checkpoint_counts ->> 'completed')::bigint, 0) = 0
      and (r.flink_start_time = 0 or r.ended_at < now() - interval '${LAST_LOOKS_SECONDS} seconds'))`

const SELECT = `
  select s.id, s.claimed_by_run_id as run_id, s.location, n.name as namespace, st.id as storage_id, st.uri, st.provider,
    st.endpoint, st.region, st.path_style, st.credentials
  from snapshot s
    join namespace n on n.id = s.namespace_id
    join run r on r.id = s.claimed_by_run_id and r.namespace_id = s.namespace_id
    join storage st on st.id = s.storage_id and st.namespace_id = s.namespace_id and st.deleted_at is null
      and st.provider <> 'flink-only'
  where s.claimed_by_run_id is not null and s.status = 'Present' and s.location is not null`

const LIST = `${SELECT} and ($1::uuid is null or s.id > $1::uuid)
    and (s.verified_at is null or s.verified_at < now() - make_interval(secs => $3::float8 / 1000) or ${RETURNABLE})
  order by s.id limit $2`

const LIST_RETURNABLE = `${SELECT} and s.namespace_id = $1::uuid and (s.job_id = $2::uuid or r.job_id = $2::uuid) and ${RETURNABLE}
  order by s.id limit $3`

/** The claim is part of every condition: one that was given back, or has gone to another run meanwhile, is left alone. */
const RECORD = `
  with finding as (
    select * from jsonb_to_recordset($1::jsonb) as f(id uuid, "runId" uuid, found text)),
  claim as (
    select s.id, s.namespace_id, f.found, ${RETURNABLE} as returnable
    from finding f
      join snapshot s on s.id = f.id and s.claimed_by_run_id = f."runId" and s.status = 'Present'
      join run r on r.id = f."runId" and r.namespace_id = s.namespace_id
    order by s.id for update of s),
  gone as (
    update snapshot s set status = 'Cleared', reason = 'SUBSUMED', message = 'The run that claimed it has dropped it.',
      verdict = null, verified_at = now(), row_version = s.row_version + 1, updated_at = now()
    from claim c where s.id = c.id and s.namespace_id = c.namespace_id and c.found = 'gone'
    returning s.id, s.namespace_id, s.job_id, s.kind, s.source, s.reason, s.message),
  given_back as (
    update snapshot s set claimed_by_run_id = null, verified_at = now(), row_version = s.row_version + 1, updated_at = now()
    from claim c where s.id = c.id and s.namespace_id = c.namespace_id and c.found = 'standing' and c.returnable
    returning s.id),
  standing as (
    update snapshot s set verified_at = now()
    from claim c where s.id = c.id and s.namespace_id = c.namespace_id and c.found = 'standing' and not c.returnable),
  moved as (
    insert into history.snapshot_transition (namespace_id, snapshot_id, from_status, to_status, reason, message, by)
    select namespace_id, id, 'Present', 'Cleared', reason, message, 'worker' from gone),
  told as (
    insert into history.event (namespace_id, type, job_id, snapshot_id, data)
    select namespace_id, 'snapshot.status', job_id, id,
      jsonb_build_object('from', 'Present', 'to', 'Cleared', 'reason', reason, 'kind', kind, 'source', source) from gone)
  select (select count(*) from gone) as cleared, (select count(*) from given_back) as given_back`
