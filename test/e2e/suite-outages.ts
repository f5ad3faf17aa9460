/** The JobManager dies (with high availability), or a TaskManager: nothing is taken for what it is not. */
import { describe, expect, it } from 'vitest'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import { until } from '../support/api.ts'
import type { Scene, SceneJob } from './scene.ts'
import { expectMetadata } from './suite-taking.ts'

export function describeOutages(use: () => Scene): void {
  describe('when Flink dies', () => {
    it('adopts a savepoint from its directory when the JobManager that took it is gone before we read the result', async () => {
      const { newJob, flink, freezeWorkers, thawWorkers, untilStatus } = use()
      const job = await newJob()
      await job.flink.slowSnapshots(60_000)
      const { body } = await job.savepoint()
      await job.untilTaken()
      freezeWorkers()
      try {
        await job.flink.obeyNothing()
        await job.untilCompletedInFlink()
        await flink.killJobManager()
        await flink.startJobManager()
        await job.flink.untilRunning()
      } finally {
        thawWorkers()
      }

      const present = await untilStatus(body.id, 'Present', 90_000)
      expect(present).toMatchObject({ reason: 'ADOPTED_FROM_DIRECTORY', attempt: 1, restorable: true })
      expect(present.attempts).toMatchObject([{ outcome: 'COMPLETED', orphanLocation: null }])
      await expectMetadata(use(), present)
      expect(await job.list()).toHaveLength(1)
    })

    it('begins a new attempt in a directory of its own when the JobManager dies in the middle, and records the orphan', async () => {
      const { newJob, flink, untilStatus } = use()
      const job = await newJob()
      await job.flink.slowSnapshots(60_000)
      const { body } = await job.savepoint()
      await job.untilTaken()
      const [asked] = (await use().read(body.id)).attempts
      await untilFilesAppear(use(), asked?.directory ?? '')
      await flink.killJobManager()
      await job.flink.obeyNothing()
      await flink.startJobManager()
      await job.flink.untilRunning()

      const present = await untilStatus(body.id, 'Present', 90_000)
      expectTwoAttempts(present)
      await expectMetadata(use(), present)
      await expectOnePresent(job, present)
    })

    it('begins a new attempt when a TaskManager is lost', async () => {
      const { newJob, flink, untilStatus } = use()
      const job = await newJob()
      await job.flink.slowSnapshots(60_000)
      const { body } = await job.savepoint()
      await job.untilTaken()
      const replaced = flink.replaceTaskManager(job.flink)
      await job.flink.obeyNothing()
      await replaced

      const present = await untilStatus(body.id, 'Present', 90_000)
      await expectMetadata(use(), present)
      expect(present.attempts[0]).toMatchObject({ outcome: 'FAILED', failure: { code: 'TASKMANAGER_LOST' } })
      expect(present.attempt).toBeGreaterThan(1)
      await expectOnePresent(job, present)
    })
  })
}

const untilFilesAppear = (scene: Scene, directory: string): Promise<unknown> =>
  until('the tasks write their files', async () => (await scene.flink.storage.count(directory)) > 0)

function expectTwoAttempts({ attempts, location }: Snapshot): void {
  const [first, second] = attempts
  expect(attempts).toHaveLength(2)
  expect(first).toMatchObject({ outcome: 'LOST', failure: { code: 'JOBMANAGER_LOST' } })
  expect(second).toMatchObject({ outcome: 'COMPLETED', orphanLocation: null })
  expect(first?.triggerId).not.toBe(second?.triggerId)
  expect(first?.directory).not.toBe(second?.directory)
  expect(first?.orphanLocation?.startsWith(first.directory)).toBe(true)
  expect(location?.startsWith(second?.directory ?? '?')).toBe(true)
}

async function expectOnePresent(job: SceneJob, present: Snapshot): Promise<void> {
  expect((await job.list()).map(({ id, status }) => [id, status])).toEqual([[present.id, 'Present']])
}
