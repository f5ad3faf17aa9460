/** Old checkpoints become hourly figures: what stays, what goes, and that each is counted once. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { createCheckpointHistoryRepository } from '../../src/db/checkpoint-history.ts'
import { createJobStateRepository } from '../../src/db/job-state.ts'
import type { CheckpointHistoryRepository } from '../../src/ports/runs.ts'
import { createCheckpointFolder } from '../../src/services/fold-checkpoints.ts'
import { startWorker } from '../../src/worker.ts'
import { until } from '../support/api.ts'
import { insertCheckpoint, insertDropped } from '../support/checkpoints.ts'
import { openMigratedDatabase, type TestDatabase } from '../support/database.ts'
import { createTenants, insertRun, insertSavepoint, type Tenant } from '../support/fixtures.ts'

let database: TestDatabase
let history: CheckpointHistoryRepository
let ours: Tenant
let theirs: Tenant

beforeAll(async () => {
  database = await openMigratedDatabase('fold_checkpoints')
  history = createCheckpointHistoryRepository(database.db)
}, 60_000)
afterAll(() => database?.drop())
beforeEach(async () => {
  const tenants = await createTenants(database.db)
  ours = tenants.ours
  theirs = tenants.theirs
})
afterEach(() => sql('truncate cluster, storage, job, run, snapshot, checkpoint_hour, attempt cascade'))

const sql = <Row extends Record<string, unknown>>(text: string, values: unknown[] = []) =>
  database.db.sql<Row>(text, values)
/** The middle of an hour long past: everything a test makes within minutes lies in one hour. */
const PAST = new Date(Math.floor(Date.now() / 3_600_000 - 5) * 3_600_000 + 1_800_000)
const fold = (jobs = [ours.jobId, theirs.jobId], limit = 5_000) => history.foldCheckpoints(jobs, limit)
const countRows = async (where = 'true') =>
  (
    await sql<{ n: number }>(`select count(*)::int as n from snapshot where job_id = $1 and ${where}`, [
      ours.jobId,
    ])
  )[0]?.n
const readHours = () =>
  sql<{ job_id: string; completed: number; failed: number; timed_out: number }>(
    'select * from checkpoint_hour order by job_id, hour',
  )

describe('a worker', () => {
  it('folds by itself, once a minute unless told otherwise', async () => {
    await insertDropped(database.db, ours, { count: 130, endsAt: PAST })
    const env = { DATABASE_URL: database.url, TIDEMARK_LOG_LEVEL: 'fatal' }
    expect(readConfig(env).foldIntervalMs).toBe(60_000)
    const worker = await startWorker(readConfig({ ...env, TIDEMARK_FOLD_INTERVAL_MS: '100' }))
    try {
      await until('the 30 oldest are folded', async () => (await countRows()) === 100)
    } finally {
      await worker.close()
    }
    expect(await readHours()).toMatchObject([{ completed: 30 }])
  })
})

describe('folding', () => {
  it('keeps the 100 newest finished and adds the older ones to their hours', async () => {
    await insertDropped(database.db, ours, { count: 130, endsAt: PAST })
    expect(await fold()).toBe(30)
    expect(await countRows()).toBe(100)
    // The oldest 30 of durations 1 to 130: 1 to 30.
    expect(await readHours()).toEqual([
      {
        namespace_id: ours.caller.namespaceId,
        job_id: ours.jobId,
        hour: new Date(Math.floor(PAST.getTime() / 3_600_000) * 3_600_000).toISOString(),
        completed: 30,
        failed: 0,
        timed_out: 0,
        duration_ms_sum: 465,
        duration_ms_max: 30,
        size_bytes_sum: 4_650,
        size_bytes_max: 300,
        uploaded_bytes_sum: 930,
      },
    ])
    expect(await fold()).toBe(0)
  })

  it('keeps the 20 newest failed beside them, expired ones among these', async () => {
    await insertDropped(database.db, ours, { count: 15, endsAt: PAST, status: 'Failed' })
    await insertDropped(database.db, ours, {
      count: 15,
      endsAt: new Date(PAST.getTime() - 60_000),
      status: 'Timeout',
    })
    expect(await fold()).toBe(10)
    expect([await countRows(`status = 'Failed'`), await countRows(`status = 'Timeout'`)]).toEqual([15, 5])
    expect(await readHours()).toMatchObject([{ completed: 0, failed: 0, timed_out: 10 }])
  })

  it('adds to an hour that has figures already', async () => {
    for (let round = 1; round <= 2; round++) {
      await insertDropped(database.db, ours, { count: 100 + round * 10, endsAt: PAST })
      await fold()
      await sql('delete from snapshot')
    }
    expect(await readHours()).toMatchObject([
      { completed: 30, duration_ms_sum: 55 + 210, duration_ms_max: 20, size_bytes_max: 200 },
    ])
  })

  it('leaves alone what is Present, pinned, referenced or in work, however old, and every savepoint', async () => {
    const old = new Date(PAST.getTime() - 3_600_000)
    const kept: string[] = []
    for (let n = 1; n <= 8; n++) {
      const status = n === 1 ? 'Present' : 'Cleared'
      kept.push(await insertCheckpoint(database.db, ours, { flinkCheckpointId: n, at: old, status }))
    }
    const [, pinned, restored, runRestored, claimed, superseded, due, free] = kept
    await sql('update snapshot set pinned = true where id = $1', [pinned])
    await sql('update snapshot set restored_by = array[$2::uuid] where id = $1', [restored, ours.runId])
    await sql('update run set restored_snapshot_id = $1 where id = $2', [runRestored, ours.runId])
    await sql('update snapshot set claimed_by_run_id = $2 where id = $1', [claimed, ours.runId])
    await sql('update snapshot set next_action_at = now() where id = $1', [due])
    const savepoint = await insertSavepoint(database.db, ours, { status: 'Cleared' })
    await sql('update snapshot set completed_at = $2, supersedes = $3 where id = $1', [
      savepoint,
      old,
      superseded,
    ])
    await insertDropped(database.db, ours, { count: 100, endsAt: PAST })

    expect(await fold()).toBe(1)
    const gone = await sql<{ id: string }>('select unnest($1::uuid[]) as id except select id from snapshot', [
      [...kept, savepoint],
    ])
    expect(gone.map(({ id }) => id)).toEqual([free])
  })

  it('counts every checkpoint once when two workers fold at the same time, and again', async () => {
    await insertDropped(database.db, ours, { count: 600, endsAt: PAST })
    await insertDropped(database.db, theirs, { count: 400, endsAt: PAST })
    const jobs = [ours.jobId, theirs.jobId]
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, n) => fold(n % 2 === 0 ? jobs : [...jobs].reverse(), 90)),
    )
    while ((await fold(jobs, 90)) > 0) expect((await countRows()) ?? 0).toBeGreaterThanOrEqual(100)
    expect(Math.max(...answers)).toBeLessThanOrEqual(90)
    expect(await countRows()).toBe(100)
    const [row] = await sql<{ ours: number; theirs: number }>(
      `select sum(completed) filter (where job_id = $1)::int as ours, sum(completed) filter (where job_id = $2)::int as theirs
       from checkpoint_hour`,
      jobs,
    )
    expect(row).toEqual({ ours: 500, theirs: 300 })
  })

  it('folds only the jobs named, each into the hours of its own namespace', async () => {
    await insertDropped(database.db, ours, { count: 101, endsAt: PAST })
    await insertDropped(database.db, theirs, { count: 101, endsAt: PAST })
    expect(await fold([theirs.jobId])).toBe(1)
    expect(await countRows()).toBe(101)
    expect(await readHours()).toMatchObject([
      { namespace_id: theirs.caller.namespaceId, job_id: theirs.jobId },
    ])
  })

  it('survives figures no state can have', async () => {
    await insertDropped(database.db, ours, { count: 103, endsAt: PAST })
    await sql('update snapshot set size_bytes = $1, duration_ms = $1, uploaded_bytes = $1', [
      Number.MAX_SAFE_INTEGER,
    ])
    expect(await fold()).toBe(3)
    expect(await readHours()).toMatchObject([
      { size_bytes_sum: Number.MAX_SAFE_INTEGER, uploaded_bytes_sum: Number.MAX_SAFE_INTEGER },
    ])
  })

  it('goes over all jobs in rounds, and the overview shows the same totals before and after', async () => {
    const later = await insertRun(database.db, ours)
    await insertDropped(database.db, { ...ours, runId: later }, { count: 400, endsAt: PAST })
    await insertDropped(database.db, ours, { count: 40, endsAt: PAST, status: 'Failed' })
    const states = createJobStateRepository(database.db)
    const read = () => states.read(ours.caller, 'orders', 86_400)
    const before = await read()
    const folder = createCheckpointFolder({ history, jobsPerRound: 1, batchSize: 100 })
    for (let round = 0; round < 3; round++) await folder.round()
    const after = await read()
    expect(await countRows()).toBe(120)
    expect(after?.checkpoints.counts).toEqual({ ...before?.checkpoints.counts })
    expect(after?.checkpoints.counts).toMatchObject({ completed: 400, failed: 40 })
    expect(after?.history).toEqual(before?.history)
    expect(after?.checkpoints.lastSuccessful).toEqual(before?.checkpoints.lastSuccessful)
    expect(Date.parse(after?.checkpoints.coveredSince ?? '')).toBeGreaterThan(
      Date.parse(before?.checkpoints.coveredSince ?? ''),
    )
  })
})
