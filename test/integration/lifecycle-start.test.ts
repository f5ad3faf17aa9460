/**
 * Starts on a real Postgres and a Flink that does what each test says: whatever is repeated, killed, lost or late, one job
 * id is asked for once, and a question whose answer nobody saw is never repeated.
 */
import { randomBytes } from 'node:crypto'
import { v7 } from 'uuid'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { createCheckpointRepository } from '../../src/db/checkpoints.ts'
import { createClaimRepository } from '../../src/db/claims.ts'
import { createInspectionRepository } from '../../src/db/inspections.ts'
import { createJobRepository } from '../../src/db/jobs.ts'
import { createLifecycleWorkRepository } from '../../src/db/lifecycle-work.ts'
import { createLifecycleRepository } from '../../src/db/lifecycles.ts'
import { createObservationRepository } from '../../src/db/observations.ts'
import { createOperationRepository } from '../../src/db/operations.ts'
import { createRestorePointRepository } from '../../src/db/restore-points.ts'
import { createStorageRepository } from '../../src/db/storages.ts'
import { createVerificationRepository } from '../../src/db/verifications.ts'
import { FlinkUnavailableError, StorageError } from '../../src/domain/errors.ts'
import type { FlinkJob, JobException, RunAnswer, RunRequest, UploadedJar } from '../../src/domain/flink.ts'
import type { JobVersionSpec } from '../../src/domain/job-version.ts'
import { type LifecycleOperation, START_STEPS } from '../../src/domain/operation.ts'
import { plannedSteps } from '../../src/domain/operation-steps.ts'
import type { Restore } from '../../src/domain/restore-point.ts'
import type { FlinkClient } from '../../src/ports/flink.ts'
import type { ObjectStore } from '../../src/ports/storage.ts'
import { sweepLifecycles } from '../../src/services/advance-lifecycle.ts'
import { advanceStart } from '../../src/services/advance-start.ts'
import type { Caller } from '../../src/services/api.ts'
import { createCheckpointObserver } from '../../src/services/observe-checkpoints.ts'
import { createClusterObserver } from '../../src/services/observe-cluster.ts'
import { createClaimReview } from '../../src/services/review-claims.ts'
import { openMigratedDatabase, type TestDatabase } from '../support/database.ts'
import { fakeFlink, fakeStore, flinkJob, statistics } from '../support/fakes.ts'
import { createCaller } from '../support/fixtures.ts'
import { metadataWithFiles } from '../support/metadata-with-files.ts'

const SILENT = { info: () => undefined, warn: () => undefined, error: () => undefined }
const SHA = 'ab'.repeat(32)
const VERSION: JobVersionSpec = {
  artifact: `sha256:${SHA}`,
  entryClass: 'com.acme.Orders',
  programArgs: ['--rate', '10'],
  parallelism: 2,
  maxParallelism: 64,
}
const START_TIME = 1_700_000_000_000

/** One cluster: what it holds, what it was asked for, and how it answers the next requests. */
type Cluster = {
  jobs: Map<string, FlinkJob>
  exceptions: Map<string, JobException[]>
  jars: UploadedJar[]
  uploads: string[]
  /** Requests that arrived. */
  requests: RunRequest[]
  /** What happens to the next request instead of a start; consumed one by one. */
  next: ((request: RunRequest) => RunAnswer | Promise<RunAnswer>)[]
  away: boolean
}
type Tenant = { caller: Caller; clusterId: string; storageId: string; jobId: string; flink: Cluster }

let database: TestDatabase
let ours: Tenant
let theirs: Tenant
/** What stands in storage; each test adds its own. */
let files: Record<string, Uint8Array>
/** Called before each look at storage. */
let onHead: (place: string) => Promise<void> | void

beforeAll(async () => {
  database = await openMigratedDatabase('starts')
})
afterAll(() => database?.drop())

beforeEach(async () => {
  await database.db.sql('truncate namespace, worker cascade')
  files = {}
  onHead = () => undefined
  ours = await createTenant('ours')
  theirs = await createTenant('theirs')
})

/** A managed job with one version; everything is called the same in both namespaces. */
async function createTenant(namespace: string, version: JobVersionSpec = VERSION): Promise<Tenant> {
  const { db } = database
  const caller = await createCaller(db, namespace)
  const [clusterId, storageId, jobId] = [v7(), v7(), v7()]
  const root = `s3://${namespace}/flink`
  await db.sql(
    `insert into cluster (id, namespace_id, name, url, reachable, flink_version, capabilities)
     values ($1, $2, 'flink', $3, true, '2.3.0', $4)`,
    [
      clusterId,
      caller.namespaceId,
      `http://${namespace}:8081`,
      { idempotentTriggers: true, triggerCheckpoint: true, jarSubmission: true, claimMode: true },
    ],
  )
  await db.sql(
    `insert into storage (id, namespace_id, name, uri, root_key, provider) values ($1, $2, 'state', $3, $4, 'aws')`,
    [storageId, caller.namespaceId, root, `${root}/`],
  )
  await db.sql(
    `insert into job (id, namespace_id, name, cluster_id, savepoint_storage_id, latest_version)
     values ($1, $2, 'orders', $3, $4, 1)`,
    [jobId, caller.namespaceId, clusterId, storageId],
  )
  await db.sql(
    `insert into job_version (namespace_id, job_id, number, spec, created_by) values ($1, $2, 1, $3, 'token:test')`,
    [caller.namespaceId, jobId, JSON.stringify(version)],
  )
  files[`${root}/_artifacts/${SHA}`] = new Uint8Array(100)
  const flink: Cluster = {
    jobs: new Map(),
    exceptions: new Map(),
    jars: [],
    uploads: [],
    requests: [],
    next: [],
    away: false,
  }
  return { caller, clusterId, storageId, jobId, flink }
}

// ------------------------------------------------------------------------------------------------------ doubles

const clientOf = (flink: Cluster): FlinkClient => {
  const ask = <Answer>(answer: () => Answer) => {
    if (flink.away) throw refusedConnection()
    return Promise.resolve(answer())
  }
  return fakeFlink({
    listJars: async () => ask(() => flink.jars),
    uploadJar: async ({ name }) =>
      ask(() => {
        const id = `${v7()}_${name}`
        flink.jars.push({ id, name })
        flink.uploads.push(name)
        return id
      }),
    runJar: async (request) => {
      if (flink.away) throw refusedConnection()
      flink.requests.push(request)
      const instead = flink.next.shift()
      return instead ? instead(request) : begin(flink, request)
    },
    listJobs: async () => ask(() => [...flink.jobs.values()]),
    findJob: async (id) => ask(() => flink.jobs.get(id) ?? null),
    listExceptions: async (id) => ask(() => flink.exceptions.get(id) ?? []),
    pollCheckpoints: async () => ({ kind: 'none' }),
    readCheckpoints: async () => ask(() => statistics()),
    readDeclaredVersion: async () => ask(() => null),
    describeCluster: async () => ({
      flinkVersion: '2.3.0',
      capabilities: {
        idempotentTriggers: true,
        triggerCheckpoint: true,
        jarSubmission: true,
        claimMode: true,
      },
    }),
    readSettings: async () => ({
      fingerprint: { haClusterId: null, kubernetesClusterId: null },
      recoveryPath: null,
    }),
  })
}

const refusedConnection = () =>
  new FlinkUnavailableError('unreachable', 'connection refused', undefined, { mayHaveArrived: false })
const noAnswer = () => new FlinkUnavailableError('timeout', 'Flink did not answer in 120 s')

function begin(flink: Cluster, { flinkJobId }: RunRequest, changes: Partial<FlinkJob> = {}): RunAnswer {
  flink.jobs.set(flinkJobId, flinkJob({ flinkJobId, startTime: START_TIME, ...changes }))
  return { kind: 'started' }
}

/** The job is there as FAILED with this trace, as after a restore that did not fit (`real-flink.md` §5.14). */
function refuse(flink: Cluster, request: RunRequest, text: string): RunAnswer {
  begin(flink, request, { state: 'FAILED', allTasksRunning: false })
  flink.exceptions.set(request.flinkJobId, [
    { at: START_TIME, exceptionName: '', text, taskName: null, taskManagerId: null },
  ])
  return { kind: 'refused', httpStatus: 400, text }
}

const MISMATCH =
  'java.lang.IllegalStateException: Failed to rollback to checkpoint/savepoint s3://x. Max parallelism mismatch between checkpoint/savepoint state and new program. Cannot map operator aa with max parallelism 128 to new program with max parallelism 64. This indicates that the program has been changed.'

const storeOf = (): ObjectStore => {
  const store = fakeStore(files)
  return {
    ...store,
    head: async (location) => {
      await onHead(`s3://${location.bucket}/${location.segments.join('/')}`)
      return fakeStore(files).head(location)
    },
  }
}

// -------------------------------------------------------------------------------------------------------- worker

type Worker = { sweep(): Promise<number>; repository: ReturnType<typeof createLifecycleWorkRepository> }

function newWorker({
  leaseMs = 60_000,
  crashAt = '',
  onCrashPoint = () => undefined,
  client = clientOf,
}: {
  leaseMs?: number
  crashAt?: string
  onCrashPoint?: (name: string) => void
  client?: (flink: Cluster) => FlinkClient
} = {}): Worker {
  const { db } = database
  const repository = createLifecycleWorkRepository(db, { leaseMs, newLease: v7 })
  const ports = {
    lifecycleWork: repository,
    restorePoints: createRestorePointRepository(db),
    jobs: createJobRepository(db),
    storages: createStorageRepository(db),
    inspections: createInspectionRepository(db),
    verifications: createVerificationRepository(db),
    claims: createClaimRepository(db),
    stores: { of: storeOf },
    flink: {
      to: ({ url }: { url: string }) => client(url.includes('ours') ? ours.flink : theirs.flink),
      close: async () => undefined,
    },
    newId: v7,
    newFlinkJobId: () => randomBytes(16).toString('hex'),
    crashPoint: (name: string) => {
      onCrashPoint(name)
      if (name === crashAt) throw new Error(`crash at ${name}`)
    },
    log: SILENT,
  }
  const sweep = sweepLifecycles({
    lifecycleWork: repository,
    advanceStart: (work) => advanceStart(work, ports),
    advanceStop: async () => 'over',
    log: SILENT,
    limits: { renewMs: leaseMs / 3 },
  })
  return {
    repository,
    async sweep() {
      const { claimed, done } = await sweep(10)
      await done
      return claimed
    },
  }
}

/** As if its pause were over, and the worker that held it dead for long. */
const makeDue = () =>
  database.db.sql(
    `update operation set next_action_at = now() - interval '1 second', lease_token = null, lease_until = null where ended_at is null`,
  )
const passDeadline = () =>
  database.db.sql(`update operation set deadline_at = now() - interval '1 second' where ended_at is null`)

async function sweepOn(worker = newWorker(), times = 1): Promise<void> {
  for (let time = 0; time < times; time++) {
    await makeDue()
    await worker.sweep()
  }
}

async function start(tenant: Tenant, restore: Restore = {}, timeoutSeconds = 600): Promise<string> {
  const id = v7()
  const inserted = await createLifecycleRepository(database.db).insert(tenant.caller, {
    id,
    kind: 'START',
    jobId: tenant.jobId,
    request: { version: 1, restore },
    steps: plannedSteps(START_STEPS),
    timeoutSeconds,
    createdBy: 'token:test',
  })
  expect(inserted.kind).toBe('inserted')
  return id
}

async function read(tenant: Tenant, id: string): Promise<LifecycleOperation> {
  const page = { pageSize: 1, after: null }
  const found = await createOperationRepository(database.db).find(tenant.caller, id, page)
  if (found?.kind !== 'START') throw new Error(`no start ${id}`)
  return found
}

type RunRow = {
  id: string
  state: string
  flink_job_id: string
  flink_start_time: number
  version: number
  version_basis: string
  restored_snapshot_id: string | null
  claim_mode: string | null
  failure: { code: string } | null
}
const readRuns = (tenant: Tenant) =>
  database.db.sql<RunRow>('select * from run where job_id = $1 order by created_at, id', [tenant.jobId])
const readRun = async (tenant: Tenant): Promise<RunRow> => {
  const run = (await readRuns(tenant)).at(-1)
  if (!run) throw new Error('no run')
  return run
}

/** A savepoint of an ended run, with its `_metadata` in storage. */
async function insertSavepoint(tenant: Tenant, checkpointId: number, runId: string): Promise<string> {
  const id = v7()
  const location = `s3://${tenant.caller.namespace}/flink/savepoints/${id}`
  files[`${location}/_metadata`] = metadataWithFiles([])
  await database.db.sql(
    `insert into snapshot (id, namespace_id, job_id, run_id, storage_id, kind, status, reason, source, description,
       flink_checkpoint_id, created_at, completed_at, settled_at, location, location_key, created_by)
     values ($1, $2, $3, $4, $5, 'SAVEPOINT', 'Present', 'COMPLETED', 'EXTERNAL', '', $6, now() - interval '1 hour',
       now() - interval '1 hour', now(), $7, $7, 'flink')`,
    [id, tenant.caller.namespaceId, tenant.jobId, runId, tenant.storageId, checkpointId, location],
  )
  return id
}
async function insertEndedRun(tenant: Tenant, endedAgo = '1 hour'): Promise<string> {
  const id = v7()
  await database.db.sql(
    `insert into run (id, namespace_id, job_id, cluster_id, flink_job_id, state, flink_state, flink_start_time, version,
       version_basis, completed_checkpoints, started_at, ended_at)
     values ($1, $2, $3, $4, $5, 'CANCELED', 'CANCELED', 1, 1, 'STARTED', 3, now() - interval '1 day', now() - $6::interval)`,
    [
      id,
      tenant.caller.namespaceId,
      tenant.jobId,
      tenant.clusterId,
      randomBytes(16).toString('hex'),
      endedAgo,
    ],
  )
  await database.db.sql('update job set current_run_id = $1 where id = $2', [id, tenant.jobId])
  return id
}
/** Two savepoints of an ended run, the older one first. */
async function insertSavepoints(tenant: Tenant): Promise<[older: string, newest: string]> {
  const run = await insertEndedRun(tenant)
  return [await insertSavepoint(tenant, 3, run), await insertSavepoint(tenant, 7, run)]
}
const readSnapshot = async (id: string) => {
  const [row] = await database.db.sql<{
    status: string
    reason: string
    claimed_by_run_id: string | null
    restored_by: string[]
    verified_at: string | null
  }>(
    'select status, reason, claimed_by_run_id, restored_by, verified_at, verdict from snapshot where id = $1',
    [id],
  )
  if (!row) throw new Error('no snapshot')
  return row
}
function newGate(): { promise: Promise<void>; resolve: () => void } {
  let open: () => void = () => undefined
  const promise = new Promise<void>((resolve) => {
    open = resolve
  })
  return { promise, resolve: () => open() }
}
const idsAsked = ({ flink }: Tenant) => flink.requests.map(({ flinkJobId }) => flinkJobId)

// --------------------------------------------------------------------------------------------------------- tests

describe('a start', () => {
  it('brings the jar, begins empty where there never was state, and ends when all tasks run', async () => {
    const id = await start(ours)
    await sweepOn()
    const operation = await read(ours, id)
    expect(operation).toMatchObject({
      status: 'SUCCEEDED',
      failure: null,
      result: {
        restorePoint: { decision: 'start-empty', because: { code: 'NO_STATE_EVER' }, location: null },
      },
    })
    expect(operation.steps.map(({ status }) => status)).toEqual(['DONE', 'DONE', 'DONE', 'DONE'])
    expect(ours.flink.uploads).toEqual([`tidemark-${SHA}.jar`])
    const run = await readRun(ours)
    expect(run).toMatchObject({
      state: 'RUNNING',
      flink_start_time: START_TIME,
      version: 1,
      version_basis: 'STARTED',
      restored_snapshot_id: null,
    })
    expect(ours.flink.requests).toMatchObject([
      {
        flinkJobId: run.flink_job_id,
        jarId: ours.flink.jars[0]?.id,
        entryClass: 'com.acme.Orders',
        programArgs: ['--rate', '10'],
        parallelism: 2,
        savepointPath: null,
        allowNonRestoredState: false,
        flinkConfiguration: {
          'pipeline.name': 'orders',
          'pipeline.max-parallelism': '64',
          'pipeline.global-job-parameters': 'tidemark.version:1',
          'execution.checkpointing.num-retained': '5',
        },
      },
    ])
    expect([operation.run, operation.flinkJobId]).toEqual([run.id, run.flink_job_id])
  })

  it('takes the jar that is there already', async () => {
    ours.flink.jars.push({ id: `x_tidemark-${SHA}.jar`, name: `tidemark-${SHA}.jar` })
    await start(ours)
    await sweepOn()
    expect(ours.flink.uploads).toEqual([])
    expect(ours.flink.requests).toMatchObject([{ jarId: `x_tidemark-${SHA}.jar` }])
  })

  it('restores the newest savepoint and says why, the claim is committed with the run', async () => {
    const [older, newest] = await insertSavepoints(ours)
    const id = await start(ours, { claimMode: 'CLAIM', allowNonRestoredState: true })
    await sweepOn()
    const run = await readRun(ours)
    expect(await read(ours, id)).toMatchObject({
      status: 'SUCCEEDED',
      result: { restorePoint: { decision: 'restore', snapshot: newest, because: { code: 'NEWEST_STATE' } } },
    })
    expect(ours.flink.requests).toMatchObject([
      {
        savepointPath: `s3://ours/flink/savepoints/${newest}`,
        claimMode: 'CLAIM',
        claimModeField: 'claimMode',
        allowNonRestoredState: true,
      },
    ])
    expect(run).toMatchObject({ restored_snapshot_id: newest, claim_mode: 'CLAIM' })
    expect(await readSnapshot(newest)).toMatchObject({ claimed_by_run_id: run.id, restored_by: [run.id] })
    expect(await readSnapshot(older)).toMatchObject({ claimed_by_run_id: null, restored_by: [] })
  })

  it('passes over a damaged one, whose verdict stays, and says which file is gone', async () => {
    const [older, newest] = await insertSavepoints(ours)
    files[`s3://ours/flink/savepoints/${newest}/_metadata`] = metadataWithFiles([
      { path: 'data', relative: true },
    ])
    const id = await start(ours)
    await sweepOn()
    expect(await read(ours, id)).toMatchObject({
      status: 'SUCCEEDED',
      result: {
        restorePoint: {
          snapshot: older,
          rejected: [{ snapshot: newest, code: 'DAMAGED', message: expect.stringContaining('data') }],
        },
      },
    })
    expect(await readSnapshot(newest)).toMatchObject({ verdict: 'DAMAGED' })
    expect(await readSnapshot(older)).toMatchObject({ verdict: 'WHOLE' })
  })

  it('restores one whose files no storage of ours reaches, and says that nobody looked', async () => {
    const [, newest] = await insertSavepoints(ours)
    files[`s3://ours/flink/savepoints/${newest}/_metadata`] = metadataWithFiles([
      { path: 's3://elsewhere/f' },
    ])
    const id = await start(ours)
    await sweepOn()
    expect(await read(ours, id)).toMatchObject({
      status: 'SUCCEEDED',
      result: { restorePoint: { snapshot: newest, findings: [{ code: 'NOT_VERIFIED' }] } },
    })
  })

  it('claims nothing with NO_CLAIM', async () => {
    const [, newest] = await insertSavepoints(ours)
    await start(ours)
    await sweepOn()
    expect(await readSnapshot(newest)).toMatchObject({
      claimed_by_run_id: null,
      restored_by: [(await readRun(ours)).id],
    })
  })

  it('waits until all tasks run, and takes the word of the observer for it', async () => {
    ours.flink.next.push((request) => begin(ours.flink, request, { allTasksRunning: false }))
    const id = await start(ours)
    await sweepOn(newWorker(), 3)
    expect(await read(ours, id)).toMatchObject({
      status: 'RUNNING',
      steps: [{}, {}, { status: 'DONE' }, { name: 'run', status: 'RUNNING', message: 'Flink says RUNNING' }],
    })
    await database.db.sql(
      `update run set state = 'RUNNING', flink_start_time = 5, all_tasks_running = true where job_id = $1`,
      [ours.jobId],
    )
    await sweepOn()
    expect(await read(ours, id)).toMatchObject({ status: 'SUCCEEDED' })
    expect(ours.flink.requests).toHaveLength(1)
  })
})

describe('a start that is advanced more than once', () => {
  it('by two workers at once asks once', async () => {
    await start(ours)
    const claimed = await Promise.all([newWorker().sweep(), newWorker().sweep(), newWorker().sweep()])
    expect(claimed.reduce((sum, each) => sum + each, 0)).toBe(1)
    expect(ours.flink.requests).toHaveLength(1)
  })

  it('by a worker that slept past its lease changes nothing and asks nothing', async () => {
    const gate = newGate()
    const sleeping = (flink: Cluster): FlinkClient => ({
      ...clientOf(flink),
      listJars: async () => {
        await gate.promise
        return clientOf(flink).listJars()
      },
    })
    const id = await start(ours)
    const stale = newWorker({ client: sleeping }).sweep()
    await expect.poll(async () => (await read(ours, id)).steps[0]?.status, { interval: 10 }).toBe('RUNNING')
    await sweepOn()
    const ended = await read(ours, id)
    expect(ended.status).toBe('SUCCEEDED')
    gate.resolve()
    await stale
    expect(await read(ours, id)).toEqual(ended)
    expect(ours.flink.requests).toHaveLength(1)
    expect(await readRuns(ours)).toHaveLength(1)
  })

  it('keeps its lease while Flink takes its time', async () => {
    const gate = newGate()
    ours.flink.next.push(async (request) => {
      await gate.promise
      return begin(ours.flink, request)
    })
    const id = await start(ours)
    const slow = newWorker({ leaseMs: 300 }).sweep()
    await expect.poll(() => ours.flink.requests.length, { interval: 10 }).toBe(1)
    const [before] = await database.db.sql<{ lease_until: string }>('select lease_until from operation')
    await expect
      .poll(
        async () => {
          const [now] = await database.db.sql<{ passed: boolean }>('select now() > $1 as passed', [
            before?.lease_until,
          ])
          return now?.passed
        },
        { interval: 20 },
      )
      .toBe(true)
    expect(await newWorker().sweep()).toBe(0)
    gate.resolve()
    await slow
    expect(await read(ours, id)).toMatchObject({ status: 'SUCCEEDED' })
    expect(ours.flink.requests).toHaveLength(1)
  })

  it.each(['listJars', 'uploadJar'] as const)('goes on after a crash in %s', async (call) => {
    const crashing = (flink: Cluster): FlinkClient => ({
      ...clientOf(flink),
      [call]: async () => {
        throw new Error('crash')
      },
    })
    const id = await start(ours)
    await sweepOn(newWorker({ client: crashing }))
    expect(await read(ours, id)).toMatchObject({ status: 'RUNNING', run: null })
    await sweepOn()
    expect(await read(ours, id)).toMatchObject({ status: 'SUCCEEDED' })
    expect(ours.flink.requests).toHaveLength(1)
  })

  it('goes on after a crash behind the question: the job is looked up, not asked for again', async () => {
    const id = await start(ours)
    await sweepOn(newWorker({ crashAt: 'start-asked' }))
    expect(await read(ours, id)).toMatchObject({ status: 'RUNNING' })
    await sweepOn()
    expect(await read(ours, id)).toMatchObject({ status: 'SUCCEEDED' })
    expect(ours.flink.requests).toHaveLength(1)
    expect(await readRuns(ours)).toHaveLength(1)
  })

  it('leaves the question to the next worker when it was frozen in front of it', async () => {
    const real = performance.now.bind(performance)
    let frozenMs = 0
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => real() + frozenMs)
    try {
      const id = await start(ours)
      await sweepOn(
        newWorker({
          onCrashPoint: (name) => {
            if (name === 'start-submitted') frozenMs += 60_000
          },
        }),
      )
      expect(ours.flink.requests).toEqual([])
      await sweepOn()
      expect(await read(ours, id)).toMatchObject({ status: 'SUCCEEDED' })
      expect(ours.flink.requests).toHaveLength(1)
      expect(await readRuns(ours)).toHaveLength(1)
    } finally {
      clock.mockRestore()
    }
  })

  it('never asks after a crash in front of the question: whether it was asked nobody can say', async () => {
    const id = await start(ours)
    await sweepOn(newWorker({ crashAt: 'start-submitted' }))
    await sweepOn(newWorker(), 3)
    expect(await read(ours, id)).toMatchObject({
      status: 'RUNNING',
      steps: [{}, {}, {}, { status: 'RUNNING' }],
    })
    await passDeadline()
    await sweepOn()
    expect(await read(ours, id)).toMatchObject({
      status: 'FAILED',
      failure: { code: 'START_UNANSWERED' },
    })
    expect(ours.flink.requests).toEqual([])
    expect(await readRun(ours)).toMatchObject({ state: 'SUBMITTING' })
  })
})

describe('a start without an answer', () => {
  it('is found when the job appears later', async () => {
    ours.flink.next.push(() => {
      throw noAnswer()
    })
    const id = await start(ours)
    await sweepOn(newWorker(), 3)
    expect(await read(ours, id)).toMatchObject({ status: 'RUNNING' })
    const [request] = ours.flink.requests
    if (request) begin(ours.flink, request)
    await sweepOn()
    expect(await read(ours, id)).toMatchObject({ status: 'SUCCEEDED' })
    expect(ours.flink.requests).toHaveLength(1)
  })

  it('ends as START_UNANSWERED when the observer has lost it, and the next start is refused', async () => {
    ours.flink.next.push(() => {
      throw noAnswer()
    })
    const id = await start(ours)
    await sweepOn()
    await database.db.sql(`update run set state = 'LOST', ended_at = now() where job_id = $1`, [ours.jobId])
    await sweepOn()
    expect(await read(ours, id)).toMatchObject({ status: 'FAILED', failure: { code: 'START_UNANSWERED' } })

    const next = await start(ours)
    await sweepOn()
    expect(await read(ours, next)).toMatchObject({ status: 'FAILED', failure: { code: 'RUN_STATE_UNKNOWN' } })
    expect(ours.flink.requests).toHaveLength(1)
  })

  it('ends at its deadline also when Flink cannot be asked then', async () => {
    ours.flink.next.push(() => {
      throw noAnswer()
    })
    const id = await start(ours)
    await sweepOn()
    ours.flink.away = true
    await sweepOn()
    expect(await read(ours, id)).toMatchObject({ status: 'RUNNING' })
    await passDeadline()
    await sweepOn()
    expect(await read(ours, id)).toMatchObject({ status: 'FAILED', failure: { code: 'START_UNANSWERED' } })
  })

  it('looks its job up when Flink says that the id is taken', async () => {
    ours.flink.next.push((request) => {
      begin(ours.flink, request)
      const text =
        'org.apache.flink.runtime.client.DuplicateJobSubmissionException: Job has already been submitted.'
      return { kind: 'refused', httpStatus: 400, text }
    })
    const id = await start(ours)
    await sweepOn()
    expect(await read(ours, id)).toMatchObject({ status: 'SUCCEEDED' })
  })
})

describe('a start that certainly never arrived', () => {
  it('is asked again under the same id', async () => {
    ours.flink.next.push(
      () => {
        throw refusedConnection()
      },
      () => {
        throw refusedConnection()
      },
    )
    const id = await start(ours)
    await sweepOn(newWorker(), 2)
    expect(await read(ours, id)).toMatchObject({
      status: 'RUNNING',
      steps: [{}, {}, { name: 'submit', status: 'RUNNING', message: 'connection refused' }, {}],
    })
    await sweepOn()
    expect(await read(ours, id)).toMatchObject({ status: 'SUCCEEDED' })
    expect(new Set(idsAsked(ours)).size).toBe(1)
    expect(await readRuns(ours)).toHaveLength(1)
  })

  it('brings the jar once more when its JobManager was replaced, and asks under the same id', async () => {
    ours.flink.next.push(() => {
      ours.flink.jars.length = 0
      return { kind: 'jar-missing' }
    })
    const id = await start(ours)
    await sweepOn(newWorker(), 2)
    expect(await read(ours, id)).toMatchObject({ status: 'SUCCEEDED' })
    expect(ours.flink.uploads).toHaveLength(2)
    expect(new Set(idsAsked(ours)).size).toBe(1)
    expect(ours.flink.requests[1]?.jarId).toBe(ours.flink.jars[0]?.id)
  })

  it('is over at the deadline, with its run, and gives its claim back to the next start', async () => {
    const [, newest] = await insertSavepoints(ours)
    ours.flink.next.push(() => {
      throw refusedConnection()
    })
    const id = await start(ours, { claimMode: 'CLAIM' })
    await sweepOn()
    expect((await readSnapshot(newest)).claimed_by_run_id).not.toBeNull()
    await passDeadline()
    await sweepOn()
    expect(await read(ours, id)).toMatchObject({ status: 'FAILED', failure: { code: 'START_TIMEOUT' } })
    expect(await readRun(ours)).toMatchObject({ state: 'FAILED', failure: { code: 'START_TIMEOUT' } })

    await database.db.sql(`update run set ended_at = now() - interval '1 minute'`)
    const next = await start(ours)
    await sweepOn()
    expect(await read(ours, next)).toMatchObject({
      status: 'SUCCEEDED',
      result: { restorePoint: { snapshot: newest } },
    })
  })

  it('is not asked at all while the cluster is away, and not after its deadline', async () => {
    ours.flink.away = true
    const id = await start(ours)
    await sweepOn(newWorker(), 2)
    expect(await read(ours, id)).toMatchObject({
      status: 'RUNNING',
      run: null,
      steps: [{ status: 'RUNNING', message: 'connection refused' }, {}, {}, {}],
    })
    await passDeadline()
    await sweepOn()
    ours.flink.away = false
    await sweepOn()
    expect(await read(ours, id)).toMatchObject({ status: 'FAILED', failure: { code: 'START_TIMEOUT' } })
    expect(ours.flink.requests).toEqual([])
    expect(await readRuns(ours)).toEqual([])
  })
})

describe('a start that Flink refuses', () => {
  it('uses up its id: operation and run FAILED with the root cause, and the claim comes back', async () => {
    const [, newest] = await insertSavepoints(ours)
    ours.flink.next.push((request) => refuse(ours.flink, request, MISMATCH))
    const id = await start(ours, { claimMode: 'CLAIM' })
    await sweepOn()
    const failure = { code: 'RESTORE_MAX_PARALLELISM' }
    const operation = await read(ours, id)
    expect(operation).toMatchObject({ status: 'FAILED', failure })
    expect(operation.failure?.message).toContain('128')
    expect(operation.steps.map(({ status }) => status)).toEqual(['DONE', 'DONE', 'FAILED', 'SKIPPED'])
    const run = await readRun(ours)
    expect(run).toMatchObject({ state: 'FAILED', failure, flink_start_time: START_TIME })

    // The observer's last looks are over: the same snapshot, under another id.
    await database.db.sql(`update run set ended_at = now() - interval '1 minute'`)
    const next = await start(ours)
    await sweepOn()
    expect(await read(ours, next)).toMatchObject({
      status: 'SUCCEEDED',
      result: { restorePoint: { snapshot: newest } },
    })
    expect(new Set(idsAsked(ours)).size).toBe(2)
  })

  it('before any job came of it ends its run as well', async () => {
    const text = 'java.lang.IllegalArgumentException: --rate needs a value'
    ours.flink.next.push(() => ({ kind: 'refused', httpStatus: 400, text }))
    const id = await start(ours)
    await sweepOn()
    expect(await read(ours, id)).toMatchObject({ status: 'FAILED', failure: { code: 'PROGRAM_FAILED' } })
    expect(await readRun(ours)).toMatchObject({ state: 'FAILED', flink_start_time: 0 })
  })

  it('runs when the program had submitted it and failed afterwards', async () => {
    ours.flink.next.push((request) => {
      begin(ours.flink, request)
      return { kind: 'refused', httpStatus: 400, text: 'java.lang.IllegalStateException: after execute()' }
    })
    const id = await start(ours)
    await sweepOn()
    expect(await read(ours, id)).toMatchObject({ status: 'SUCCEEDED', failure: null })
    expect(await readRun(ours)).toMatchObject({ state: 'RUNNING' })
  })

  it('keeps what it was refused with through a crash', async () => {
    const text = 'java.lang.IllegalArgumentException: no'
    const blind = (flink: Cluster): FlinkClient => ({
      ...clientOf(flink),
      findJob: async () => {
        throw noAnswer()
      },
    })
    ours.flink.next.push(() => ({ kind: 'refused', httpStatus: 400, text }))
    const id = await start(ours)
    await sweepOn(newWorker({ client: blind }))
    expect(await read(ours, id)).toMatchObject({ status: 'RUNNING' })
    await sweepOn()
    const operation = await read(ours, id)
    expect(operation).toMatchObject({ status: 'FAILED', failure: { code: 'PROGRAM_FAILED' } })
    expect(operation.failure?.message).toContain('IllegalArgumentException: no')
    expect(ours.flink.requests).toHaveLength(1)
  })

  it('fails with the cause when the job FAILED only after the answer', async () => {
    ours.flink.next.push((request) => {
      refuse(ours.flink, request, MISMATCH)
      return { kind: 'started' }
    })
    const id = await start(ours)
    await sweepOn()
    expect(await read(ours, id)).toMatchObject({
      status: 'FAILED',
      failure: { code: 'RESTORE_MAX_PARALLELISM' },
    })
  })
})

describe('a start that does not come up', () => {
  it('leaves the job as it is at its deadline, and says so', async () => {
    ours.flink.next.push((request) =>
      begin(ours.flink, request, { state: 'RESTARTING', allTasksRunning: false }),
    )
    const id = await start(ours)
    await sweepOn(newWorker(), 2)
    await passDeadline()
    await sweepOn()
    const operation = await read(ours, id)
    expect(operation).toMatchObject({ status: 'FAILED', failure: { code: 'START_TIMEOUT' } })
    expect(operation.failure?.message).toMatch(/RESTARTING.*left as it is/)
    expect(await readRun(ours)).toMatchObject({ state: 'RUNNING', flink_start_time: START_TIME })
    expect(ours.flink.jobs.size).toBe(1)
  })

  it.each([
    [
      'FINISHED',
      {
        status: 'SUCCEEDED',
        result: {
          warnings: expect.arrayContaining([{ code: 'ALREADY_ENDED', message: expect.any(String) }]),
        },
      },
    ],
    ['CANCELED', { status: 'FAILED', failure: { code: 'START_CANCELED' } }],
  ] as const)('says what became of a job that is %s already', async (state, expected) => {
    ours.flink.next.push((request) => begin(ours.flink, request, { state, allTasksRunning: false }))
    const id = await start(ours)
    await sweepOn()
    expect(await read(ours, id)).toMatchObject(expected)
    expect(await readRun(ours)).toMatchObject({ state })
  })
})

describe('what stands in the way of a start', () => {
  it.each([
    ['OBSERVE_ONLY', `update cluster set mode = 'OBSERVE_ONLY'`],
    ['CLUSTER_IDENTITY_CHANGED', `update cluster set changed_to = '{}'`],
    [
      'CLUSTER_UNSUPPORTED',
      `update cluster set capabilities = jsonb_set(capabilities, '{jarSubmission}', 'false')`,
    ],
    ['CLUSTER_UNSUPPORTED', `update cluster set flink_version = '1.16.2'`],
    ['VERSION_NOT_STARTABLE', `update job_version set spec = '{}'`],
    ['REFERENCE_NOT_FOUND', `update job_version set spec = '{"artifact": "s3://ours/flink/none.jar"}'`],
    [
      'LOCATION_OUTSIDE_ROOT',
      `update job_version set spec = '{"artifact": "s3://theirs/flink/_artifacts/${SHA}"}'`,
    ],
  ])('is refused with %s before anything is asked', async (code, change) => {
    await database.db.sql(change)
    const id = await start(ours)
    await sweepOn()
    expect(await read(ours, id)).toMatchObject({ status: 'FAILED', failure: { code }, run: null })
    expect(ours.flink.requests).toEqual([])
  })

  it('is a live run of the job, also one that begins while it is prepared', async () => {
    await start(ours)
    await sweepOn()
    const second = await start(ours)
    await sweepOn()
    expect(await read(ours, second)).toMatchObject({ status: 'FAILED', failure: { code: 'RUN_IS_LIVE' } })

    const [older] = await insertSavepoints(theirs)
    const id = await start(theirs, { strategy: 'FROM_SNAPSHOT', snapshot: older })
    onHead = async (place) => {
      if (place.endsWith('_metadata')) {
        await database.db.sql(`update run set state = 'RUNNING', ended_at = null where job_id = $1`, [
          theirs.jobId,
        ])
      }
    }
    await sweepOn(newWorker(), 2)
    expect(await read(theirs, id)).toMatchObject({ status: 'FAILED', failure: { code: 'RUN_IS_LIVE' } })
    expect(theirs.flink.requests).toEqual([])
  })

  it.each([
    [`mode = 'OBSERVE_ONLY'`, 'OBSERVE_ONLY'],
    [`changed_to = '{}'`, 'CLUSTER_IDENTITY_CHANGED'],
  ])('is a cluster that changes while the start is prepared: %s', async (change, code) => {
    const [, newest] = await insertSavepoints(ours)
    const id = await start(ours)
    onHead = async (place) => {
      if (place.includes(newest)) await database.db.sql(`update cluster set ${change}`)
    }
    await sweepOn(newWorker(), 2)
    expect(await read(ours, id)).toMatchObject({ status: 'FAILED', failure: { code }, run: null })
    expect(ours.flink.requests).toEqual([])
  })

  it('is its deadline, when that passes while the start is prepared', async () => {
    const [, newest] = await insertSavepoints(ours)
    const real = performance.now.bind(performance)
    let lateMs = 0
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => real() + lateMs)
    onHead = (place) => {
      if (place.includes(newest)) lateMs = 3_600_000
    }
    try {
      const id = await start(ours)
      await sweepOn()
      expect(await read(ours, id)).toMatchObject({ status: 'RUNNING', run: null })
      await passDeadline()
      await sweepOn()
      expect(await read(ours, id)).toMatchObject({ status: 'FAILED', failure: { code: 'START_TIMEOUT' } })
      expect(ours.flink.requests).toEqual([])
    } finally {
      clock.mockRestore()
    }
  })

  it('is a restore point that cannot be chosen: the refusal is the reason', async () => {
    const [older, newest] = await insertSavepoints(ours)
    for (const id of [older, newest]) delete files[`s3://ours/flink/savepoints/${id}/_metadata`]
    const id = await start(ours)
    await sweepOn()
    expect(await read(ours, id)).toMatchObject({
      status: 'FAILED',
      failure: { code: 'NO_RESTORE_POINT' },
      result: { restorePoint: { decision: 'refuse', rejected: [{ snapshot: newest }, { snapshot: older }] } },
      steps: [{ status: 'DONE' }, { name: 'choose', status: 'FAILED' }, {}, {}],
    })
    expect(await readRuns(ours)).toHaveLength(1)
  })

  it('is waited for while it passes by itself: a run that ended a moment ago', async () => {
    const run = await insertEndedRun(ours, '1 second')
    const savepoint = await insertSavepoint(ours, 7, run)
    const id = await start(ours)
    await sweepOn(newWorker(), 2)
    expect(await read(ours, id)).toMatchObject({
      status: 'RUNNING',
      steps: [
        {},
        { name: 'choose', status: 'RUNNING', message: expect.stringContaining('ended a moment ago') },
        {},
        {},
      ],
    })
    await database.db.sql(`update run set ended_at = now() - interval '1 minute'`)
    await sweepOn()
    expect(await read(ours, id)).toMatchObject({
      status: 'SUCCEEDED',
      result: { restorePoint: { snapshot: savepoint } },
    })
  })

  it('is a snapshot that another start claims in between: it is chosen again', async () => {
    const [older, newest] = await insertSavepoints(ours)
    const other = await insertEndedRun(theirs)
    let struck = 0
    onHead = async (place) => {
      if (!place.includes(newest) || struck++ > 0) return
      await database.db.sql('update snapshot set claimed_by_run_id = $1 where id = $2', [other, newest])
    }
    const id = await start(ours, { claimMode: 'CLAIM', acceptOlder: true })
    await sweepOn()
    expect(await read(ours, id)).toMatchObject({
      status: 'SUCCEEDED',
      result: { restorePoint: { snapshot: older, rejected: [{ snapshot: newest, code: 'CLAIMED' }] } },
    })
    expect(ours.flink.requests).toHaveLength(1)
    expect(await readRuns(ours)).toHaveLength(2)
    expect(await readSnapshot(newest)).toMatchObject({ claimed_by_run_id: other, restored_by: [] })
  })
})

it('keeps to its namespace: two starts of jobs with the same names', async () => {
  const [, ourNewest] = await insertSavepoints(ours)
  const [, theirNewest] = await insertSavepoints(theirs)
  const mine = await start(ours)
  const yours = await start(theirs)
  await Promise.all([newWorker().sweep(), newWorker().sweep()])
  expect(await read(ours, mine)).toMatchObject({ result: { restorePoint: { snapshot: ourNewest } } })
  expect(await read(theirs, yours)).toMatchObject({ result: { restorePoint: { snapshot: theirNewest } } })
  expect([ours.flink.requests.length, theirs.flink.requests.length]).toEqual([1, 1])
  const stranger = await start(ours, { strategy: 'FROM_SNAPSHOT', snapshot: theirNewest }).catch(() => null)
  await database.db.sql(`update run set state = 'CANCELED', ended_at = now() - interval '1 hour'`)
  await sweepOn()
  expect(await read(ours, stranger ?? '')).toMatchObject({
    status: 'FAILED',
    failure: { code: 'REFERENCE_NOT_FOUND' },
  })
})

describe('the observer and a run that we started', () => {
  const observe = async (tenant: Tenant, client: FlinkClient = clientOf(tenant.flink)) => {
    const { db } = database
    const observations = createObservationRepository(db, v7)
    const workerId = v7()
    await db.sql('update cluster set observer_id = null')
    await observations.registerWorker(workerId)
    await observations.claimClusters(workerId, 60_000)
    const observer = createClusterObserver({
      observations,
      flink: { to: () => client, close: async () => undefined },
      log: SILENT,
      lostAfterMs: 300_000,
      checkpoints: createCheckpointObserver({
        checkpoints: createCheckpointRepository(db, v7),
        intervalMs: 0,
        concurrency: 2,
      }),
    })
    const cluster = (await observations.listOwnClusters(workerId)).find(({ id }) => id === tenant.clusterId)
    if (!cluster) throw new Error('no cluster')
    const followed = await observations.listFollowedJobs([cluster.id])
    await observer(workerId, cluster, followed.get(cluster.id)?.jobs ?? [])
  }
  const submitOnly = async () => {
    ours.flink.next.push(() => {
      throw noAnswer()
    })
    await start(ours)
    await sweepOn()
    const [request] = ours.flink.requests
    if (!request) throw new Error('nothing was asked')
    return request
  }

  it('sees it RUNNING when it is listed, missing until then', async () => {
    const request = await submitOnly()
    await observe(ours)
    expect(await readRun(ours)).toMatchObject({ state: 'SUBMITTING', missing_since: expect.any(String) })
    begin(ours.flink, request)
    await observe(ours)
    expect(await readRun(ours)).toMatchObject({
      state: 'RUNNING',
      flink_start_time: START_TIME,
      missing_since: null,
      version_basis: 'STARTED',
    })
    expect(await readRuns(ours)).toHaveLength(1)
  })

  it('does not miss it by a list that is older than what its start has seen', async () => {
    const request = await submitOnly()
    const client = clientOf(ours.flink)
    await observe(ours, {
      ...client,
      async listJobs() {
        const listed = await client.listJobs()
        begin(ours.flink, request)
        await sweepOn()
        return listed
      },
    })
    expect(await readRun(ours)).toMatchObject({
      state: 'RUNNING',
      flink_start_time: START_TIME,
      all_tasks_running: true,
      missing_since: null,
    })
  })

  it('follows it through a JobManager failover, also before its first checkpoint', async () => {
    const request = await submitOnly()
    begin(ours.flink, request)
    await observe(ours)
    const { id } = await readRun(ours)
    begin(ours.flink, request, { startTime: START_TIME + 60_000 })
    await observe(ours)
    expect(await readRuns(ours)).toMatchObject([
      { id, state: 'RUNNING', flink_start_time: START_TIME + 60_000 },
    ])
  })

  it('begins another run of the same version when the job counts its checkpoints anew', async () => {
    const request = await submitOnly()
    begin(ours.flink, request)
    await observe(ours)
    const { id } = await readRun(ours)
    await database.db.sql(
      `insert into snapshot (id, namespace_id, job_id, run_id, kind, status, reason, source, description, flink_checkpoint_id,
         completed_at, settled_at, location, location_key, created_by)
       values ($1, $2, $3, $4, 'CHECKPOINT', 'Present', 'COMPLETED', 'SYSTEM', '', 7, now(), now(), $5, $5, 'flink')`,
      [v7(), ours.caller.namespaceId, ours.jobId, id, `s3://ours/flink/${request.flinkJobId}/chk-7`],
    )
    await database.db.sql(
      `insert into job_version (namespace_id, job_id, number, spec, created_by) values ($1, $2, 2, '{}', 'token:test')`,
      [ours.caller.namespaceId, ours.jobId],
    )
    begin(ours.flink, request, { startTime: START_TIME + 60_000 })
    await observe(ours)
    expect(await readRuns(ours)).toMatchObject([
      { id, state: 'LOST' },
      { state: 'RUNNING', version: 1, version_basis: 'STARTED', flink_job_id: request.flinkJobId },
    ])
  })
})

describe('claims', () => {
  const review = () =>
    createClaimReview({ claims: createClaimRepository(database.db), stores: { of: storeOf }, log: SILENT })
  /** A savepoint claimed by a run of its job. */
  async function claimed(
    tenant: Tenant,
    run: { state: string; completed?: number; ended?: string; seen?: number },
  ) {
    const [, newest] = await insertSavepoints(tenant)
    const { id: runId } = await readRun(tenant)
    await database.db.sql(
      `update run set state = $2, completed_checkpoints = $3, flink_start_time = $4,
         ended_at = case when $5::text is not null then now() - $5::interval end where id = $1`,
      [runId, run.state, run.completed ?? 0, run.seen ?? 1, run.ended ?? null],
    )
    await database.db.sql('update snapshot set claimed_by_run_id = $1 where id = $2', [runId, newest])
    return newest
  }
  const remove = (tenant: Tenant, id: string) =>
    delete files[`s3://${tenant.caller.namespace}/flink/savepoints/${id}/_metadata`]

  it('that Flink has dropped are Cleared as SUBSUMED, with transition and event, once', async () => {
    const gone = await claimed(ours, { state: 'RUNNING', completed: 5 })
    const standing = await claimed(theirs, { state: 'RUNNING', completed: 1 })
    remove(ours, gone)
    await Promise.all([review().round(), review().round()])
    await review().round()
    expect(await readSnapshot(gone)).toMatchObject({ status: 'Cleared', reason: 'SUBSUMED' })
    expect(await readSnapshot(standing)).toMatchObject({
      status: 'Present',
      claimed_by_run_id: expect.any(String),
    })
    const moves = await database.db.sql(
      `select namespace_id, from_status, to_status, reason from history.snapshot_transition where snapshot_id = $1`,
      [gone],
    )
    expect(moves).toEqual([
      {
        namespace_id: ours.caller.namespaceId,
        from_status: 'Present',
        to_status: 'Cleared',
        reason: 'SUBSUMED',
      },
    ])
    const events = await database.db.sql(`select 1 from history.event where snapshot_id = $1`, [gone])
    expect(events).toHaveLength(1)
  })

  it('of a run that is over without a checkpoint of its own come back', async () => {
    const whole = await claimed(ours, { state: 'CANCELED', ended: '1 minute' })
    const used = await claimed(theirs, { state: 'CANCELED', ended: '1 minute', completed: 1 })
    await review().round()
    expect(await readSnapshot(whole)).toMatchObject({ status: 'Present', claimed_by_run_id: null })
    expect(await readSnapshot(used)).toMatchObject({ claimed_by_run_id: expect.any(String) })
  })

  it('stay while the run lives, is lost without a word, or ended too short ago to be known', async () => {
    const live = await claimed(ours, { state: 'RUNNING' })
    const lost = await claimed(theirs, { state: 'LOST', ended: '1 hour' })
    await review().round()
    for (const id of [live, lost]) {
      expect(await readSnapshot(id)).toMatchObject({ claimed_by_run_id: expect.any(String) })
    }
    await database.db.sql(
      `update run set state = 'FAILED', ended_at = now() where state in ('RUNNING', 'LOST')`,
    )
    await review().round()
    expect(await readSnapshot(live)).toMatchObject({ claimed_by_run_id: expect.any(String) })
  })

  it('are not gone while their folder holds not one file: its disk may not be mounted', async () => {
    const away = await claimed(ours, { state: 'RUNNING', completed: 5 })
    const location = `file:///data/savepoints/${away}`
    await database.db.sql('update snapshot set location = $1, location_key = $1 where id = $2', [
      location,
      away,
    ])
    await database.db.sql(
      `update storage set uri = 'file:///data', root_key = 'file:///data/', provider = 'local'
       where id = (select storage_id from snapshot where id = $1)`,
      [away],
    )
    await review().round()
    expect(await readSnapshot(away)).toMatchObject({ status: 'Present', verified_at: null })
    files[`${location}/_metadata`] = new Uint8Array(8) // mounted again
    await review().round()
    expect(await readSnapshot(away)).toMatchObject({ status: 'Present' })
    delete files[`${location}/_metadata`]
    files['file:///data/another/_metadata'] = new Uint8Array(8)
    await database.db.sql('update snapshot set verified_at = null')
    await review().round()
    expect(await readSnapshot(away)).toMatchObject({ status: 'Cleared', reason: 'SUBSUMED' })
  })

  it('are neither gone nor given back where the store cannot be asked, and hold up nobody', async () => {
    const unknown = await claimed(ours, { state: 'CANCELED', ended: '1 minute' })
    const gone = await claimed(theirs, { state: 'RUNNING', completed: 5 })
    remove(ours, unknown)
    remove(theirs, gone)
    onHead = (place) => {
      if (place.startsWith('s3://ours')) throw new StorageError('unreachable', 'no answer')
    }
    await review().round()
    expect(await readSnapshot(unknown)).toMatchObject({
      status: 'Present',
      claimed_by_run_id: expect.any(String),
      verified_at: null,
    })
    expect(await readSnapshot(gone)).toMatchObject({ status: 'Cleared' })
  })
})
