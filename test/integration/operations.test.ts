/** Bulk savepoints on a real Postgres: selection, leases, and one savepoint per item whatever is repeated or goes stale. */
import { randomBytes } from 'node:crypto'
import { v7 } from 'uuid'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Database } from '../../src/db/client.ts'
import { createClusterRepository } from '../../src/db/clusters.ts'
import { createOperationWorkRepository } from '../../src/db/operation-work.ts'
import { createOperationRepository } from '../../src/db/operations.ts'
import { createSnapshotRepository } from '../../src/db/snapshots.ts'
import type {
  Operation as AnyOperation,
  ItemStatus,
  BulkSavepointOperation as Operation,
} from '../../src/domain/operation.ts'
import type { OperationWork } from '../../src/ports/operations.ts'
import { type AdvanceOperationPorts, sweepOperations } from '../../src/services/advance-operation.ts'
import type { BulkSavepointInput, Caller } from '../../src/services/api.ts'
import { createBulkSavepoint } from '../../src/services/create-bulk-savepoint.ts'
import { getOperation } from '../../src/services/get-operation.ts'
import { listOperations } from '../../src/services/list-operations.ts'
import { requestSavepoint } from '../../src/services/request-savepoint.ts'
import { openMigratedDatabase, type TestDatabase } from '../support/database.ts'
import { createCaller, insertSavepoint, newFlinkJobId } from '../support/fixtures.ts'

let database: TestDatabase
let ours: Caller
let theirs: Caller
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }

beforeAll(async () => {
  database = await openMigratedDatabase('operations')
})
afterAll(() => database?.drop())

let round = 0
beforeEach(async () => {
  round++
  // What an earlier test left open is nobody's work here.
  await database.db.sql('update operation set next_action_at = null')
  ours = await createCaller(database.db, `ours-${round}`)
  theirs = await createCaller(database.db, `theirs-${round}`)
  for (const caller of [ours, theirs]) await createFleet(caller)
})

/** Two clusters of three jobs each; names are the same in both namespaces. */
async function createFleet(caller: Caller): Promise<void> {
  const storageId = v7()
  const root = `s3://${caller.namespace}/flink`
  await database.db.sql(
    `insert into storage (id, namespace_id, name, uri, root_key, provider) values ($1, $2, 'state', $3, $4, 'aws')`,
    [storageId, caller.namespaceId, root, `${root}/`],
  )
  for (const cluster of ['east', 'west']) {
    const clusterId = v7()
    await database.db.sql(
      `insert into cluster (id, namespace_id, name, url, reachable) values ($1, $2, $3, 'http://flink:8081', true)`,
      [clusterId, caller.namespaceId, cluster],
    )
    for (const number of [1, 2, 3]) {
      await createJob(caller, { clusterId, storageId, name: `${cluster}-${number}`, tier: String(number) })
    }
  }
}

type JobFacts = { clusterId: string; storageId: string; name: string; tier: string }

async function createJob(caller: Caller, { clusterId, storageId, name, tier }: JobFacts): Promise<void> {
  const [jobId, runId] = [v7(), v7()]
  await database.db.sql(
    `insert into job (id, namespace_id, name, cluster_id, savepoint_storage_id, attach_flink_job_name, labels)
     values ($1, $2, $3, $4, $5, $3, $6)`,
    [jobId, caller.namespaceId, name, clusterId, storageId, JSON.stringify({ tier, team: 'a' })],
  )
  await database.db.sql(
    `insert into run (id, namespace_id, job_id, cluster_id, flink_job_id, state, flink_state, flink_start_time, started_at)
     values ($1, $2, $3, $4, $5, 'RUNNING', 'RUNNING', 1, now())`,
    [runId, caller.namespaceId, jobId, clusterId, newFlinkJobId()],
  )
  await database.db.sql('update job set current_run_id = $1 where id = $2', [runId, jobId])
}

const readJob = async (caller: Caller, name: string) => {
  const [row] = await database.db.sql<{ id: string; cluster_id: string; storage_id: string; run_id: string }>(
    `select id, cluster_id, savepoint_storage_id as storage_id, current_run_id as run_id from job
     where namespace_id = $1 and name = $2`,
    [caller.namespaceId, name],
  )
  if (!row) throw new Error(`no job ${name}`)
  return { caller, jobId: row.id, clusterId: row.cluster_id, storageId: row.storage_id, runId: row.run_id }
}

function wire({ leaseMs = 60_000 }: { leaseMs?: number } = {}) {
  const snapshots = createSnapshotRepository(database.db)
  const operationWork = createOperationWorkRepository(database.db, { leaseMs, newLease: v7 })
  const ports = {
    clusters: createClusterRepository(database.db),
    operations: createOperationRepository(database.db),
    snapshots,
    nudges: { savepointDue: () => undefined },
    newId: v7,
    newTriggerId: () => randomBytes(16).toString('hex'),
    crashPoint: () => undefined,
  }
  const advance: AdvanceOperationPorts = {
    operationWork,
    requestSavepoint: requestSavepoint(ports),
    crashPoint: ports.crashPoint,
    log: silent,
    limits: { holdMs: 0 },
  }
  return {
    operationWork,
    advance,
    operations: ports.operations,
    create: createBulkSavepoint(ports),
    get: async (query: Parameters<ReturnType<typeof getOperation>>[0]) =>
      bulk(await getOperation(ports)(query)),
    list: listOperations(ports),
    async sweep() {
      const { claimed, done } = await sweepOperations(advance)(10)
      await done
      return claimed
    },
  }
}

const bulk = (operation: AnyOperation | null): Operation => {
  if (operation?.kind !== 'BULK_SAVEPOINT') throw new Error('not a bulk savepoint')
  return operation
}
const start = async (caller: Caller, input: BulkSavepointInput, key?: string): Promise<Operation> => {
  const idempotency = key === undefined ? undefined : { key, route: 'POST /v1/savepoints', bodyHash: 'body' }
  return (await wire().create({ caller, idempotency, ...input })).resource
}
const statusesOf = ({ items }: Operation): ItemStatus[] => items.map(({ status }) => status)
const namesOf = ({ items }: Operation): string[] => items.map(({ job }) => job.name)

/** What the workers of savepoints would do. */
const complete = (caller: Caller, ids: readonly (string | null)[]) =>
  database.db.sql(
    `update snapshot set status = 'Present', completed_at = now(), settled_at = now(), location = 's3://x/' || id
     where namespace_id = $1 and id = any($2::uuid[])`,
    [caller.namespaceId, ids.filter((id) => id !== null)],
  )
const dueAgain = (id: string) =>
  database.db.sql(
    'update operation set next_action_at = now(), lease_until = null, lease_token = null where id = $1',
    [id],
  )
const countSnapshots = async (caller: Caller): Promise<number> => {
  const [row] = await database.db.sql<{ count: number }>(
    'select count(*) from snapshot where namespace_id = $1',
    [caller.namespaceId],
  )
  return row?.count ?? -1
}
const claim = async (options?: { leaseMs?: number }): Promise<OperationWork> => {
  const [work] = await wire(options).operationWork.claimDue(1)
  if (!work) throw new Error('nothing was due')
  return work
}

describe('a bulk savepoint', () => {
  it('selects by cluster, by labels and by both, in its namespace only', async () => {
    expect(namesOf(await start(ours, { cluster: 'east' }))).toEqual(['east-1', 'east-2', 'east-3'])
    expect(namesOf(await start(ours, { labels: { tier: '2' } }))).toEqual(['east-2', 'west-2'])
    expect(namesOf(await start(ours, { cluster: 'west', labels: { tier: '2', team: 'a' } }))).toEqual([
      'west-2',
    ])
    const { clusterId } = await readJob(theirs, 'east-1')
    await expect(start(ours, { cluster: clusterId })).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' })
  })

  it('needs a selection that selects something', async () => {
    await expect(start(ours, {})).rejects.toMatchObject({ code: 'VALIDATION_FAILED' })
    await expect(start(ours, { labels: { tier: '9' } })).rejects.toMatchObject({ code: 'NOTHING_SELECTED' })
    const { operations } = wire()
    const refused = await operations.insertBulkSavepoint(ours, {
      id: v7(),
      request: { cluster: null, labels: { team: 'a' }, maxParallel: 5, savepoint: {} },
      selection: { clusterId: null, labels: { team: 'a' } },
      maxJobs: 5,
      createdBy: 'token:test',
    })
    expect(refused).toEqual({ kind: 'refused', selected: 6 })
    expect((await wire().list({ caller: ours })).items).toEqual([])
  })

  it('is one for one key: asked again, by two at once, and when no job matches any more', async () => {
    const { create } = wire()
    const command = {
      caller: ours,
      idempotency: { key: 'k', route: 'POST /v1/savepoints', bodyHash: 'body' },
      cluster: 'east',
    }
    const both = await Promise.all([create(command), create(command)])
    await database.db.sql(`update job set deleted_at = now() where namespace_id = $1`, [ours.namespaceId])
    const later = await create(command)
    expect(new Set([...both, later].map(({ resource }) => resource.id)).size).toBe(1)
    expect([...both.map(({ replayed }) => replayed).sort(), later.replayed]).toEqual([false, true, true])
    expect((await wire().list({ caller: ours })).items).toHaveLength(1)
    const otherBody = { ...command, idempotency: { ...command.idempotency, bodyHash: 'other' } }
    await expect(create(otherBody)).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' })
  })

  it('is not found by another tenant, and not in its list', async () => {
    const { id } = await start(ours, { cluster: 'east' })
    await expect(wire().get({ caller: theirs, operation: id })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect((await wire().list({ caller: theirs })).items).toEqual([])
  })

  it('shows its items by pages', async () => {
    const { id } = await start(ours, { labels: { team: 'a' } })
    const { operations } = wire()
    const first = bulk(await operations.find(ours, id, { pageSize: 4, after: null }))
    const second = bulk(await operations.find(ours, id, { pageSize: 4, after: first.nextPageToken }))
    expect(first.items.map(({ position }) => position)).toEqual([1, 2, 3, 4])
    expect(second.items.map(({ position }) => position)).toEqual([5, 6])
    expect(second.nextPageToken).toBeNull()
    const other = await start(ours, { cluster: 'east' })
    const strange = operations.find(ours, other.id, { pageSize: 4, after: first.nextPageToken ?? '' })
    await expect(strange).rejects.toMatchObject({ code: 'PAGE_TOKEN_INVALID' })
  })

  it('goes through its jobs with never more than allowed in flight, and reports', async () => {
    const { id } = await start(ours, {
      labels: { team: 'a' },
      maxParallel: 2,
      savepoint: { labels: { why: 'x' } },
    })
    const { sweep, get } = wire()
    const seen: number[] = []
    for (let turn = 0; turn < 10; turn++) {
      await dueAgain(id)
      await sweep()
      const now = await get({ caller: ours, operation: id })
      if (now.status !== 'RUNNING') break
      const flying = now.items.filter(({ snapshotStatus }) => snapshotStatus === 'Creating')
      seen.push(flying.length)
      await complete(
        ours,
        flying.map(({ snapshot }) => snapshot),
      )
    }
    const ended = await get({ caller: ours, operation: id })
    expect(Math.max(...seen)).toBe(2)
    expect([ended.status, ended.counts.done, ended.endedAt]).toEqual(['SUCCEEDED', 6, expect.any(String)])
    expect((await wire().list({ caller: ours })).items[0]).toMatchObject({ counts: ended.counts })
    const [snapshot] = await database.db.sql<{ labels: object; created_by: string; description: string }>(
      'select labels, created_by, description from snapshot where id = $1',
      [ended.items[0]?.snapshot],
    )
    expect(snapshot).toEqual({
      labels: { why: 'x' },
      created_by: `operation:${id}`,
      description: `Savepoint of east-1 by operation:${id}, requested by token:test`,
    })
    const events = await database.db.sql<{ data: { to: string } }>(
      `select data from history.event where namespace_id = $1 and type = 'operation.status' order by seq`,
      [ours.namespaceId],
    )
    expect(events.map(({ data }) => data)).toEqual([
      { operation: id, kind: 'BULK_SAVEPOINT', from: null, to: 'RUNNING' },
      { operation: id, kind: 'BULK_SAVEPOINT', from: 'RUNNING', to: 'SUCCEEDED' },
    ])
    expect(await countSnapshots(theirs)).toBe(0)
  })

  it('joins what is in progress, skips what does not run, and fails what may not be touched', async () => {
    const joined = await insertSavepoint(database.db, await readJob(ours, 'east-1'))
    await endRun(ours, 'east-2')
    await database.db.sql(
      `update job set ambiguous = '["a","b"]' where namespace_id = $1 and name = 'east-3'`,
      [ours.namespaceId],
    )
    const { id } = await start(ours, { cluster: 'east' })
    const { sweep, get } = wire()
    await sweep()
    await complete(ours, [joined])
    await dueAgain(id)
    await sweep()
    await dueAgain(id)
    await sweep()
    const ended = await get({ caller: ours, operation: id })
    expect(ended.status).toBe('PARTIAL')
    expect(ended.items).toMatchObject([
      { status: 'DONE', joined: true, snapshot: joined, failure: null },
      { status: 'SKIPPED', joined: false, snapshot: null, failure: { code: 'JOB_NOT_RUNNING' } },
      { status: 'FAILED', joined: false, snapshot: null, failure: { code: 'JOB_AMBIGUOUS' } },
    ])
    expect(await countSnapshots(ours)).toBe(1)
  })
})

/** Seen as ended just now, by a living observer. */
async function endRun(caller: Caller, name: string): Promise<void> {
  const { runId, clusterId } = await readJob(caller, name)
  const worker = v7()
  await database.db.sql('insert into worker (id, heartbeat_at) values ($1, now())', [worker])
  await database.db.sql('update cluster set observer_id = $1 where id = $2', [worker, clusterId])
  await database.db.sql(`update run set state = 'FINISHED', ended_at = now() where id = $1`, [runId])
}

describe('the work on a bulk savepoint', () => {
  it('is claimed by one of two workers at once', async () => {
    await start(ours, { cluster: 'east' })
    const claims = await Promise.all([wire().operationWork.claimDue(5), wire().operationWork.claimDue(5)])
    expect(claims.flat()).toHaveLength(1)
  })

  it('takes no second savepoint after a worker died between creating one and recording it', async () => {
    const { id } = await start(ours, { cluster: 'east', maxParallel: 2 })
    const dying = wire()
    // The answers never reach the items.
    dying.advance.operationWork = {
      ...dying.operationWork,
      recordAnswers: () => Promise.reject(new Error('died')),
    }
    await dying.sweep()
    expect(await countSnapshots(ours)).toBe(2)
    const before = await wire().get({ caller: ours, operation: id })
    expect(before.items.map(({ status, snapshot }) => [status, snapshot])).toEqual([
      ['RUNNING', null],
      ['RUNNING', null],
      ['WAITING', null],
    ])
    await dueAgain(id)
    await wire().sweep()
    const after = await wire().get({ caller: ours, operation: id })
    expect(after.items.map(({ status, snapshotStatus }) => [status, snapshotStatus])).toEqual([
      ['RUNNING', 'Creating'],
      ['RUNNING', 'Creating'],
      ['WAITING', null],
    ])
    expect(after.items.every(({ joined }) => !joined)).toBe(true)
    expect(await countSnapshots(ours)).toBe(2)
  })

  it('refuses every write of a worker whose lease another one has', async () => {
    const { id } = await start(ours, { cluster: 'east' })
    const stale = await claim({ leaseMs: 0 })
    const current = await claim()
    expect(current.id).toBe(id)
    const { operationWork } = wire()
    const end = { status: 'DONE', failure: null } as const
    const key = { principal: 'p', route: 'r', key: 'k', bodyHash: 'b' }
    const counts = { waiting: 0, running: 0, done: 3, failed: 0, skipped: 0 }
    expect(await operationWork.recordStep(stale, { finish: [{ position: 1, end }], takeUp: [2] })).toBe(false)
    expect(await operationWork.recordAnswers(stale, [{ position: 1, key, refusal: end }])).toBe(false)
    expect(await operationWork.end(stale, 'SUCCEEDED', counts)).toBe(false)
    expect(await operationWork.release(stale, { nextActionInMs: 0, tries: 0 })).toBe(false)
    expect(statusesOf(await wire().get({ caller: ours, operation: id }))).toEqual([
      'WAITING',
      'WAITING',
      'WAITING',
    ])
    expect(await operationWork.recordStep(current, { finish: [], takeUp: [1] })).toBe(true)
    const records = await database.db.sql(`select 1 from idempotency_record where principal = 'p'`)
    expect(records).toEqual([])
  })

  it('is not ended while an item is open', async () => {
    await start(ours, { cluster: 'east' })
    const work = await claim()
    const counts = { waiting: 3, running: 0, done: 0, failed: 0, skipped: 0 }
    expect(await wire().operationWork.end(work, 'SUCCEEDED', counts)).toBe(false)
  })

  it('lets a stale worker begin no savepoint for an item that has been refused meanwhile', async () => {
    await database.db.sql(
      `update job set ambiguous = '["a","b"]' where namespace_id = $1 and name = 'east-1'`,
      [ours.namespaceId],
    )
    const { id } = await start(ours, { cluster: 'east', labels: { tier: '1' } })
    const { sweep, get, advance } = wire()
    await sweep()
    expect(statusesOf(await get({ caller: ours, operation: id }))).toEqual(['FAILED'])
    await database.db.sql('update job set ambiguous = null where namespace_id = $1', [ours.namespaceId])
    const { jobId } = await readJob(ours, 'east-1')
    const late = advance.requestSavepoint({
      caller: { ...ours, principal: `operation:${id}` },
      idempotency: { key: jobId, route: 'bulk savepoint', bodyHash: 'item' },
      job: jobId,
      ifRunning: 'JOIN',
    })
    await expect(late).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' })
    expect(await countSnapshots(ours)).toBe(0)
  })

  it('keeps an item open when its savepoint exists although it was refused', async () => {
    const { id } = await start(ours, { cluster: 'east', labels: { tier: '1' } })
    const work = await claim()
    const { operationWork, advance, get, sweep } = wire()
    await operationWork.recordStep(work, { finish: [], takeUp: [1] })
    const { jobId } = await readJob(ours, 'east-1')
    const { resource } = await advance.requestSavepoint({
      caller: { ...ours, principal: `operation:${id}` },
      idempotency: { key: jobId, route: 'bulk savepoint', bodyHash: 'item' },
      job: jobId,
    })
    const key = { principal: `operation:${id}`, route: 'bulk savepoint', key: jobId, bodyHash: 'item' }
    const refusal = { status: 'SKIPPED', failure: { code: 'JOB_NOT_RUNNING', message: 'it seemed' } } as const
    expect(await operationWork.recordAnswers(work, [{ position: 1, key, refusal }])).toBe(true)
    expect(statusesOf(await get({ caller: ours, operation: id }))).toEqual(['RUNNING'])
    await dueAgain(id)
    await sweep()
    expect((await get({ caller: ours, operation: id })).items[0]?.snapshot).toBe(resource.id)
  })

  it('reads only the first open items, however many wait', async () => {
    const { id } = await start(ours, { cluster: 'east' })
    const { jobId } = await readJob(ours, 'east-1')
    await database.db.sql(
      `with many as (
         insert into job (id, namespace_id, name, cluster_id, savepoint_storage_id)
         select gen_random_uuid(), namespace_id, 'many-' || n, cluster_id, savepoint_storage_id
         from job, generate_series(1, 5000) n where id = $1 returning id, namespace_id)
       insert into operation_item (namespace_id, operation_id, position, job_id)
       select namespace_id, $2, 3 + row_number() over (), id from many`,
      [jobId, id],
    )
    await database.db.sql('analyze operation_item, job, snapshot')
    const sent: { text: string; values: readonly unknown[] }[] = []
    const spied: Database = {
      ...database.db,
      sql: (text, values = []) => {
        sent.push({ text, values })
        return database.db.sql(text, values)
      },
    }
    const work = await claim()
    await createOperationWorkRepository(spied, { leaseMs: 1, newLease: v7 }).listOpen(work, 10)
    const rows = await spied.sql(`explain (analyze, format json) ${sent[0]?.text}`, sent[0]?.values)
    const plan = JSON.stringify(rows)
    expect(plan).toContain('operation_item')
    expect(
      Math.max(...[...plan.matchAll(/"Actual Rows":\s*(\d+)/g)].map(([, rows]) => Number(rows))),
    ).toBeLessThan(50)
  })
})
