/**
 * The JobManager or the TaskManager dies in the middle of a start, a stop or a savepoint. Whatever comes of it: what we say in
 * the end is true, nothing is stuck, and no second job, stop or savepoint has been asked for in the dark.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Run } from '../../src/domain/run.ts'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import { until } from '../support/api.ts'
import type { OpenFlink } from '../support/flink-under-test.ts'
import type { StorageKind } from '../support/savepoint-storage.ts'
import {
  KEYS,
  type ManagedJob,
  type ManagedScene,
  openManagedScene,
  RUN_JAR,
  SAVEPOINT,
  STOP,
  UPLOAD_JAR,
} from './managed-scene.ts'

/** Without high availability nobody brings a job back, so that it need not be waited for. */
const LOST_AFTER_MS = 3_000
/** A savepoint whose job cannot be found has not failed by that: it is watched until then. */
const TIMEOUT_SECONDS = 8

export function describeManagedOutages(
  name: string,
  openFlink: OpenFlink,
  { storage, ha }: { storage: StorageKind; ha: boolean },
): void {
  describe(`when Flink dies, ${name}`, () => {
    let scene: ManagedScene
    beforeAll(async () => {
      const env = { ...(!ha && { TIDEMARK_LOST_AFTER_MS: String(LOST_AFTER_MS) }) }
      scene = await openManagedScene('outages', openFlink, { storage, env })
    })
    afterEach(async ({ task }) => {
      if (task.result?.state === 'fail') console.log(scene.system.output().slice(-10_000))
      await scene.endJobs()
    })
    afterAll(() => scene?.close())
    const use = () => scene
    if (ha) {
      describeFailover(use)
      describeTaskManager(use)
    } else describeLoss(use)
  })
}

// -------------------------------------------------------------------------------------- with high availability

function describeFailover(use: () => ManagedScene): void {
  describe('a JobManager that comes back with its jobs', () => {
    it('after it took a start and before it answered: the job is found under its id, and is the only one', async () => {
      const { newJob, address, ended } = use()
      const job = await newJob()
      const before = address.count(RUN_JAR)
      address.strikeAfter(RUN_JAR, () => restartJobManager(use()))
      const { body } = await job.start()
      const operation = await ended(body.id)
      expect(operation).toMatchObject({ status: 'SUCCEEDED' })
      expect(address.count(RUN_JAR)).toBe(before + 1)
      expect(await job.countInFlink()).toBe(1)
      const runs = await job.runs()
      expect(runs).toMatchObject([{ flinkJobId: operation.flinkJobId, state: 'RUNNING', epoch: 1 }])
      await job.untilCounted(KEYS)
    })

    it('in the middle of a stop: the job goes on, the stop has failed and is not repeated, the next one stops it', async () => {
      const { newJob, address, ended, read } = use()
      const job = await newJob()
      await job.started()
      await job.untilCounted(KEYS)
      await job.untilCheckpoint()
      const inFlink = await job.inFlink()
      await inFlink.slowSnapshots(60_000)
      const before = address.count(STOP)
      const { body } = await job.stop()
      await untilTaken(use(), job)
      await restartJobManager(use())
      await inFlink.obeyNothing()
      const operation = await ended(body.id)
      expect(operation).toMatchObject({ status: 'FAILED' })
      expect(operation.failure?.message).toMatch(/not stopped/)
      expect(address.count(STOP)).toBe(before + 1)
      expect(await read(operation.snapshot ?? '')).toMatchObject({ status: 'Failed', attempt: 1 })
      await goesOn(job)

      const again = await job.stopped()
      expect(await read(again.snapshot ?? '')).toMatchObject({ status: 'Present' })
      expect(address.count(STOP)).toBe(before + 2)
      expect(await job.run()).toMatchObject({ state: 'FINISHED' })
    })

    it('in the middle of a savepoint: one is Present in the end', async () => {
      const { newJob, read } = use()
      const job = await newJob()
      await job.started()
      await job.untilCounted(KEYS)
      const inFlink = await job.inFlink()
      await inFlink.slowSnapshots(60_000)
      const id = await requestSavepoint(use(), job)
      await untilTaken(use(), job)
      await restartJobManager(use())
      await inFlink.obeyNothing()
      await until('it is Present', async () => (await read(id)).status === 'Present', 90_000)
      expect((await job.list('kind=SAVEPOINT&status=Present')).map((one) => one.id)).toEqual([id])
      await goesOn(job)
    })
  })
}

function describeTaskManager(use: () => ManagedScene): void {
  describe('a TaskManager', () => {
    it('at a start: the job waits for another one, and runs then', async () => {
      const { newJob, address, ended, flink } = use()
      const job = await newJob()
      const before = address.count(RUN_JAR)
      address.strikeBefore(RUN_JAR, () => flink.killTaskManager())
      const { body } = await job.start()
      await until('Flink is asked to start it', async () => address.count(RUN_JAR) > before)
      await flink.startTaskManager()
      expect(await ended(body.id)).toMatchObject({ status: 'SUCCEEDED' })
      expect(address.count(RUN_JAR)).toBe(before + 1)
      expect(await job.countInFlink()).toBe(1)
      await job.untilCounted(KEYS)
    })

    it('at a start that has too little time: it has failed, the job is left as it is, and is still seen to run', async () => {
      const { newJob, ended, flink } = use()
      const job = await newJob()
      await flink.killTaskManager()
      const operation = await (async () => {
        try {
          const { body } = await job.start({ timeoutSeconds: 4 })
          return await ended(body.id, 30_000)
        } finally {
          await flink.startTaskManager()
        }
      })()
      expect(operation).toMatchObject({ status: 'FAILED', failure: { code: 'START_TIMEOUT' } })
      expect(operation.failure?.message).toContain('left as it is')
      await goesOn(job)
      expect(await job.run()).toMatchObject({ flinkJobId: operation.flinkJobId })
      expect(await job.countInFlink()).toBe(1)
      await job.untilCounted(KEYS)
    })

    it('in the middle of a stop: the job goes on, and the stop says that it failed', async () => {
      const { newJob, address, ended, flink, read } = use()
      const job = await newJob()
      await job.started()
      await job.untilCounted(KEYS)
      const inFlink = await job.inFlink()
      await inFlink.slowSnapshots(60_000)
      const before = address.count(STOP)
      const { body } = await job.stop()
      await untilTaken(use(), job)
      const replaced = flink.replaceTaskManager(inFlink)
      await inFlink.obeyNothing()
      await replaced
      const operation = await ended(body.id)
      expect(operation).toMatchObject({ status: 'FAILED', failure: { code: 'TASKMANAGER_LOST' } })
      expect(await read(operation.snapshot ?? '')).toMatchObject({ status: 'Failed', attempt: 1 })
      expect(address.count(STOP)).toBe(before + 1)
      await goesOn(job)
    })

    it('in the middle of a savepoint: one is Present in the end', async () => {
      const { newJob, flink, read } = use()
      const job = await newJob()
      await job.started()
      await job.untilCounted(KEYS)
      const inFlink = await job.inFlink()
      await inFlink.slowSnapshots(60_000)
      const id = await requestSavepoint(use(), job)
      await untilTaken(use(), job)
      const replaced = flink.replaceTaskManager(inFlink)
      await inFlink.obeyNothing()
      await replaced
      await until('it is Present', async () => (await read(id)).status === 'Present', 90_000)
      expect((await job.list('kind=SAVEPOINT&status=Present')).map((one) => one.id)).toEqual([id])
    })
  })
}

// ----------------------------------------------------------------------------------- without high availability

function describeLoss(use: () => ManagedScene): void {
  describe('a JobManager that has forgotten everything', () => {
    it('before it heard of a start: the jar is brought again, and the job runs once', async () => {
      const { newJob, address } = use()
      const job = await newJob()
      const before = [address.count(RUN_JAR), address.count(UPLOAD_JAR)]
      address.strikeBefore(RUN_JAR, () => restartJobManager(use()))
      const operation = await job.started()
      expect(address.count(RUN_JAR)).toBe((before[0] ?? 0) + 2)
      expect(address.count(UPLOAD_JAR)).toBeGreaterThan(before[1] ?? 0)
      expect(await job.countInFlink()).toBe(1)
      expect(await job.runs()).toMatchObject([{ flinkJobId: operation.flinkJobId, state: 'RUNNING' }])
    })

    it.each(['strikeBefore', 'strikeAfter'] as const)(
      'in the middle of a start (%s): nothing else is started until a person has said that the run is over',
      async (strike) => {
        const { newJob, address, ended, flink } = use()
        const job = await newJob()
        const before = address.count(RUN_JAR)
        const killed = new Promise<void>((resolve) => {
          address[strike](RUN_JAR, () => flink.killJobManager().then(resolve))
        })
        const { body } = await job.start()
        await killed
        await flink.startJobManager()
        const operation = await ended(body.id)
        expect(operation).toMatchObject({ status: 'FAILED' })
        expect(['START_UNANSWERED', 'RUN_LOST']).toContain(operation.failure?.code)
        expect(operation.failure?.message).toContain(`/v1/runs/${operation.run}/confirm-ended`)
        expect(address.count(RUN_JAR)).toBe(before + 1)
        expect(await job.countInFlink()).toBe(0)
        await expectLost(use(), job)

        const again = await job.started({ restore: { acceptOlder: true } })
        expect(again.flinkJobId).not.toBe(operation.flinkJobId)
        expect(address.count(RUN_JAR)).toBe(before + 2)
        expect(await job.countInFlink()).toBe(1)
      },
    )

    it('in the middle of a stop: it has failed, the run is lost, and a start goes on from the retained checkpoint [C-07]', async () => {
      const { newJob, address, ended, read } = use()
      const job = await newJob()
      await job.started()
      await job.untilCounted(KEYS)
      const checkpoint = await job.untilCheckpoint()
      const inFlink = await job.inFlink()
      await inFlink.slowSnapshots(60_000)
      const before = address.count(STOP)
      const { body } = await job.stop({ timeoutSeconds: TIMEOUT_SECONDS })
      await untilTaken(use(), job)
      await restartJobManager(use())
      await inFlink.obeyNothing()
      const operation = await ended(body.id)
      expect(operation.status, JSON.stringify(operation, null, 1)).toBe('FAILED')
      expect(address.count(STOP)).toBe(before + 1)
      await expectLost(use(), job)
      await untilFailed(use(), operation.snapshot ?? '')
      expect(await read(operation.snapshot ?? '')).toMatchObject({ attempt: 1, restorable: false })

      const careful = await ended((await job.start()).body.id)
      expect(careful).toMatchObject({ status: 'FAILED', failure: { code: 'NEWER_MAY_EXIST' } })
      const again = await job.started({ restore: { acceptOlder: true } })
      const chosen = await read(again.result.restorePoint?.snapshot ?? '')
      expect(chosen).toMatchObject({ kind: 'CHECKPOINT', run: checkpoint.run })
      expect((await job.counters()).restored).toBeGreaterThan(0)
      expect(address.count(STOP)).toBe(before + 1)
    })

    it('in the middle of a savepoint: it is never called Present, and the job has no other', async () => {
      const { newJob, address } = use()
      const job = await newJob()
      await job.started()
      await job.untilCounted(KEYS)
      const inFlink = await job.inFlink()
      await inFlink.slowSnapshots(60_000)
      const before = address.count(SAVEPOINT)
      const id = await requestSavepoint(use(), job, { timeoutSeconds: TIMEOUT_SECONDS })
      await untilTaken(use(), job)
      await restartJobManager(use())
      await inFlink.obeyNothing()
      await expectLost(use(), job)
      await untilFailed(use(), id)
      expect(await job.list('kind=SAVEPOINT')).toHaveLength(1)
      expect(address.count(SAVEPOINT)).toBe(before + 1)
    })
  })
}

/** Nobody can say whether it still writes, so nothing begins in its place before a person has spoken. */
async function expectLost({ system }: ManagedScene, job: ManagedJob): Promise<Run> {
  const { id } = await job.untilRun(({ state }) => state === 'LOST')
  for (const refused of [await job.refusedStart(), await job.refusedStop()]) {
    expect(refused).toMatchObject({ status: 409, body: { code: 'RUN_STATE_UNKNOWN' } })
  }
  const confirmed = await system.api.call<Run>('POST', `/v1/runs/${id}/confirm-ended`, { body: {} })
  expect(confirmed).toMatchObject({ status: 200, body: { state: 'LOST' } })
  return confirmed.body
}

// --------------------------------------------------------------------------------------------------- helpers

async function restartJobManager({ flink }: ManagedScene): Promise<void> {
  await flink.killJobManager()
  await flink.startJobManager()
}

/** The same run, seen running, and it counts. */
async function goesOn(job: ManagedJob): Promise<void> {
  await job.untilRun(({ state, flinkState }) => state === 'RUNNING' && flinkState === 'RUNNING', 90_000)
  const inFlink = await job.inFlink()
  await inFlink.untilRunning()
  expect(await job.runs()).toMatchObject([{ epoch: 1, endedAt: null }])
}

async function requestSavepoint(
  { system }: ManagedScene,
  { name }: ManagedJob,
  body: object = {},
): Promise<string> {
  const answer = await system.api.call<Snapshot>('POST', `/v1/jobs/${name}/savepoints`, { body })
  expect(answer.status).toBe(202)
  return answer.body.id
}

/** At the latest when its deadline has passed and its run is known to be over. */
const untilFailed = ({ read }: ManagedScene, id: string) =>
  until(`${id} is Failed`, async () => (await read(id)).status === 'Failed', 60_000)

/** Files of it lie in its directory: the tasks are at it. */
async function untilTaken({ flink }: ManagedScene, job: ManagedJob): Promise<void> {
  await until('Flink takes the savepoint', async () => {
    const [newest] = await job.list('kind=SAVEPOINT')
    const directory = newest?.attempts[0]?.directory
    return directory !== undefined && (await flink.storage.count(directory)) > 0
  })
}
