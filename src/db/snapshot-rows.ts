/** From a row of `snapshot` (with its job, storage and attempts) to the snapshot the API shows. */
import { notRestorableBecause } from '../domain/restorable.ts'
import type {
  Attempt,
  AttemptOutcome,
  Labels,
  SavepointFormat,
  Snapshot,
  SnapshotKind,
  SnapshotSource,
} from '../domain/snapshot.ts'
import type { SnapshotStatus } from '../domain/snapshot-status.ts'
import { type Row, toInstant } from './client.ts'

/** Timestamps inside json lose the type parser: they are cast to text in UTC and read by `toInstant`. */
const ATTEMPTS = `(select coalesce(json_agg(json_build_object(
    'number', a.number, 'triggerId', a.trigger_id, 'flinkJobId', a.flink_job_id, 'directory', a.directory,
    'createdAt', a.created_at::text, 'askedAt', a.asked_at::text, 'outcome', a.outcome, 'settledAt', a.settled_at::text,
    'failureCode', a.failure_code, 'failureMessage', a.failure_message, 'orphanLocation', a.orphan_location)
    order by a.number), '[]'::json)
  from attempt a where a.snapshot_id = s.id)`

/** Named one by one: a page of 50 carries nothing that nobody reads. */
const COLUMNS = `
  s.id, s.kind, s.status, s.reason, s.message, s.source, s.description, s.labels, s.job_id, s.job_version,
  s.run_id, s.format, s.checkpoint_type, s.incremental, s.flink_checkpoint_id, s.attempt, s.created_at,
  s.triggered_at, s.completed_at, s.settled_at, s.duration_ms, s.deadline_at, s.storage_id, s.owned_prefix,
  s.location, s.size_bytes, s.uploaded_bytes, s.flink_version, s.failure_code, s.failure_message, s.failed_at,
  s.pinned, s.expires_at, s.verified_at, s.verdict, s.claimed_by_run_id, s.supersedes, s.copy_of, s.restored_by, s.created_by,
  s.updated_at, s.row_version,
  st.name as storage_name, case when s.attempt is not null then ${ATTEMPTS} end as attempts`

const STORAGE_JOIN = `left join storage st on st.id = s.storage_id`

export const SNAPSHOT_COLUMNS = `${COLUMNS}, j.name as job_name`
export const SNAPSHOT_JOINS = `join job j on j.id = s.job_id ${STORAGE_JOIN}`

/**
 * What to select for the snapshots of one job. `ofJob` says in SQL what a column of the job holds; it must not depend on
 * the row, so that Postgres finds the job once and not with each snapshot.
 */
export const selectOfJob = (ofJob: (column: 'id' | 'name') => string) => ({
  columns: `${COLUMNS}, ${ofJob('name')} as job_name`,
  joins: STORAGE_JOIN,
  condition: `s.job_id = ${ofJob('id')}`,
})

type AttemptJson = {
  number: number
  triggerId: string
  flinkJobId: string | null
  directory: string
  createdAt: string
  askedAt: string | null
  outcome: AttemptOutcome | null
  settledAt: string | null
  failureCode: string | null
  failureMessage: string | null
  orphanLocation: string | null
}

export type SnapshotRow = Row & {
  id: string
  kind: SnapshotKind
  status: SnapshotStatus
  reason: string
  message: string | null
  source: SnapshotSource
  description: string
  labels: Labels
  job_id: string
  job_name: string
  job_version: number | null
  run_id: string | null
  format: SavepointFormat | null
  checkpoint_type: string | null
  incremental: boolean | null
  flink_checkpoint_id: number | null
  attempt: number | null
  /** null where we did not ask for it. */
  attempts: AttemptJson[] | null
  created_at: string
  triggered_at: string | null
  completed_at: string | null
  settled_at: string | null
  duration_ms: number | null
  deadline_at: string | null
  storage_id: string | null
  storage_name: string | null
  owned_prefix: string | null
  location: string | null
  size_bytes: number | null
  uploaded_bytes: number | null
  flink_version: string | null
  failure_code: string | null
  failure_message: string | null
  failed_at: string | null
  pinned: boolean
  expires_at: string | null
  verified_at: string | null
  verdict: string | null
  claimed_by_run_id: string | null
  supersedes: string | null
  copy_of: string | null
  restored_by: string[]
  created_by: string
  updated_at: string
  row_version: number
}

export function toSnapshot(row: SnapshotRow): Snapshot {
  const because = notRestorableBecause({
    status: row.status,
    location: row.location,
    verdict: row.verdict,
    claimed: row.claimed_by_run_id !== null,
  })
  const attempts = row.attempts?.map(toAttempt) ?? []
  const current = attempts.find((attempt) => attempt.number === row.attempt)
  return {
    id: row.id,
    kind: row.kind,
    status: row.status,
    reason: row.reason,
    message: row.message,
    source: row.source,
    description: row.description,
    labels: row.labels,
    job: { id: row.job_id, name: row.job_name },
    jobVersion: row.job_version,
    run: row.run_id,
    format: row.format,
    checkpointType: row.checkpoint_type,
    incremental: row.incremental,
    flinkCheckpointId: row.flink_checkpoint_id,
    triggerId: current?.triggerId ?? null,
    attempt: row.attempt,
    attempts,
    createdAt: row.created_at,
    triggeredAt: row.triggered_at,
    completedAt: row.completed_at,
    settledAt: row.settled_at,
    durationMs: row.duration_ms,
    deadlineAt: row.deadline_at,
    storage: row.storage_id && row.storage_name ? { id: row.storage_id, name: row.storage_name } : null,
    ownedPrefix: row.owned_prefix,
    location: row.location,
    sizeBytes: row.size_bytes,
    uploadedBytes: row.uploaded_bytes,
    flinkVersion: row.flink_version,
    failure:
      row.failure_code && row.failed_at
        ? { code: row.failure_code, message: row.failure_message ?? '', at: row.failed_at }
        : null,
    pinned: row.pinned,
    expiresAt: row.expires_at,
    verifiedAt: row.verified_at,
    verdict: row.verdict,
    restorable: because === null,
    notRestorableBecause: because,
    supersedes: row.supersedes,
    copyOf: row.copy_of,
    restoredBy: row.restored_by,
    createdBy: row.created_by,
    updatedAt: row.updated_at,
    etag: String(row.row_version),
  }
}

function toAttempt(json: AttemptJson): Attempt {
  const settledAt = json.settledAt && toInstant(json.settledAt)
  return {
    number: json.number,
    triggerId: json.triggerId,
    flinkJobId: json.flinkJobId,
    directory: json.directory,
    createdAt: toInstant(json.createdAt),
    askedAt: json.askedAt && toInstant(json.askedAt),
    outcome: json.outcome,
    settledAt,
    failure:
      json.failureCode && settledAt
        ? { code: json.failureCode, message: json.failureMessage ?? '', at: settledAt }
        : null,
    orphanLocation: json.orphanLocation,
  }
}
