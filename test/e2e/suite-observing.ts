/** What runs, and what of it could be restored: seen without being told, on a session cluster with periodic checkpoints. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Run } from '../../src/domain/run.ts'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import { until } from '../support/api.ts'
import type { CheckpointStatistic } from '../support/flink-job-under-test.ts'
import type { OpenFlink } from '../support/flink-under-test.ts'
import type { StorageKind } from '../support/savepoint-storage.ts'
import { create, openScene, type Scene, type SceneJob } from './scene.ts'

const NUM_RETAINED = 3
export const OBSERVED_CHECKPOINTS = {
  intervalMs: 1_000,
  numRetained: NUM_RETAINED,
  backend: 'rocksdb',
} as const

/** How long the long look takes; a hundred finished checkpoints fit into it at one a second. */
export type ObservingOptions = { longLookMs: number; storage: StorageKind }

export function describeObserving(
  name: string,
  openFlink: OpenFlink,
  { longLookMs, storage }: ObservingOptions,
): void {
  describe(name, () => {
    let scene: Scene
    beforeAll(async () => {
      scene = await openScene('observing', openFlink, storage)
      await create(scene.system, 'storages', { name: 'checkpoints', ...scene.flink.storage.checkpointInput })
    })
    afterEach(async ({ task }) => {
      if (task.result?.state === 'fail') console.log(scene.system.output().slice(-8_000))
      await scene.endJobs()
    })
    afterAll(() => scene?.close())

    describeCheckpoints(() => scene, longLookMs)
    describeRuns(() => scene)
  })
}

/** Needs a cluster whose scheduler can do it. */
export function describeRescaling(name: string, openFlink: OpenFlink): void {
  describe(name, () => {
    let scene: Scene
    beforeAll(async () => {
      scene = await openScene('rescaling', openFlink, 'local')
    })
    afterAll(() => scene?.close())
    const use = () => scene

    it('is no end and no new run', async () => {
      const { newJob, flink } = use()
      const job = await newJob()
      const [before] = await checkpointsSeen(job)
      await flink.rescaleJob(job.flink)
      await until(
        'a checkpoint after the rescale',
        async () =>
          (await checkpointsOf(job)).some(
            ({ flinkCheckpointId }) => (flinkCheckpointId ?? 0) > (before?.flinkCheckpointId ?? 0) + 1,
          ),
        60_000,
      )
      expect(await runsOf(use(), job)).toMatchObject([
        { epoch: 1, state: 'RUNNING', restoredFrom: null, endedAt: null },
      ])
    })
  })
}

// ---------------------------------------------------------------------------------------------- checkpoints

function describeCheckpoints(use: () => Scene, longLookMs: number): void {
  describe('checkpoints', () => {
    it('become snapshots of their run and version, with the numbers Flink gives, and go as Flink drops them [T-10] [A-02] [A-06] [C-14]', async () => {
      const { newJob, flink } = use()
      const job = await newJob({ parameters: { 'tidemark.version': '7' } })
      const started = Date.now()
      await until(
        'a good number of checkpoints',
        async () => Date.now() - started > longLookMs && (await checkpointsOf(job)).length > NUM_RETAINED + 3,
        longLookMs + 60_000,
      )

      const { rows, history } = await atOneMoment(job)
      for (const entry of history) {
        const row = rows.find(({ flinkCheckpointId }) => flinkCheckpointId === entry.id)
        expect(row, `checkpoint ${entry.id} has no row`).toBeDefined()
        expect(row).toMatchObject({
          kind: 'CHECKPOINT',
          source: 'SYSTEM',
          status: entry.discarded ? 'Cleared' : 'Present',
          reason: entry.discarded ? 'SUBSUMED' : 'COMPLETED',
          checkpointType: entry.checkpoint_type,
          sizeBytes: entry.state_size,
          uploadedBytes: entry.checkpointed_size,
          jobVersion: 7,
          triggeredAt: new Date(entry.trigger_timestamp).toISOString(),
          restorable: !entry.discarded,
        })
        expect(row?.location).toContain(`/${job.flink.id}/chk-${entry.id}`)
      }
      const present = rows.filter(({ status }) => status === 'Present')
      expect(present.map(({ storage }) => storage?.name)).toEqual(Array(NUM_RETAINED).fill('checkpoints'))
      // A checkpoint that Flink has already dropped is never offered; one it has just made may not be seen yet.
      const stored = await job.flink.storedCheckpoints()
      const known = present.map(({ flinkCheckpointId }) => flinkCheckpointId ?? 0)
      expect(stored.at(-1)).toBeGreaterThanOrEqual(Math.max(...known))
      expect(stored.length).toBeLessThanOrEqual(NUM_RETAINED + 1)
      expect(rows.filter(({ reason }) => reason === 'SUBSUMED').length).toBeGreaterThan(3)
      expect(rows.length).toBeLessThanOrEqual(100 + NUM_RETAINED)
      expect(new Set(rows.map(({ flinkCheckpointId }) => flinkCheckpointId)).size).toBe(rows.length)
      if (flink.kind === 'real') expect(rows.some(({ incremental }) => incremental === true)).toBe(true)
    })

    it('that fail say why, in the words of the job', async () => {
      const { newJob } = use()
      const job = await newJob()
      await checkpointsSeen(job)
      await job.flink.failSnapshots('the disk of this test is full')
      const failed = await until(
        'a failed checkpoint is recorded',
        async () => (await list(job, 'kind=CHECKPOINT&status=Failed')).at(0),
        60_000,
      )
      await job.flink.obeyNothing()
      expect(failed.failure?.message).toContain('the disk of this test is full')
      expect(failed).toMatchObject({ restorable: false, location: null })
      const { body } = await state(job)
      expect(body['checkpoints']).toMatchObject({
        lastFailed: { failure: { message: failed.failure?.message } },
      })
    })

    it('are what the state of the job tells, beside its savepoints and its live configuration [A-01] [A-34] [A-35] [A-36] [A-08]', async () => {
      const { newJob, untilStatus } = use()
      const job = await newJob()
      await checkpointsSeen(job)
      const { body: savepoint } = await job.savepoint({}, { waitSeconds: 55 })
      await untilStatus(savepoint.id, 'Present')
      const { status, body } = await state(job)
      expect(status).toBe(200)
      const [newest] = await list(job, 'kind=CHECKPOINT')
      expect(body['savepoints']).toMatchObject({ lastSuccessful: { snapshot: savepoint.id } })
      expect(body['checkpoints']).toMatchObject({
        lastSuccessful: { durationMs: expect.any(Number), sizeBytes: expect.any(Number) },
      })
      expect(body['checkpointConfig']).toMatchObject({
        mode: 'exactly_once',
        intervalMs: OBSERVED_CHECKPOINTS.intervalMs,
        externalized: { enabled: true, deleteOnCancellation: false },
      })
      expect(body['restorePoint']).toMatchObject({
        snapshot: expect.any(String),
        ageSeconds: expect.any(Number),
      })
      expect(newest?.restorable).toBe(true)
    })

    it('cannot be made or removed by hand [A-07]', async () => {
      const { newJob, system } = use()
      const job = await newJob()
      const [checkpoint] = await checkpointsSeen(job)
      const made = await system.api.call('POST', `/v1/jobs/${job.name}/checkpoints`, { body: {} })
      expect(made.status).toBe(404)
      const removed = await system.api.call('DELETE', `/v1/snapshots/${checkpoint?.id}`)
      expect([404, 405, 409]).toContain(removed.status)
      expect((await system.api.call('GET', `/v1/snapshots/${checkpoint?.id}`)).status).toBe(200)
    })

    it('of a cancelled job stay, those of a stopped one go, as the bucket shows [M-01] [M-05]', async () => {
      const { newJob, system, flink } = use()
      const cancelled = await newJob()
      await checkpointsSeen(cancelled)
      await cancelled.flink.cancel()
      await untilRun(use(), cancelled, ({ state }) => state === 'CANCELED')
      await untilReviewed(use(), cancelled)
      const stored = await cancelled.flink.storedCheckpoints()
      const present = (await list(cancelled, 'status=Present&kind=CHECKPOINT')).map(
        (each) => each.flinkCheckpointId ?? 0,
      )
      expect(present.toSorted((a, b) => a - b)).toEqual(stored)

      const stopped = await newJob()
      await checkpointsSeen(stopped)
      const location = await stopped.flink.stopWithSavepoint(`${flink.storage.checkpointDir}/by-somebody`)
      await untilRun(use(), stopped, ({ state }) => state === 'FINISHED')
      await untilReviewed(use(), stopped)
      expect(await list(stopped, 'status=Present&kind=CHECKPOINT')).toEqual([])
      // Its savepoint outlives it, and is somebody else's.
      const [savepoint] = await list(stopped, 'kind=SAVEPOINT')
      expect(savepoint).toMatchObject({
        source: 'EXTERNAL',
        status: 'Present',
        ownedPrefix: null,
        restorable: true,
      })
      expect(location.endsWith(savepoint?.location?.split('/').at(-1) ?? '?')).toBe(true)
      expect(system.output()).not.toContain('observation failed')
    })
  })
}

// ------------------------------------------------------------------------------------------------------ runs

function describeRuns(use: () => Scene): void {
  describe('runs of a job that is followed by name', () => {
    it('know the version and what they were restored from, over redeployments by somebody else', async () => {
      const { newJob, flink, system } = use()
      const job = await newJob()
      await system.api.call('POST', `/v1/jobs/${job.name}/versions`, { body: { labels: { git: 'abc' } } })
      await checkpointsSeen(job)
      const savepoint = await job.flink.takeForeignSavepoint(`${flink.storage.checkpointDir}/foreign`)
      const second = await flink.redeployJob(job.flink, { from: savepoint })
      await untilRun(use(), job, (run) => run.flinkJobId === second.id && run.restoredFrom !== null)
      const [now, before] = await runsOf(use(), job)
      expect(before).toMatchObject({ state: 'CANCELED', version: null, restoredFrom: null })
      expect(now).toMatchObject({ state: 'RUNNING', version: 1, versionBasis: 'REGISTERED', epoch: 1 })
      const [external] = await list(job, 'kind=SAVEPOINT')
      expect(now?.restoredFrom).toMatchObject({ snapshot: external?.id })
      expect(external?.restoredBy).toEqual([now?.id])
      const { body: references } = await system.api.call<{ inUseBy: { reason: string }[] }>(
        'GET',
        `/v1/snapshots/${external?.id}/references`,
      )
      expect(references.inUseBy.map(({ reason }) => reason)).toEqual(['RUN'])

      const third = await flink.redeployJob(second, { parameters: { 'tidemark.version': '9' } })
      await untilRun(use(), job, (run) => run.flinkJobId === third.id)
      expect((await runsOf(use(), job))[0]).toMatchObject({
        version: 9,
        versionBasis: 'DECLARED',
        restoredFrom: null,
      })
      await third.cancel()
    })

    it('go on when the JobManager or a TaskManager dies in the middle, and nothing is called ended', async () => {
      const { newJob, flink } = use()
      const job = await newJob()
      await checkpointsSeen(job)
      const [before] = await runsOf(use(), job)
      const newest = Math.max(...(await checkpointsOf(job)).map((each) => each.flinkCheckpointId ?? 0))
      await flink.killJobManager()
      await flink.startJobManager()
      await job.flink.untilRunning()
      await until(
        'a checkpoint after the failover',
        async () => (await checkpointsOf(job)).some((each) => (each.flinkCheckpointId ?? 0) > newest + 1),
        90_000,
      )
      expect(await runsOf(use(), job)).toMatchObject([
        { id: before?.id, state: 'RUNNING', epoch: 1, restoredFrom: null },
      ])

      await flink.replaceTaskManager(job.flink)
      await until('it runs again for us', async () => {
        const [run] = await runsOf(use(), job)
        return run?.state === 'RUNNING' && run.flinkState === 'RUNNING'
      })
      expect(await runsOf(use(), job)).toMatchObject([{ id: before?.id, endedAt: null }])
      // What Flink dropped while nobody could see it is not offered any more.
      await until('rows and directory agree', async () => {
        const present = (await list(job, 'status=Present&kind=CHECKPOINT')).map(
          (each) => each.flinkCheckpointId ?? 0,
        )
        const stored = await job.flink.storedCheckpoints()
        return present.length > 0 && present.every((id) => stored.includes(id))
      })
    })
  })
}

// --------------------------------------------------------------------------------------------------- helpers

export const list = async (job: SceneJob, query: string): Promise<Snapshot[]> => job.list(query)

const checkpointsOf = (job: SceneJob) => list(job, 'kind=CHECKPOINT')

const checkpointsSeen = (job: SceneJob) =>
  until(
    'checkpoints are seen',
    async () => {
      const present = await list(job, 'kind=CHECKPOINT&status=Present')
      return present.length >= 2 && present
    },
    60_000,
  )

const state = (job: SceneJob) => job.get<Record<string, unknown>>('/state')

export const runsOf = async ({ system }: Pick<Scene, 'system'>, { name }: { name: string }): Promise<Run[]> =>
  (await system.api.call<{ items: Run[] }>('GET', `/v1/jobs/${name}/runs`)).body.items

export const untilRun = (
  scene: Pick<Scene, 'system'>,
  job: { name: string },
  wanted: (run: Run) => boolean,
) =>
  until(
    'the run is as awaited',
    async () => {
      const [run] = await runsOf(scene, job)
      return run && wanted(run) && run
    },
    60_000,
  )

const untilReviewed = (scene: Scene, job: SceneJob) =>
  untilRun(scene, job, ({ checkpointsUnderReview }) => !checkpointsUnderReview)

/** Flink's history and our rows, read around each other until nothing has moved in between. */
async function atOneMoment(job: SceneJob): Promise<{ rows: Snapshot[]; history: CheckpointStatistic[] }> {
  return until(
    'our rows show what Flink shows',
    async () => {
      const before = await finished(job)
      const rows = await checkpointsOf(job)
      const after = await finished(job)
      const agreed = before.filter((entry) =>
        after.some(({ id, discarded }) => id === entry.id && discarded === entry.discarded),
      )
      const seen = agreed.every((entry) =>
        rows.some(
          (row) => row.flinkCheckpointId === entry.id && (row.status === 'Cleared') === entry.discarded,
        ),
      )
      return agreed.length >= NUM_RETAINED && seen && { rows, history: agreed }
    },
    60_000,
  )
}

const finished = async (job: SceneJob) =>
  (await job.flink.statistics()).history.filter(
    (entry) => entry.status === 'COMPLETED' && !entry.is_savepoint,
  )
