/** The worker process: observes clusters and moves savepoints on. Any number of replicas share the work by leases. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from './config.ts'
import { startLoop } from './loop.ts'
import type { SavepointMeter } from './ports/metrics.ts'
import { readEvictionPolicy, startQueueWorker } from './queue/connection.ts'
import { sweepAudits } from './services/advance-audit.ts'
import { sweepClearings } from './services/advance-clearing.ts'
import { sweepCopies } from './services/advance-copy.ts'
import { sweepLifecycles } from './services/advance-lifecycle.ts'
import { sweepOperations } from './services/advance-operation.ts'
import { sweepSavepoints } from './services/advance-savepoint.ts'
import { advanceStart } from './services/advance-start.ts'
import { advanceStop } from './services/advance-stop.ts'
import { createRetentionRound } from './services/apply-retention.ts'
import { clearSnapshot } from './services/clear-snapshot.ts'
import { createExpiryRound } from './services/expire-snapshots.ts'
import { createScheduleRound } from './services/fire-schedules.ts'
import { createCheckpointFolder } from './services/fold-checkpoints.ts'
import { createCheckpointObserver } from './services/observe-checkpoints.ts'
import { createClusterObserver } from './services/observe-cluster.ts'
import { createClusterWatch } from './services/observe-clusters.ts'
import { requestSavepoint } from './services/request-savepoint.ts'
import { reviewCheckpoints } from './services/review-checkpoints.ts'
import { createClaimReview } from './services/review-claims.ts'
import type { AdvancePorts } from './services/savepoint-moves.ts'
import { createSlots, type Slots } from './services/slots.ts'
import { createVerificationRound } from './services/verify-due.ts'
import { type Sweeping, startSweeping } from './sweeping.ts'
import { queueBackendOf, type Shared, wireShared } from './wiring.ts'
import { createWorkerHttp } from './worker-http.ts'

export type RunningWorkerProcess = { close(): Promise<void> }

const POLLS_AT_ONCE = 64
const VERIFY_EVERY_MS = 1_000
/** A `_metadata` of 256 MiB takes a multiple of that while it is read. */
const METADATA_AT_ONCE = 2
const METADATA_WAITING = 10_000
const MAINTAIN_EVERY_MS = 6 * 3600 * 1000
const MOST_BATCHES = 1_000

export async function startWorker(config: Config): Promise<RunningWorkerProcess> {
  await refuseEvictingRedis(config)
  const shared = await wireShared(config, 'worker')
  const { log } = shared
  const loop = {
    maxPauseMs: 10_000,
    onError: (error: unknown) => log.warn({ error: describe(error) }, 'will be tried again'),
  }
  const http = createWorkerHttp(shared.repositories.metrics)
  if (config.workerPort !== null) await http.listen(config.host ?? '127.0.0.1', config.workerPort)
  const ports = advancePorts(shared, http.meter)
  const sweep = sweepSavepoints(ports)

  const watch = createClusterWatch({
    observations: shared.repositories.observations,
    observe: createClusterObserver({
      ...shared.repositories,
      flink: shared.flink,
      log,
      lostAfterMs: config.lostAfterMs,
      checkpoints: createCheckpointObserver({
        checkpoints: shared.repositories.checkpoints,
        intervalMs: config.checkpointIntervalMs,
        concurrency: config.flinkConnections,
      }),
    }),
    newId: shared.newId,
    log,
    leaseMs: config.leaseMs,
    concurrency: POLLS_AT_ONCE,
  })
  const longWork = {
    ...shared.repositories,
    ...shared,
    limits: { renewMs: config.leaseMs / 3, holdMs: config.leaseMs / 3 },
  }
  const metadataSlots = createSlots(METADATA_AT_ONCE, METADATA_WAITING)
  const folder = createCheckpointFolder({ history: shared.repositories.checkpointHistory })
  const sweeping = startSweeping(sweep, {
    atOnce: config.workerConcurrency,
    pauseMs: config.sweepIntervalMs,
    ...loop,
  })
  const operating = startLoop(operationRound(shared, sweeping.wake), {
    pauseMs: config.sweepIntervalMs,
    ...loop,
  })
  const starting = startSweeping(sweepOfLifecycles(shared, sweeping.wake), {
    atOnce: LIFECYCLES_AT_ONCE,
    pauseMs: config.sweepIntervalMs,
    ...loop,
  })
  /** A nudge wakes them; without one they are in no hurry, and an idle worker asks Postgres little. */
  const unhurried = { pauseMs: config.sweepIntervalMs * 4, ...loop }
  /** Each copies four files at once: more copies would only share the same network. */
  const copying = startSweeping(sweepCopies(longWork), { atOnce: 4, ...unhurried })
  const clearings = sweepClearings({
    ...longWork,
    metadataSlots,
    sweepIn: (ms) => void setTimeout(() => clearing.wake(), ms + 5).unref(),
  })
  /** Each has one request to a store under way, or two. */
  const clearing: Sweeping = startSweeping(clearings, { atOnce: 40, ...unhurried })
  /** Each lists one page after the other. */
  const auditing = startSweeping(sweepAudits(longWork), { atOnce: 2, ...unhurried })
  const scheduling = startLoop(scheduleRound(shared, sweeping.wake), unhurried)
  const rules = rulesOfRetention(shared, metadataSlots, clearing.wake)
  const claims = createClaimReview({ ...shared.repositories, ...shared })
  const verifying = createVerificationRound(
    { ...shared.repositories, ...shared, metadataSlots },
    { perSecond: config.verifyPerSecond, everyMs: config.verifyEveryHours * 3_600_000 },
  )
  const sweeps = [sweeping, starting, copying, clearing, auditing]
  const wake = async () => {
    operating.wake()
    for (const each of sweeps) each.wake()
  }
  const queue = await startQueueWorker(
    queueBackendOf(config),
    { 'savepoints-due': wake },
    { concurrency: 1, onError: (error) => log.warn({ error: error.message }, 'queue') },
  )
  const loops = [
    ...sweeps,
    operating,
    scheduling,
    startLoop(() => claims.round(), { pauseMs: config.observeIntervalMs, ...loop }),
    startLoop(() => watch.round().then(() => false), { pauseMs: config.observeIntervalMs, ...loop }),
    startLoop(() => reviewCheckpoints({ ...shared.repositories, ...shared, leaseMs: config.leaseMs }), {
      pauseMs: config.observeIntervalMs,
      ...loop,
    }),
    startLoop(() => verifying.round().then(() => false), { pauseMs: VERIFY_EVERY_MS, ...loop }),
    startLoop(() => rules.retention.round(), { pauseMs: config.retentionIntervalMs, ...loop }),
    startLoop(() => rules.expiry.round(), { pauseMs: config.retentionIntervalMs, ...loop }),
    startLoop(() => folder.round(), { pauseMs: config.foldIntervalMs, ...loop }),
    startLoop(() => maintain(shared).then(() => false), { pauseMs: MAINTAIN_EVERY_MS, ...loop }),
  ]

  return {
    async close() {
      // Nothing new is begun; what is under way gets the grace, and what is not done by then keeps its lease.
      await Promise.race([
        Promise.all([
          ...loops.map((each) => each.stop()),
          queue.close(config.shutdownGraceMs),
          ...sweeps.map((each) => each.idle()),
          verifying.idle(),
        ]),
        sleep(config.shutdownGraceMs),
      ])
      await http.close()
      await watch.close().catch(() => undefined)
      await shared.close()
    },
  }
}

const advancePorts = ({ repositories, config, ...shared }: Shared, meter: SavepointMeter): AdvancePorts => ({
  meter,
  savepoints: repositories.savepoints,
  flink: shared.flink,
  stores: shared.stores,
  newTriggerId: shared.newTriggerId,
  crashPoint: shared.crashPoint,
  sleep: (ms) => sleep(ms),
  log: shared.log,
  limits: {
    rescaleSettleMs: config.rescaleSettleMs,
    maxAttempts: config.maxAttempts,
    holdMs: config.leaseMs / 3,
  },
})

const OPERATIONS_AT_ONCE = 20

/** Operations ask Postgres only, so a round is waited for. Their savepoints are due at once, here or at any worker. */
function operationRound({ repositories, config, ...shared }: Shared, wakeSweep: () => void) {
  const sweep = sweepOperations({
    operationWork: repositories.operationWork,
    requestSavepoint: requestSavepoint({
      snapshots: repositories.snapshots,
      nudges: { savepointDue: wakeSweep },
      newId: shared.newId,
      newTriggerId: shared.newTriggerId,
      crashPoint: shared.crashPoint,
    }),
    crashPoint: shared.crashPoint,
    log: shared.log,
    limits: { holdMs: config.leaseMs / 3 },
  })
  return async (): Promise<boolean> => {
    const { claimed, done } = await sweep(OPERATIONS_AT_ONCE)
    await done
    return claimed === OPERATIONS_AT_ONCE
  }
}

/** How many polls show what a savepoint did to its job. */
const POLLS_TO_SETTLE = 3

/** Schedules ask Postgres only, so a round is waited for, like one of operations. */
const scheduleRound = ({ repositories, config, ...shared }: Shared, wakeSweep: () => void) =>
  createScheduleRound({
    scheduleWork: repositories.scheduleWork,
    requestSavepoint: requestSavepoint({
      snapshots: repositories.snapshots,
      nudges: { savepointDue: wakeSweep },
      newId: shared.newId,
      newTriggerId: shared.newTriggerId,
      crashPoint: shared.crashPoint,
    }),
    crashPoint: shared.crashPoint,
    log: shared.log,
    limits: {
      savepointsPerCluster: config.scheduledSavepointsPerCluster,
      settleMs: POLLS_TO_SETTLE * Math.max(config.observeIntervalMs, config.checkpointIntervalMs),
    },
  })

const LIFECYCLES_AT_ONCE = 50

/** Starts and stops ask Flink, a start for minutes: like savepoints they are not waited for. */
const sweepOfLifecycles = ({ repositories, config, ...shared }: Shared, wakeSweep: () => void) => {
  const ports = {
    ...repositories,
    ...shared,
    nudges: { savepointDue: wakeSweep },
    newFlinkJobId: shared.newTriggerId,
  }
  return sweepLifecycles({
    lifecycleWork: repositories.lifecycleWork,
    advanceStart: (work) => advanceStart(work, ports),
    advanceStop: (work) => advanceStop(work, ports),
    log: shared.log,
    limits: { renewMs: config.leaseMs / 3 },
  })
}

/** What rules and expiry ask to go. The clearings themselves are due at once, here or at any worker. */
function rulesOfRetention(
  { repositories, config, ...shared }: Shared,
  metadataSlots: Slots,
  wakeClearing: () => void,
) {
  const ports = {
    ...repositories,
    log: shared.log,
    limits: { retentionIntervalMs: config.retentionIntervalMs },
    clearSnapshot: clearSnapshot({
      ...repositories,
      stores: shared.stores,
      metadataSlots,
      nudges: { savepointDue: wakeClearing },
      newId: shared.newId,
    }),
  }
  return { retention: createRetentionRound(ports), expiry: createExpiryRound(ports) }
}

/** Months of history to come; expired idempotency keys and old firings in bounded batches. */
async function maintain({ db }: Shared): Promise<void> {
  await db.sql('select history.maintain()')
  await forget(db, 'idempotency_record', `created_at < now() - interval '24 hours'`)
  await forget(db, 'schedule_firing', `slot_at < now() - interval '90 days' and outcome <> 'PENDING'`)
}

async function forget({ sql }: Shared['db'], table: string, old: string): Promise<void> {
  for (let batch = 0; batch < MOST_BATCHES; batch++) {
    const forgotten = await sql(
      `delete from ${table} where ctid = any(array(select ctid from ${table} where ${old} limit 10000)) returning 1`,
    )
    if (forgotten.length < 10_000) return
  }
}

/** An evicting Redis would drop hints silently. One that cannot be asked now is asked by nobody: the sweep covers it. */
async function refuseEvictingRedis({ redisUrl }: Config): Promise<void> {
  if (redisUrl === null) return
  const policy = await readEvictionPolicy(redisUrl)
  if (policy !== null && policy !== 'noeviction') {
    throw new Error(`Redis evicts keys (maxmemory-policy ${policy}): set it to noeviction.`)
  }
}

const describe = (error: unknown): unknown => (error instanceof Error ? error.message : error)
