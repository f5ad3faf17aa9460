/**
 * Reads what a run left behind, past Tidemark: its tables, Flink's accept logs and the files in the storage folder. Every
 * savepoint of these runs is ours: one that was taken for somebody else's shows as an illegal history.
 */
import { readdir } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import { Client } from 'pg'
import type { AcceptedTrigger } from '../../src/simulated-flink/accept-log.ts'
import type {
  AttemptRecord,
  History,
  KeyRecord,
  RunRecord,
  SnapshotRecord,
  TransitionRecord,
} from './history.ts'

type Tables = Pick<History, 'snapshots' | 'attempts' | 'transitions' | 'runs' | 'keys'>

export type Remains = {
  databaseUrl: string
  folder: string
  flinks: readonly { acceptLog: readonly AcceptedTrigger[] }[]
}

export async function collect({
  databaseUrl,
  folder,
  flinks,
}: Remains): Promise<Tables & Pick<History, 'accepted' | 'completeFolders'>> {
  return {
    ...(await readTables(databaseUrl)),
    accepted: flinks.flatMap(({ acceptLog }) => acceptLog.map((entry) => ({ ...entry }))),
    completeFolders: await findCompleteFolders(folder),
  }
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
          ${ms('s.next_action_at')} as "nextActionAt", s.owned_prefix as "ownedPrefix", s.location
        from snapshot s join job j on j.id = s.job_id where s.kind = 'SAVEPOINT' order by s.created_at`),
      attempts: await read<AttemptRecord>(`
        select snapshot_id as "snapshotId", number, trigger_id as "triggerId", flink_job_id as "flinkJobId", directory,
          ${ms('created_at')} as "createdAt", ${ms('asked_at')} as "askedAt", outcome,
          ${ms('settled_at')} as "settledAt", orphan_location as "orphanLocation"
        from attempt order by snapshot_id, number`),
      transitions: await read<TransitionRecord>(`
        select snapshot_id as "snapshotId", from_status as "from", to_status as "to", reason, ${ms('at')} as at
        from history.snapshot_transition t
        where exists (select 1 from snapshot s where s.id = t.snapshot_id and s.kind = 'SAVEPOINT') order by at`),
      runs: await read<RunRecord>(`
        select r.id, j.name as job, r.flink_job_id as "flinkJobId", r.state from run r join job j on j.id = r.job_id`),
      keys: await read<KeyRecord>(`select route, key, resource_id as "snapshotId" from idempotency_record`),
    }
  } finally {
    await client.end()
  }
}

const ms = (column: string): string => `(extract(epoch from ${column}) * 1000)::float8`

async function findCompleteFolders(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && entry.name === '_metadata')
    .map((entry) => pathToFileURL(entry.parentPath).href)
}
