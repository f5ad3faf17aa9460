/**
 * What the observation of runs and checkpoints rests on, seen at Flink itself, without Tidemark: the simulated Flink must do
 * here what real ones do.
 */
import { rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { until } from '../support/api.ts'
import type { FlinkApplicationUnderTest, OpenApplication } from '../support/flink-application-under-test.ts'
import type { FlinkJobUnderTest, Statistics } from '../support/flink-job-under-test.ts'
import type {
  CheckpointOptions,
  FlinkOptions,
  FlinkUnderTest,
  OpenFlink,
} from '../support/flink-under-test.ts'

/** Each second, so that nobody waits long; failures must not restart the job. */
const CHECKPOINTS: CheckpointOptions = {
  intervalMs: 1_000,
  numRetained: 3,
  backend: 'rocksdb',
  tolerableFailures: 100,
}
const HA_JOB_ID = '000000006e6b1332'.padEnd(32, '0')

/** Statistics once they show this; a JobManager that is only just starting does not answer. */
const untilStatistics = (job: FlinkJobUnderTest, what: string, shows: (seen: Statistics) => boolean) =>
  until(
    what,
    async () => {
      const seen = await job.statistics().catch(() => null)
      return seen !== null && shows(seen) && seen
    },
    60_000,
  )

const completed = (count: number) => (seen: Statistics) => seen.counts.completed >= count
const retainedIn = (seen: Statistics) =>
  seen.history
    .filter((entry) => entry.status === 'COMPLETED' && !entry.is_savepoint && !entry.discarded)
    .map(({ id }) => id)

export function describeFlinkFacts(
  name: string,
  open: { session: (options: FlinkOptions) => OpenFlink; application: OpenApplication },
): void {
  describe(name, () => {
    const stops: (() => Promise<void>)[] = []
    afterEach(async () => {
      for (const stop of stops.splice(0).reverse()) await stop()
    })
    const startSession = async (): Promise<FlinkUnderTest> => {
      const flink = await open.session({ checkpoints: CHECKPOINTS })('local')
      stops.push(flink.stop)
      return flink
    }
    const startApplication = async (
      options: Partial<Parameters<OpenApplication>[1]>,
    ): Promise<FlinkApplicationUnderTest> => {
      const flink = await open.application('local', { name: 'orders', checkpoints: CHECKPOINTS, ...options })
      stops.push(flink.stop)
      return flink
    }

    it('a session with high availability: restarts, failover, redeployment, stop', async () => {
      const flink = await startSession()
      const savepoints = String(flink.storage.input['uri'])
      const job = await flink.startJob({ name: 'orders', parameters: { 'tidemark.version': '7' } })
      expect(await job.userConfig()).toEqual({ 'tidemark.version': '7' })
      expect(Object.keys(await flink.readConfiguration())).not.toContain('high-availability.cluster-id')

      const early = await untilStatistics(job, 'five checkpoints', completed(5))
      const sizes = early.history.filter(({ status }) => status === 'COMPLETED')
      expect(sizes.at(-1)?.checkpointed_size).toBe(sizes.at(-1)?.state_size)
      expect(sizes[0]?.checkpointed_size).toBeLessThan(sizes[0]?.state_size ?? 0)
      expect(retainedIn(early).length).toBeLessThanOrEqual(3)
      expect(early.latest).toMatchObject({ savepoint: null, restored: null })

      const place = await job.takeForeignSavepoint(savepoints)
      const withSavepoint = await untilStatistics(
        job,
        'the savepoint',
        (seen) => seen.latest.savepoint !== null,
      )
      expect(withSavepoint.latest.savepoint).toMatchObject({ external_path: place, discarded: false })

      await flink.killTaskManager()
      await flink.startTaskManager()
      const restarted = await untilStatistics(job, 'the restart', (seen) => seen.counts.restored === 1)
      expect(restarted.latest.restored?.is_savepoint).toBe(false)
      expect(restarted.history.length).toBeGreaterThan(1)

      await job.untilRunning()
      await untilStatistics(job, 'one more', completed(restarted.counts.completed + 1))
      await flink.killJobManager()
      await flink.startJobManager()
      const after = await untilStatistics(job, 'the failover', (seen) => seen.latest.restored !== null)
      const newest = after.latest.restored?.id ?? 0
      expect(newest).toBeGreaterThan(restarted.latest.restored?.id ?? 0)
      expect(after.latest.savepoint).toBeNull()
      expect(after.history.every(({ id }) => id > newest)).toBe(true)
      await job.untilRunning()
      await untilStatistics(job, 'two after it', completed(2))
      expect(await job.userConfig()).toEqual({ 'tidemark.version': '7' })

      const again = await flink.redeployJob(job)
      expect([again.name, again.id === job.id]).toEqual(['orders', false])
      expect((await again.statistics()).latest.restored).toBeNull()
      const left = await job.storedCheckpoints()
      const from = `${flink.storage.checkpointDir}/${job.id}/chk-${left.at(-1)}`
      const claiming = await flink.redeployJob(again, { from, claimMode: 'CLAIM' })
      const claimed = await untilStatistics(claiming, 'four of its own', completed(4))
      expect(claimed.latest.restored).toMatchObject({ id: left.at(-1), is_savepoint: false })
      await until('the claimed checkpoint is gone', async () => {
        return !(await job.storedCheckpoints()).includes(left.at(-1) ?? 0)
      })

      const last = await flink.redeployJob(claiming, { from: place })
      const first = await untilStatistics(last, 'one of its own', completed(1))
      expect(first.latest.restored).toMatchObject({ external_path: place, is_savepoint: true })
      await last.stopWithSavepoint(savepoints)
      await until('its checkpoints are gone', async () => (await last.storedCheckpoints()).length === 0)
      const ended = await last.statistics()
      expect(ended.latest.completed?.discarded).toBe(true)
      expect(ended.latest.savepoint?.discarded).toBe(false)
    })

    it('an application with high availability begins at 1 under its old id, upon its old checkpoints', async () => {
      const flink = await startApplication({ ha: true, parameters: { 'tidemark.version': '7' } })
      const before = await flink.job()
      expect(before.id).toBe(HA_JOB_ID)
      await untilStatistics(before, 'five checkpoints', completed(5))
      const job = await flink.cancelAndRestart()
      expect(job.id).toBe(HA_JOB_ID)
      expect((await job.statistics()).latest.restored).toBeNull()
      const old = (await job.storedCheckpoints()).filter((id) => id > 2)
      expect(old.length).toBeGreaterThanOrEqual(1)

      const met = await untilStatistics(job, 'it is past them', ({ latest }) => {
        return (latest.completed?.id ?? 0) > Math.max(...old)
      })
      const failed = met.history.filter(({ status }) => status === 'FAILED')
      expect(failed.length).toBeGreaterThanOrEqual(1)
      for (const each of failed) {
        expect(old).toContain(each.id)
        expect(each.failure_message).toBe('Failure to finalize checkpoint.')
      }
      const stored = await job.storedCheckpoints()
      expect(stored.filter((id) => failed.some((each) => each.id === id))).toEqual([])
    })

    it('an application without it restores the configured savepoint each time, and ends without it', async () => {
      const session = await startSession()
      const source = await session.startJob({ name: 'orders' })
      const from = await source.takeForeignSavepoint(String(session.storage.input['uri']))
      await source.cancel()

      const flink = await startApplication({ ha: false, from })
      expect(await flink.readConfiguration()).toMatchObject({ 'execution.state-recovery.path': from })
      const before = await flink.job()
      await untilStatistics(before, 'three checkpoints', completed(3))
      await flink.killJobManager()
      await flink.startJobManager()
      const job = await flink.job()
      expect(job.id).not.toBe(before.id)
      expect((await job.statistics()).latest.restored).toMatchObject({ external_path: from })

      await rm(fileURLToPath(from), { recursive: true })
      await flink.killJobManager()
      await flink.startJobManager().catch(() => undefined)
      await until('nobody answers any more', () =>
        fetch(`${flink.url}/jobs`).then(
          () => false,
          () => true,
        ),
      )
    })
  })
}
