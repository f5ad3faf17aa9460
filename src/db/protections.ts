/**
 * The protected snapshots of a job. Rows only: what protects is `domain/protection.ts`. Each list goes by an index from the
 * newest and is cut, so the statements are flat whatever the history of the job is.
 */
import {
  DEFAULT_ROLLBACK_WINDOW_SECONDS,
  listProtections,
  type ProtectionCandidate,
  protectLast,
  type RanVersion,
} from '../domain/protection.ts'
import type { CandidateFacts } from '../domain/restore-point.ts'
import type { ProtectionRepository } from '../ports/clearing.ts'
import type { Database, Row } from './client.ts'
import { withDomainErrors } from './errors.ts'
import { RESTORABLE } from './restorable.ts'
import { CANDIDATE_SELECT, type CandidateRow, toCandidate } from './restore-points.ts'

/** Among so many of the newest runs the last three versions are looked for; a job that restarts all the time has many of one. */
const RUNS_READ = 2_000
const VERSIONS_KEPT = 3
/** Restorable savepoints of the job, and of each version: a late one is older than its place in the list. */
const SAVEPOINTS_READ = 20
/** Among so many of the newest restorable savepoints copies are looked for: they are newer than their content. */
const COPIES_AMONG = 1_000
/** Of each of the newest runs the newest restorable checkpoint. */
const CHECKPOINT_RUNS_READ = 100

type ContextRow = Row & { now: string; window: number | null; versions: RanVersion[] }

export const createProtectionRepository = (db: Database): ProtectionRepository =>
  withDomainErrors({
    async ofJob({ namespaceId }, jobId, instead) {
      const [context] = await db.sql<ContextRow>(CONTEXT, [namespaceId, jobId], 'protection-context')
      if (!context) return new Map()
      const rows = await db.sql<CandidateRow>(
        CANDIDATES,
        [namespaceId, jobId, context.versions.map(({ version }) => version)],
        'protection-candidates',
      )
      const candidates = rows.map(toCandidate).flatMap((facts) => toProtected(facts) ?? [])
      if (candidates.length === 0) return listLast(await db.sql<CandidateRow>(LAST, [namespaceId, jobId]))
      return listProtections({
        candidates,
        versions: context.versions,
        rollbackWindowSeconds:
          (instead ? instead.rollbackWindowSeconds : context.window) ?? DEFAULT_ROLLBACK_WINDOW_SECONDS,
        now: context.now,
      })
    },
  })

const listLast = (rows: readonly CandidateRow[]) =>
  protectLast(rows.map(toCandidate).flatMap((facts) => toProtected(facts) ?? []))

const toProtected = (facts: CandidateFacts): ProtectionCandidate | null =>
  facts.snapshot === null || facts.kind === null || facts.source === null
    ? null
    : {
        snapshot: facts.snapshot,
        kind: facts.kind,
        source: facts.source,
        jobVersion: facts.jobVersion,
        completedAt: facts.completedAt,
        run: facts.run,
        flinkCheckpointId: facts.flinkCheckpointId,
      }

/** A rule of the job replaces the default of its namespace as a whole. */
const CONTEXT = `
  with ran as (
    select r.version, max(r.started_at) as started_at, max(r.id::text) as last,
      case when bool_or(r.ended_at is null) then null else max(r.ended_at) end as ended_at
    from (select id, version, started_at, ended_at from run
      where job_id = $2::uuid and namespace_id = $1::uuid order by started_at desc, id desc limit ${RUNS_READ}) r
    where r.version is not null group by r.version
    order by max(r.started_at) desc, max(r.id::text) desc limit ${VERSIONS_KEPT})
  select now() as now,
    (select t.rollback_window_seconds from retention t
      where t.namespace_id = j.namespace_id and (t.job_id = j.id or t.job_id is null)
      order by t.job_id nulls last limit 1) as window,
    coalesce((select json_agg(json_build_object('version', ran.version,
        'lastRanAt', to_char(ran.ended_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
      order by ran.started_at desc, ran.last desc) from ran), '[]'::json) as versions
  from job j where j.id = $2::uuid and j.namespace_id = $1::uuid`

const IS_PRESENT = `s.status = 'Present' and s.completed_at is not null and s.claimed_by_run_id is null
      and s.source <> 'IMPORT'`
const ofJob = `s.job_id = $2::uuid and s.namespace_id = $1::uuid`

/**
 * Checkpoints by their rank (`snapshot_checkpoint_key`), and by completion for a job with very many runs since; savepoints by
 * when they were accepted, which is the order of their runs (`snapshot_savepoints_idx`, `snapshot_version_idx`).
 */
const CANDIDATES = `
  with picked as materialized (
    (select c.id from (select id, started_at from run where job_id = $2::uuid and namespace_id = $1::uuid
        order by started_at desc, id desc limit ${CHECKPOINT_RUNS_READ}) r
      cross join lateral (
        select s.id from snapshot s where s.run_id = r.id and s.kind = 'CHECKPOINT' and ${RESTORABLE}
        order by s.flink_checkpoint_id desc limit 1) c)
    union
    (select s.id from snapshot s where ${ofJob} and s.kind = 'CHECKPOINT' and ${RESTORABLE}
      order by s.completed_at desc, s.id desc limit 5)
    union
    (select s.id from snapshot s where ${ofJob} and s.kind = 'SAVEPOINT' and ${RESTORABLE} and s.source <> 'COPY'
      order by s.created_at desc, s.id desc limit ${SAVEPOINTS_READ})
    union
    (select c.id from (
        select s.id, s.source from snapshot s where ${ofJob} and s.kind = 'SAVEPOINT' and ${RESTORABLE}
        order by s.created_at desc, s.id desc limit ${COPIES_AMONG}) c
      where c.source = 'COPY')
    union
    (select v.id from unnest($3::int[]) as ran(version) cross join lateral (
        select s.id from snapshot s
        where ${ofJob} and s.job_version = ran.version and s.kind = 'SAVEPOINT' and ${RESTORABLE}
          and s.source <> 'COPY'
        order by s.created_at desc, s.id desc limit ${SAVEPOINTS_READ}) v))
  ${CANDIDATE_SELECT}
  where s.id = any (array(select id from picked)) and ${ofJob}`

/**
 * Of a job of which nothing can be restored now: an archived savepoint can be brought back, a missing file may be found. Rows
 * that a run has claimed are Flink's, and an import is somebody else's.
 */
const LAST = `
  with picked as materialized (
    (select s.id from snapshot s where ${ofJob} and s.kind = 'CHECKPOINT' and ${IS_PRESENT}
      order by s.completed_at desc, s.id desc limit 5)
    union
    (select s.id from snapshot s where ${ofJob} and s.kind = 'SAVEPOINT' and ${IS_PRESENT}
      order by s.created_at desc, s.id desc limit ${SAVEPOINTS_READ}))
  ${CANDIDATE_SELECT}
  where s.id = any (array(select id from picked)) and ${ofJob}`
