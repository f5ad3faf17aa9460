/** Stops on a real Postgres and a simulated Flink: whatever is repeated, killed or late, one /stop with one trigger id. */
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { v7 } from 'uuid'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { createCheckpointRepository } from '../../src/db/checkpoints.ts'
import { createLifecycleWorkRepository } from '../../src/db/lifecycle-work.ts'
import { createLifecycleRepository } from '../../src/db/lifecycles.ts'
import { createObservationRepository } from '../../src/db/observations.ts'
import { createSavepointWorkRepository } from '../../src/db/savepoint-work.ts'
import type { StopRequest as FlinkStopRequest } from '../../src/domain/flink.ts'
import { parseLocation } from '../../src/domain/location.ts'
import { CANCEL_STEPS, type OperationStep, STOP_STEPS, type StopRequest } from '../../src/domain/operation.ts'
import { plannedSteps } from '../../src/domain/operation-steps.ts'
import { createFlinkConnections } from '../../src/flink/connections.ts'
import type { FlinkConnections } from '../../src/ports/flink.ts'
import type { StopWork } from '../../src/ports/lifecycle.ts'
import type { ObjectStores } from '../../src/ports/storage.ts'
import { sweepLifecycles } from '../../src/services/advance-lifecycle.ts'
import { sweepSavepoints } from '../../src/services/advance-savepoint.ts'
import { advanceStop } from '../../src/services/advance-stop.ts'
import type { Caller } from '../../src/services/api.ts'
import { createCheckpointObserver } from '../../src/services/observe-checkpoints.ts'
import { createClusterObserver } from '../../src/services/observe-cluster.ts'
import { createClusterWatch } from '../../src/services/observe-clusters.ts'
import { createSecrets } from '../../src/storage/secrets.ts'
import { createObjectStores } from '../../src/storage/stores.ts'
import { until as untilWithin } from '../support/api.ts'
import { openMigratedDatabase, type TestDatabase } from '../support/database.ts'
import { createCaller } from '../support/fixtures.ts'
import { type ScriptedFlink, startScriptedFlink } from '../support/simulated-flink.ts'

vi.setConfig({ testTimeout: 30_000 })

const LEASE_MS = 400
const until = <Value>(what: string, look: () => Promise<Value | null | undefined | false>) =>
  untilWithin(what, look, 15_000)
const SILENT = { info: () => undefined, warn: () => undefined, error: () => undefined }
const newTriggerId = () => randomBytes(16).toString('hex')

type Tenant = {
  caller: Caller
  flink: ScriptedFlink
  flinkJobId: string
  clusterId: string
  storageId: string
  jobId: string
  runId: string
}

let database: TestDatabase
let folder: string
let connections: FlinkConnections
let stores: ObjectStores
let ours: Tenant
let theirs: Tenant
/** What reached `stopJob`, by any worker. */
let stops: FlinkStopRequest[]
let workers: { stop(): Promise<void> }[]

beforeAll(async () => {
  database = await openMigratedDatabase('stops')
  folder = await mkdtemp(join(tmpdir(), 'tidemark-stops-'))
})
afterAll(async () => {
  await database?.drop()
  await rm(folder, { recursive: true, force: true })
})

let round = 0
beforeEach(async () => {
  round++
  stops = []
  workers = []
  await database.db.sql('truncate namespace, worker cascade')
  const secrets = createSecrets({ env: {}, secretsDir: null, namespaces: () => ['ours', 'theirs'] })
  const real = createFlinkConnections(secrets, { connectTimeoutMs: 300, requestTimeoutMs: 1_000 })
  connections = {
    close: () => real.close(),
    to: (address) => {
      const client = real.to(address)
      return {
        ...client,
        stopJob: (request) => {
          stops.push(request)
          return client.stopJob(request)
        },
      }
    },
  }
  stores = createObjectStores({ secrets, localRoots: [folder] })
  ours = await createTenant('ours')
  theirs = await createTenant('theirs')
})
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.stop()))
  await Promise.all([ours.flink.flink.stop(), theirs.flink.flink.stop()])
  await connections.close()
  await stores.close()
})

/** A managed job that runs; everything is called the same in both namespaces. */
async function createTenant(namespace: string): Promise<Tenant> {
  const { db } = database
  const flink = await startScriptedFlink({ savepointDurationMs: 60, restartDelayMs: 100 })
  const job = flink.flink.addJob({ name: 'orders', parallelism: 2 })
  const caller = await createCaller(db, namespace)
  const [clusterId, storageId, jobId, runId] = [v7(), v7(), v7(), v7()]
  const place = join(folder, `${round}-${namespace}`)
  await mkdir(place)
  const root = `file://${place}`
  await db.sql(`insert into cluster (id, namespace_id, name, url) values ($1, $2, 'flink', $3)`, [
    clusterId,
    caller.namespaceId,
    flink.flink.url,
  ])
  await db.sql(
    `insert into storage (id, namespace_id, name, uri, root_key, provider) values ($1, $2, 'state', $3, $4, 'local')`,
    [storageId, caller.namespaceId, root, `${root}/`],
  )
  await db.sql(
    `insert into job (id, namespace_id, name, cluster_id, savepoint_storage_id) values ($1, $2, 'orders', $3, $4)`,
    [jobId, caller.namespaceId, clusterId, storageId],
  )
  await db.sql(
    `insert into run (id, namespace_id, job_id, cluster_id, flink_job_id, state, flink_state, flink_start_time,
       all_tasks_running, tasks_running_since, version, version_basis, started_at)
     values ($1, $2, $3, $4, $5, 'RUNNING', 'RUNNING', $6, true, now(), null, 'STARTED', now())`,
    [runId, caller.namespaceId, jobId, clusterId, job.id, job.startTime],
  )
  await db.sql('update job set current_run_id = $1 where id = $2', [runId, jobId])
  return { caller, flink, flinkJobId: job.id, clusterId, storageId, jobId, runId }
}

async function requestStop(
  { caller, jobId }: Tenant,
  request: Partial<StopRequest> & { deadlineSeconds?: number } = {},
): Promise<string> {
  const id = v7()
  const { deadlineSeconds = 20, ...rest } = request
  const inserted = await createLifecycleRepository(database.db).insert(caller, {
    id,
    jobId,
    kind: 'STOP',
    request: { mode: 'SAVEPOINT', description: null, format: 'CANONICAL', timeoutSeconds: 10, ...rest },
    steps: plannedSteps(rest.mode === 'CANCEL' ? CANCEL_STEPS : STOP_STEPS),
    timeoutSeconds: deadlineSeconds,
    createdBy: caller.principal,
  })
  if (inserted.kind !== 'inserted') throw new Error(`the stop is ${inserted.kind}`)
  return id
}

// ---------------------------------------------------------------------------------------------------- worker

class Killed extends Error {}

const lifecycleWork = (leaseMs = LEASE_MS) =>
  createLifecycleWorkRepository(database.db, { leaseMs, newLease: () => v7() })

type WorkerOptions = { dieAt?: string; observes?: boolean; takes?: boolean; lostAfterMs?: number }

/** The loops of a worker process, with the shipped services. `dieAt`: it ends at that crash point, as by SIGKILL; without `takes` it
 * moves savepoints only. */
function startWorker({ dieAt, observes, takes = true, lostAfterMs = 60_000 }: WorkerOptions = {}) {
  let dead = false
  const outside = { flink: connections, stores, log: SILENT, newId: () => v7(), newTriggerId }
  const crashPoint = (name: string) => {
    if (dead || name === dieAt) {
      dead = true
      throw new Killed(name)
    }
  }
  const savepoints = createSavepointWorkRepository(database.db, {
    leaseMs: LEASE_MS,
    newLease: () => v7(),
    workerName: 'worker',
  })
  const unlessDead =
    <Args extends unknown[], Result>(write: (...args: Args) => Promise<Result>) =>
    (...args: Args): Promise<Result> =>
      dead ? Promise.reject(new Killed()) : write(...args)
  const advanceSavepoints = sweepSavepoints({
    ...outside,
    crashPoint,
    savepoints: { ...savepoints, release: unlessDead(savepoints.release), move: unlessDead(savepoints.move) },
    sleep: (ms) => sleep(ms),
    meter: { settled: () => undefined },
    limits: { rescaleSettleMs: 100, maxAttempts: 3, holdMs: LEASE_MS / 3 },
  })
  const lifecycles = lifecycleWork()
  const advanceLifecycles = sweepLifecycles({
    lifecycleWork: { ...lifecycles, release: unlessDead(lifecycles.release) },
    advanceStart: () => Promise.reject(new Error('no start here')),
    advanceStop: (work) =>
      advanceStop(work, {
        ...outside,
        crashPoint,
        lifecycleWork: lifecycles,
        nudges: { savepointDue: () => undefined },
      }),
    log: SILENT,
    limits: { renewMs: LEASE_MS / 3 },
  })
  const observations = createObservationRepository(database.db, () => v7())
  const watch = createClusterWatch({
    observations,
    observe: createClusterObserver({
      observations,
      flink: connections,
      log: SILENT,
      lostAfterMs,
      checkpoints: createCheckpointObserver({
        checkpoints: createCheckpointRepository(database.db, () => v7()),
        intervalMs: 200,
        concurrency: 4,
      }),
    }),
    newId: () => v7(),
    log: SILENT,
    leaseMs: 2_000,
    concurrency: 4,
  })
  let stopping = false
  const running = new Set<Promise<unknown>>()
  const loop = async (work: () => Promise<{ done: Promise<unknown> } | undefined>) => {
    while (!stopping && !dead) {
      const swept = await work().catch(() => undefined)
      if (swept) {
        const done = swept.done.finally(() => running.delete(done))
        running.add(done)
      }
      await sleep(20)
    }
  }
  const loops = [loop(() => advanceSavepoints(10))]
  if (takes) loops.push(loop(() => advanceLifecycles(10)))
  if (observes) loops.push(loop(() => watch.round().then(() => undefined)))
  const worker = {
    died: () => until(`it died at ${dieAt}`, async () => dead),
    async stop() {
      if (stopping) return
      stopping = true
      await Promise.all(loops)
      await Promise.all(running)
      await sleep(30) // a poll under way
      await watch.close()
    },
  }
  workers.push(worker)
  return worker
}

// ------------------------------------------------------------------------------------------------------ rows

type OperationRow = {
  status: string
  failure_code: string | null
  failure_message: string | null
  snapshot_id: string | null
  run_id: string | null
  steps: OperationStep[]
  result: { warnings?: { code: string }[] } | null
}
const readOperation = async (id: string): Promise<OperationRow> => {
  const [row] = await database.db.sql<OperationRow>('select * from operation where id = $1', [id])
  if (!row) throw new Error(`no operation ${id}`)
  return row
}
const ended = (id: string): Promise<OperationRow> =>
  until(`operation ${id} ended`, async () => {
    const row = await readOperation(id)
    return row.status === 'RUNNING' ? undefined : row
  })
const shape = ({ steps }: OperationRow) => steps.map(({ name, status }) => `${name} ${status}`)
const warningsOf = ({ result }: OperationRow) => (result?.warnings ?? []).map(({ code }) => code)

type SnapshotRow = {
  id: string
  status: string
  reason: string
  source: string
  attempt: number
  location: string | null
  description: string
  settled_at: string | null
  created_by: string
  stop_mode: string
  trigger_id: string
}
const listSnapshots = ({ caller }: Tenant): Promise<SnapshotRow[]> =>
  database.db.sql<SnapshotRow>(
    `select s.*, a.stop_mode, a.trigger_id from snapshot s left join attempt a on a.snapshot_id = s.id and a.number = s.attempt
     where s.namespace_id = $1 order by s.id`,
    [caller.namespaceId],
  )
const readRun = async ({ runId }: Tenant) => {
  const [row] = await database.db.sql<{ state: string; flink_state: string; ended_at: string | null }>(
    'select state, flink_state, ended_at from run where id = $1',
    [runId],
  )
  return row
}
const acceptedBy = ({ flink }: Tenant, kind = 'stop') =>
  flink.flink.acceptLog.filter((accepted) => accepted.kind === kind)
const jobOf = ({ flink, flinkJobId }: Tenant) => flink.flink.findJob(flinkJobId)
const untilSnapshot = (tenant: Tenant, ...statuses: string[]): Promise<SnapshotRow> =>
  until(`a snapshot is ${statuses.join(' or ')}`, async () =>
    (await listSnapshots(tenant)).find(({ status }) => statuses.includes(status)),
  )
const cancelsOf = ({ flink }: Tenant) => flink.requests.filter(({ method }) => method === 'PATCH')

async function claim(leaseMs?: number): Promise<StopWork> {
  const [work] = await lifecycleWork(leaseMs).claimDue(1, ['STOP'])
  if (work?.kind !== 'STOP') throw new Error('no stop was due')
  return work
}

/** Somebody's savepoint in flight; no worker of this test moves it. */
async function insertUnsettled({ caller, jobId, runId, storageId }: Tenant): Promise<string> {
  const id = v7()
  await database.db.sql(
    `insert into snapshot (id, namespace_id, job_id, run_id, storage_id, kind, status, reason, source, description,
       attempt, created_by) values ($1, $2, $3, $4, $5, 'SAVEPOINT', 'Creating', 'REQUESTED', 'MANUAL', '', 1, 'x')`,
    [id, caller.namespaceId, jobId, runId, storageId],
  )
  return id
}

// ----------------------------------------------------------------------------------------------------- tests

describe('a stop with a savepoint', () => {
  it.each([
    ['SAVEPOINT', 'SUSPEND', false],
    ['DRAIN', 'DRAIN', true],
  ] as const)('%s: the savepoint is there and the job FINISHED', async (mode, stopMode, drain) => {
    startWorker()
    const id = await requestStop(ours, { mode, format: 'NATIVE' })
    const operation = await ended(id)
    expect(operation).toMatchObject({ status: 'SUCCEEDED', failure_code: null, run_id: ours.runId })
    expect(shape(operation)).toEqual(['wait SKIPPED', 'savepoint DONE', 'end DONE'])
    expect(warningsOf(operation)).toEqual([])
    const [snapshot, ...others] = await listSnapshots(ours)
    expect(others).toEqual([])
    expect(snapshot).toMatchObject({
      id: operation.snapshot_id,
      status: 'Present',
      reason: 'COMPLETED',
      source: 'STOP',
      stop_mode: stopMode,
      attempt: 1,
      created_by: 'token:test',
      settled_at: expect.any(String),
    })
    expect(snapshot?.description).toBe(
      `Savepoint at the ${mode === 'DRAIN' ? 'drain' : 'stop'} of orders, requested by token:test`,
    )
    expect(stops).toMatchObject([{ drain, format: 'NATIVE', flinkJobId: ours.flinkJobId }])
    expect(acceptedBy(ours, 'savepoint')).toEqual([])
    expect(jobOf(ours)?.state).toBe('FINISHED')
    expect(await readRun(ours)).toEqual({
      state: 'FINISHED',
      flink_state: 'FINISHED',
      ended_at: expect.any(String),
    })
  })

  it('waits for a savepoint in flight, and begins once it has settled', async () => {
    const other = await insertUnsettled(ours)
    startWorker()
    const id = await requestStop(ours)
    const waiting = await until('it waits', async () => {
      const row = await readOperation(id)
      return row.steps[0]?.status === 'RUNNING' ? row : undefined
    })
    expect(shape(waiting)).toEqual(['wait RUNNING', 'savepoint WAITING', 'end WAITING'])
    expect(waiting.steps[0]?.message).toContain('Another savepoint of the job is in progress')
    expect([stops.length, (await readRun(ours))?.state]).toEqual([0, 'RUNNING'])
    await database.db.sql(
      `update snapshot set status = 'Failed', settled_at = now(), next_action_at = null where id = $1`,
      [other],
    )
    expect(shape(await ended(id))).toEqual(['wait DONE', 'savepoint DONE', 'end DONE'])
    expect(stops).toHaveLength(1)
  })

  it('is given up when the savepoint in flight does not settle, and Flink has heard nothing', async () => {
    await insertUnsettled(ours)
    startWorker()
    const operation = await ended(await requestStop(ours, { deadlineSeconds: 1 }))
    expect(operation).toMatchObject({
      status: 'FAILED',
      failure_code: 'SAVEPOINT_IN_PROGRESS',
      snapshot_id: null,
    })
    expect(shape(operation)).toEqual(['wait FAILED', 'savepoint SKIPPED', 'end SKIPPED'])
    expect(stops).toEqual([])
    expect((await readRun(ours))?.state).toBe('RUNNING')
  })

  it('reaches Flink once with two workers at once', async () => {
    for (let count = 0; count < 3; count++) startWorker()
    expect((await ended(await requestStop(ours))).status).toBe('SUCCEEDED')
    expect(stops).toHaveLength(1)
    expect(acceptedBy(ours)).toMatchObject([{ repeats: 0, outcome: 'completed' }])
    expect(await listSnapshots(ours)).toHaveLength(1)
  })

  it.each(['stop-begun', 'asked-committed', 'flink-asked', 'answer-read', 'status-moved'])(
    'is finished by another worker when one dies at %s, with one /stop and one trigger id',
    async (dieAt) => {
      const dying = startWorker({ dieAt })
      const id = await requestStop(ours)
      await dying.died()
      startWorker()
      expect(await ended(id)).toMatchObject({ status: 'SUCCEEDED' })
      const [snapshot, ...others] = await listSnapshots(ours)
      expect(others).toEqual([])
      expect(snapshot).toMatchObject({ status: 'Present', attempt: 1 })
      expect(acceptedBy(ours)).toMatchObject([{ triggerId: snapshot?.trigger_id, outcome: 'completed' }])
    },
  )

  it.each([
    { kind: 'reply-lost' },
    { kind: 'half-body' },
    { kind: 'internal-error', afterEffect: true },
    { kind: 'refused' },
    { kind: 'leader-election' },
  ] as const)('is one stop under one trigger id when its answer is lost: %o', async (fault) => {
    ours.flink.faults.reply({ route: 'stop' }, fault)
    startWorker()
    expect(await ended(await requestStop(ours))).toMatchObject({ status: 'SUCCEEDED' })
    expect(new Set(stops.map(({ triggerId }) => triggerId)).size).toBe(1)
    expect(acceptedBy(ours)).toMatchObject([{ outcome: 'completed' }])
    expect(await listSnapshots(ours)).toMatchObject([{ status: 'Present', attempt: 1 }])
  })

  it('says at once that the run had ended before Flink was asked', async () => {
    await database.db.sql(`update run set state = 'FAILED', ended_at = now() where id = $1`, [ours.runId])
    startWorker()
    const operation = await ended(await requestStop(ours))
    expect([operation.status, warningsOf(operation)]).toEqual(['SUCCEEDED', ['ALREADY_ENDED']])
    expect(shape(operation)).toEqual(['wait SKIPPED', 'savepoint SKIPPED', 'end DONE'])
    expect(await listSnapshots(ours)).toEqual([])
  })

  it('keeps to its namespace', async () => {
    startWorker()
    const [mine, other] = await Promise.all([requestStop(ours), requestStop(theirs, { mode: 'CANCEL' })])
    expect((await ended(mine)).status).toBe('SUCCEEDED')
    expect((await ended(other)).status).toBe('SUCCEEDED')
    expect([jobOf(ours)?.state, jobOf(theirs)?.state]).toEqual(['FINISHED', 'CANCELED'])
    expect([acceptedBy(ours).length, acceptedBy(theirs).length]).toEqual([1, 0])
    const [snapshot] = await listSnapshots(ours)
    expect(snapshot?.location).toContain('-ours/ours/orders/savepoints/')
    expect(await listSnapshots(theirs)).toEqual([])
  })
})

describe('a stop that does not come about', () => {
  it('fails with the cause of its savepoint, without a second attempt, and the job goes on', async () => {
    ours.flink.faults.failTask({ kind: 'stop' }, 'the sink is full')
    startWorker({ observes: true })
    const operation = await ended(await requestStop(ours))
    expect(operation).toMatchObject({ status: 'FAILED', failure_code: 'TASK_FAILED_SNAPSHOT' })
    expect(operation.failure_message).toContain('the sink is full')
    expect(shape(operation)).toEqual(['wait SKIPPED', 'savepoint FAILED', 'end SKIPPED'])
    expect(await listSnapshots(ours)).toMatchObject([{ status: 'Failed', attempt: 1 }])
    expect(stops).toHaveLength(1)
    await until('the run goes on', async () => (await readRun(ours))?.state === 'RUNNING')
    await until('its tasks have been restarted', async () => jobOf(ours)?.state === 'RUNNING')
  })

  it.each([
    [
      'a failure that passes',
      'The maximum number of queued checkpoint requests exceeded.',
      'TOO_MANY_REQUESTS',
    ],
    ['a rescale', null, 'RESCALED'],
  ])('has no second attempt after %s', async (_what, text, code) => {
    if (text) ours.flink.faults.snapshot({ kind: 'stop' }, { failure: { kind: 'coordinator', text } })
    const held = text ? null : ours.flink.faults.holdSnapshot({ kind: 'stop' })
    startWorker()
    const id = await requestStop(ours)
    if (held) {
      await until('Flink accepted it', async () => acceptedBy(ours).length === 1)
      ours.flink.flink.rescaleJob(ours.flinkJobId)
      held.release()
    }
    expect(await ended(id)).toMatchObject({ status: 'FAILED', failure_code: code })
    await sleep(300) // several sweeps
    expect(acceptedBy(ours)).toHaveLength(1)
    expect(await listSnapshots(ours)).toMatchObject([{ status: 'Failed', attempt: 1 }])
  })

  it('fails with JOBMANAGER_LOST when the JobManager is killed in the middle', async () => {
    ours.flink.faults.holdSnapshot({ kind: 'stop' })
    startWorker()
    const id = await requestStop(ours)
    await until('Flink accepted it', async () => acceptedBy(ours).length === 1)
    await ours.flink.flink.restartJobManager({ ha: true, downMs: 100 })
    expect(await ended(id)).toMatchObject({ status: 'FAILED', failure_code: 'JOBMANAGER_LOST' })
    expect(await listSnapshots(ours)).toMatchObject([
      { status: 'Failed', attempt: 1, settled_at: expect.any(String) },
    ])
    expect(acceptedBy(ours)).toHaveLength(1)
    await until('the job runs', async () => jobOf(ours)?.state === 'RUNNING')
  })

  it('keeps and names the savepoint of a job that failed while it was stopping', async () => {
    ours.flink.faults.snapshot({ kind: 'stop' }, { failure: { kind: 'stopping' } })
    startWorker()
    const operation = await ended(await requestStop(ours))
    expect(operation).toMatchObject({ status: 'FAILED', failure_code: 'STOP_FAILED' })
    expect(operation.failure_message).toContain(operation.snapshot_id)
    expect(shape(operation)).toEqual(['wait SKIPPED', 'savepoint DONE', 'end FAILED'])
    const [snapshot] = await listSnapshots(ours)
    expect(snapshot).toMatchObject({ status: 'Present', reason: 'STOP_FAILED_AFTER_SAVEPOINT' })
    const told = acceptedBy(ours)[0]?.failure?.match(/created at: ([^,]+),/)?.[1]
    expect(parseLocation(snapshot?.location ?? '')).toEqual(parseLocation(told ?? ''))
    expect((await readRun(ours))?.state).toBe('RUNNING')
  })

  it('is STOP_FAILED when the job runs again after the savepoint, under another JobManager', async () => {
    // Its answer is lost with the JobManager, and the savepoint was complete.
    ours.flink.faults.snapshot({ kind: 'stop' }, { failure: { kind: 'stopping' } })
    ours.flink.faults.reply({ route: 'readSavepoint', times: 'always' }, { kind: 'leader-election' })
    startWorker({ observes: true })
    const id = await requestStop(ours)
    await until('Flink has done it', async () => acceptedBy(ours)[0]?.outcome === 'failed')
    await ours.flink.flink.restartJobManager({ ha: true, downMs: 50 })
    ours.flink.faults.clear()
    const operation = await ended(id)
    expect(operation).toMatchObject({ status: 'FAILED', failure_code: 'STOP_FAILED' })
    expect(operation.failure_message).toContain('it runs again')
    expect(await listSnapshots(ours)).toMatchObject([{ status: 'Present', reason: 'ADOPTED_FROM_DIRECTORY' }])
    expect(acceptedBy(ours)).toHaveLength(1)
  })
})

describe('a stop of an attached job', () => {
  beforeEach(() =>
    database.db.sql(`update job set attach_flink_job_name = 'orders' where id = $1`, [ours.jobId]),
  )

  it.each(['SAVEPOINT', 'CANCEL'] as const)(
    '%s: leaves alone what has taken its name under another id',
    async (mode) => {
      const other = ours.flink.flink.redeployJob(ours.flinkJobId)
      startWorker()
      const operation = await ended(await requestStop(ours, { mode, deadlineSeconds: 2 }))
      expect(operation.status).toBe('FAILED')
      expect(operation.failure_code).toBe(mode === 'CANCEL' ? 'STOP_TIMEOUT' : 'JOB_NOT_RUNNING')
      expect([acceptedBy(ours), cancelsOf(ours)]).toEqual([[], []])
      expect(ours.flink.flink.findJob(other.id)?.state).toBe('RUNNING')
    },
  )

  it('stops the run that began after the last observed one had ended', async () => {
    await database.db.sql(`update run set state = 'FINISHED', ended_at = now() where id = $1`, [ours.runId])
    const other = ours.flink.flink.redeployJob(ours.flinkJobId)
    startWorker()
    const id = await requestStop(ours)
    await until('it waits', async () => (await readOperation(id)).steps[0]?.status === 'RUNNING')
    startWorker({ observes: true, takes: false })
    const operation = await ended(id)
    expect([operation.status, warningsOf(operation)]).toEqual(['SUCCEEDED', []])
    expect(stops).toMatchObject([{ flinkJobId: other.id }])
    expect(ours.flink.flink.findJob(other.id)?.state).toBe('FINISHED')
  })
})

describe('a JobManager that goes with its job', () => {
  it('has said that it was stopped: that is enough', async () => {
    const dying = startWorker({ dieAt: 'stop-begun' })
    const id = await requestStop(ours)
    await dying.died()
    startWorker({ takes: false })
    await untilSnapshot(ours, 'Present')
    await ours.flink.flink.stop()
    startWorker()
    expect(await ended(id)).toMatchObject({ status: 'SUCCEEDED' })
    expect((await readRun(ours))?.state).toBe('FINISHED')
  })

  it('leaves a savepoint in the directory that is adopted, and an end that nobody has seen', async () => {
    ours.flink.faults.reply({ route: 'readSavepoint', times: 'always' }, { kind: 'leader-election' })
    startWorker()
    const id = await requestStop(ours, { deadlineSeconds: 8 })
    await until('Flink has done it', async () => acceptedBy(ours)[0]?.outcome === 'completed')
    await ours.flink.flink.stop()
    expect(await untilSnapshot(ours, 'Present')).toMatchObject({ reason: 'ADOPTED_FROM_DIRECTORY' })
    const operation = await ended(id)
    expect(operation).toMatchObject({ status: 'FAILED', failure_code: 'STOP_TIMEOUT' })
    expect(operation.failure_message).toContain(`The savepoint ${operation.snapshot_id} is complete and kept`)
  })

  it('is over long before its deadline when the next JobManager has not listed the job for so long that it is lost', async () => {
    ours.flink.faults.reply({ route: 'readSavepoint', times: 'always' }, { kind: 'leader-election' })
    const first = startWorker()
    const id = await requestStop(ours, { deadlineSeconds: 3_600 })
    await until('Flink has done it', async () => acceptedBy(ours)[0]?.outcome === 'completed')
    await first.stop()
    await ours.flink.flink.restartJobManager({ ha: true, downMs: 50 })
    ours.flink.faults.clear()
    startWorker({ observes: true, lostAfterMs: 200 })
    const operation = await ended(id)
    expect(operation).toMatchObject({ status: 'FAILED', failure_code: 'RUN_LOST' })
    expect(operation.failure_message).toContain(`The savepoint ${operation.snapshot_id} is complete and kept`)
    expect(operation.failure_message).toContain(`POST /v1/runs/${ours.runId}/confirm-ended`)
    expect(await listSnapshots(ours)).toMatchObject([{ status: 'Present', reason: 'ADOPTED_FROM_DIRECTORY' }])
    expect((await readRun(ours))?.state).toBe('LOST')
    expect(stops).toHaveLength(1)
  })
})

describe('a stop past its deadline', () => {
  it('is still watched, and no second one is sent before its answer is final', async () => {
    const held = ours.flink.faults.holdSnapshot({ kind: 'stop' })
    startWorker()
    const first = await ended(await requestStop(ours, { timeoutSeconds: 1 }))
    expect(first).toMatchObject({ status: 'FAILED', failure_code: 'STOP_TIMEOUT' })
    expect(first.failure_message).toContain('no second stop is sent')
    expect(await listSnapshots(ours)).toMatchObject([{ status: 'Timeout', settled_at: null }])
    const second = await requestStop(ours)
    await until('the second waits', async () => (await readOperation(second)).steps[0]?.status === 'RUNNING')
    // Not even once Flink's own timeout for the savepoint has passed: a stop goes on after it.
    await database.db.sql(
      `update attempt set asked_at = asked_at - interval '1 hour' where snapshot_id = $1`,
      [first.snapshot_id],
    )
    await database.db.sql('update snapshot set next_action_at = now() where id = $1', [first.snapshot_id])
    await sleep(700)
    expect(await listSnapshots(ours)).toMatchObject([{ status: 'Timeout', settled_at: null }])
    expect(stops).toHaveLength(1)
    held.release()
    expect(await untilSnapshot(ours, 'Present')).toMatchObject({ reason: 'LATE_COMPLETION' })
    await until('the second ended', async () => (await readOperation(second)).status !== 'RUNNING')
    expect(acceptedBy(ours)).toHaveLength(1)
    expect(jobOf(ours)?.state).toBe('FINISHED')
  })

  it('is the only open one of its job', async () => {
    await requestStop(ours)
    await expect(requestStop(ours)).rejects.toThrow('the stop is open')
    await requestStop(theirs)
  })
})

describe('a cancellation', () => {
  it('ends the job and says plainly that no savepoint was taken', async () => {
    startWorker()
    const operation = await ended(await requestStop(ours, { mode: 'CANCEL' }))
    expect([operation.status, warningsOf(operation)]).toEqual(['SUCCEEDED', ['NO_SAVEPOINT']])
    expect(shape(operation)).toEqual(['cancel DONE', 'end DONE'])
    expect(jobOf(ours)?.state).toBe('CANCELED')
    expect(await readRun(ours)).toMatchObject({ state: 'CANCELED', ended_at: expect.any(String) })
    expect(await listSnapshots(ours)).toEqual([])
  })

  it.each(['cancel-asked-committed', 'cancel-asked'])(
    'is finished when a worker dies at %s',
    async (dieAt) => {
      const dying = startWorker({ dieAt })
      const id = await requestStop(ours, { mode: 'CANCEL' })
      await dying.died()
      expect((await readRun(ours))?.state).toBe('STOPPING')
      startWorker()
      expect((await ended(id)).status).toBe('SUCCEEDED')
      expect(jobOf(ours)?.state).toBe('CANCELED')
    },
  )

  it('is asked for again of a JobManager that has taken over, once the run is known to go on', async () => {
    const dying = startWorker({ dieAt: 'cancel-asked-committed' })
    const id = await requestStop(ours, { mode: 'CANCEL' })
    await dying.died()
    await ours.flink.flink.restartJobManager({ ha: true })
    startWorker()
    await sleep(LEASE_MS + 300)
    expect(cancelsOf(ours)).toEqual([]) // perhaps another run under its id
    await database.db.sql('update run set flink_start_time = $1 where id = $2', [
      jobOf(ours)?.startTime,
      ours.runId,
    ])
    expect((await ended(id)).status).toBe('SUCCEEDED')
    expect(cancelsOf(ours).length).toBeGreaterThan(0)
  })

  it('is not asked of what began anew under the id before anybody has judged it', async () => {
    await ours.flink.flink.restartJobManager({ ha: true })
    startWorker()
    const operation = await ended(await requestStop(ours, { mode: 'CANCEL', deadlineSeconds: 1 }))
    expect(operation).toMatchObject({ status: 'FAILED', failure_code: 'STOP_TIMEOUT' })
    expect(cancelsOf(ours)).toEqual([])
    await until('the job runs', async () => jobOf(ours)?.state === 'RUNNING')
  })

  it('warns when something else ended the job first', async () => {
    const dying = startWorker({ dieAt: 'cancel-asked-committed' })
    const id = await requestStop(ours, { mode: 'CANCEL' })
    await dying.died()
    ours.flink.flink.failJob(ours.flinkJobId, 'out of memory')
    startWorker({ observes: true })
    const operation = await ended(id)
    expect([operation.status, warningsOf(operation)]).toEqual([
      'SUCCEEDED',
      ['ENDED_DIFFERENTLY', 'NO_SAVEPOINT'],
    ])
    expect((await readRun(ours))?.state).toBe('FAILED')
  })

  it('is given up at its deadline when Flink cannot be asked, and tried again until then', async () => {
    ours.flink.faults.reply({ route: 'job', times: 'always' }, { kind: 'leader-election' })
    startWorker()
    const operation = await ended(await requestStop(ours, { mode: 'CANCEL', deadlineSeconds: 2 }))
    expect(operation).toMatchObject({ status: 'FAILED', failure_code: 'STOP_TIMEOUT' })
    expect(cancelsOf(ours)).toEqual([])
    await until('the job runs', async () => jobOf(ours)?.state === 'RUNNING')
  })
})

describe('a worker whose lease another one has', () => {
  it('begins no savepoint, asks for no cancellation and ends nothing', async () => {
    const id = await requestStop(ours)
    const stale = await claim(0)
    const current = await claim(60_000)
    expect(current.id).toBe(id)
    const repository = lifecycleWork()
    const savepoint = {
      id: v7(),
      triggerId: newTriggerId(),
      description: '',
      format: 'CANONICAL' as const,
      timeoutSeconds: 5,
      ownedPrefix: 'file:///x/',
      directory: 'file:///x/1/',
      drain: false,
    }
    const progress = { steps: stale.steps }
    expect(await repository.beginStopSavepoint(stale, savepoint, progress)).toBe('lease-lost')
    expect(await repository.markCancelAsked(stale, progress)).toBe(false)
    expect(await repository.end(stale, { ...progress, status: 'SUCCEEDED', failure: null })).toBe(false)
    expect(await listSnapshots(ours)).toEqual([])
    expect([await readRun(ours), (await readOperation(id)).status]).toMatchObject([
      { state: 'RUNNING' },
      'RUNNING',
    ])
    expect(await repository.beginStopSavepoint(current, savepoint, progress)).toBe('begun')
    expect(await repository.beginStopSavepoint(current, { ...savepoint, id: v7() }, progress)).toBe(
      'lease-lost',
    )
    expect(await listSnapshots(ours)).toHaveLength(1)
    expect(await listSnapshots(theirs)).toEqual([])
    expect([(await readRun(ours))?.state, (await readRun(theirs))?.state]).toEqual(['STOPPING', 'RUNNING'])
  })
})
