/** From what a start begins, whose it then is, and what comes of a snapshot that does not fit. */
import { describe, expect, it } from 'vitest'
import type { LifecycleOperation } from '../../src/domain/operation.ts'
import type { RestoreDecision } from '../../src/domain/restore-point.ts'
import { until } from '../support/api.ts'
import { KEYS, type ManagedJob, type ManagedScene, RUN_JAR } from './managed-scene.ts'

export function describeRestoring(use: () => ManagedScene): void {
  describe('a start from a chosen snapshot', () => {
    it('takes one of another job when that is named, and says whose it is [T-29] [A-37] [A-38] [A-39]', async () => {
      const { newJob } = use()
      const blue = await stoppedJob(use())
      const green = await newJob()
      const operation = await green.started({
        restore: { strategy: 'FROM_SNAPSHOT', snapshot: blue.savepoint },
      })
      const point = operation.result.restorePoint
      expect(point).toMatchObject({ because: { code: 'NAMED' }, snapshot: blue.savepoint })
      expect(point?.findings.map(({ code }) => code)).toContain('OTHER_JOB')
      const { total } = await blue.job.counters()
      expect((await green.counters()).restored).toBeGreaterThanOrEqual(total ?? Number.POSITIVE_INFINITY)
      const run = await green.untilRun(({ restoredFrom }) => restoredFrom !== null)
      expect(run.restoredFrom?.snapshot).toBe(blue.savepoint)
      // Of the first job nothing has changed: it goes on by itself from the same place.
      await blue.job.started()
      expect((await blue.job.counters()).restored).toBe((await green.counters()).restored)
    })

    it('takes a place that is no snapshot of ours, by its folder or its _metadata [C-15]', async () => {
      const { newJob, flink } = use()
      const job = await newJob()
      await job.started()
      await job.untilCounted(KEYS)
      const inFlink = await job.inFlink()
      const place = await inFlink.takeForeignSavepoint(`${String(flink.storage.input['uri'])}/foreign`)
      await job.stopped({ mode: 'CANCEL' })
      const other = await newJob()
      const location = `${place}/_metadata`
      const operation = await other.started({ restore: { strategy: 'FROM_SNAPSHOT', location } })
      expect(operation.result.restorePoint).toMatchObject({ because: { code: 'NAMED' } })
      expect((await other.counters()).restored).toBeGreaterThan(0)
    })

    it('takes nothing that is too old, and begins without state only when the request says so [M-13]', async () => {
      const { ended } = use()
      const { job, savepoint } = await stoppedJob(use())
      await until('it is a second old', async () => {
        const { completedAt } = await use().read(savepoint)
        return completedAt !== null && Date.now() - Date.parse(completedAt) > 2_500
      })
      const restore = { strategy: 'FROM_SNAPSHOT', snapshot: savepoint, maxAgeSeconds: 1 }
      const { body } = await job.start({ restore })
      const refused = await ended(body.id)
      expect(refused).toMatchObject({
        status: 'FAILED',
        failure: { code: 'NAMED_NOT_RESTORABLE' },
        run: null,
      })
      expect(refused.result.restorePoint?.rejected).toEqual(
        expect.arrayContaining([expect.objectContaining({ snapshot: savepoint, code: 'TOO_OLD' })]),
      )
      const empty = await job.started({ restore: { ...restore, fallback: 'NONE' } })
      expect(empty.result.restorePoint).toMatchObject({
        decision: 'start-empty',
        because: { code: 'NOTHING_RESTORABLE' },
      })
      expect((await job.counters()).restored).toBeNull()
    })

    it('that is claimed is not offered from the request on; it is given back when the start fails, and gone once Flink has newer ones', async () => {
      const { read, flink } = use()
      const [kept, lost] = [await stoppedJob(use()), await stoppedJob(use())]
      const seen = atTheRequest(use(), kept)
      const operation = await kept.job.started({ restore: { claimMode: 'CLAIM' } })
      expect(operation.result.restorePoint).toMatchObject({ snapshot: kept.savepoint, claimMode: 'CLAIM' })
      expect(await seen).toMatchObject({ restorable: false, rejected: 'CLAIMED' })
      expect((await seen).because).toMatch(/claimed/)
      expect(await kept.job.run()).toMatchObject({ claimMode: 'CLAIM' })
      expect((await kept.job.counters()).restored).toBeGreaterThan(0)

      await lost.job.addVersion({ maxParallelism: 64 })
      const restore = { strategy: 'FROM_SNAPSHOT', snapshot: lost.savepoint }
      const failed = await failedStart(use(), lost.job, { restore: { ...restore, claimMode: 'CLAIM' } })
      expect(failed.failure?.code).toBe('RESTORE_MAX_PARALLELISM')
      await until('it is given back', async () => (await read(lost.savepoint)).restorable, 60_000)
      await lost.job.started({ version: 1, restore })
      expect((await lost.job.counters()).restored).toBeGreaterThan(0)

      const cleared = await until(
        'Flink has dropped what it was given',
        async () => {
          const snapshot = await read(kept.savepoint)
          return snapshot.status === 'Cleared' && snapshot
        },
        90_000,
      )
      expect(cleared).toMatchObject({ reason: 'SUBSUMED', restorable: false })
      expect(await flink.storage.read(cleared.location ?? '', '_metadata')).toBeNull()
    })
  })

  describe('a snapshot that does not fit', () => {
    it('because the max parallelism has changed says so, and starts nothing', async () => {
      const { job, savepoint } = await stoppedJob(use(), { maxParallelism: 128 })
      await job.addVersion({ maxParallelism: 64 })
      const failed = await failedStart(use(), job)
      expect(failed.failure).toMatchObject({ code: 'RESTORE_MAX_PARALLELISM' })
      expect(failed.failure?.message).toMatch(/128 .*64/)
      expectReadable(failed)
      const restore = { strategy: 'FROM_SNAPSHOT', snapshot: savepoint }
      const ignoring = await failedStart(use(), job, {
        restore: { ...restore, allowNonRestoredState: true },
      })
      expect(ignoring.failure?.code).toBe('RESTORE_MAX_PARALLELISM')
      const run = await job.run()
      expect(run).toMatchObject({ state: 'FAILED', flinkJobId: ignoring.flinkJobId })
      expect(run.failure?.message).toMatch(/max parallelism/i)
      // The snapshot is as good as before.
      await job.started({ version: 1, restore })
      expect((await job.counters()).restored).toBeGreaterThan(0)
    })

    it('because an operator is gone says which, and starts when its state may be dropped', async () => {
      const { job, savepoint } = await stoppedJob(use(), { extraOperator: true })
      await job.addVersion()
      const failed = await failedStart(use(), job)
      expect(failed.failure).toMatchObject({ code: 'RESTORE_OPERATOR_MISSING' })
      expect(failed.failure?.message).toMatch(/operator [0-9a-f]{32}.*allowNonRestoredState/)
      expectReadable(failed)
      expect(await job.run()).toMatchObject({ state: 'FAILED' })
      const operation = await job.started({
        restore: { strategy: 'FROM_SNAPSHOT', snapshot: savepoint, allowNonRestoredState: true },
      })
      expect(operation.result.restorePoint).toMatchObject({ snapshot: savepoint })
      expect((await job.counters()).restored).toBeGreaterThan(0)
    })
  })

  describe('a program that throws', () => {
    it('fails the start in its own words, and the next start is free', async () => {
      const { newJob, address } = use()
      const job = await newJob({ programArgs: ['--no-such-option', 'x'] })
      const before = address.count(RUN_JAR)
      const failed = await failedStart(use(), job)
      expect(failed.failure).toMatchObject({ code: 'PROGRAM_INVALID' })
      expect(failed.failure?.message).toContain('--no-such-option')
      expectReadable(failed)
      expect(address.count(RUN_JAR)).toBe(before + 1)
      expect(await job.run()).toMatchObject({ state: 'FAILED' })
      await job.addVersion()
      await job.started({ restore: { strategy: 'NONE' } })
      expect((await job.counters()).restored).toBeNull()
    })
  })
}

type Stopped = { job: ManagedJob; savepoint: string }

/** What is said of the savepoint at the moment when the next request to run a jar comes, before Flink sees it. */
function atTheRequest(
  { address, read, system }: ManagedScene,
  { job, savepoint }: Stopped,
): Promise<{ restorable: boolean; because: string | null; rejected: string | undefined }> {
  const path = `/v1/jobs/${job.name}/restore-point?strategy=FROM_SNAPSHOT&snapshot=${savepoint}`
  return new Promise((resolve) => {
    address.strikeBefore(RUN_JAR, async () => {
      const { restorable, notRestorableBecause: because } = await read(savepoint)
      const { body } = await system.api.call<RestoreDecision>('GET', path)
      resolve({ restorable, because, rejected: body.candidates[0]?.rejected?.code })
    })
  })
}

async function stoppedJob(
  { newJob }: ManagedScene,
  version: Parameters<ManagedScene['newJob']>[0] = {},
): Promise<Stopped> {
  const job = await newJob(version)
  await job.started()
  await job.untilCounted(KEYS)
  const { snapshot } = await job.stopped()
  return { job, savepoint: snapshot ?? '' }
}

async function failedStart(
  { ended }: ManagedScene,
  job: ManagedJob,
  body: object = {},
): Promise<LifecycleOperation> {
  const accepted = await job.start(body)
  expect(accepted.status, JSON.stringify(accepted.body)).toBe(202)
  const operation = await ended(accepted.body.id)
  expect(operation.status).toBe('FAILED')
  return operation
}

/** For a person: one line, no stack trace. */
function expectReadable({ failure }: LifecycleOperation): void {
  expect(failure?.message).not.toMatch(/\n|\tat |Exception: /)
  expect(failure?.message.length).toBeLessThan(500)
}
