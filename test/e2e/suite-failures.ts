/** Savepoints that do not come to be: each with its own code and its own words, and what is late is not lost. */
import { describe, expect, it } from 'vitest'
import { newJobId } from '../../dev/flink/submit.ts'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import type { StorageKind } from '../support/savepoint-storage.ts'
import { cancelAndObserve, countSavepoints, create, type Problem, type Scene } from './scene.ts'
import { expectMetadata } from './suite-taking.ts'

export function describeFailures(use: () => Scene, storageKind: StorageKind): void {
  describe('failing', () => {
    it('is Failed with the reason when the job is cancelled in between [T-12]', async () => {
      const { newJob, untilStatus, transitions } = use()
      const job = await newJob()
      await job.flink.slowSnapshots(60_000)
      const { body } = await job.savepoint()
      await job.untilTaken()
      await job.flink.cancel()

      const failed = await untilStatus(body.id, 'Failed')
      expect(failed).toMatchObject({
        reason: 'JOB_NOT_RUNNING',
        failure: { code: 'JOB_NOT_RUNNING', message: expect.stringMatching(/CANCELED|shutdown/) },
        location: null,
        restorable: false,
        attempts: [{ number: 1, outcome: 'FAILED' }],
      })
      expect((await transitions(body.id)).map(({ to }) => to)).toEqual(['Creating', 'Failed'])
    })

    it("is Failed with the job's own words when its snapshot throws [T-12]", async () => {
      const { newJob } = use()
      const job = await newJob()
      await job.flink.failSnapshots('the ledger is closed: ask accounting')
      const { status, body } = await job.savepoint({}, { waitSeconds: 55 })
      await job.flink.obeyNothing()

      expect(status).toBe(201)
      expect(body, JSON.stringify(body)).toMatchObject({
        status: 'Failed',
        reason: 'TASK_FAILED_SNAPSHOT',
        failure: { message: expect.stringContaining('the ledger is closed: ask accounting') },
        attempts: [{ number: 1, outcome: 'FAILED' }],
      })
      await job.flink.untilRunning()
      expect((await job.savepoint({}, { waitSeconds: 55 })).body.status).toBe('Present')
    })

    it('says which job Flink does not know', async () => {
      const { system } = use()
      const attach = { flinkJobId: newJobId() }
      const name = `unknown-${attach.flinkJobId.slice(0, 8)}`
      await create(system, 'jobs', { name, cluster: 'flink', savepointStorage: 'savepoints', attach })
      const { body } = await system.api.call<Snapshot>('POST', `/v1/jobs/${name}/savepoints`, {
        headers: { prefer: 'wait=55' },
      })
      expect(body).toMatchObject({ status: 'Failed', reason: 'JOB_NOT_FOUND', attempts: [{ askedAt: null }] })
      expect(body.failure?.message).toContain(attach.flinkJobId)
    })

    it('refuses a savepoint of a stopped job [T-21] [A-11]', async () => {
      const { newJob } = use()
      const job = await newJob()
      await cancelAndObserve(use(), job)
      const { status, headers, body } = await job.refusedSavepoint()
      expect([status, body.code]).toEqual([409, 'JOB_NOT_RUNNING'])
      expect(headers['content-type']).toContain('application/problem+json')
      expect(await job.list()).toEqual([])
    })

    it(`names the ${storageKind === 's3' ? 'bucket' : 'folder'} that does not exist`, async () => {
      const { newJob, system, flink } = use()
      const storage = await create<{ name: string }>(system, 'storages', {
        ...flink.storage.input,
        name: 'nowhere',
        uri: flink.storage.nowhere,
      })
      const job = await newJob()
      const moved = await system.api.call<Problem>('PATCH', `/v1/jobs/${job.name}`, {
        body: { savepointStorage: storage.name },
      })
      expect(moved.status, JSON.stringify(moved.body)).toBe(200)
      const { body } = await job.savepoint({}, { waitSeconds: 55 })
      expect(body).toMatchObject({ status: 'Failed', reason: 'STORAGE_BUCKET_MISSING' })
      expect(body.failure?.message).toContain('no-such-place')
      expect(await countSavepoints(job)).toBe(0)
    })

    it('is Timeout at its deadline, and Present once Flink finishes all the same [T-11] [N-03]', async () => {
      const { newJob, untilStatus, transitions } = use()
      const job = await newJob()
      await job.flink.slowSnapshots(60_000)
      const { status, body } = await job.savepoint({ timeoutSeconds: 1 }, { waitSeconds: 30 })
      expect([status, body.status, body.reason]).toEqual([201, 'Timeout', 'DEADLINE_PASSED'])
      expect(body.restorable).toBe(false)
      await job.untilTaken()
      await job.flink.obeyNothing()

      const late = await untilStatus(body.id, 'Present')
      expect(late).toMatchObject({ reason: 'LATE_COMPLETION', restorable: true, failure: null })
      expect(Date.parse(late.completedAt ?? '')).toBeGreaterThan(Date.parse(late.deadlineAt ?? ''))
      await expectMetadata(use(), late)
      expect((await transitions(body.id)).map(({ to, reason }) => `${to} ${reason}`)).toEqual([
        'Creating REQUESTED',
        'Timeout DEADLINE_PASSED',
        'Present LATE_COMPLETION',
      ])
      expect(await countSavepoints(job)).toBe(1)
    })
  })
}
