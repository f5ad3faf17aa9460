/**
 * The overview of a job and the alert on its restore point at 1,000,000 snapshots of one job: what they really send to
 * Postgres is explained, so a figure that would read the whole job shows here and not in production.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createCheckpointHistoryRepository } from '../../src/db/checkpoint-history.ts'
import { createJobStateRepository } from '../../src/db/job-state.ts'
import { createMetricsRepository } from '../../src/db/metrics.ts'
import { insertDropped } from '../support/checkpoints.ts'
import type { TestDatabase } from '../support/database.ts'
import type { Tenant } from '../support/fixtures.ts'
import { explaining, openMany, type PlanNode, rowsRead } from '../support/plans.ts'

/**
 * Two lists of at most 1000 (checkpoints and savepoints), and the probes beside them. Over a short window Postgres may read
 * the begun hour whole and sort it instead: as many seconds as it has lasted, at one snapshot a second.
 */
const MOST_ROWS_OF_STATE = 2_500 + 3_600

let database: TestDatabase
let ours: Tenant
let theirs: Tenant

beforeAll(async () => {
  ;({ database, ours, theirs } = await openMany('job_state_plan'))
}, 180_000)

afterAll(() => database?.drop())

const scansOf = (plan: readonly PlanNode[]) =>
  plan.filter((node) => node['Relation Name'] === 'snapshot').map((node) => node['Node Type'])

describe('at 1,000,000 snapshots of one job', () => {
  test.each([60, 86_400, 2_592_000])(
    'the overview over %i seconds reads no more than its lists',
    async (window) => {
      const { db, plan } = explaining(database.db)
      const state = await createJobStateRepository(db).read(ours.caller, 'orders', window)
      expect(state?.checkpoints.lastSuccessful).not.toBeNull()
      expect(state?.savepoints.lastFailed).not.toBeNull()
      expect(state?.restorePoint).not.toBeNull()
      expect(new Set(scansOf(plan)).has('Seq Scan')).toBe(false)
      expect(rowsRead(plan, 'snapshot')).toBeLessThan(MOST_ROWS_OF_STATE)
      const since = Date.parse(state?.checkpoints.coveredSince ?? '')
      expect(since).toBeGreaterThanOrEqual(Date.now() - window * 1000 - 60_000)
      expect(state?.history.length).toBeLessThanOrEqual(24 * 31)
    },
  )

  test('is as flat for the statement as it is prepared', async () => {
    const states = createJobStateRepository(database.db)
    const read = async () => {
      const begun = performance.now()
      await states.read(ours.caller, 'orders', 2_592_000)
      return performance.now() - begun
    }
    const times: number[] = []
    for (let n = 0; n < 20; n++) times.push(await read()) // by then Postgres uses a plan for any parameters
    expect(Math.min(...times.slice(10))).toBeLessThan(250)
  })

  test('the age of the restore point reads a handful of rows of a job', async () => {
    const { db, plan } = explaining(database.db)
    const [job] = await createMetricsRepository(db).readJobs(ours.caller)
    expect(job?.restorePointAgeSeconds).toBeLessThan(3_600)
    expect(new Set(scansOf(plan)).has('Seq Scan')).toBe(false)
    expect(rowsRead(plan, 'snapshot')).toBeLessThan(250)
  })

  test('a job with little to fold reads little, beside a large one', async () => {
    await insertDropped(database.db, theirs, { count: 130, endsAt: new Date(Date.now() - 60_000) })
    const { db, plan } = explaining(database.db)
    expect(await createCheckpointHistoryRepository(db).foldCheckpoints([theirs.jobId], 5_000)).toBe(0) // the explained one did
    const [kept] = await database.db.sql<{ n: number }>(
      'select count(*)::int as n from snapshot where job_id = $1',
      [theirs.jobId],
    )
    expect(kept?.n).toBe(100)
    expect(new Set(scansOf(plan)).has('Seq Scan')).toBe(false)
    expect(rowsRead(plan, 'snapshot')).toBeLessThan(400)
  })
})
