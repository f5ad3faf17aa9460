/**
 * [T-01] The list at 1,000,000 snapshots of one job: what it really sends to Postgres is explained, so a filter or an order
 * that would read the whole job shows here and not in production.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createSnapshotRepository } from '../../src/db/snapshots.ts'
import type { SnapshotFilter } from '../../src/ports/snapshots.ts'
import type { TestDatabase } from '../support/database.ts'
import { insertSavepoint, type Tenant } from '../support/fixtures.ts'
import { explaining, openMany, type PlanNode, rowsRead } from '../support/plans.ts'
import { FAILED_ROWS, forgetRareStatus } from '../support/seed-snapshots.ts'

const PAGE = 50

let database: TestDatabase
let ours: Tenant
let theirs: Tenant

beforeAll(async () => {
  ;({ database, ours, theirs } = await openMany('list_plan'))
}, 180_000)

afterAll(() => database?.drop())

/** Lists through the repository, with every statement of it run as EXPLAIN ANALYZE. */
async function planOf(filter: Partial<SnapshotFilter>, after: string | null): Promise<PlanNode[]> {
  const { db, plan } = explaining(database.db)
  await createSnapshotRepository(db).list(ours.caller, ofOurJob(filter), { pageSize: PAGE, after })
  return plan
}

const ofOurJob = (filter: Partial<SnapshotFilter> = {}): SnapshotFilter => ({
  job: 'orders',
  orderBy: 'createdAt',
  order: 'desc',
  ...filter,
})

const list = (filter: Partial<SnapshotFilter>, after: string | null) =>
  createSnapshotRepository(database.db).list(ours.caller, ofOurJob(filter), { pageSize: PAGE, after })

async function expectPagesInOrder(filter: Partial<SnapshotFilter>): Promise<void> {
  const first = await list(filter, null)
  expect(first.items).toHaveLength(PAGE)
  for (const after of [null, first.next]) {
    const plan = await planOf(filter, after)
    const scans = plan.filter((node) => node['Relation Name'] === 'snapshot')
    expect(scans.map((node) => node['Node Type'])).toEqual([expect.stringMatching(/^Index (Only )?Scan$/)])
    expect(rowsRead(plan, 'snapshot')).toBeLessThanOrEqual(PAGE + 1)
    // A sort could only be of the page, yet there is none: the index gives the order. (Attempts sort in their aggregate.)
    const sorted = plan.filter((node) => /Sort/.test(node['Node Type']) && (node['Actual Rows'] ?? 0) > 10)
    expect(sorted).toEqual([])
  }
}

describe('[T-01] a list of 50 at 1,000,000 snapshots of one job', () => {
  test.each<[string, Partial<SnapshotFilter>]>([
    ['without a filter', {}],
    ['of a rare status', { status: ['Failed'] }],
    ['of savepoints', { kind: 'SAVEPOINT' }],
    ['of a source', { source: ['MANUAL'] }],
    ['of a version', { version: 1 }],
    ['oldest first', { order: 'asc' }],
    ['by completion', { orderBy: 'completedAt' }],
  ])('reads an index in its order and no more than the page: %s', async (_, filter) => {
    await expectPagesInOrder(filter)
  })

  test('shows the newest first', async () => {
    const { items } = await list({}, null)
    const times = items.map((item) => item.createdAt)
    expect(times).toEqual([...times].sort().reverse())
    const newest = await database.db.sql<{ id: string }>(
      'select id from snapshot where job_id = $1 order by created_at desc, id desc limit 1',
      [ours.jobId],
    )
    expect(items[0]?.id).toBe(newest[0]?.id)
  })

  test('finds its job by name or id, and only in the namespace of the caller', async () => {
    const { list: listOf } = createSnapshotRepository(database.db)
    const page = { pageSize: PAGE, after: null }
    const byName = await listOf(ours.caller, ofOurJob(), page)
    expect(byName.items[0]?.job).toEqual({ id: ours.jobId, name: 'orders' })
    expect(await listOf(ours.caller, ofOurJob({ job: ours.jobId }), page)).toEqual(byName)
    const nothing = { items: [], next: null }
    for (const job of ['orders', ours.jobId, 'no-such-job', 'no job\0'])
      expect(await listOf(theirs.caller, ofOurJob({ job }), page)).toEqual(nothing)
  })

  test('keeps its pages while rows are added: nothing twice, nothing left out', async () => {
    const seen: string[] = []
    let after: string | null = null
    do {
      const page = await list({ status: ['Failed'] }, after)
      seen.push(...page.items.map((item) => item.id))
      await insertSavepoint(database.db, ours, { status: 'Failed' })
      after = page.next
    } while (after !== null)
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen).toHaveLength(FAILED_ROWS)
  })

  test.each<[string, Partial<SnapshotFilter>]>([
    ['newest first', {}],
    ['oldest first', { order: 'asc' }],
  ])('reads no more than the page of a status that the statistics have never met: %s', async (_, filter) => {
    await forgetRareStatus(database.db.pool, ours.jobId)
    await expectPagesInOrder({ status: ['Failed'], ...filter })
  })
})
