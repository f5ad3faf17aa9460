/** Jobs that we start and stop: the same suite on a simulated Flink and on real ones. What a job counted is its own word. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { getJson } from '../../dev/flink/rest.ts'
import type { LifecycleOperation } from '../../src/domain/operation.ts'
import { until } from '../support/api.ts'
import type { CheckpointOptions, OpenFlink } from '../support/flink-under-test.ts'
import type { StorageKind } from '../support/savepoint-storage.ts'
import {
  CANCEL,
  KEYS,
  type ManagedJob,
  type ManagedScene,
  NUM_RETAINED,
  openManagedScene,
  RATE,
  RUN_JAR,
  SAVEPOINT,
  STOP,
} from './managed-scene.ts'
import { describeRefusals } from './suite-managed-refusals.ts'
import { describeRestoring } from './suite-managed-restoring.ts'

/** Of the cluster: periodic checkpoints are for the versions to ask for. */
export const MANAGED_CHECKPOINTS: CheckpointOptions = { intervalMs: 86_400_000, numRetained: NUM_RETAINED }

export function describeManaged(
  name: string,
  openFlink: OpenFlink,
  { storage }: { storage: StorageKind },
): void {
  describe(name, () => {
    let scene: ManagedScene
    beforeAll(async () => {
      scene = await openManagedScene('managed', openFlink, { storage })
    })
    afterEach(async ({ task }) => {
      if (task.result?.state === 'fail') console.log(scene.system.output().slice(-10_000))
      await scene.endJobs()
    })
    afterAll(() => scene?.close())
    const use = () => scene

    describeLife(use)
    describeOnce(use)
    describeSettings(use)
    describeRestoring(use)
    describeRefusals(use)
  })
}

/** Enough that state which was not restored would be missed. */
const MANY = 10 * KEYS

// ------------------------------------------------------------------------------------------------------ life

function describeLife(use: () => ManagedScene): void {
  describe('a managed job', () => {
    it('starts from nothing, stops with a savepoint, and goes on counting from there with a new version [T-16] [T-30] [A-40] [A-54] [M-03] [M-07] [M-08]', async () => {
      const { newJob, read, address } = use()
      const job = await newJob()
      const first = await job.started()
      expect(stepsOf(first)).toEqual(['upload DONE', 'choose DONE', 'submit DONE', 'run DONE'])
      expect(first.result.restorePoint).toMatchObject({
        decision: 'start-empty',
        because: { code: 'NO_STATE_EVER' },
      })
      const run = await job.run()
      expect(run).toMatchObject({ id: first.run, flinkJobId: first.flinkJobId, state: 'RUNNING', epoch: 1 })
      expect(run).toMatchObject({ version: 1, versionBasis: 'STARTED', restoredFrom: null })
      expect((await job.counters()).restored).toBeNull()
      await job.untilCheckpoint()
      await job.untilCounted(MANY)

      const stopped = await job.stopped({ description: 'before the change of the parallelism' })
      expect(stepsOf(stopped)).toEqual(['wait SKIPPED', 'savepoint DONE', 'end DONE'])
      const atTheEnd = await job.counters()
      const savepoint = await read(stopped.snapshot ?? '')
      expect(savepoint).toMatchObject({ source: 'STOP', status: 'Present', restorable: true, run: run.id })
      expect(savepoint).toMatchObject({ jobVersion: 1, description: 'before the change of the parallelism' })
      await job.untilRun(({ state, endedAt }) => state === 'FINISHED' && endedAt !== null)

      const version = await job.addVersion({ parallelism: 1 })
      const second = await job.started()
      expect(second.result.restorePoint).toMatchObject({
        decision: 'restore',
        because: { code: 'NEWEST_STATE' },
        snapshot: savepoint.id,
      })
      const restored = await expectRestored(job)
      expect(restored).toBeGreaterThanOrEqual(atTheEnd.total ?? Number.POSITIVE_INFINITY)
      expect(restored).toBeLessThan((atTheEnd.total ?? 0) + 2 * RATE)
      const now = await job.untilRun(({ restoredFrom }) => restoredFrom !== null)
      expect(now).toMatchObject({ version, versionBasis: 'STARTED', claimMode: 'NO_CLAIM' })
      expect(now.restoredFrom).toMatchObject({ snapshot: savepoint.id })
      expect(now.flinkJobId).not.toBe(run.flinkJobId)
      expect((await read(savepoint.id)).restoredBy).toEqual([now.id])
      expect(address.count(SAVEPOINT)).toBe(0)
    })

    it('that was cancelled goes on from its retained checkpoint, or from the older savepoint when that is asked for, and says why [T-31] [T-34] [C-11] [M-14] [N-04]', async () => {
      const { newJob } = use()
      const job = await newJob()
      await job.started()
      await job.untilCounted(MANY)
      const { snapshot: savepoint } = await job.stopped()
      await job.started()
      const fromSavepoint = await expectRestored(job)
      const checkpointed = await job.untilCheckpoint()
      await job.untilCounted(fromSavepoint + MANY)

      const cancelled = await job.stopped({ mode: 'CANCEL' })
      expect(stepsOf(cancelled)).toEqual(['cancel DONE', 'end DONE'])
      expect(cancelled.snapshot).toBeNull()
      expect(cancelled.result.warnings?.map(({ code }) => code)).toContain('NO_SAVEPOINT')
      const atTheEnd = (await job.counters()).total ?? 0
      expect(await job.list()).toHaveLength(1)

      const latest = await job.started()
      const point = latest.result.restorePoint
      expect(point?.because).toMatchObject({ code: 'NEWEST_STATE' })
      const [checkpoint] = (await job.list('kind=CHECKPOINT')).filter(({ id }) => id === point?.snapshot)
      expect(checkpoint?.run).toBe(checkpointed.run)
      expect(checkpoint?.flinkCheckpointId).toBeGreaterThanOrEqual(checkpointed.flinkCheckpointId ?? 0)
      expect(checkpoint).toMatchObject({ status: 'Present', location: point?.location })
      const fromCheckpoint = await expectRestored(job)
      expect(fromCheckpoint).toBeGreaterThan(fromSavepoint)
      expect(fromCheckpoint).toBeLessThanOrEqual(atTheEnd + RATE)

      await job.stopped({ mode: 'CANCEL' })
      // Whatever this run may have left unseen: an older one is what is wanted.
      const older = await job.started({ restore: { strategy: 'LATEST_SAVEPOINT', acceptOlder: true } })
      expect(older.result.restorePoint).toMatchObject({
        because: { code: 'NEWEST_SAVEPOINT' },
        snapshot: savepoint,
        rejected: expect.arrayContaining([
          expect.objectContaining({ snapshot: checkpoint?.id, code: 'NOT_A_SAVEPOINT' }),
        ]),
      })
      // The very same savepoint, although a run has begun from it before.
      expect(await expectRestored(job)).toBe(fromSavepoint)
    })

    it('begins without state when that is asked for, although it has some [M-13]', async () => {
      const { newJob } = use()
      const job = await newJob()
      await job.started()
      await job.untilCounted(KEYS)
      await job.stopped()
      const clean = await job.started({ restore: { strategy: 'NONE' } })
      expect(clean.result.restorePoint).toMatchObject({
        decision: 'start-empty',
        because: { code: 'STRATEGY_NONE' },
        snapshot: null,
      })
      expect(await job.counters()).toMatchObject({ restored: null })
      expect(await job.run()).toMatchObject({ restoredFrom: null })
    })

    it('is drained for good, with a savepoint', async () => {
      const { newJob, read } = use()
      const job = await newJob()
      await job.started()
      await job.untilCounted(KEYS)
      const drained = await job.stopped({ mode: 'DRAIN' })
      expect(await read(drained.snapshot ?? '')).toMatchObject({ source: 'STOP', status: 'Present' })
      expect(await job.run()).toMatchObject({ state: 'FINISHED' })
    })

    it('goes on when its savepoint fails at the stop, which says why; the next stop is another one, and only its savepoint can be restored [T-27]', async () => {
      const { newJob, ended, read, address } = use()
      const job = await newJob({ checkpointing: { intervalMs: 3_600_000 } })
      await job.started()
      await job.untilCounted(KEYS)
      const inFlink = await job.inFlink()
      await inFlink.failSnapshots('the disk of this test is full')
      const before = address.count(STOP)
      const { body } = await job.stop()
      const refused = await ended(body.id)
      expect(refused).toMatchObject({ status: 'FAILED' })
      expect(refused.failure?.message).toContain('the disk of this test is full')
      expect(await read(refused.snapshot ?? '')).toMatchObject({ status: 'Failed', source: 'STOP' })
      expect(address.count(STOP)).toBe(before + 1)
      await job.untilRun(({ state, flinkState }) => state === 'RUNNING' && flinkState === 'RUNNING')
      expect((await job.runs()).length).toBe(1)

      await inFlink.obeyNothing()
      await inFlink.untilRunning()
      await until('the savepoint is settled', async () => (await read(refused.snapshot ?? '')).settledAt)
      const stopped = await job.stopped()
      expect(stopped.snapshot).not.toBe(refused.snapshot)
      expect(await read(stopped.snapshot ?? '')).toMatchObject({ status: 'Present' })
      const restore = { strategy: 'FROM_SNAPSHOT', snapshot: refused.snapshot }
      const { body: other } = await job.start({ restore })
      expect(await ended(other.id)).toMatchObject({
        status: 'FAILED',
        failure: { code: 'NAMED_NOT_RESTORABLE' },
        result: { restorePoint: { rejected: [{ snapshot: refused.snapshot, code: 'NOT_PRESENT' }] } },
        run: null,
      })
      await job.started({ restore: { strategy: 'FROM_SNAPSHOT', snapshot: stopped.snapshot } })
      expect((await job.counters()).restored).toBeGreaterThan(0)
    })
  })
}

// ------------------------------------------------------------------------------------------------------ once

function describeOnce(use: () => ManagedScene): void {
  describe('once', () => {
    it('runs one job for two starts at once, and tells the other where it is', async () => {
      const { newJob, address, ended } = use()
      const job = await newJob()
      const before = address.count(RUN_JAR)
      // All at once: the start is under way until the last of them was answered.
      const asked = Promise.all(Array.from({ length: 5 }, () => job.refusedStart()))
      address.strikeBefore(RUN_JAR, () => asked)
      const answers = await asked
      const accepted = answers.filter(({ status }) => status === 202)
      expect(accepted).toHaveLength(1)
      const id = String(accepted[0]?.body['id'])
      for (const { body } of answers.filter(({ status }) => status === 409)) {
        expect(body).toMatchObject({ code: 'OPERATION_IN_PROGRESS', operation: `/v1/operations/${id}` })
      }
      expect(await ended(id)).toMatchObject({ status: 'SUCCEEDED' })
      expect(address.count(RUN_JAR)).toBe(before + 1)
      expect(await job.countInFlink()).toBe(1)
      expect(await job.runs()).toHaveLength(1)

      expect(await job.refusedStart()).toMatchObject({ status: 409, body: { code: 'RUN_IS_LIVE' } })
      expect(address.count(RUN_JAR)).toBe(before + 1)
    })

    it('is one operation for one Idempotency-Key, of a start and of a stop, also after its end', async () => {
      const { newJob, address, ended } = use()
      const job = await newJob()
      const before = [address.count(RUN_JAR), address.count(STOP)]
      const key = `start-${job.name}`
      const first = await job.start({}, { key })
      const second = await job.start({}, { key })
      expect(second.body.id).toBe(first.body.id)
      expect(second.headers['idempotency-replayed']).toBe('true')
      expect(await ended(first.body.id)).toMatchObject({ status: 'SUCCEEDED' })
      expect((await job.start({}, { key })).body).toMatchObject({ id: first.body.id, status: 'SUCCEEDED' })
      const other = await job.start({ timeoutSeconds: 5 }, { key })
      expect(other).toMatchObject({ status: 422, body: { code: 'IDEMPOTENCY_KEY_REUSED' } })

      await job.untilCounted(KEYS)
      const stop = { key: `stop-${job.name}` }
      const stops = await Promise.all([1, 2].map(() => job.stop({}, stop)))
      expect(new Set(stops.map(({ body }) => body.id)).size).toBe(1)
      expect(await ended(stops[0]?.body.id ?? '')).toMatchObject({ status: 'SUCCEEDED' })
      expect((await job.stop({}, stop)).body).toMatchObject({ id: stops[0]?.body.id, status: 'SUCCEEDED' })
      expect([address.count(RUN_JAR), address.count(STOP)]).toEqual(before.map((count) => count + 1))
    })

    it('sends one stop for two at once: the second joins the first [T-30]', async () => {
      const { newJob, address, ended } = use()
      const job = await newJob()
      await job.started()
      await job.untilCounted(KEYS)
      const before = address.count(STOP)
      const inFlink = await job.inFlink()
      await inFlink.slowSnapshots(60_000)
      const [one, two] = await Promise.all([job.stop(), job.stop()])
      expect([one.status, two.status]).toEqual([202, 202])
      expect(two.body.id).toBe(one.body.id)
      await until('Flink is asked to stop', async () => address.count(STOP) > before)
      // Also while Flink is at it, and however it is asked.
      expect((await job.stop({ mode: 'CANCEL' })).body.id).toBe(one.body.id)
      await inFlink.obeyNothing()
      expect(await ended(one.body.id)).toMatchObject({ status: 'SUCCEEDED' })
      expect(address.count(STOP)).toBe(before + 1)
      expect(await job.list()).toHaveLength(1)
    })

    it('looks for a start and a stop whose answers were lost, and sends neither again', async () => {
      const { newJob, address } = use()
      const job = await newJob()
      const before = [address.count(RUN_JAR), address.count(STOP)]
      address.strikeAfter(RUN_JAR, lose)
      const started = await job.started()
      expect(await job.runs()).toMatchObject([{ flinkJobId: started.flinkJobId }])
      await job.untilCounted(KEYS)
      address.strikeAfter(STOP, lose)
      await job.stopped()
      expect(await job.list()).toMatchObject([{ status: 'Present', attempt: 1 }])
      expect([address.count(RUN_JAR), address.count(STOP)]).toEqual(before.map((count) => count + 1))
      expect(await job.countInFlink()).toBe(1)
    })
  })
}

/** Nothing but the answer. */
const lose = async () => undefined

// -------------------------------------------------------------------------------------------------- settings

type CheckpointConfig = Record<string, unknown>

function describeSettings(use: () => ManagedScene): void {
  describe('the checkpoint settings of a version are those of the running job', () => {
    const configOf = async (job: ManagedJob): Promise<CheckpointConfig> =>
      getJson(use().flink.url, `/jobs/${(await job.run()).flinkJobId}/checkpoints/config`)

    it('unaligned, exactly once, retained on cancellation [A-03] [A-04] [A-05] [P-17]', async () => {
      const job = await use().newJob({
        checkpointing: {
          mode: 'EXACTLY_ONCE',
          intervalMs: 2_500,
          timeoutMs: 90_000,
          minPauseMs: 700,
          maxConcurrent: 1,
          tolerableFailures: 3,
          retention: 'RETAIN_ON_CANCELLATION',
          unaligned: true,
          alignedTimeoutMs: 5_000,
        },
      })
      await job.started()
      expect(await configOf(job)).toMatchObject({
        mode: 'exactly_once',
        interval: 2_500,
        timeout: 90_000,
        min_pause: 700,
        max_concurrent: 1,
        tolerable_failed_checkpoints: 3,
        externalization: { enabled: true, delete_on_cancellation: false },
        unaligned_checkpoints: true,
        aligned_checkpoint_timeout: 5_000,
        checkpoint_storage: 'FileSystemCheckpointStorage',
      })
      const { location } = await job.untilCheckpoint()
      expect(location?.replace(/^file:\/+/, 'file:///')).toContain(`${job.checkpointDir}/`)
    })

    it('what Flink does not report shows by its effect: incremental in the shared files, the directory, the number kept [M-04] [M-11] [A-50]', async () => {
      const { newJob, flink } = use()
      const job = await newJob({ more: { state: { backend: 'rocksdb', incremental: true } } })
      await job.started()
      expect(await configOf(job)).toMatchObject({ state_backend: expect.stringContaining('RocksDB') })
      const { flinkJobId } = await job.run()
      const own = `${job.checkpointDir}/${flinkJobId}`
      await until(
        'Flink has dropped a checkpoint',
        async () => (await job.list('kind=CHECKPOINT&status=Cleared')).length > 0,
        60_000,
      )
      expect(await flink.storage.count(`${own}/shared`)).toBeGreaterThan(0)
      const kept = await job.list('kind=CHECKPOINT&status=Present')
      expect(kept.length).toBeGreaterThan(0)
      expect(kept.length).toBeLessThanOrEqual(NUM_RETAINED + 1) // one may be on its way out
      for (const { location } of kept)
        expect(location?.replace(/^file:\/+/, 'file:///')).toContain(`${own}/chk-`)
      if (flink.kind === 'real') {
        expect((await job.list('kind=CHECKPOINT')).some(({ incremental }) => incremental === true)).toBe(true)
      }
    })

    it('at least once, several at a time, deleted on cancellation, as the directory shows [C-12]', async () => {
      const { newJob, flink } = use()
      const job = await newJob({
        checkpointing: {
          mode: 'AT_LEAST_ONCE',
          intervalMs: 1_000,
          timeoutMs: 30_000,
          minPauseMs: 0,
          maxConcurrent: 2,
          tolerableFailures: 0,
          retention: 'DELETE_ON_CANCELLATION',
        },
      })
      await job.started()
      expect(await configOf(job)).toMatchObject({
        mode: 'at_least_once',
        interval: 1_000,
        timeout: 30_000,
        min_pause: 0,
        max_concurrent: 2,
        tolerable_failed_checkpoints: 0,
        externalization: { enabled: true, delete_on_cancellation: true },
        unaligned_checkpoints: false,
      })
      const checkpoint = await job.untilCheckpoint()
      expect(await flink.storage.count(job.checkpointDir)).toBeGreaterThan(0)
      await job.stopped({ mode: 'CANCEL' })
      await until(
        'no checkpoint of it is called Present',
        async () => (await job.list('kind=CHECKPOINT&status=Present')).length === 0,
        60_000,
      )
      expect((await use().read(checkpoint.id)).restorable).toBe(false)
      expect(await flink.storage.count(job.checkpointDir)).toBe(0)
      expect(use().address.count(CANCEL)).toBeGreaterThan(0)
    })
  })
}

// --------------------------------------------------------------------------------------------------- helpers

export const stepsOf = ({ steps }: LifecycleOperation): string[] =>
  steps.map(({ name, status }) => `${name} ${status}`)

/** That it began with state of its operators and of its keys, and goes on from there. Answers the total it began with. */
export async function expectRestored(job: ManagedJob): Promise<number> {
  const { restored } = await job.counters()
  if (restored === null) throw new Error(`${job.name} began empty`)
  // So many that every key has been seen since, and so few that keys without their state would still be far behind.
  const { highestKeyCount } = await job.untilCounted(restored + 2 * KEYS)
  expect(highestKeyCount).toBeGreaterThanOrEqual(Math.floor(restored / KEYS))
  return restored
}
