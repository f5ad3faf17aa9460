/** Starts on a real Postgres, local files and the simulated Flink behind the shipped client, with the observer beside them. */
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { v7 } from 'uuid'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest'
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
import type { JobVersionSpec } from '../../src/domain/job-version.ts'
import { type LifecycleOperation, START_STEPS } from '../../src/domain/operation.ts'
import { plannedSteps } from '../../src/domain/operation-steps.ts'
import type { Restore } from '../../src/domain/restore-point.ts'
import { createFlinkConnections } from '../../src/flink/connections.ts'
import type { FlinkConnections } from '../../src/ports/flink.ts'
import type { ObjectStores } from '../../src/ports/storage.ts'
import { sweepLifecycles } from '../../src/services/advance-lifecycle.ts'
import { advanceStart } from '../../src/services/advance-start.ts'
import type { Caller } from '../../src/services/api.ts'
import { createCheckpointObserver } from '../../src/services/observe-checkpoints.ts'
import { createClusterObserver } from '../../src/services/observe-cluster.ts'
import { createClusterWatch } from '../../src/services/observe-clusters.ts'
import { createClaimReview } from '../../src/services/review-claims.ts'
import { createSecrets } from '../../src/storage/secrets.ts'
import { createObjectStores } from '../../src/storage/stores.ts'
import { until } from '../support/api.ts'
import { openMigratedDatabase, type TestDatabase } from '../support/database.ts'
import { createCaller } from '../support/fixtures.ts'
import { type ScriptedFlink, startScriptedFlink } from '../support/simulated-flink.ts'

vi.setConfig({ testTimeout: 60_000 })

const SILENT = { info: () => undefined, warn: () => undefined, error: () => undefined }
const SHA = 'cd'.repeat(32)
const CHECKPOINTS = { checkpointing: { intervalMs: 100 } }

let database: TestDatabase
let folder: string
let root: string
let connections: FlinkConnections
let stores: ObjectStores
let flink: ScriptedFlink
let caller: Caller
let jobId: string
let stopWorker: () => Promise<void>

beforeAll(async () => {
  database = await openMigratedDatabase('starts_flink')
  folder = await mkdtemp(join(tmpdir(), 'tidemark-starts-'))
})
afterAll(async () => {
  await database?.drop()
  await rm(folder, { recursive: true, force: true })
})

beforeEach(async () => {
  const { db } = database
  await db.sql('truncate namespace, worker cascade')
  root = join(folder, v7())
  await mkdir(join(root, '_artifacts'), { recursive: true })
  await writeFile(join(root, '_artifacts', SHA), randomBytes(200_000))
  flink = await startScriptedFlink({
    checkpointDir: `file://${root}/checkpoints`,
    jobDefaults: { numRetained: 2 },
  })
  const secrets = createSecrets({ env: {}, secretsDir: null, namespaces: () => ['ours'] })
  connections = createFlinkConnections(secrets, {
    connectTimeoutMs: 300,
    requestTimeoutMs: 1_000,
    runTimeoutMs: 1_000,
  })
  stores = createObjectStores({ secrets, localRoots: [folder] })
  caller = await createCaller(db, 'ours')
  const [clusterId, storageId] = [v7(), v7()]
  jobId = v7()
  await db.sql(`insert into cluster (id, namespace_id, name, url) values ($1, $2, 'flink', $3)`, [
    clusterId,
    caller.namespaceId,
    flink.flink.url,
  ])
  await db.sql(
    `insert into storage (id, namespace_id, name, uri, root_key, provider) values ($1, $2, 'state', $3, $4, 'local')`,
    [storageId, caller.namespaceId, `file://${root}`, `file://${root}/`],
  )
  await db.sql(
    `insert into job (id, namespace_id, name, cluster_id, savepoint_storage_id) values ($1, $2, 'orders', $3, $4)`,
    [jobId, caller.namespaceId, clusterId, storageId],
  )
  stopWorker = startWorker()
})
afterEach(async () => {
  await stopWorker()
  await flink.flink.stop()
  await connections.close()
  await stores.close()
})

/** The loops of a worker that starts have to do with. */
function startWorker(): () => Promise<void> {
  const { db } = database
  const lifecycleWork = createLifecycleWorkRepository(db, { leaseMs: 2_000, newLease: v7 })
  const claims = createClaimRepository(db)
  const observations = createObservationRepository(db, v7)
  const ports = {
    lifecycleWork,
    claims,
    restorePoints: createRestorePointRepository(db),
    jobs: createJobRepository(db),
    storages: createStorageRepository(db),
    inspections: createInspectionRepository(db),
    verifications: createVerificationRepository(db),
    stores,
    flink: connections,
    newId: v7,
    newFlinkJobId: () => randomBytes(16).toString('hex'),
    crashPoint: () => undefined,
    log: SILENT,
  }
  const sweep = sweepLifecycles({
    lifecycleWork,
    advanceStart: (work) => advanceStart(work, ports),
    advanceStop: () => Promise.reject(new Error('no stop here')),
    log: SILENT,
    limits: { renewMs: 500 },
  })
  const watch = createClusterWatch({
    observations,
    observe: createClusterObserver({
      observations,
      flink: connections,
      log: SILENT,
      lostAfterMs: 60_000,
      checkpoints: createCheckpointObserver({
        checkpoints: createCheckpointRepository(db, v7),
        intervalMs: 50,
        concurrency: 4,
      }),
    }),
    newId: v7,
    log: SILENT,
    leaseMs: 5_000,
    concurrency: 4,
  })
  const review = createClaimReview(ports, { everyMs: 50 })
  let stopping = false
  const loop = async (work: () => Promise<unknown>) => {
    while (!stopping) {
      await work().catch(() => undefined)
      await sleep(20)
    }
  }
  const loops = [
    loop(() => sweep(10).then(({ done }) => done)),
    loop(() => watch.round()),
    loop(() => review.round()),
  ]
  return async () => {
    stopping = true
    await Promise.all(loops)
    await sleep(50) // a poll under way
    await watch.close()
  }
}

async function createVersion(spec: JobVersionSpec): Promise<number> {
  const { insertVersion } = createJobRepository(database.db)
  const inserted = await insertVersion(caller, jobId, {
    spec: { artifact: `sha256:${SHA}`, ...spec },
    labels: {},
    createdBy: 'token:test',
  })
  if (inserted.kind === 'key-reused') throw new Error('no version')
  return inserted.number
}

async function start(
  version: number,
  restore: Restore = {},
  timeoutSeconds = 30,
): Promise<LifecycleOperation> {
  const id = v7()
  await createLifecycleRepository(database.db).insert(caller, {
    id,
    kind: 'START',
    jobId,
    request: { version, restore },
    steps: plannedSteps(START_STEPS),
    timeoutSeconds,
    createdBy: 'token:test',
  })
  return until(`the start ${id} ended`, async () => {
    const page = { pageSize: 1, after: null }
    const found = await createOperationRepository(database.db).find(caller, id, page)
    return found?.kind === 'START' && found.status !== 'RUNNING' ? found : undefined
  })
}

type RunRow = {
  id: string
  state: string
  flink_job_id: string
  flink_start_time: number
  declared_version: number | null
  version: number
  completed_checkpoints: number
  restored_checkpoint_id: number | null
}
const readRuns = () =>
  database.db.sql<RunRow>('select * from run where job_id = $1 order by started_at, epoch', [jobId])
const readRun = async (): Promise<RunRow> => {
  const run = (await readRuns()).at(-1)
  if (!run) throw new Error('no run')
  return run
}
const untilRun = (what: string, is: (run: RunRow) => boolean): Promise<RunRow> =>
  until(`the run ${what}`, async () => {
    const run = await readRun()
    return is(run) ? run : undefined
  })
/** Ended, and long enough ago that nothing of it can be unseen. */
async function cancel(): Promise<void> {
  const { flink_job_id } = await readRun()
  flink.flink.cancelJob(flink_job_id)
  await untilRun('is CANCELED', ({ state }) => state === 'CANCELED')
  await database.db.sql(
    `update run set ended_at = now() - interval '1 minute', in_progress = null where ended_at is not null`,
  )
}
const runsAsked = () => flink.requests.filter(({ path }) => path.endsWith('/run')).length

it('starts, and starts again from the newest checkpoint the run before left', async () => {
  const version = await createVersion(CHECKPOINTS)
  const first = await start(version)
  expect(first).toMatchObject({ status: 'SUCCEEDED' })
  const address = { key: 'k', namespace: 'ours', url: flink.flink.url, auth: { type: 'none' as const } }
  expect(await connections.to(address).readDeclaredVersion(first.flinkJobId ?? '')).toBe(version)
  await untilRun('has two checkpoints', (run) => run.completed_checkpoints >= 2)
  await cancel()
  const again = await start(version)
  expect(again).toMatchObject({ status: 'SUCCEEDED', result: { restorePoint: { decision: 'restore' } } })
  const run = await untilRun('is seen', ({ restored_checkpoint_id }) => restored_checkpoint_id !== null)
  expect(again.result.restorePoint?.location).toContain(`chk-${run.restored_checkpoint_id}`)
  expect(await readRuns()).toHaveLength(2)
  expect(runsAsked()).toBe(2)
})

it.each(['reply-lost', 'half-body'] as const)(
  'finds the job whose answer was lost (%s), and asks once',
  async (kind) => {
    const version = await createVersion(CHECKPOINTS)
    flink.faults.reply({ route: 'runJar' }, { kind })
    const operation = await start(version)
    expect(operation).toMatchObject({ status: 'SUCCEEDED' })
    expect(runsAsked()).toBe(1)
    expect(flink.flink.findJob(operation.flinkJobId ?? '')?.state).toBe('RUNNING')
  },
)

it('asks nobody twice when Flink hangs and the request never counted', async () => {
  const version = await createVersion(CHECKPOINTS)
  flink.faults.reply({ route: 'runJar' }, { kind: 'hang' })
  expect(await start(version, {}, 3)).toMatchObject({
    status: 'FAILED',
    failure: { code: 'START_UNANSWERED' },
  })
  expect(runsAsked()).toBe(1)
  expect(await readRun()).toMatchObject({ state: 'SUBMITTING' })
})

it('asks again under the same id while a leader is elected', async () => {
  const version = await createVersion(CHECKPOINTS)
  flink.faults.reply({ route: 'runJar' }, { kind: 'leader-election' })
  expect(await start(version)).toMatchObject({ status: 'SUCCEEDED' })
  expect(runsAsked()).toBe(2)
  expect(await readRuns()).toHaveLength(1)
})

it('brings the jar to a JobManager that does not have it any more', async () => {
  const version = await createVersion(CHECKPOINTS)
  await start(version)
  await untilRun('has a checkpoint', (run) => run.completed_checkpoints >= 1)
  await cancel()
  await flink.flink.restartJobManager({ ha: false, downMs: 50 })
  expect(await start(version)).toMatchObject({ status: 'SUCCEEDED' })
  expect(flink.requests.filter(({ path }) => path.endsWith('/jars/upload'))).toHaveLength(2)
})

it('stays one run through a JobManager failover before its first checkpoint, and after some', async () => {
  const version = await createVersion({})
  const { flinkJobId } = await start(version, { strategy: 'NONE' })
  const { flink_start_time: first } = await untilRun('is seen', (run) => run.flink_start_time > 0)
  await flink.flink.restartJobManager({ ha: true, downMs: 100 })
  const second = await untilRun('goes on', (run) => run.flink_start_time > first && run.state === 'RUNNING')
  flink.flink.triggerCheckpoint(flinkJobId ?? '')
  await untilRun('has a checkpoint', (run) => run.completed_checkpoints > 0)
  await flink.flink.restartJobManager({ ha: true, downMs: 100 })
  await untilRun('goes on again', (run) => run.flink_start_time > second.flink_start_time)
  expect(await readRuns()).toMatchObject([{ flink_job_id: flinkJobId, version }])
})

it('says why a snapshot does not fit, and gives the claim back: a version that fits restores it', async () => {
  const version = await createVersion({ ...CHECKPOINTS, maxParallelism: 128 })
  await start(version)
  await untilRun('has a checkpoint', (run) => run.completed_checkpoints >= 1)
  await cancel()
  const narrow = await createVersion({ ...CHECKPOINTS, maxParallelism: 64 })
  const refused = await start(narrow, { claimMode: 'CLAIM' })
  expect(refused).toMatchObject({ status: 'FAILED', failure: { code: 'RESTORE_MAX_PARALLELISM' } })
  expect(await readRun()).toMatchObject({ state: 'FAILED', version: narrow })
  await database.db.sql(`update run set ended_at = now() - interval '1 minute' where ended_at is not null`)
  expect(await start(version, { claimMode: 'CLAIM' })).toMatchObject({
    status: 'SUCCEEDED',
    result: { restorePoint: { snapshot: refused.result.restorePoint?.snapshot } },
  })
})

it('clears a claimed checkpoint once Flink has subsumed it', async () => {
  const version = await createVersion(CHECKPOINTS)
  await start(version)
  await untilRun('has a checkpoint', (run) => run.completed_checkpoints >= 1)
  await cancel()
  const { result } = await start(version, { claimMode: 'CLAIM' })
  const claimed = await until('the claimed one is gone', async () => {
    const [row] = await database.db.sql<{ status: string; reason: string }>(
      'select status, reason from snapshot where id = $1',
      [result.restorePoint?.snapshot],
    )
    return row?.status === 'Cleared' ? row : undefined
  })
  expect(claimed).toEqual({ status: 'Cleared', reason: 'SUBSUMED' })
})
