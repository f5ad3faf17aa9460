/**
 * Who shares files, at 1,000,000 files: what is really sent to Postgres is explained, so a question that would read the whole
 * table shows here and not in production.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createInspectionRepository } from '../../src/db/inspections.ts'
import { openMigratedDatabase, type TestDatabase } from '../support/database.ts'
import { createTenants, type Tenant } from '../support/fixtures.ts'
import { explaining, MANY, nodesOf, rowsRead } from '../support/plans.ts'

const FILES = 1_000
const SNAPSHOTS = MANY / FILES
/** Each checkpoint adds this many files to those of the one before: a file is needed by ten in a row. */
const NEW_FILES = 100
const SHARED = 's3://ours/flink/shared/'

let database: TestDatabase
let ours: Tenant
let theirs: Tenant
let middle: string

beforeAll(async () => {
  database = await openMigratedDatabase('inspection_plan')
  ;({ ours, theirs } = await createTenants(database.db))
  const client = await database.db.pool.connect()
  try {
    await client.query('begin')
    // Rules and references are not checked meanwhile, and the index is built once.
    await client.query('set local session_replication_role = replica')
    await client.query('set local statement_timeout = 0')
    const { rows } = await client.query<{ definition: string }>(
      `select pg_get_indexdef('snapshot_file_key_idx'::regclass) as definition`,
    )
    await client.query('drop index snapshot_file_key_idx')
    await client.query(
      `insert into snapshot (id, namespace_id, job_id, run_id, kind, status, reason, source, description, flink_checkpoint_id,
         completed_at, settled_at, location, location_key, created_by)
       select md5(n::text)::uuid, $1, $2, $3, 'CHECKPOINT', 'Present', 'OBSERVED', 'SYSTEM', '', n, now(), now(),
         's3://ours/flink/chk-' || n, 's3://ours/flink/chk-' || n, 'flink'
       from generate_series(1, ${SNAPSHOTS}) n`,
      [ours.caller.namespaceId, ours.jobId, ours.runId],
    )
    await client.query(
      `insert into snapshot_file (namespace_id, snapshot_id, position, file_key, path, kind, roles, size_bytes, "references",
         may_be_shared)
       select $1, md5(n::text)::uuid, f, k.key, k.key, 'absolute', '{managedKeyed/incrementalShared}', 1000, 1, true
       from generate_series(1, ${SNAPSHOTS}) n, generate_series(0, ${FILES - 1}) f,
         lateral (select '${SHARED}' || lpad((n * ${NEW_FILES} + f)::text, 12, '0') as key) k`,
      [ours.caller.namespaceId],
    )
    for (const { definition } of rows) await client.query(definition)
    await client.query('commit')
  } finally {
    client.release()
  }
  await database.db.pool.query('vacuum analyze snapshot, snapshot_file')
  middle = await idOf(SNAPSHOTS / 2)
}, 180_000)

afterAll(() => database?.drop())

const idOf = async (n: number): Promise<string> => {
  const [row] = await database.db.sql<{ id: string }>('select md5($1::text)::uuid as id', [String(n)])
  return row?.id ?? ''
}
const keyOf = (file: number): string => `${SHARED}${String(file).padStart(12, '0')}`

function explain() {
  const { db, plan } = explaining(database.db)
  return { repository: createInspectionRepository(db), plan }
}

function expectIndexes(plan: ReturnType<typeof explain>['plan'], mostRows: number): void {
  for (const table of ['snapshot_file', 'snapshot']) {
    expect(nodesOf(plan, table).map((node) => node['Node Type'])).not.toContain('Seq Scan')
  }
  expect(nodesOf(plan, 'snapshot_file')).not.toEqual([])
  expect(rowsRead(plan, 'snapshot_file')).toBeLessThanOrEqual(mostRows)
}

describe('at 1,000,000 files of 1,000 snapshots', () => {
  test('who shares the files of one is looked up file by file', async () => {
    const { repository, plan } = explain()
    const sharers = await repository.listSharers(ours.caller, middle, 50)
    expect(sharers.map(({ files }) => files)).toEqual(
      [9, 9, 8, 8, 7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1].map((n) => n * 100),
    )
    // Its own files, and for each those of the ten that need it.
    expectIndexes(plan, 12 * FILES)
  })

  test('who needs something below a folder is one range', async () => {
    const { repository, plan } = explain()
    const needers = await repository.listNeedersBelow(ours.caller, 's3://ours/flink/chk-7/', null, 50)
    expect(needers).toEqual([])
    expectIndexes(plan, 0)
    expect(await repository.listNeedersBelow(theirs.caller, SHARED, null, 50)).toEqual([])
  })

  test('which of 5,000 keys are needed is looked up key by key', async () => {
    const { repository, plan } = explain()
    const keys = Array.from({ length: 5_000 }, (_, n) => keyOf(n))
    const needed = await repository.findNeeded(ours.caller, keys, [middle])
    expect(needed.toSorted()).toEqual(keys.slice(NEW_FILES))
    expectIndexes(plan, 12 * keys.length)
    const last = keyOf(SNAPSHOTS * NEW_FILES + FILES - 1)
    expect(await repository.findNeeded(ours.caller, [last], [])).toEqual([last])
    expect(await repository.findNeeded(ours.caller, [last], [await idOf(SNAPSHOTS)])).toEqual([])
  })

  test('a page of files, its needs and the uninspected ones are read by their snapshot', async () => {
    const { repository, plan } = explain()
    const page = await repository.listFiles(ours.caller, middle, { pageSize: 50, after: null })
    expect(page.items).toHaveLength(50)
    expectIndexes(plan, 51)
    const counted = explain()
    const needs = await counted.repository.countNeeds(ours.caller, middle, 's3://ours/flink/chk-500/')
    expect(needs).toEqual({ files: FILES, outside: FILES, unplaced: 0 })
    expectIndexes(counted.plan, FILES)
    expect(await repository.countUninspected(ours.caller, middle)).toBe(SNAPSHOTS - 1)
  })

  test('is as flat for statements that are prepared', async () => {
    const repository = createInspectionRepository(database.db)
    const times: number[] = []
    for (let n = 0; n < 12; n++) {
      const begun = performance.now()
      await repository.listSharers(ours.caller, middle, 50)
      times.push(performance.now() - begun)
    }
    expect(Math.min(...times)).toBeLessThan(500)
  })
})
