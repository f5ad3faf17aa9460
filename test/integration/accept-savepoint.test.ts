/** What accepting a savepoint answers without reading it back, and contexts that are read together. */
import { randomBytes } from 'node:crypto'
import { v7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createSnapshotRepository } from '../../src/db/snapshots.ts'
import type { NewSavepoint } from '../../src/ports/snapshots.ts'
import { openMigratedDatabase, type TestDatabase } from '../support/database.ts'
import { createTenants, type Tenant } from '../support/fixtures.ts'

let database: TestDatabase
let tenants: { ours: Tenant; theirs: Tenant }

beforeAll(async () => {
  database = await openMigratedDatabase('accept')
  tenants = await createTenants(database.db)
})
afterAll(() => database?.drop())

test('reads the contexts of callers that come together, each of its own namespace', async () => {
  const { ours, theirs } = tenants
  const { readContext } = createSnapshotRepository(database.db)
  const asked = [
    [ours, 'orders'],
    [theirs, 'orders'],
    [ours, 'nothing-like-it'],
    [ours, theirs.jobId],
    [theirs, theirs.jobId],
    [ours, 'orders'],
  ] as const
  const contexts = await Promise.all(
    asked.flatMap(([tenant, job]) => [
      readContext(tenant.caller, job, false),
      readContext(tenant.caller, job, true),
    ]),
  )
  const found = [ours.jobId, theirs.jobId, undefined, undefined, theirs.jobId, ours.jobId]
  expect(contexts.map((context) => context?.job.id)).toEqual(found.flatMap((id) => [id, id]))
})

const newSavepoint = ({ jobId, runId, storageId }: Tenant, job = jobId): NewSavepoint => {
  const id = v7()
  return {
    id,
    job: { id: job, name: 'orders' },
    runId: job === jobId ? runId : null,
    jobVersion: null,
    storage: { id: storageId, name: 'state' },
    source: 'MANUAL',
    description: 'before the upgrade',
    labels: { team: 'b', area: 'a' },
    format: 'NATIVE',
    timeoutSeconds: 60,
    expiresAt: '2099-01-01T00:00:00.000Z',
    ownedPrefix: `s3://ours/flink/ours/orders/savepoints/${id}/`,
    directory: `s3://ours/flink/ours/orders/savepoints/${id}/1/`,
    triggerId: randomBytes(16).toString('hex'),
    createdBy: 'token:test',
  }
}
const keyOf = (key: string) => ({ principal: 'token:test', route: 'POST savepoints', key, bodyHash: 'h' })
const count = async (table: string) =>
  (await database.db.sql<{ n: number }>(`select count(*)::int as n from ${table}`))[0]?.n

test('answers the accepted savepoint as it reads afterwards', async () => {
  const { caller } = tenants.ours
  const snapshots = createSnapshotRepository(database.db)
  const savepoint = newSavepoint(tenants.ours)
  const inserted = await snapshots.insertSavepoint(caller, savepoint)
  expect(inserted.kind === 'inserted' && inserted.snapshot).toEqual(
    await snapshots.find(caller, savepoint.id),
  )
})

describe('savepoints that are accepted together', () => {
  const addJobs = async ({ caller, jobId }: Tenant, number: number) => {
    const ids = Array.from({ length: number }, () => v7())
    await database.db.sql(
      `insert into job (id, namespace_id, name, cluster_id, savepoint_storage_id)
       select new.id, j.namespace_id, 'job-' || new.id, j.cluster_id, j.savepoint_storage_id
       from job j, unnest($3::uuid[]) as new(id) where j.id = $1 and j.namespace_id = $2`,
      [jobId, caller.namespaceId, ids],
    )
    return ids
  }
  const tables = ['snapshot', 'attempt', 'history.snapshot_transition', 'history.event', 'idempotency_record']

  test('all stand with attempt, transition, event and key, each in its own namespace', async () => {
    const snapshots = createSnapshotRepository(database.db)
    const before = await Promise.all(tables.map(count))
    const jobs = [tenants.ours, tenants.theirs].map(async (tenant) =>
      (await addJobs(tenant, 20)).map((job) => ({ tenant, savepoint: newSavepoint(tenant, job) })),
    )
    const all = (await Promise.all(jobs)).flat()
    const answers = await Promise.all(
      all.map(({ tenant, savepoint }) =>
        snapshots.insertSavepoint(tenant.caller, savepoint, keyOf(savepoint.id)),
      ),
    )
    expect(answers.map(({ kind }) => kind)).toEqual(all.map(() => 'inserted'))
    const after = await Promise.all(tables.map(count))
    expect(after.map((rows, index) => (rows ?? 0) - (before[index] ?? 0))).toEqual(tables.map(() => 40))
    for (const { tenant, savepoint } of all) {
      expect(await snapshots.find(tenant.caller, savepoint.id)).toMatchObject({
        triggerId: savepoint.triggerId,
      })
      const key = keyOf(savepoint.id)
      expect(await snapshots.findIdempotent(tenant.caller, key)).toEqual({
        kind: 'replayed',
        id: savepoint.id,
      })
    }
  })

  test('are accepted beside those whose job has one, whose key is taken and whose job is of others', async () => {
    const snapshots = createSnapshotRepository(database.db)
    const { ours, theirs } = tenants
    const [free, twice, keyed, foreign] = await addJobs(ours, 4)
    if (!free || !twice || !keyed || !foreign) throw new Error('no jobs')
    const insert = (job: string, key: string, tenant = ours) =>
      snapshots.insertSavepoint(tenant.caller, newSavepoint(tenant, job), keyOf(key))
    const answers = await Promise.all([
      insert(twice, 'twice-1'),
      insert(free, 'same'),
      insert(keyed, 'same'),
      insert(twice, 'twice-2'),
      insert(foreign, 'foreign', theirs),
    ])
    const kinds = answers.map(({ kind }) => kind)
    expect([kinds[0], kinds[3]].sort()).toEqual(['in-progress', 'inserted'])
    expect([kinds[1], kinds[2]].sort()).toEqual(['idempotency-race', 'inserted'])
    expect(kinds[4]).toBe('in-progress') // there is no such job to them
    const rows = await database.db.sql('select id from snapshot where job_id = any($1::uuid[])', [
      [free, twice, keyed, foreign],
    ])
    expect(rows).toHaveLength(2)
  })

  test('wait for nobody whose job is being deleted', async () => {
    const snapshots = createSnapshotRepository(database.db)
    const [deleted, other] = await addJobs(tenants.ours, 2)
    if (!deleted || !other) throw new Error('no jobs')
    const holder = await database.db.pool.connect()
    try {
      await holder.query('begin')
      await holder.query('select 1 from job where id = $1 for update', [deleted])
      await holder.query('update job set deleted_at = now() where id = $1', [deleted])
      const { caller } = tenants.ours
      const late = snapshots.insertSavepoint(caller, newSavepoint(tenants.ours, deleted))
      expect((await snapshots.insertSavepoint(caller, newSavepoint(tenants.ours, other))).kind).toBe(
        'inserted',
      )
      await holder.query('commit')
      expect((await late).kind).toBe('in-progress')
    } finally {
      holder.release()
    }
  })
})
