/**
 * Reads what a run left behind, past Tidemark: its tables, Flink's accept logs and what the store holds. Every
 * savepoint of these runs is ours: one that was taken for somebody else's shows as an illegal history.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Client } from 'pg'
import type { AcceptedTrigger } from '../../src/simulated-flink/accept-log.ts'
import type {
  AttemptRecord,
  CheckpointRecord,
  ClearingRecord,
  ContentRecord,
  FiringRecord,
  History,
  KeyRecord,
  OperationRecord,
  RuleRecord,
  RunRecord,
  SnapshotRecord,
  TransitionRecord,
} from './history.ts'
import { namedFiles } from './store.ts'

type Tables = Pick<
  History,
  | 'snapshots'
  | 'checkpoints'
  | 'attempts'
  | 'transitions'
  | 'runs'
  | 'keys'
  | 'clearings'
  | 'firings'
  | 'operations'
  | 'rules'
>
type Stored = Pick<History, 'objects' | 'completeFolders' | 'contents'>

export type Remains = {
  databaseUrl: string
  /** Every object in the end; of a folder `listFolder` knows them. */
  objects: readonly string[]
  contents: readonly ContentRecord[]
  flinks: readonly {
    acceptLog: readonly AcceptedTrigger[]
    findJob(id: string): { state: string } | undefined
  }[]
  /** Jobs that were seen to end. */
  endedFlinkJobs: readonly string[]
  managedJobs?: readonly string[]
}

type Collected = Tables & Stored & Pick<History, 'accepted' | 'endedFlinkJobs' | 'managedJobs'>

export async function collect(remains: Remains): Promise<Collected> {
  const { databaseUrl, objects, contents, flinks, endedFlinkJobs, managedJobs = [] } = remains
  const tables = await readTables(databaseUrl)
  const ended = tables.runs
    .filter(({ job }) => managedJobs.includes(job))
    .map(({ flinkJobId }) => flinkJobId)
    .filter((id) => !flinks.some((flink) => isLive(flink.findJob(id)?.state)))
  return {
    ...tables,
    accepted: flinks.flatMap(({ acceptLog }) =>
      acceptLog.filter(({ kind }) => kind === 'savepoint' || kind === 'stop').map((entry) => ({ ...entry })),
    ),
    objects: [...objects],
    completeFolders: objects
      .filter((file) => file.endsWith('/_metadata') && !CHECKPOINT.test(file))
      .map((file) => file.slice(0, -'/_metadata'.length)),
    contents: [...contents],
    managedJobs: [...managedJobs],
    endedFlinkJobs: [...endedFlinkJobs, ...ended],
  }
}

const CHECKPOINT = /\/chk-\d+\/_metadata$/

const ENDED = ['FINISHED', 'CANCELED', 'FAILED']
const isLive = (state: string | undefined): boolean => state !== undefined && !ENDED.includes(state)

/** Everything below a folder of this machine, and what every `_metadata` in it names. */
export async function listFolder(folder: string): Promise<Pick<Remains, 'objects' | 'contents'>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const contents = paths
    .filter((path) => path.endsWith('/_metadata'))
    .map(async (path) => {
      const at = pathToFileURL(path.slice(0, -'/_metadata'.length)).href
      return { folder: at, files: await namedFiles(await readFile(path), at) }
    })
  return { objects: paths.map((path) => pathToFileURL(path).href), contents: await Promise.all(contents) }
}

async function readTables(databaseUrl: string): Promise<Tables> {
  const client = new Client({ connectionString: databaseUrl })
  await client.connect()
  const read = async <Line>(text: string): Promise<Line[]> =>
    (await client.query<{ row: Line }>(`select to_jsonb(t) as row from (${text}) t`)).rows.map(
      ({ row }) => row,
    )
  try {
    return {
      snapshots: await read<SnapshotRecord>(`
        select s.id, s.job_id as "jobId", j.name as job, s.status, s.reason, ${ms('s.created_at')} as "createdAt",
          ${ms('s.deadline_at')} as "deadlineAt", ${ms('s.settled_at')} as "settledAt",
          ${ms('s.next_action_at')} as "nextActionAt", s.owned_prefix as "ownedPrefix", s.location, s.source,
          s.created_by as "createdBy", ${ms('s.completed_at')} as "completedAt", ${ms('s.expires_at')} as "expiresAt",
          s.pinned, s.claimed_by_run_id as "claimedByRun"
        from snapshot s join job j on j.id = s.job_id where s.kind = 'SAVEPOINT' order by s.created_at`),
      checkpoints: await read<CheckpointRecord>(`
        select s.id, j.name as job, s.run_id as "runId", s.location, ${ms('s.completed_at')} as "completedAt"
        from snapshot s join job j on j.id = s.job_id where s.kind = 'CHECKPOINT'`),
      clearings: await read<ClearingRecord>(`
        select snapshot_id as "snapshotId", method, reason, prefix, ${ms('requested_at')} as "requestedAt",
          ${ms('ended_at')} as "endedAt" from clearing where snapshot_id is not null`),
      firings: await read<FiringRecord>(`
        select job_id as "jobId", ${ms('slot_at')} as "slotAt", outcome, snapshot_id as "snapshotId"
        from schedule_firing`),
      operations: await read<OperationRecord>(`
        select id, kind, status, ${ms('ended_at')} as "endedAt" from operation`),
      rules: await read<RuleRecord>(`
        select j.name as job, 'schedule' as what from schedule s join job j on j.id = s.job_id
        union all select j.name, 'retention' from retention r join job j on j.id = r.job_id`),
      attempts: await read<AttemptRecord>(`
        select snapshot_id as "snapshotId", number, trigger_id as "triggerId", flink_job_id as "flinkJobId", directory,
          ${ms('created_at')} as "createdAt", ${ms('asked_at')} as "askedAt", outcome,
          ${ms('settled_at')} as "settledAt", orphan_location as "orphanLocation"
        from attempt order by snapshot_id, number`),
      transitions: await read<TransitionRecord>(`
        select snapshot_id as "snapshotId", from_status as "from", to_status as "to", reason, ${ms('at')} as at
        from history.snapshot_transition order by at`),
      runs: await read<RunRecord>(`
        select r.id, j.name as job, r.flink_job_id as "flinkJobId", r.state, ${ms('r.started_at')} as "startedAt",
          ${ms('r.ended_at')} as "endedAt", r.restored_location as "restoredLocation", r.claim_mode as "claimMode",
          coalesce((select ${ms('min(s.completed_at)')} from snapshot s where s.run_id = r.id and s.kind = 'CHECKPOINT'),
            case when r.completed_checkpoints > 0 then ${ms('r.started_at')} end) as "firstCheckpointAt"
        from run r join job j on j.id = r.job_id`),
      keys: await read<KeyRecord>(`select route, key, resource_id as "snapshotId" from idempotency_record`),
    }
  } finally {
    await client.end()
  }
}

const ms = (column: string): string => `(extract(epoch from ${column}) * 1000)::float8`
