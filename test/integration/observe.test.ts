/** The observer against a real Postgres and a Flink that says what each test wants it to say. */
import { v7 } from 'uuid'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createCheckpointRepository } from '../../src/db/checkpoints.ts'
import { createObservationRepository } from '../../src/db/observations.ts'
import { createSnapshotRepository } from '../../src/db/snapshots.ts'
import { StorageError } from '../../src/domain/errors.ts'
import type {
  CheckpointEntry,
  CheckpointStatistics,
  ClusterSettings,
  FlinkJob,
  JobException,
} from '../../src/domain/flink.ts'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import type { FlinkClient } from '../../src/ports/flink.ts'
import type { ObjectStores } from '../../src/ports/storage.ts'
import { createCheckpointObserver } from '../../src/services/observe-checkpoints.ts'
import { createClusterObserver } from '../../src/services/observe-cluster.ts'
import { reviewCheckpoints } from '../../src/services/review-checkpoints.ts'
import { openMigratedDatabase, type TestDatabase } from '../support/database.ts'
import { checkpointEntry, fakeFlink, fakeStore, flinkJob } from '../support/fakes.ts'
import { createTenants, newFlinkJobId, type Tenant } from '../support/fixtures.ts'

const LOST_AFTER_MS = 300_000
const SILENT = { info: () => undefined, warn: () => undefined, error: () => undefined }
const CONFIG = {
  mode: 'exactly_once',
  intervalMs: 2_000,
  timeoutMs: 600_000,
  minPauseMs: 0,
  maxConcurrent: 1,
  externalized: { enabled: true, deleteOnCancellation: false },
  stateBackend: 'EmbeddedRocksDBStateBackend',
  checkpointStorage: 'FileSystemCheckpointStorage',
  unaligned: false,
  tolerableFailures: 0,
}
const NOBODY: ClusterSettings = {
  fingerprint: { haClusterId: null, kubernetesClusterId: null },
  recoveryPath: null,
}

let database: TestDatabase
beforeAll(async () => {
  database = await openMigratedDatabase('observe')
})
afterAll(() => database.drop())

/** What Flink says now; each test changes it. */
let jobs: FlinkJob[]
let checkpoints: Map<string, CheckpointStatistics>
let settings: ClusterSettings
let declared: Map<string, number>
let exceptions: JobException[]
let files: Record<string, Uint8Array>
let asked: string[]
let ours: Tenant
let theirs: Tenant
let workerId: string
let observe: () => Promise<void>
let statements: string[]
/** Flink's checkpoint ids in each report handed to the database. */
const recorded: number[][] = []

beforeEach(async () => {
  await database.db.sql('truncate namespace, worker cascade')
  ;({ ours, theirs } = await createTenants(database.db))
  // The fixture's run would be a job that Flink does not list.
  await database.db.sql('update job set current_run_id = null')
  await database.db.sql('delete from run')
  jobs = []
  checkpoints = new Map()
  settings = NOBODY
  declared = new Map()
  exceptions = []
  files = {}
  asked = []
  statements = []
  workerId = v7()
  const observations = createObservationRepository(counting(), () => v7())
  await observations.registerWorker(workerId)
  await observations.claimClusters(workerId, 60_000)
  observe = newObserver()
})

const counting = () => ({
  ...database.db,
  sql: ((text: string, values?: unknown[], name?: string) => {
    statements.push(name ?? text)
    return database.db.sql(text, values, name)
  }) as typeof database.db.sql,
})

/** An observer with an empty memory, as after a restart of its worker. */
function newObserver(): () => Promise<void> {
  const observations = createObservationRepository(counting(), () => v7())
  const checkpoints = createCheckpointRepository(counting(), () => v7())
  const observer = createClusterObserver({
    observations,
    flink: { to: () => flink(), close: async () => undefined },
    log: SILENT,
    lostAfterMs: LOST_AFTER_MS,
    checkpoints: createCheckpointObserver({
      checkpoints: {
        ...checkpoints,
        record(worker, cluster, reports) {
          const ids = reports.map(({ snapshots }) => snapshots.map((each) => each.flinkCheckpointId))
          recorded.push(...ids)
          return checkpoints.record(worker, cluster, reports)
        },
      },
      intervalMs: 0,
      concurrency: 4,
    }),
  })
  return async () => {
    const own = await observations.listOwnClusters(workerId)
    const cluster = own.find(({ id }) => id === ours.clusterId)
    if (!cluster) throw new Error('the cluster has another owner')
    const followed = await observations.listFollowedJobs([cluster.id])
    await observer(workerId, cluster, followed.get(cluster.id)?.jobs ?? [])
  }
}

const flink = (): FlinkClient =>
  fakeFlink({
    describeCluster: async () => ({
      flinkVersion: '2.3.0',
      capabilities: {
        idempotentTriggers: true,
        triggerCheckpoint: true,
        jarSubmission: true,
        claimMode: true,
      },
    }),
    readSettings: async () => {
      asked.push('settings')
      return settings
    },
    listJobs: async () => jobs,
    findJob: async (id) => jobs.find((job) => job.flinkJobId === id) ?? null,
    listExceptions: async () => exceptions,
    readDeclaredVersion: async (id) => declared.get(id) ?? null,
    readCheckpointConfig: async () => CONFIG,
    readCheckpoints: async (id) => checkpoints.get(id) ?? null,
    pollCheckpoints: async (id, tag) => {
      const statistics = checkpoints.get(id)
      if (!statistics) return { kind: 'none' }
      const own = JSON.stringify(statistics)
      return own === tag ? { kind: 'unchanged' } : { kind: 'changed', tag: own, statistics }
    },
  })

const stores: ObjectStores = { of: () => fakeStore(files), close: async () => undefined }
const review = () =>
  reviewCheckpoints({
    checkpoints: createCheckpointRepository(database.db, () => v7()),
    stores,
    log: SILENT,
    leaseMs: 1_000,
  })
/** Reviews are due a moment after an end. */
const reviewNow = async () => {
  await database.db.sql(
    `update run set recheck_at = now() - interval '1 second' where recheck_at is not null`,
  )
  await review()
}

const ROOT = 's3://ours/flink/checkpoints'
const place = (flinkJobId: string, id: number) => `${ROOT}/${flinkJobId}/chk-${id}`
const completed = (flinkJobId: string, id: number, changes: Partial<CheckpointEntry> = {}) =>
  checkpointEntry({
    id,
    isSavepoint: false,
    format: null,
    checkpointType: 'CHECKPOINT',
    externalPath: place(flinkJobId, id),
    triggeredAt: Date.parse('2026-11-21T12:00:00Z') + id * 1_000,
    latestAckAt: Date.parse('2026-11-21T12:00:00Z') + id * 1_000 + 250,
    durationMs: 250,
    ...changes,
  })
const failure = (id: number, failureMessage: string, at = 1_000) =>
  completed('', id, {
    status: 'FAILED',
    externalPath: null,
    latestAckAt: null,
    triggeredAt: at,
    failedAt: at + 500,
    failureMessage,
  })
const stats = (history: CheckpointEntry[], changes: Partial<CheckpointStatistics['latest']> = {}) => ({
  counts: {
    restored: 0,
    total: history.length,
    inProgress: 0,
    completed: history.filter((entry) => entry.status === 'COMPLETED').length,
    failed: history.filter((entry) => entry.status === 'FAILED').length,
  },
  latest: { completed: null, savepoint: null, failed: null, restored: null, ...changes },
  history,
})
const restoredFrom = (id: number, externalPath: string | null) => ({
  restored: { id, restoredAt: 5_000, externalPath },
})

const running = (flinkJobId: string, changes: Partial<FlinkJob> = {}) => flinkJob({ flinkJobId, ...changes })

const list = async (): Promise<Snapshot[]> => {
  const page = await createSnapshotRepository(database.db).list(
    { namespaceId: ours.caller.namespaceId },
    { job: ours.jobId, orderBy: 'createdAt', order: 'asc' },
    { pageSize: 200, after: null },
  )
  return page.items
}
type RunRow = {
  id: string
  epoch: number
  state: string
  version: number | null
  version_basis: string | null
  restored_location: string | null
  restored_snapshot_id: string | null
  recheck_at: string | null
  current: boolean
}
const runs = () =>
  database.db.sql<RunRow>(
    `select r.*, r.id = j.current_run_id as current from run r join job j on j.id = r.job_id
     where r.job_id = $1 order by r.created_at, r.epoch`,
    [ours.jobId],
  )
const registerVersion = (number: number) =>
  database.db.sql(
    `with v as (insert into job_version (namespace_id, job_id, number, created_by) values ($1, $2, $3, 'token:test'))
     update job set latest_version = $3 where id = $2`,
    [ours.caller.namespaceId, ours.jobId, number],
  )
const brief = (snapshots: Snapshot[]) =>
  snapshots.map(({ flinkCheckpointId, kind, status, reason }) => [flinkCheckpointId, kind, status, reason])

describe('checkpoints that Flink reports', () => {
  it('become snapshots of their run and version, once, whoever reports them again', async () => {
    const id = newFlinkJobId()
    await registerVersion(3)
    jobs = [running(id)]
    checkpoints.set(
      id,
      stats([completed(id, 2, { uploadedBytes: 100, stateSizeBytes: 4_096 }), completed(id, 1)]),
    )
    await observe() // begins the run
    await observe()
    await observe()
    observe = newObserver()
    await observe()
    const [first, second, ...more] = await list()
    expect(more).toEqual([])
    const [run] = await runs()
    expect(first).toMatchObject({
      kind: 'CHECKPOINT',
      source: 'SYSTEM',
      status: 'Present',
      flinkCheckpointId: 1,
      run: run?.id,
      jobVersion: 3,
      location: place(id, 1),
      storage: { id: ours.storageId },
      sizeBytes: 4_096,
      durationMs: 250,
      triggeredAt: '2026-11-21T12:00:01.000Z',
      completedAt: '2026-11-21T12:00:01.250Z',
      flinkVersion: '2.3.0',
      restorable: true,
      createdBy: 'flink',
      triggerId: null,
      attempts: [],
    })
    expect(second).toMatchObject({ flinkCheckpointId: 2, incremental: true, uploadedBytes: 100 })
  })

  it('write nothing while nothing changes', async () => {
    const id = newFlinkJobId()
    jobs = [running(id)]
    checkpoints.set(id, stats([completed(id, 1)]))
    for (let poll = 0; poll < 3; poll++) await observe()
    statements.length = 0
    for (let poll = 0; poll < 5; poll++) await observe()
    expect(new Set(statements)).toEqual(new Set(['own-clusters', 'followed-jobs']))
  })

  it('are told to the database once, and again only when they changed', async () => {
    const id = newFlinkJobId()
    jobs = [running(id)]
    checkpoints.set(id, stats([completed(id, 1)]))
    for (let poll = 0; poll < 2; poll++) await observe() // the run first, then its checkpoints
    checkpoints.set(id, stats([completed(id, 2), completed(id, 1)]))
    recorded.length = 0
    await observe()
    expect(recorded).toEqual([[2]])
    checkpoints.set(id, stats([completed(id, 3), completed(id, 2), completed(id, 1, { discarded: true })]))
    await observe()
    expect(recorded).toEqual([[2], [3, 1]])
    expect(brief(await list())).toEqual([
      [1, 'CHECKPOINT', 'Cleared', 'SUBSUMED'],
      [2, 'CHECKPOINT', 'Present', 'COMPLETED'],
      [3, 'CHECKPOINT', 'Present', 'COMPLETED'],
    ])
  })

  it('are Cleared once Flink has dropped them, also when they were never seen standing', async () => {
    const id = newFlinkJobId()
    jobs = [running(id)]
    checkpoints.set(id, stats([completed(id, 1)]))
    await observe()
    await observe()
    checkpoints.set(
      id,
      stats([completed(id, 3), completed(id, 2, { discarded: true }), completed(id, 1, { discarded: true })]),
    )
    await observe()
    expect(brief(await list())).toEqual([
      [1, 'CHECKPOINT', 'Cleared', 'SUBSUMED'],
      [2, 'CHECKPOINT', 'Cleared', 'SUBSUMED'],
      [3, 'CHECKPOINT', 'Present', 'COMPLETED'],
    ])
    const [row] = await database.db.sql<{ steps: string[] }>(
      `select array_agg(to_status order by at, to_status desc) as steps from history.snapshot_transition
       where snapshot_id = (select id from snapshot where flink_checkpoint_id = 2)`,
    )
    expect(row?.steps).toEqual(['Present', 'Cleared'])
  })

  it('are looked for in storage once the history no longer shows them', async () => {
    const id = newFlinkJobId()
    jobs = [running(id)]
    checkpoints.set(id, stats([completed(id, 3), completed(id, 2), completed(id, 1)]))
    await observe()
    await observe()
    checkpoints.set(id, stats([completed(id, 9)])) // the worker slept, or the JobManager is a new one
    await observe()
    files = {
      [`${place(id, 2)}/_metadata`]: new Uint8Array(8),
      [`${place(id, 3)}/_metadata`]: new Uint8Array(8),
    }
    await review()
    expect(brief(await list())).toEqual([
      [1, 'CHECKPOINT', 'Cleared', 'SUBSUMED'],
      [2, 'CHECKPOINT', 'Present', 'COMPLETED'],
      [3, 'CHECKPOINT', 'Present', 'COMPLETED'],
      [9, 'CHECKPOINT', 'Present', 'COMPLETED'],
    ])
    expect((await runs())[0]?.recheck_at).toBeNull()
  })

  it('stay Present while their folder holds not one file: its disk may not be mounted', async () => {
    await database.db.sql(
      `update storage set uri = 'file:///data', root_key = 'file:///data/', provider = 'local' where id = $1`,
      [ours.storageId],
    )
    const id = newFlinkJobId()
    jobs = [running(id)]
    const externalPath = `file:///data/checkpoints/${id}/chk-1`
    checkpoints.set(id, stats([completed(id, 1, { externalPath })]))
    await observe()
    await observe()
    jobs = [running(id, { state: 'CANCELED' })]
    await observe()
    files = {}
    await reviewNow()
    expect(brief(await list())).toEqual([[1, 'CHECKPOINT', 'Present', 'COMPLETED']])
    expect((await runs())[0]?.recheck_at).not.toBeNull()
    files = { 'file:///data/another/_metadata': new Uint8Array(8) }
    await reviewNow()
    expect(brief(await list())).toEqual([[1, 'CHECKPOINT', 'Cleared', 'SUBSUMED']])
  })

  it('stay Present while the store cannot be asked', async () => {
    const id = newFlinkJobId()
    jobs = [running(id)]
    checkpoints.set(id, stats([completed(id, 1)]))
    await observe()
    await observe()
    jobs = [running(id, { state: 'CANCELED' })]
    await observe()
    const broken = {
      of: () => ({
        ...fakeStore({}),
        head: async () => {
          throw new StorageError('unreachable', 'no route')
        },
      }),
      close: async () => undefined,
    }
    await database.db.sql(`update run set recheck_at = now() - interval '1 second'`)
    await reviewCheckpoints({
      checkpoints: createCheckpointRepository(database.db, () => v7()),
      stores: broken,
      log: SILENT,
      leaseMs: 1_000,
    })
    expect(brief(await list())).toEqual([[1, 'CHECKPOINT', 'Present', 'COMPLETED']])
    expect((await runs())[0]?.recheck_at).not.toBeNull()
  })

  it('that failed or expired say why, down to the root cause', async () => {
    const id = newFlinkJobId()
    jobs = [running(id)]
    const at = Date.now()
    checkpoints.set(
      id,
      stats([
        failure(2, 'Checkpoint Coordinator is suspending.', at),
        failure(1, 'Checkpoint expired before completing.'),
      ]),
    )
    exceptions = [
      {
        at: at + 600,
        exceptionName: 'java.io.IOException',
        text: 'java.io.IOException: Could not perform checkpoint 2 for operator sink (1/1)#0.\nCaused by: java.lang.IllegalStateException: the disk is full',
        taskName: 'sink',
        taskManagerId: null,
      },
    ]
    await observe()
    await observe()
    const [expired, failed] = await list()
    expect(expired).toMatchObject({ status: 'Timeout', reason: 'CHECKPOINT_EXPIRED', restorable: false })
    expect(failed).toMatchObject({
      status: 'Failed',
      failure: { message: expect.stringContaining('the disk is full') },
    })
  })

  it('wait for the cause of a failure until the tasks run again', async () => {
    const id = newFlinkJobId()
    const at = Date.now()
    jobs = [running(id, { state: 'RESTARTING', allTasksRunning: false })]
    checkpoints.set(id, stats([failure(1, 'Checkpoint Coordinator is suspending.', at)]))
    await observe()
    await observe()
    expect(await list()).toEqual([])
    jobs = [running(id, { runningSince: at + 5_000 })]
    await observe()
    expect(brief(await list())).toEqual([[1, 'CHECKPOINT', 'Failed', 'RESCALED']])
  })

  it('in the memory of the JobManager have no place and cannot be restored', async () => {
    const id = newFlinkJobId()
    jobs = [running(id)]
    checkpoints.set(id, stats([completed(id, 1, { externalPath: null })]))
    await observe()
    await observe()
    expect(await list()).toMatchObject([{ status: 'Present', location: null, restorable: false }])
  })
})

describe('savepoints', () => {
  it('that somebody else asked for become EXTERNAL once they completed', async () => {
    const id = newFlinkJobId()
    jobs = [running(id)]
    const savepoint = completed(id, 5, {
      isSavepoint: true,
      format: 'CANONICAL',
      checkpointType: 'SAVEPOINT',
      externalPath: 's3a://elsewhere/savepoint-ab12cd-000000000000',
    })
    const unfinished = { ...savepoint, id: 6, status: 'IN_PROGRESS' as const, externalPath: null }
    const broken = { ...failure(7, 'Checkpoint was declined.'), isSavepoint: true }
    checkpoints.set(id, stats([broken, unfinished, savepoint]))
    for (let poll = 0; poll < 3; poll++) await observe()
    expect(await list()).toMatchObject([
      {
        kind: 'SAVEPOINT',
        source: 'EXTERNAL',
        status: 'Present',
        flinkCheckpointId: 5,
        format: 'CANONICAL',
        ownedPrefix: null,
        storage: null,
      },
    ])
  })

  it('that we asked for are not recorded a second time', async () => {
    const id = newFlinkJobId()
    jobs = [running(id)]
    await observe()
    const own = v7()
    await database.db.sql(
      `insert into snapshot (id, namespace_id, job_id, storage_id, kind, status, reason, source, description, attempt, created_by)
       values ($1, $2, $3, $4, 'SAVEPOINT', 'Creating', 'REQUESTED', 'MANUAL', 'ours', 1, 'token:test')`,
      [own, ours.caller.namespaceId, ours.jobId, ours.storageId],
    )
    const entry = completed(id, 5, {
      isSavepoint: true,
      checkpointType: 'SAVEPOINT',
      externalPath: `s3://ours/flink/ours/orders/savepoints/${own}/1/savepoint-ab12cd-000000000000`,
    })
    checkpoints.set(id, stats([entry]))
    await observe()
    expect(brief(await list())).toEqual([[null, 'SAVEPOINT', 'Creating', 'REQUESTED']])
    // It is Present by Flink's result alone, whose statistics came from the cache: the observer tells the rest.
    await database.db.sql(
      `update snapshot set status = 'Present', location = $2, location_key = $2 where id = $1`,
      [own, entry.externalPath],
    )
    await observe() // Flink's answer is the same as before
    expect(await list()).toMatchObject([
      {
        id: own,
        status: 'Present',
        flinkCheckpointId: 5,
        sizeBytes: 4_096,
        uploadedBytes: 4_000,
        durationMs: 250,
      },
    ])
    // The same place under a snapshot of the other tenant is nobody's of ours.
    const foreign = {
      ...entry,
      id: 6,
      externalPath: `s3://x/theirs/orders/savepoints/${v7()}/1/savepoint-ab12cd-000000000001`,
    }
    checkpoints.set(id, stats([foreign, entry]))
    await observe()
    expect(brief(await list())).toContainEqual([6, 'SAVEPOINT', 'Present', 'COMPLETED'])
  })
})

describe('which run it is', () => {
  it('knows what a run was restored from, and does not take a failover for it', async () => {
    const [before, id] = [newFlinkJobId(), newFlinkJobId()]
    jobs = [running(before)]
    checkpoints.set(before, stats([completed(before, 4)]))
    await observe()
    await observe()
    jobs = [running(before, { state: 'CANCELED' }), running(id, { startTime: 900 })]
    checkpoints.set(id, stats([], restoredFrom(4, `${place(before, 4)}/_metadata`)))
    await observe()
    await observe()
    const [first, second] = await runs()
    const [origin] = await list()
    expect(first).toMatchObject({ state: 'CANCELED', current: false, restored_location: null })
    expect(second).toMatchObject({
      current: true,
      restored_location: place(before, 4),
      restored_snapshot_id: origin?.id,
    })
    expect(origin?.restoredBy).toEqual([second?.id])
    checkpoints.set(id, stats([completed(id, 5)], restoredFrom(5, place(id, 5)))) // tasks restarted from their own
    await observe()
    expect((await runs())[1]).toMatchObject({ restored_location: place(before, 4) })
  })

  it('goes on after a failover to its own checkpoint, seen or just missed', async () => {
    const id = newFlinkJobId()
    jobs = [running(id)]
    checkpoints.set(id, stats([completed(id, 3)]))
    await observe()
    await observe()
    checkpoints.set(id, stats([], restoredFrom(3, place(id, 3))))
    jobs = [running(id, { startTime: 5_000 })]
    await observe()
    checkpoints.set(id, stats([], restoredFrom(5, place(id, 5))))
    jobs = [running(id, { startTime: 9_000 })]
    await observe()
    expect(await runs()).toMatchObject([{ epoch: 1, state: 'RUNNING', current: true }])
    // A worker that has just started has not watched: what it cannot prove is a new run.
    observe = newObserver()
    checkpoints.set(id, stats([], restoredFrom(9, place(id, 9))))
    jobs = [running(id, { startTime: 12_000 })]
    await observe()
    expect(await runs()).toMatchObject([
      { epoch: 1, state: 'LOST' },
      { epoch: 2, state: 'RUNNING', current: true },
    ])
  })

  it('waits with its answer while the JobManager is still reading its jobs', async () => {
    const id = newFlinkJobId()
    jobs = [running(id)]
    await observe()
    jobs = [running(id, { state: 'INITIALIZING', startTime: 5_000, allTasksRunning: false })]
    await observe()
    await observe()
    expect(await runs()).toMatchObject([{ epoch: 1, state: 'RUNNING' }])
  })

  it('is a new run when the job began anew under its id, and its old checkpoints are looked for first', async () => {
    const id = newFlinkJobId()
    jobs = [running(id)]
    checkpoints.set(id, stats([completed(id, 3), completed(id, 2), completed(id, 1)]))
    await observe()
    await observe()
    jobs = [running(id, { startTime: 5_000 })]
    checkpoints.set(id, stats([]))
    await observe()
    expect(await runs()).toMatchObject([
      { epoch: 1, state: 'LOST', current: false },
      { epoch: 2, current: true },
    ])
    for (const snapshot of await list()) {
      expect(snapshot).toMatchObject({ status: 'Present', verdict: 'ENDANGERED', restorable: false })
    }
    // chk-1 was written again, chk-2 is gone, chk-3 stands.
    const again = {
      ...files,
      [`${place(id, 1)}/_metadata`]: new Uint8Array(8),
      [`${place(id, 3)}/_metadata`]: new Uint8Array(8),
    }
    files = again
    checkpoints.set(id, stats([completed(id, 1, { triggeredAt: Date.now(), latestAckAt: Date.now() })]))
    await observe()
    await reviewNow()
    const all = await list()
    expect(
      all.map(({ flinkCheckpointId, run, status, reason, restorable }) => [
        flinkCheckpointId,
        run === all[3]?.run,
        status,
        reason,
        restorable,
      ]),
    ).toEqual([
      [1, false, 'Cleared', 'DATA_LOST', false],
      [2, false, 'Cleared', 'DATA_LOST', false],
      [3, false, 'Present', 'COMPLETED', true],
      [1, true, 'Present', 'COMPLETED', true],
    ])
  })

  it('looks again for an old checkpoint when the new run fails at its number', async () => {
    const id = newFlinkJobId()
    jobs = [running(id)]
    checkpoints.set(id, stats([completed(id, 2), completed(id, 1)]))
    await observe()
    await observe()
    jobs = [running(id, { startTime: 5_000 })]
    checkpoints.set(id, stats([]))
    await observe()
    files = {
      [`${place(id, 1)}/_metadata`]: new Uint8Array(8),
      [`${place(id, 2)}/_metadata`]: new Uint8Array(8),
    }
    await reviewNow()
    expect((await list()).map(({ restorable }) => restorable)).toEqual([true, true])
    // Flink finds the directory there, fails, and cleans it up, the old one's files included.
    checkpoints.set(id, stats([failure(1, 'Failure to finalize checkpoint.')]))
    delete files[`${place(id, 1)}/_metadata`]
    await observe()
    const [doubtful] = await list()
    expect(doubtful).toMatchObject({ flinkCheckpointId: 1, verdict: 'ENDANGERED', restorable: false })
    await reviewNow()
    expect(brief(await list())).toEqual([
      [1, 'CHECKPOINT', 'Cleared', 'DATA_LOST'],
      [2, 'CHECKPOINT', 'Present', 'COMPLETED'],
      [1, 'CHECKPOINT', 'Failed', expect.any(String)],
    ])
  })

  it('names what it was restored from also when that is seen later', async () => {
    const [before, id] = [newFlinkJobId(), newFlinkJobId()]
    const savepoint = 's3://ours/flink/by-hand/savepoint-1'
    jobs = [running(id, { startTime: 900 })]
    checkpoints.set(id, stats([], restoredFrom(4, savepoint)))
    await observe()
    await observe()
    expect(await runs()).toMatchObject([{ restored_location: savepoint, restored_snapshot_id: null }])
    await database.db.sql(
      `insert into run (id, namespace_id, job_id, cluster_id, flink_job_id, state, flink_state, flink_start_time, started_at)
       values ($1, $2, $3, $4, $5, 'RUNNING', 'RUNNING', 100, now() - interval '1 hour')`,
      [v7(), ours.caller.namespaceId, ours.jobId, ours.clusterId, before],
    )
    jobs = [running(before), running(id, { startTime: 900 })]
    const entry = { isSavepoint: true, checkpointType: 'SAVEPOINT', externalPath: savepoint }
    checkpoints.set(before, stats([completed(before, 4, entry)]))
    await observe()
    const [external] = await list()
    const restored = (await runs()).find(({ restored_location }) => restored_location === savepoint)
    expect(restored?.restored_snapshot_id).toBe(external?.id)
    expect(external?.restoredBy).toEqual([restored?.id])
  })

  it('is a new run when it declares another version', async () => {
    const id = newFlinkJobId()
    declared.set(id, 1)
    jobs = [running(id)]
    checkpoints.set(id, stats([completed(id, 3)]))
    await observe()
    await observe()
    declared.set(id, 2)
    jobs = [running(id, { startTime: 5_000 })]
    checkpoints.set(id, stats([], restoredFrom(3, place(id, 3))))
    await observe()
    expect(await runs()).toMatchObject([
      { version: 1, version_basis: 'DECLARED' },
      { version: 2, version_basis: 'DECLARED', epoch: 2 },
    ])
  })

  it('takes the version from the declaration, the newest registration since the last run, or the last run', async () => {
    const [a, b, c] = [newFlinkJobId(), newFlinkJobId(), newFlinkJobId()]
    await registerVersion(1)
    jobs = [running(a)]
    await observe()
    jobs = [running(a, { state: 'CANCELED' }), running(b, { startTime: 200 })]
    await observe()
    await registerVersion(2)
    jobs = [running(b, { state: 'CANCELED', startTime: 200 }), running(c, { startTime: 300 })]
    await observe()
    expect((await runs()).map(({ version, version_basis }) => [version, version_basis])).toEqual([
      [1, 'REGISTERED'],
      [1, 'ASSUMED'],
      [2, 'REGISTERED'],
    ])
  })

  it('looks in storage for what an ended run left, and says what is gone', async () => {
    const id = newFlinkJobId()
    jobs = [running(id)]
    checkpoints.set(id, stats([completed(id, 2), completed(id, 1)]))
    await observe()
    await observe()
    jobs = [running(id, { state: 'FINISHED' })]
    checkpoints.set(id, stats([completed(id, 2), completed(id, 1, { discarded: true })]))
    await observe()
    await reviewNow()
    expect(brief(await list())).toEqual([
      [1, 'CHECKPOINT', 'Cleared', 'SUBSUMED'],
      [2, 'CHECKPOINT', 'Cleared', 'SUBSUMED'],
    ])
    expect(await runs()).toMatchObject([{ state: 'FINISHED', recheck_at: null }])
  })
})

describe('a run that failed', () => {
  it('says why, down to the root cause', async () => {
    const id = newFlinkJobId()
    jobs = [running(id)]
    await observe()
    jobs = [running(id, { state: 'FAILED' })]
    exceptions = [
      {
        at: Date.now(),
        exceptionName: 'org.apache.flink.runtime.JobException',
        text: 'org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy\nCaused by: java.lang.IllegalStateException: the queue is gone',
        taskName: null,
        taskManagerId: null,
      },
    ]
    await observe()
    const [run] = await database.db.sql<{ state: string; failure: { code: string; message: string } }>(
      'select state, failure from run',
    )
    expect(run).toMatchObject({
      state: 'FAILED',
      failure: { code: 'JOB_FAILED', message: expect.stringContaining('the queue is gone') },
    })
  })
})

describe('another cluster behind the same address', () => {
  const fingerprint = (haClusterId: string) => ({
    fingerprint: { haClusterId, kubernetesClusterId: null },
    recoveryPath: null,
  })
  const clusterRow = async () => {
    const [row] = await database.db.sql<{
      changed_to: unknown
      fingerprint: unknown
      recovery_key: string | null
    }>('select changed_to, fingerprint, recovery_key from cluster where id = $1', [ours.clusterId])
    return row
  }

  it('is noticed before anything of its jobs is believed, and forgotten when the known one is back', async () => {
    const [a, b] = [newFlinkJobId(), newFlinkJobId()]
    settings = fingerprint('/first')
    jobs = [running(a)]
    await observe()
    expect(await clusterRow()).toMatchObject({ fingerprint: { haClusterId: '/first' }, changed_to: null })
    settings = fingerprint('/second')
    jobs = [running(b, { startTime: 999 })]
    await observe()
    await observe()
    expect(await clusterRow()).toMatchObject({ changed_to: { haClusterId: '/second' } })
    expect(await runs()).toMatchObject([{ state: 'RUNNING', current: true }])
    const [missing] = await database.db.sql<{ missing_since: string | null }>('select missing_since from run')
    expect(missing?.missing_since).toBeNull()
    settings = fingerprint('/first')
    jobs = [running(a)]
    for (let poll = 0; poll < 40; poll++) await observe()
    expect(await clusterRow()).toMatchObject({ changed_to: null })
  })

  it('may be followed, but nothing is called LOST by it', async () => {
    const [a, b] = [newFlinkJobId(), newFlinkJobId()]
    await database.db.sql('update cluster set follow_identity = true')
    settings = fingerprint('/first')
    jobs = [running(a)]
    await observe()
    settings = fingerprint('/second')
    jobs = [running(b, { startTime: 999 })]
    await observe()
    await database.db.sql(
      `update run set missing_since = now() - interval '1 hour' where flink_job_id = $1`,
      [a],
    )
    await observe()
    expect((await runs()).map(({ state }) => state)).toEqual(['RUNNING', 'RUNNING'])
  })

  it('tells what its configuration restores at every start', async () => {
    settings = { ...fingerprint('/first'), recoveryPath: 's3a://ours/flink/savepoint-1/_metadata' }
    await observe()
    expect(await clusterRow()).toMatchObject({ recovery_key: 's3://ours/flink/savepoint-1' })
  })
})

describe('a worker that lost its cluster', () => {
  it('writes no run and no checkpoint', async () => {
    const id = newFlinkJobId()
    jobs = [running(id)]
    await observe()
    checkpoints.set(id, stats([completed(id, 1)]))
    const [run] = await runs()
    const repository = createCheckpointRepository(database.db, () => v7())
    const report = {
      runId: run?.id ?? '',
      counts: stats([]).counts,
      inProgress: null,
      restored: null,
      snapshots: [],
      oldestListedId: null,
      config: null,
    }
    expect(await repository.record(v7(), ours.clusterId, [report])).toEqual({
      owned: false,
      again: false,
      unsettled: [],
    })
    // A run of another tenant's cluster is not touched by the owner of ours.
    expect(await repository.record(workerId, theirs.clusterId, [report])).toMatchObject({ owned: true })
    expect(await list()).toEqual([])
  })
})

describe('workers', () => {
  const LEASE_MS = 60_000
  const observations = () => createObservationRepository(database.db, () => v7())
  const join = async () => {
    const id = v7()
    await observations().registerWorker(id)
    return id
  }
  /** Each worker's rounds until nothing moves any more. */
  const settle = async (...workers: string[]) => {
    for (let round = 0; round < 4; round++) {
      for (const id of workers) await observations().claimClusters(id, LEASE_MS)
    }
    return Promise.all(workers.map(async (id) => (await observations().listOwnClusters(id)).map((c) => c.id)))
  }
  beforeEach(async () => {
    await database.db.sql('delete from job')
    await database.db.sql('delete from cluster_revision')
    await database.db.sql('delete from cluster')
    await database.db.sql('delete from worker')
    await database.db.sql(
      `insert into cluster (id, namespace_id, name, url)
       select gen_random_uuid(), $1, 'c' || n, 'http://flink-' || n from generate_series(1, 30) n`,
      [ours.caller.namespaceId],
    )
  })

  it('share the clusters evenly, each cluster with one of them, also when they claim at once', async () => {
    const three = [await join(), await join(), await join()]
    await Promise.all(three.map((id) => observations().claimClusters(id, LEASE_MS)))
    const owned = await settle(...three)
    expect(owned.map((ids) => ids.length)).toEqual([10, 10, 10])
    expect(new Set(owned.flat()).size).toBe(30)
  })

  it('hand over to one that joins, and take over from one that is silent or leaves', async () => {
    const [a, b] = [await join(), await join()]
    expect((await settle(a, b)).map((ids) => ids.length)).toEqual([15, 15])
    const c = await join()
    expect((await settle(a, b, c)).map((ids) => ids.length)).toEqual([10, 10, 10])
    await database.db.sql(`update worker set heartbeat_at = now() - interval '2 minutes' where id = $1`, [a])
    await observations().removeWorker(b)
    expect((await settle(c)).map((ids) => ids.length)).toEqual([30])
    // The silent one wakes: what it had belongs to another, and its writes are refused.
    expect(await observations().heartbeat(a, LEASE_MS)).toBe(false)
    const [cluster] = (await settle(c)).flat()
    const change = { kind: 'ambiguous' as const, jobId: v7(), flinkJobIds: null }
    expect(await observations().recordRuns(a, cluster ?? '', [change])).toBe(false)
  })
})
