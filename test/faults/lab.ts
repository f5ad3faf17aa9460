/**
 * The services of a worker and of the API in this process, on a real database and a scripted Flink, with any port wrapped:
 * this is how a deliberate bug is switched on, and how one worker is held at the very step a test is about. The shipped
 * code knows nothing of it.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { v7 } from 'uuid'
import { createDatabase } from '../../dev/services/database.ts'
import { createAuditWorkRepository } from '../../src/db/audit-work.ts'
import { createCheckpointDirectoryRepository } from '../../src/db/checkpoint-directories.ts'
import { createCheckpointRepository } from '../../src/db/checkpoints.ts'
import { createClearingWorkRepository } from '../../src/db/clearing-work.ts'
import { createClearingRepository } from '../../src/db/clearings.ts'
import { type Database, openDatabase } from '../../src/db/client.ts'
import { createInspectionRepository } from '../../src/db/inspections.ts'
import { createObservationRepository } from '../../src/db/observations.ts'
import { createProtectionRepository } from '../../src/db/protections.ts'
import { createReferenceRepository } from '../../src/db/references.ts'
import { createRetentionWorkRepository } from '../../src/db/retention-work.ts'
import { createSavepointWorkRepository } from '../../src/db/savepoint-work.ts'
import { createScheduleWorkRepository } from '../../src/db/schedule-work.ts'
import { createSnapshotRepository } from '../../src/db/snapshots.ts'
import { createStorageRepository } from '../../src/db/storages.ts'
import { DomainError } from '../../src/domain/errors.ts'
import { createFlinkConnections } from '../../src/flink/connections.ts'
import type {
  ClearingRepository,
  ClearingWorkRepository,
  ProtectionRepository,
} from '../../src/ports/clearing.ts'
import type { FlinkClient, FlinkConnections } from '../../src/ports/flink.ts'
import type { ObservationRepository } from '../../src/ports/observation.ts'
import type { Log } from '../../src/ports/process.ts'
import type { RetentionWorkRepository } from '../../src/ports/retention.ts'
import type { ReferenceRepository } from '../../src/ports/runs.ts'
import type { SavepointWorkRepository } from '../../src/ports/savepoint-work.ts'
import type { ScheduleWorkRepository } from '../../src/ports/schedules.ts'
import type { SnapshotRepository } from '../../src/ports/snapshots.ts'
import type { ObjectStore, ObjectStores } from '../../src/ports/storage.ts'
import { sweepClearings } from '../../src/services/advance-clearing.ts'
import { sweepSavepoints } from '../../src/services/advance-savepoint.ts'
import type { Caller, SavepointInput } from '../../src/services/api.ts'
import { createRetentionRound } from '../../src/services/apply-retention.ts'
import { clearSnapshot } from '../../src/services/clear-snapshot.ts'
import { createScheduleRound } from '../../src/services/fire-schedules.ts'
import { createCheckpointObserver } from '../../src/services/observe-checkpoints.ts'
import { createClusterObserver } from '../../src/services/observe-cluster.ts'
import { createClusterWatch } from '../../src/services/observe-clusters.ts'
import { requestSavepoint, type ScheduledSavepoint } from '../../src/services/request-savepoint.ts'
import type { AdvancePorts } from '../../src/services/savepoint-moves.ts'
import { createSecrets } from '../../src/storage/secrets.ts'
import { createObjectStores } from '../../src/storage/stores.ts'
import { until } from '../support/api.ts'
import { type ScriptedFlink, startScriptedFlink } from '../support/simulated-flink.ts'
import type { RuleName } from './checker.ts'
import { collect, listFolder } from './collect.ts'
import type { ClientCall, Disturbance, History, Limits, Wish } from './history.ts'
import { type WatchedStores, watchStores } from './lab-store.ts'

/** What a bug replaces; everything else is as shipped. */
export type Bug = {
  /** Run in the lab's own database. */
  sql?: readonly string[]
  savepoints?: (real: SavepointWorkRepository, db: Database) => SavepointWorkRepository
  snapshots?: (real: SnapshotRepository, db: Database) => SnapshotRepository
  observations?: (real: ObservationRepository) => ObservationRepository
  flink?: (real: FlinkClient) => FlinkClient
  clearings?: (real: ClearingRepository, outside: Outside, db: Database) => ClearingRepository
  clearingWork?: (real: ClearingWorkRepository) => ClearingWorkRepository
  references?: (real: ReferenceRepository) => ReferenceRepository
  protections?: (real: ProtectionRepository) => ProtectionRepository
  retentionWork?: (real: RetentionWorkRepository, db: Database) => RetentionWorkRepository
  scheduleWork?: (real: ScheduleWorkRepository, db: Database) => ScheduleWorkRepository
  scheduled?: (request: ScheduledSavepoint) => ScheduledSavepoint
  /** Above the log of the store. */
  store?: (real: ObjectStore) => ObjectStore
  /** No worker sweeps. */
  withoutSweep?: true
  /** For a bug that never drains. */
  drainMs?: number
}

export type DeliberateBug = Bug & {
  name: string
  /** At least one of them must be broken. */
  breaks: readonly RuleName[]
  scenario: (lab: Lab) => Promise<void>
}

export type Worker = ReturnType<typeof startWorker>
type WrapSavepoints = (real: SavepointWorkRepository) => SavepointWorkRepository

export type Lab = {
  db: Database
  flink: ScriptedFlink
  /** The one job, in Flink and ours. */
  job: { name: string; id: string }
  calls: ClientCall[]
  endedFlinkJobs: string[]
  storeFaults: WatchedStores['faults']
  startWorker(options?: { name?: string; wrap?: WrapSavepoints; observes?: boolean }): Worker
  /** Answers the snapshot's id, or null when it was refused. */
  request(input?: SavepointInput, key?: string): Promise<string | null>
  /** `inBetween`: after it was decided, right before it is written. Answers the code of a refusal, or null. */
  clear(id: string, options?: { force?: boolean; inBetween?: () => Promise<void> }): Promise<string | null>
  /** The rule of the job. */
  retain(rule: { keepCount?: number; maxAgeSeconds?: number }): Promise<void>
  /** Gives the job a schedule whose run comes now; called again with the same slot the clock was set back. */
  letSlotCome(slotAt: Date): Promise<void>
  /** Until the schedule has moved on from this slot. */
  untilSlotPassed(slotAt: Date): Promise<void>
  /** Another job runs, restored from this snapshot. */
  restoreFrom(id: string, claimMode: 'CLAIM' | 'NO_CLAIM'): Promise<void>
  untilStatus(id: string, ...statuses: string[]): Promise<void>
  /** Until Flink has accepted so many savepoints. */
  untilAccepted(count: number): Promise<void>
  untilObserved(state: string): Promise<void>
  disturb(what: string, work: () => Promise<unknown>): Promise<void>
  /** Waits until all work is done, as long as it may take, and collects. */
  finish(): Promise<History>
  close(): Promise<void>
}

export const LEASE_MS = 600
const LIMITS: Limits = { leaseMs: LEASE_MS, sweepMs: 50, lastLookMs: 1_000, drainMs: 20_000 }
const SILENT: Log = { info: () => undefined, warn: () => undefined, error: () => undefined }
const JOB = 'orders'

export async function openLab(adminUrl: string, template: string, bug: Bug = {}): Promise<Lab> {
  const database = await createDatabase(adminUrl, 'lab', { template })
  const db = openDatabase({ url: database.url, poolSize: 10, applicationName: 'lab' })
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-lab-'))
  const flink = await startScriptedFlink({ savepointDurationMs: 60, restartDelayMs: 200 })
  const { id } = flink.flink.addJob({ name: JOB, parallelism: 2 })
  const caller = await insertSetting(db, folder, flink.flink.url)
  for (const statement of bug.sql ?? []) await db.sql(statement)

  const limits = { ...LIMITS, drainMs: bug.drainMs ?? LIMITS.drainMs }
  const outside = openOutside(folder, bug)
  const workers: Worker[] = []
  const calls: ClientCall[] = []
  const wishes: Wish[] = []
  const disturbances: Disturbance[] = []
  const endedFlinkJobs: string[] = []
  const ask = requestSavepoint({
    snapshots: wrap(createSnapshotRepository(db), (real) => bug.snapshots?.(real, db)),
    nudges: NO_NUDGES,
    newId: () => v7(),
    newTriggerId,
    crashPoint: () => undefined,
  })
  const jobId = async () => String(await scalar('select id from job where name = $1', [JOB]))
  const scalar = async (text: string, values: unknown[] = []): Promise<unknown> =>
    (await db.sql<{ value: unknown }>(`select (${text}) as value`, values))[0]?.value

  return {
    db,
    flink,
    job: { name: JOB, id },
    calls,
    endedFlinkJobs,
    storeFaults: outside.watched.faults,
    startWorker(options = {}) {
      const worker = startWorker(db, outside, bug, options)
      workers.push(worker)
      return worker
    },
    async request(input = {}, key) {
      const call = await makeCall(ask, caller, input, key)
      calls.push(call)
      return call.snapshotId
    },
    async clear(target, { force = false, inBetween } = {}) {
      const clear = createClear(db, outside, bug, inBetween)
      const wish = await askToClear(target, () => clear({ caller, snapshot: target, force }))
      wishes.push(wish)
      return wish.code
    },
    async retain({ keepCount = null, maxAgeSeconds = null }) {
      await db.sql(
        `insert into retention (id, namespace_id, job_id, keep_count, max_age_seconds, created_by)
         values ($1, $2, $3, $4, $5, 'lab')`,
        [v7(), caller.namespaceId, await jobId(), keepCount, maxAgeSeconds],
      )
    },
    async letSlotCome(slotAt) {
      await db.sql(
        `insert into schedule (namespace_id, job_id, every_seconds, timeout_seconds, next_slot_at, next_action_at, created_by)
         values ($1, $2, 600, 3, $3, $3, 'lab')
         on conflict (job_id) do update set next_slot_at = $3, next_action_at = $3, last_slot_at = null`,
        [caller.namespaceId, await jobId(), slotAt],
      )
    },
    untilSlotPassed: (slotAt) =>
      until('the slot has passed', () =>
        scalar('select bool_and(next_slot_at > $1::timestamptz) from schedule', [slotAt]),
      ).then(() => undefined),
    async restoreFrom(snapshot, claimMode) {
      const other = flink.flink.addJob({ name: 'other', parallelism: 2 })
      const [job, run] = [v7(), v7()]
      await db.sql(
        `insert into job (id, namespace_id, name, cluster_id, savepoint_storage_id)
         select $1, namespace_id, 'other', cluster_id, savepoint_storage_id from job`,
        [job],
      )
      await db.sql(
        `insert into run (id, namespace_id, job_id, cluster_id, flink_job_id, state, flink_state, flink_start_time,
           restored_snapshot_id, restored_location, restored_key, claim_mode, started_at)
         select $1, c.namespace_id, $2, c.id, $3, 'RUNNING', 'RUNNING', $4, s.id, s.location, s.location_key, $5, now()
         from cluster c, snapshot s where s.id = $6`,
        [run, job, other.id, other.startTime, claimMode, snapshot],
      )
      if (claimMode === 'CLAIM')
        await db.sql('update snapshot set claimed_by_run_id = $2 where id = $1', [snapshot, run])
    },
    untilStatus: (snapshot, ...statuses) =>
      until(`${snapshot} is ${statuses.join(' or ')}`, async () =>
        statuses.includes(String(await scalar('select status from snapshot where id = $1', [snapshot]))),
      ).then(() => undefined),
    untilAccepted: (count) =>
      until(`Flink accepted ${count}`, async () => flink.flink.acceptLog.length >= count).then(
        () => undefined,
      ),
    untilObserved: (state) =>
      until(`the run is ${state}`, async () => {
        const current = await scalar(
          `select r.state from job j join run r on r.id = j.current_run_id
             join cluster c on c.id = j.cluster_id where c.reachable`,
        )
        return current === state
      }).then(() => undefined),
    async disturb(what, work) {
      const from = Date.now()
      await work()
      disturbances.push({ what, from, to: Date.now() })
    },
    async finish() {
      const faultsEndedAt = Date.now()
      const open = `select ((select count(*) from snapshot
          where status = 'Creating' or settled_at is null or next_action_at is not null)
        + (select count(*) from clearing where ended_at is null)
        + (select count(*) from schedule_firing where outcome = 'PENDING'))::int`
      const openAtFaultsEnd = Number(await scalar(open))
      const drained = await until('drained', async () => (await scalar(open)) === 0, limits.drainMs).catch(
        () => false,
      )
      const drainedAt = drained ? Date.now() : null
      await Promise.all(workers.map((worker) => worker.stop()))
      const { objects, contents } = await listFolder(folder)
      return {
        seed: 0,
        limits,
        disturbances,
        faultsEndedAt,
        openAtFaultsEnd,
        drainedAt,
        calls,
        wishes,
        deletes: outside.watched.deletes,
        ...(await collect({
          databaseUrl: database.url,
          objects,
          contents: [...contents, ...outside.watched.contents],
          flinks: [flink.flink],
          endedFlinkJobs,
        })),
      }
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.stop()))
      await outside.flink.close()
      await outside.stores.close()
      await flink.flink.stop()
      await db.close()
      await database.drop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

const newTriggerId = (): string => randomBytes(16).toString('hex')

/** What `change` makes of it; as it is when it makes nothing. */
const wrap = <Port>(real: Port, change: (real: Port) => Port | undefined): Port => change(real) ?? real

async function insertSetting(db: Database, folder: string, flinkUrl: string): Promise<Caller> {
  const [namespaceId, clusterId, storageId] = [v7(), v7(), v7()]
  const root = `file://${folder}`
  await db.sql('insert into namespace (id, name) values ($1, $2)', [namespaceId, 'lab'])
  await db.sql('insert into cluster (id, namespace_id, name, url) values ($1, $2, $3, $4)', [
    clusterId,
    namespaceId,
    'flink',
    flinkUrl,
  ])
  await db.sql(
    `insert into storage (id, namespace_id, name, uri, root_key, provider) values ($1, $2, 'state', $3, $4, 'local')`,
    [storageId, namespaceId, root, `${root}/`],
  )
  await db.sql(
    `insert into job (id, namespace_id, name, cluster_id, savepoint_storage_id, attach_flink_job_name)
     values ($1, $2, $3, $4, $5, $3)`,
    [v7(), namespaceId, JOB, clusterId, storageId],
  )
  return { namespaceId, namespace: 'lab', principal: 'token:lab' }
}

export type Outside = { flink: FlinkConnections; stores: ObjectStores; watched: WatchedStores }

/** Every nudge is lost: the sweep alone must do. */
const NO_NUDGES = { savepointDue: () => undefined }

function openOutside(folder: string, bug: Bug): Outside {
  const secrets = createSecrets({ env: {}, secretsDir: null, namespaces: () => ['lab'] })
  const real = createFlinkConnections(secrets, { connectTimeoutMs: 300, requestTimeoutMs: 400 })
  const watched = watchStores(createObjectStores({ secrets, localRoots: [folder] }))
  return {
    watched,
    flink: {
      to: (address) => wrap(real.to(address), (client) => bug.flink?.(client)),
      close: () => real.close(),
    },
    stores: {
      of: (storage) => wrap(watched.stores.of(storage), (store) => bug.store?.(store)),
      close: () => watched.stores.close(),
    },
  }
}

// ------------------------------------------------------------------------------------------------- clearing

function createClear(db: Database, outside: Outside, bug: Bug, inBetween?: () => Promise<void>) {
  const inspections = createInspectionRepository(db)
  const clearings = wrap(
    createClearingRepository(db, {
      references: createReferenceRepository(db),
      inspections,
      checkpointDirectories: createCheckpointDirectoryRepository(db),
    }),
    (real) => bug.clearings?.(real, outside, db),
  )
  let waits = inBetween
  return clearSnapshot({
    snapshots: createSnapshotRepository(db),
    storages: createStorageRepository(db),
    stores: outside.stores,
    inspections,
    clearings: {
      ...clearings,
      async begin(scope, clearing) {
        const first = waits
        waits = undefined
        await first?.()
        return clearings.begin(scope, clearing)
      },
    },
    protections: wrap(createProtectionRepository(db), (real) => bug.protections?.(real)),
    nudges: NO_NUDGES,
    newId: () => v7(),
  })
}

async function askToClear(target: string, ask: () => Promise<unknown>): Promise<Wish> {
  const words = { what: 'clear', job: JOB, target, askedAt: Date.now() } as const
  try {
    await ask()
    return { ...words, answeredAt: Date.now(), status: 202, code: null }
  } catch (error) {
    if (!(error instanceof DomainError)) throw error
    return { ...words, answeredAt: Date.now(), status: 409, code: error.code }
  }
}

async function makeCall(
  ask: ReturnType<typeof requestSavepoint>,
  caller: Caller,
  input: SavepointInput,
  key: string | undefined,
): Promise<ClientCall> {
  const askedAt = Date.now()
  const idempotency =
    key === undefined ? {} : { idempotency: { key, route: 'createSavepoint', bodyHash: key } }
  const call = { job: JOB, key: key ?? null, body: { ...input }, askedAt }
  try {
    const { resource } = await ask({ caller, job: JOB, ...input, ...idempotency })
    return { ...call, answeredAt: Date.now(), status: 202, snapshotId: resource.id, code: null }
  } catch (error) {
    if (!(error instanceof DomainError)) throw error
    return { ...call, answeredAt: Date.now(), status: 409, snapshotId: null, code: error.code }
  }
}

// ---------------------------------------------------------------------------------------------------- worker

/** What a worker does by itself about clearings, rules and schedules, one round of each. */
function createRounds(db: Database, outside: Outside, bug: Bug, name: string): (() => Promise<unknown>)[] {
  const options = { leaseMs: LEASE_MS, newLease: () => v7() }
  const sweep = sweepClearings({
    ...outside,
    clearingWork: wrap(createClearingWorkRepository(db, { ...options, workerName: name }), (real) =>
      bug.clearingWork?.(real),
    ),
    references: wrap(createReferenceRepository(db), (real) => bug.references?.(real)),
    inspections: createInspectionRepository(db),
    checkpointDirectories: createCheckpointDirectoryRepository(db),
    storages: createStorageRepository(db),
    orphans: createAuditWorkRepository(db, createInspectionRepository(db), options),
    crashPoint: () => undefined,
    log: SILENT,
    limits: { renewMs: LEASE_MS / 3 },
  })
  const retention = createRetentionRound({
    retentionWork: wrap(createRetentionWorkRepository(db), (real) => bug.retentionWork?.(real, db)),
    protections: wrap(createProtectionRepository(db), (real) => bug.protections?.(real)),
    clearSnapshot: createClear(db, outside, bug),
    log: SILENT,
    limits: { retentionIntervalMs: 100 },
  })
  const ask = requestSavepoint({
    snapshots: createSnapshotRepository(db),
    nudges: NO_NUDGES,
    newId: () => v7(),
    newTriggerId,
    crashPoint: () => undefined,
  })
  const scheduleRound = createScheduleRound({
    scheduleWork: wrap(createScheduleWorkRepository(db, options), (real) => bug.scheduleWork?.(real, db)),
    requestSavepoint: (request) => ask(bug.scheduled?.(request) ?? request),
    crashPoint: () => undefined,
    log: SILENT,
    limits: { savepointsPerCluster: 5, settleMs: 1_000 },
  })
  return [async () => (await sweep(10)).done, () => retention.round(), scheduleRound]
}

/** The loops of `src/worker.ts` without its process: sweeps, rounds, an observer, the shipped services. */
function startWorker(
  db: Database,
  outside: Outside,
  bug: Bug,
  options: { name?: string; wrap?: WrapSavepoints; observes?: boolean },
) {
  const { name = 'worker', observes = true } = options
  const real = createSavepointWorkRepository(db, {
    leaseMs: LEASE_MS,
    newLease: () => v7(),
    workerName: name,
  })
  const buggy = wrap(real, (repository) => bug.savepoints?.(repository, db))
  const ports: AdvancePorts = {
    ...outside,
    savepoints: wrap(buggy, (repository) => options.wrap?.(repository)),
    newTriggerId,
    crashPoint: () => undefined,
    sleep: (ms) => sleep(ms),
    log: SILENT,
    meter: { settled: () => undefined },
    limits: { rescaleSettleMs: 100, maxAttempts: 3, holdMs: LEASE_MS / 3 },
  }
  const observations = wrap(
    createObservationRepository(db, () => v7()),
    (repository) => bug.observations?.(repository),
  )
  const watch = createClusterWatch({
    observations,
    observe: createClusterObserver({
      observations,
      flink: outside.flink,
      log: SILENT,
      lostAfterMs: 2_000,
      checkpoints: createCheckpointObserver({
        checkpoints: createCheckpointRepository(db, () => v7()),
        intervalMs: 200,
        concurrency: 4,
      }),
    }),
    newId: () => v7(),
    log: SILENT,
    leaseMs: 2_000,
    concurrency: 4,
  })
  const running = new Set<Promise<unknown>>()
  let stopping = false
  const loop = async (work: () => Promise<unknown>, pauseMs: number) => {
    while (!stopping) {
      await work().catch(() => undefined)
      await sleep(pauseMs)
    }
  }
  const sweep = async () => {
    if (bug.withoutSweep) return
    const { done } = await sweepSavepoints(ports)(10)
    const kept = done.finally(() => running.delete(kept))
    running.add(kept)
  }
  const loops = [
    loop(sweep, 50),
    ...createRounds(db, outside, bug, name).map((round) => loop(round, 50)),
    ...(observes ? [loop(() => watch.round(), 60)] : []),
  ]
  return {
    async stop() {
      if (stopping) return
      stopping = true
      await Promise.all(loops)
      await Promise.all(running)
      await sleep(30) // a poll under way
      await watch.close()
    },
  }
}

export type Gate = { reached: Promise<void>; open: () => void; wrap: WrapSavepoints }

/** Holds the first call of one write, as a process frozen right before it would. */
export function createGate(method: 'move' | 'markAsked' | 'beginAttempt' | 'release'): Gate {
  let arrive: () => void = () => undefined
  let open: () => void = () => undefined
  const reached = new Promise<void>((resolve) => {
    arrive = resolve
  })
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  const hold = async () => {
    arrive()
    await opened
  }
  return {
    reached,
    open: () => open(),
    wrap: (real) => ({
      ...real,
      ...(method === 'move' && {
        move: async (work, to) => {
          await hold()
          return real.move(work, to)
        },
      }),
      ...(method === 'markAsked' && {
        markAsked: async (work, flinkJobId, flinkStartTime) => {
          await hold()
          return real.markAsked(work, flinkJobId, flinkStartTime)
        },
      }),
      ...(method === 'beginAttempt' && {
        beginAttempt: async (work, ended, next) => {
          await hold()
          return real.beginAttempt(work, ended, next)
        },
      }),
      ...(method === 'release' && {
        release: async (work, next) => {
          await hold()
          return real.release(work, next)
        },
      }),
    }),
  }
}
