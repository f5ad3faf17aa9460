/**
 * What a round of retention reads of a job with 1,000,000 snapshots, 100,000 of them the rule's: what is really sent to
 * Postgres is explained, so a statement that would read the whole job shows here and not in production.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Database } from '../../src/db/client.ts'
import { createRetentionRepository } from '../../src/db/retention.ts'
import { createRetentionWorkRepository } from '../../src/db/retention-work.ts'
import { isRuled } from '../../src/domain/retention.ts'
import type { DueJob } from '../../src/ports/retention.ts'
import type { TestDatabase } from '../support/database.ts'
import type { Tenant } from '../support/fixtures.ts'
import { explaining, nodesOf, openMany, type PlanNode, rowsRead } from '../support/plans.ts'

/** The newest 1,000, which stay, and one page of what goes. */
const MOST_ROWS = 2_500

let database: TestDatabase
let ours: Tenant

beforeAll(async () => {
  ;({ database, ours } = await openMany('retention_plan'))
  const client = await database.db.pool.connect()
  try {
    await client.query('begin')
    await client.query('set local session_replication_role = replica')
    await client.query('set local statement_timeout = 0')
    await client.query(
      `update snapshot set source = 'SCHEDULE', expires_at = case when flink_checkpoint_id % 20 = 0 then now() end
       where kind = 'SAVEPOINT'`,
    )
    await client.query('commit')
  } finally {
    client.release()
  }
  await database.db.pool.query('vacuum analyze snapshot')
}, 240_000)
afterAll(() => database?.drop())

async function save(rule: { keepCount: number | null; maxAgeSeconds: number | null }): Promise<void> {
  await database.db.sql('truncate retention')
  await database.db.sql(
    `insert into retention (id, namespace_id, job_id, keep_count, max_age_seconds, created_by)
     values (gen_random_uuid(), $1, $2, $3, $4, 'test')`,
    [ours.caller.namespaceId, ours.jobId, rule.keepCount, rule.maxAgeSeconds],
  )
  await database.db.sql('update rule_round set due_at = now(), after_id = null, after_at = null')
}

async function explain<Result>(
  ask: (db: Database) => Promise<Result>,
): Promise<{ result: Result; plan: PlanNode[] }> {
  const { db, plan } = explaining(database.db)
  return { result: await ask(db), plan }
}
const expectFlat = (plan: readonly PlanNode[]) => {
  expect(nodesOf(plan, 'snapshot').map((node) => node['Node Type'])).not.toContain('Seq Scan')
  expect(rowsRead(plan, 'snapshot')).toBeLessThan(MOST_ROWS)
}
const WHOLE = { after: '00000000-0000-0000-0000-000000000000', until: 'ffffffff-ffff-ffff-ffff-ffffffffffff' }

describe('a round of retention', () => {
  test.each([
    [{ keepCount: 1_000, maxAgeSeconds: null }],
    [{ keepCount: null, maxAgeSeconds: 3_600 }],
    [{ keepCount: 500, maxAgeSeconds: 100_000 }],
    [{ keepCount: null, maxAgeSeconds: 315_360_000 }],
  ])('reads no more than what stays and one page with %j', async (rule) => {
    await save(rule)
    const { result: due, plan } = await explain((db) => createRetentionWorkRepository(db).listDue(WHOLE))
    expectFlat(plan)
    const nothingDue = rule.maxAgeSeconds === 315_360_000
    expect(due.map(({ job }) => job.id)).toEqual(nothingDue ? [] : [ours.jobId])
    if (nothingDue) return
    const page = { limit: 200, except: [] }
    const { result, plan: candidates } = await explain((db) =>
      createRetentionWorkRepository(db).listCandidates(due[0] as DueJob, page),
    )
    expect(result.candidates).toHaveLength(200)
    expectFlat(candidates)
  })

  test('goes over the jobs without looking at a snapshot', async () => {
    await save({ keepCount: 1, maxAgeSeconds: null })
    const { plan } = await explain((db) =>
      createRetentionWorkRepository(db).claimJobs({ limit: 1_000, everyMs: 60_000 }),
    )
    expect(nodesOf(plan, 'snapshot')).toEqual([])
  })

  test('takes one page of 50,000 expired ones', async () => {
    const { plan } = await explain((db) =>
      createRetentionWorkRepository(db).claimExpired({ limit: 200, everyMs: 60_000 }),
    )
    expectFlat(plan)
  })
})

describe('a preview', () => {
  test('reads the newest 1,000 that the rule owns', async () => {
    const { result, plan } = await explain((db) =>
      createRetentionRepository(db).readHistory(ours.caller, ours.jobId, 1_000),
    )
    expect(result).toMatchObject({ more: true, running: true })
    expect(result?.snapshots.filter(isRuled)).toHaveLength(1_000)
    expect(nodesOf(plan, 'snapshot').map((node) => node['Node Type'])).not.toContain('Seq Scan')
    expect(rowsRead(plan, 'snapshot')).toBeLessThan(5_000)
  })

  test('counts at most 10,000 that nothing clears', async () => {
    const { result } = await explain((db) =>
      createRetentionRepository(db).countUnruled(ours.caller, ours.jobId, false, 10_000),
    )
    expect(result).toEqual({ savepoints: 10_000, bytes: 10_000 * 65_536, more: true })
  })
})
