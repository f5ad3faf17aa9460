/**
 * Verifications: what is due, by `snapshot_verify_idx`, and what was found. Due is `verify_at`; a claim moves it ahead, so a
 * worker that dies leaves nothing behind, and the moved instant is the proof of the claim.
 */

import { isUuidShaped } from '../domain/resource-name.ts'
import { DOUBTFUL_VERDICTS } from '../domain/restorable.ts'
import type { SnapshotStatus } from '../domain/snapshot-status.ts'
import type { VerificationFinding, VerificationReport } from '../domain/verification.ts'
import type { VerificationRepository } from '../ports/inspections.ts'
import type { Database, Row } from './client.ts'

export const createVerificationRepository = (db: Database): VerificationRepository => ({
  async find({ namespaceId }, snapshotId) {
    if (!isUuidShaped(snapshotId)) return null
    const [row] = await db.sql<ReportRow>(
      'select * from snapshot_verification where namespace_id = $1::uuid and snapshot_id = $2::uuid',
      [namespaceId, snapshotId],
    )
    return row ? toReport(row) : null
  },

  async findTarget({ namespaceId }, snapshotId) {
    if (!isUuidShaped(snapshotId)) return null
    const [row] = await db.sql<TargetRow>(
      'select status, location, now() as now from snapshot where namespace_id = $1::uuid and id = $2::uuid',
      [namespaceId, snapshotId],
    )
    return row ? { snapshotId, ...row } : null
  },

  async claimDue(limit, forMs) {
    const rows = await db.sql<ClaimRow>(CLAIM_DUE, [limit, forMs], 'claim-verifications')
    return rows.map((row) => ({
      snapshotId: row.id,
      namespaceId: row.namespace_id,
      location: row.location,
      claim: row.verify_at,
    }))
  },

  async record({ namespaceId }, { snapshotId, location, report, lost, claim, nextInMs }) {
    const rows = await db.sql(RECORD, [
      namespaceId,
      snapshotId,
      location,
      claim,
      nextInMs,
      lost,
      report.verdict,
      report.message,
      JSON.stringify(report.findings),
      report.findingCount,
      report.checkedFiles,
      report.checkedBytes,
      report.requests,
      report.durationMs,
      report.verifiedBy,
    ])
    return rows.length === 1
  },
})

type TargetRow = Row & { status: SnapshotStatus; location: string | null; now: string }
type ClaimRow = Row & { id: string; namespace_id: string; location: string; verify_at: string }
type ReportRow = Row & {
  verdict: VerificationReport['verdict']
  message: string | null
  findings: VerificationFinding[]
  finding_count: number
  checked_files: number
  checked_bytes: number
  requests: number
  duration_ms: number
  verified_at: string
  verified_by: string
}

const toReport = (row: ReportRow): VerificationReport => ({
  verdict: row.verdict,
  message: row.message,
  findings: row.findings,
  findingCount: row.finding_count,
  checkedFiles: row.checked_files,
  checkedBytes: row.checked_bytes,
  requests: row.requests,
  durationMs: row.duration_ms,
  verifiedAt: row.verified_at,
  verifiedBy: row.verified_by,
})

/**
 * Instants are kept to the millisecond, rounded: what is due now may stand half of one in the future. One without a location is
 * never looked for again: Flink keeps it in its own memory.
 */
const CLAIM_DUE = `
  with due as (
    select id from snapshot where verify_at is not null and status = 'Present' and verify_at <= now() + interval '1 ms'
    order by verify_at limit $1 for update skip locked),
  claimed as (
    update snapshot s set verify_at = case when s.location is null then null
        else now() + make_interval(secs => $2::float8 / 1000) end
    from due where s.id = due.id
    returning s.id, s.namespace_id, s.location, s.verify_at)
  select * from claimed where location is not null`

const DOUBTFUL = `(${DOUBTFUL_VERDICTS.map((verdict) => `'${verdict}'`).join(', ')})`

/**
 * Seen before: by a look that found it, or by an inspection. One that nobody but Flink ever saw (a local storage on another
 * machine) is not lost because we do not see it.
 */
const SEEN = `(s.verified_at is not null and s.verdict is distinct from 'METADATA_MISSING'
      or exists (select 1 from snapshot_inspection i where i.snapshot_id = s.id and i.namespace_id = s.namespace_id))`

/** What is gone of these has its own reason, which others find out: a subsumed checkpoint, a claim. */
const OF_FLINK = `(s.claimed_by_run_id is not null
      or s.kind = 'CHECKPOINT' and exists (select 1 from run r where r.id = s.run_id and r.namespace_id = s.namespace_id
        and (r.ended_at is null or r.recheck_at is not null)))`

/**
 * An event tells when it stops, or begins again, to be restorable for what was found. A worker's look that began before
 * somebody else's report does not overwrite it: a file may have gone in between.
 */
const RECORD = `
  with held as (
    select s.id, s.namespace_id, s.job_id, s.kind, s.source, s.verdict as before, s.row_version,
      $6::boolean and $7 = 'METADATA_MISSING' and ${SEEN} and not ${OF_FLINK} as lost,
      case when $7 = 'NOT_ASKED' or s.verdict is not distinct from 'ENDANGERED' then s.verdict else $7 end as after
    from snapshot s
    where s.id = $2::uuid and s.namespace_id = $1::uuid and s.status = 'Present' and s.location = $3
      and ($4::timestamptz is null or s.verify_at = $4::timestamptz and not exists (
        select 1 from snapshot_verification v where v.snapshot_id = s.id and v.namespace_id = s.namespace_id
          and v.verdict <> 'NOT_ASKED' and v.verified_at > now() - make_interval(secs => $14::float8 / 1000)))
    for update of s),
  noted as (
    insert into snapshot_verification (namespace_id, snapshot_id, verdict, message, findings, finding_count, checked_files,
      checked_bytes, requests, duration_ms, verified_at, verified_by)
    select namespace_id, id, $7, $8, $9::jsonb, $10::int, $11::int, $12::bigint, $13::int, $14::bigint, now(), $15 from held
    on conflict (snapshot_id) do update set verdict = excluded.verdict, message = excluded.message,
      findings = excluded.findings, finding_count = excluded.finding_count, checked_files = excluded.checked_files,
      checked_bytes = excluded.checked_bytes, requests = excluded.requests, duration_ms = excluded.duration_ms,
      verified_at = excluded.verified_at, verified_by = excluded.verified_by),
  judged as (
    update snapshot s set verdict = h.after,
      verified_at = case when $7 = 'NOT_ASKED' then s.verified_at else now() end,
      verify_at = case when $5::float8 is null then s.verify_at else now() + make_interval(secs => $5::float8 / 1000) end,
      row_version = s.row_version + case when $7 = 'NOT_ASKED' then 0 else 1 end,
      updated_at = case when $7 = 'NOT_ASKED' then s.updated_at else now() end
    from held h where s.id = h.id and s.namespace_id = h.namespace_id and not h.lost),
  cleared as (
    update snapshot s set status = 'Cleared', reason = 'DATA_LOST', message = $8, verdict = null, verified_at = now(),
      verify_at = null, row_version = s.row_version + 1, updated_at = now()
    from held h where s.id = h.id and s.namespace_id = h.namespace_id and h.lost
    returning s.id, s.namespace_id, s.job_id, s.kind, s.source, s.reason, s.message),
  moved as (
    insert into history.snapshot_transition (namespace_id, snapshot_id, from_status, to_status, reason, message, by)
    select namespace_id, id, 'Present', 'Cleared', reason, message, $15 from cleared),
  told as (
    insert into history.event (namespace_id, type, job_id, snapshot_id, data)
    select namespace_id, 'snapshot.status', job_id, id,
      jsonb_build_object('from', 'Present', 'to', 'Cleared', 'reason', reason, 'kind', kind, 'source', source) from cleared
    union all
    select namespace_id, 'snapshot.verdict', job_id, id,
      jsonb_build_object('from', before, 'to', after, 'kind', kind, 'source', source) from held
    where not lost and (coalesce(before, '') in ${DOUBTFUL}) <> (coalesce(after, '') in ${DOUBTFUL}))
  select id from held`
