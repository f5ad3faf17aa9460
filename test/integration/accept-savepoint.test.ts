/** What accepting a savepoint answers without reading it back, and contexts that are read together. */
import { randomBytes } from 'node:crypto'
import { v7 } from 'uuid'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createSnapshotRepository } from '../../src/db/snapshots.ts'
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

test('answers the accepted savepoint as it reads afterwards', async () => {
  const { caller, jobId, runId, storageId } = tenants.ours
  const snapshots = createSnapshotRepository(database.db)
  const id = v7()
  const inserted = await snapshots.insertSavepoint(caller, {
    id,
    job: { id: jobId, name: 'orders' },
    runId,
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
  })
  expect(inserted.kind === 'inserted' && inserted.snapshot).toEqual(await snapshots.find(caller, id))
})
