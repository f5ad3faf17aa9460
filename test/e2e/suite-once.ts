/** One wish, one savepoint: however often it is repeated, by whomever, and wherever we die in between. */
import { describe, expect, it } from 'vitest'
import { countSavepoints, type Scene, type SceneJob } from './scene.ts'
import { expectMetadata } from './suite-taking.ts'

const CROWD = 50

export function describeOnce(use: () => Scene): void {
  describe('once', () => {
    it('takes one savepoint for two requests with one Idempotency-Key', async () => {
      const { newJob, untilStatus } = use()
      const job = await newJob()
      const key = `key-of-${job.name}`
      const [first, second] = await Promise.all(
        [1, 2].map(() => job.savepoint({ description: 'one' }, { key })),
      )
      expect(first?.body.id).toBe(second?.body.id)
      await untilStatus(first?.body.id ?? '', 'Present')

      const third = await job.savepoint({ description: 'one' }, { key })
      expect(third.headers['idempotency-replayed']).toBe('true')
      expect([third.body.id, third.body.status]).toEqual([first?.body.id, 'Present'])
      const other = await job.savepoint({ description: 'two' }, { key })
      expect(other).toMatchObject({ status: 422, body: { code: 'IDEMPOTENCY_KEY_REUSED' } })
      expect(await countSavepoints(job)).toBe(1)
      expect(await job.list()).toHaveLength(1)
    })

    it(`takes one savepoint for ${CROWD} requests at once, and tells the others where it is`, async () => {
      const { newJob, untilStatus } = use()
      const job = await newJob()
      await job.flink.slowSnapshots(30_000)
      const answers = await Promise.all(Array.from({ length: CROWD }, () => job.refusedSavepoint()))
      await job.untilTaken()
      await job.flink.obeyNothing()

      const accepted = answers.filter(({ status }) => status === 202)
      expect(accepted).toHaveLength(1)
      const [row] = await job.list()
      const refused = answers.filter(({ status }) => status === 409)
      expect(refused).toHaveLength(CROWD - 1)
      for (const { body } of refused) {
        expect(body).toMatchObject({ code: 'SAVEPOINT_IN_PROGRESS', savepoint: `/v1/snapshots/${row?.id}` })
      }
      await untilStatus(row?.id ?? '', 'Present')
      expect(await countSavepoints(job)).toBe(1)
      expect(await job.list()).toHaveLength(1)
    })

    it.each([
      ['before Flink is asked', 'asked-committed'],
      ['after Flink was asked', 'flink-asked'],
    ])('ends with exactly one savepoint when the worker is killed right %s', async (_when, crashPoint) => {
      const { newJob, replaceWorkers, system, untilStatus } = use()
      const job = await newJob()
      await replaceWorkers({ TIDEMARK_CRASH_AT: crashPoint })
      const { body } = await job.savepoint()
      await system.workers[0]?.ended
      expect(system.workers[0]?.child.signalCode).toBe('SIGKILL')
      await replaceWorkers()

      const present = await untilStatus(body.id, 'Present')
      await expectOneSavepoint(use(), job)
      await expectMetadata(use(), present)
      expect(present.attempts).toHaveLength(1)
    })
  })
}

async function expectOneSavepoint({ flink }: Scene, job: SceneJob): Promise<void> {
  expect(await countSavepoints(job)).toBe(1)
  const [row, ...others] = await job.list()
  expect(others).toEqual([])
  const children = await flink.storage.children(row?.attempts[0]?.directory ?? '')
  expect(children).toHaveLength(1)
}
