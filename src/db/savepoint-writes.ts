/**
 * The writes of a worker to savepoints it holds by a lease. With a thousand in flight they are asked, looked at, moved and
 * given back side by side, so each kind of write is done for many rows by one statement. A row that somebody else has
 * locked, or a write that the database refuses, is left out of it and done alone: it holds up nobody. A status moves only
 * here, in one statement with its transition and its event. A worker that slept past its lease may have taken the same row
 * once more, and both of its writes share a statement: what is written is joined by the lease as well as by the id.
 */
import type {
  MoveResult,
  SavepointWork,
  SavepointWorkRepository,
  StatusMove,
} from '../ports/savepoint-work.ts'
import type { Database } from './client.ts'
import { type Locking, together } from './together.ts'

export type WriteOptions = { leaseMs: number; workerName: string }

export function createSavepointWrites(
  db: Database,
  { leaseMs, workerName }: WriteOptions,
): Pick<SavepointWorkRepository, 'markAsked' | 'move' | 'release'> {
  const markAsked = together<Asked, Date | null>(
    async (asked, locking) => {
      const values = [JSON.stringify(asked), asked.map(({ id }) => id), leaseMs]
      const rows = await db.sql<{ id: string; lease: string; asked_at: string }>(
        markAskedSql(locking),
        values,
        `mark-asked${locking}`,
      )
      const marked = new Map(rows.map((row) => [holdOf(row), new Date(row.asked_at)]))
      return asked.map((each) => marked.get(holdOf(each)) ?? null)
    },
    (askedAt) => askedAt !== null,
    ({ id }) => id,
  )

  const move = together<Move, MoveResult>(
    async (moves, locking) => {
      const values = [JSON.stringify(moves), moves.map(({ id }) => id), workerName]
      const rows = await db.sql<{ id: string; lease: string | null }>(
        moveSql(locking),
        values,
        `move-snapshots${locking}`,
      )
      const known = new Map(rows.map((row) => [row.id, row.lease]))
      return moves.map(({ id, lease }) =>
        known.has(id) ? (known.get(id) === lease ? 'moved' : 'stale') : 'missing',
      )
    },
    (result) => result === 'moved',
    ({ id }) => id,
  )

  const release = together<Release, boolean>(
    async (releases, locking) => {
      const values = [JSON.stringify(releases), releases.map(({ id }) => id)]
      const rows = await db.sql<{ id: string; lease: string }>(
        releaseSql(locking),
        values,
        `release-savepoints${locking}`,
      )
      const released = new Set(rows.map(holdOf))
      return releases.map((each) => released.has(holdOf(each)))
    },
    (released) => released,
    ({ id }) => id,
  )

  return {
    markAsked: (work, flinkJobId, flinkStartTime) =>
      markAsked({
        id: work.id,
        lease: work.lease,
        attempt: work.attempt.number,
        flinkJobId,
        flinkStartTime,
        runId: work.run?.id ?? null,
      }),
    move: (work, change) => move(toMove(work, change)),
    release: (work, next) =>
      release({
        id: work.id,
        lease: work.lease,
        nextActionInMs: next.nextActionInMs,
        tries: next.tries,
        settled: next.settled ?? false,
        attempt: work.attempt.number,
        outcome: next.attempt?.outcome ?? null,
        failureCode: next.attempt?.failure?.code ?? null,
        failureMessage: next.attempt?.failure?.message ?? null,
        orphanLocation: next.attempt?.orphanLocation ?? null,
      }),
  }
}

const holdOf = ({ id, lease }: { id: string; lease: string }): string => `${id} ${lease}`

type Asked = {
  id: string
  lease: string
  attempt: number
  flinkJobId: string
  flinkStartTime: number
  runId: string | null
}

/**
 * Also renews the lease: Flink is asked right after it. A run that is not known yet is left as it was. Rows are found by
 * the array of ids: a plan that was kept from when the tables were small would else read all of them.
 */
const markAskedSql = (locking: Locking): string => `
  with asked as (
    select * from jsonb_to_recordset($1::jsonb) as a(id uuid, lease uuid, attempt int, "flinkJobId" text,
      "flinkStartTime" bigint, "runId" uuid)),
  free as (
    select id from snapshot where id = any ($2::uuid[]) order by id for update${locking}),
  held as (
    update snapshot s set triggered_at = coalesce(s.triggered_at, now()), run_id = coalesce(a."runId", s.run_id),
      job_version = coalesce((select r.version from run r where r.id = a."runId"), s.job_version),
      lease_until = now() + make_interval(secs => $3::float8 / 1000), updated_at = now(), row_version = s.row_version + 1
    from asked a
    where s.id = any (array(select id from free)) and s.id = a.id and s.lease_token = a.lease and s.lease_until > now() and s.status = 'Creating'
    returning s.id, a.lease)
  update attempt t set asked_at = now(), flink_job_id = a."flinkJobId", asked_flink_start = a."flinkStartTime"
  from asked a
  where t.snapshot_id = any ($2::uuid[]) and t.snapshot_id = a.id and t.number = a.attempt and t.asked_at is null
    and (a.id, a.lease) in (select id, lease from held)
  returning t.snapshot_id as id, a.lease::text as lease, t.asked_at`

const moveSql = (locking: Locking): string => `
  with move as (
    select * from jsonb_to_recordset($1::jsonb) as m(id uuid, lease uuid, "from" text, "to" text, reason text, message text,
      "completedAt" timestamptz, "durationMs" bigint, location text, "locationKey" text, "flinkCheckpointId" bigint,
      "checkpointType" text, "sizeBytes" bigint, "uploadedBytes" bigint, "flinkVersion" text, verdict text,
      "failureCode" text, "failureMessage" text, settled boolean, "nextActionInMs" float8, outcome text,
      "endCode" text, "endMessage" text, "orphanLocation" text)),
  free as (
    select id from snapshot where id = any ($2::uuid[]) order by id for update${locking}),
  moved as (
    update snapshot s set status = m."to", reason = m.reason, message = m.message,
      completed_at = coalesce(m."completedAt", s.completed_at), duration_ms = coalesce(m."durationMs", s.duration_ms),
      location = coalesce(m.location, s.location), location_key = coalesce(m."locationKey", s.location_key),
      flink_checkpoint_id = coalesce(m."flinkCheckpointId", s.flink_checkpoint_id),
      checkpoint_type = coalesce(m."checkpointType", s.checkpoint_type),
      size_bytes = coalesce(m."sizeBytes", s.size_bytes), uploaded_bytes = coalesce(m."uploadedBytes", s.uploaded_bytes),
      flink_version = coalesce(m."flinkVersion", s.flink_version), verdict = coalesce(m.verdict, s.verdict),
      verified_at = case when m.verdict is null then s.verified_at else now() end,
      verify_at = case when m."to" = 'Present' then now() end,
      failure_code = m."failureCode", failure_message = m."failureMessage",
      failed_at = case when m."failureCode" is null then null else now() end,
      settled_at = case when m.settled then coalesce(s.settled_at, now()) else s.settled_at end,
      next_action_at = now() + make_interval(secs => m."nextActionInMs" / 1000),
      tries = 0, lease_token = null, lease_until = null, row_version = s.row_version + 1, updated_at = now()
    from move m
    where s.id = any (array(select id from free)) and s.id = m.id and s.lease_token = m.lease and s.status = m."from"
    returning s.id, s.namespace_id, s.job_id, s.kind, s.source, s.attempt, m.lease),
  ended as (
    update attempt a set outcome = m.outcome, failure_code = m."endCode", failure_message = m."endMessage",
      orphan_location = m."orphanLocation", settled_at = now()
    from move m join moved on moved.id = m.id and moved.lease = m.lease
    where a.snapshot_id = any ($2::uuid[]) and a.snapshot_id = m.id and a.number = moved.attempt and m.outcome is not null
      and a.outcome is null),
  written as (
    insert into history.snapshot_transition (namespace_id, snapshot_id, from_status, to_status, reason, message, by)
    select d.namespace_id, d.id, m."from", m."to", m.reason, coalesce(m.message, m."failureMessage"), $3
    from moved d join move m on m.id = d.id and m.lease = d.lease),
  told as (
    insert into history.event (namespace_id, type, job_id, snapshot_id, data)
    select d.namespace_id, 'snapshot.status', d.job_id, d.id,
      jsonb_build_object('from', m."from", 'to', m."to", 'reason', m.reason, 'kind', d.kind, 'source', d.source)
    from moved d join move m on m.id = d.id and m.lease = d.lease)
  select s.id, (select d.lease::text from moved d where d.id = s.id) as lease from snapshot s where s.id = any ($2::uuid[])`

type Move = ReturnType<typeof toMove>

const toMove = (work: SavepointWork, { facts = {}, ...move }: StatusMove) => ({
  ...facts,
  id: work.id,
  lease: work.lease,
  from: work.status,
  to: move.to,
  reason: move.reason,
  message: move.message ?? null,
  failureCode: move.failure?.code ?? null,
  failureMessage: move.failure?.message ?? null,
  settled: move.settled,
  nextActionInMs: move.nextActionInMs,
  outcome: move.attempt?.outcome ?? null,
  endCode: move.attempt?.failure?.code ?? null,
  endMessage: move.attempt?.failure?.message ?? null,
  orphanLocation: move.attempt?.orphanLocation ?? null,
})

type Release = {
  id: string
  lease: string
  nextActionInMs: number | null
  tries: number
  settled: boolean
  attempt: number
  outcome: string | null
  failureCode: string | null
  failureMessage: string | null
  orphanLocation: string | null
}

const releaseSql = (locking: Locking): string => `
  with release as (
    select * from jsonb_to_recordset($1::jsonb) as r(id uuid, lease uuid, "nextActionInMs" float8, tries int, settled boolean,
      attempt int, outcome text, "failureCode" text, "failureMessage" text, "orphanLocation" text)),
  free as (
    select id from snapshot where id = any ($2::uuid[]) order by id for update${locking}),
  held as (
    update snapshot s set next_action_at = now() + make_interval(secs => r."nextActionInMs" / 1000), tries = r.tries,
      settled_at = case when r.settled then coalesce(s.settled_at, now()) else s.settled_at end,
      lease_token = null, lease_until = null
    from release r where s.id = any (array(select id from free)) and s.id = r.id and s.lease_token = r.lease
    returning s.id, r.lease),
  ended as (
    update attempt a set outcome = r.outcome, failure_code = r."failureCode", failure_message = r."failureMessage",
      orphan_location = r."orphanLocation", settled_at = now()
    from release r join held on held.id = r.id and held.lease = r.lease
    where a.snapshot_id = any ($2::uuid[]) and a.snapshot_id = r.id and a.number = r.attempt and r.outcome is not null and a.outcome is null)
  select id, lease::text as lease from held`
