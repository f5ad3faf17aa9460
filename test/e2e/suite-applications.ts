/** Application mode: one job per cluster, whose Flink job id is not unique in time, and whose configuration restores for ever. */
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import type { Run } from '../../src/domain/run.ts'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import { until } from '../support/api.ts'
import type { FlinkApplicationUnderTest, OpenApplication } from '../support/flink-application-under-test.ts'
import { startMovingAddress } from '../support/moving-address.ts'
import { startSystem, type TestSystem } from '../support/system.ts'
import { create, type Problem } from './scene.ts'
import { runsOf, untilRun } from './suite-observing.ts'

const CHECKPOINTS = { intervalMs: 1_000, numRetained: 3, backend: 'hashmap' } as const
const LOST_AFTER_MS = 3_000
const JOB = { name: 'ledger' }

export function describeApplications(openApplication: OpenApplication): void {
  describe('application mode', () => {
    const closes: (() => Promise<unknown>)[] = []
    let system: TestSystem | undefined
    afterEach(async ({ task }) => {
      if (task.result?.state === 'fail') console.log(system?.output().slice(-8_000))
      for (const close of closes.splice(0).reverse()) await close()
    })

    const open = async (options: { ha: boolean; from?: string; clusterId?: string }) => {
      const { clusterId, ...rest } = options
      const application = await openApplication('local', {
        ...JOB,
        ...rest,
        checkpoints: CHECKPOINTS,
        ...(clusterId !== undefined && { configuration: { 'high-availability.cluster-id': clusterId } }),
      })
      closes.push(() => application.stop())
      return application
    }

    /** An installation that follows the application's job by name. */
    const follow = async (
      application: FlinkApplicationUnderTest,
      at: { url?: string; folder?: string } = {},
    ) => {
      const { env, input, checkpointInput } = application.storage
      const roots = [env['TIDEMARK_LOCAL_ROOTS'], at.folder].filter(Boolean).join(',')
      const started = await startSystem({
        name: 'application',
        env: { ...env, TIDEMARK_LOCAL_ROOTS: roots, TIDEMARK_LOST_AFTER_MS: String(LOST_AFTER_MS) },
      })
      system = started
      closes.push(() => started.stop())
      await create(started, 'clusters', { name: 'application', url: at.url ?? application.url })
      await create(started, 'storages', { name: 'savepoints', ...input })
      await create(started, 'storages', { name: 'checkpoints', ...checkpointInput })
      await create(started, 'jobs', {
        ...JOB,
        cluster: 'application',
        savepointStorage: 'savepoints',
        attach: { flinkJobName: JOB.name },
      })
      const run = await untilRun({ system: started }, JOB, ({ state }) => state === 'RUNNING')
      return { system: started, run }
    }

    it('with high availability: a failover is the same run, a new start under the same id is another one', async () => {
      const application = await open({ ha: true })
      const scene = await follow(application)
      const { run: first } = scene
      await until('three checkpoints', async () => (await completedIds(scene, first)).length >= 3, 60_000)
      await application.killJobManager()
      await application.startJobManager()
      await application.job()
      const newest = Math.max(...(await completedIds(scene, first)))
      await until(
        'the same run goes on counting',
        async () => (await completedIds(scene, first)).some((id) => id > newest),
        90_000,
      )
      expect(await runsOf(scene, JOB)).toMatchObject([{ id: first.id, epoch: 1, endedAt: null }])

      const again = await application.cancelAndRestart()
      expect(again.id).toBe(first.flinkJobId)
      const second = await untilRun(scene, JOB, (run) => run.id !== first.id && run.state === 'RUNNING')
      expect(second).toMatchObject({ flinkJobId: first.flinkJobId, epoch: 2 })
      const old = await until('every old checkpoint has been looked for', async () => {
        const all = (await checkpoints(scene)).filter((snapshot) => snapshot.run === first.id)
        return all.every(({ verdict }) => verdict !== 'ENDANGERED') && all
      })
      // What is still called Present is really there; what is not says that it was lost.
      const stored = await again.storedCheckpoints()
      const present = old.filter(({ status }) => status === 'Present')
      expect(stored).toEqual(
        expect.arrayContaining(present.map(({ flinkCheckpointId }) => flinkCheckpointId)),
      )
      for (const { reason, restorable } of old.filter(({ status }) => status === 'Cleared')) {
        expect(['DATA_LOST', 'SUBSUMED']).toContain(reason)
        expect(restorable).toBe(false)
      }
    })

    it('without high availability: what the configuration restores stays in use, however many checkpoints follow', async () => {
      const { folder, location } = await keepSavepoint()
      const application = await open({ ha: false, from: location })
      const scene = await follow(application, { folder })
      await create(scene.system, 'storages', { name: 'kept', uri: pathToFileURL(folder).href })
      const imported = await create<Snapshot>(scene.system, `jobs/${JOB.name}/snapshots`, { location })
      expect(imported).toMatchObject({ source: 'IMPORT', status: 'Present', restorable: true })
      const run = await untilRun(scene, JOB, ({ restoredFrom }) => restoredFrom !== null)
      await until(
        'three checkpoints of its own',
        async () => (await completedIds(scene, run)).length >= 3,
        60_000,
      )
      const inUseBy = async () => {
        const path = `/v1/snapshots/${imported.id}/references`
        const { body } = await scene.system.api.call<{ inUseBy: { reason: string }[] }>('GET', path)
        return body.inUseBy.map(({ reason }) => reason)
      }
      expect(await inUseBy()).toContain('CLUSTER_CONFIGURATION')

      await application.killJobManager()
      await application.startJobManager()
      const again = await application.job()
      const next = await untilRun(
        scene,
        JOB,
        (now) => now.id !== run.id && now.flinkJobId === again.id && now.restoredFrom !== null,
      )
      expect(next.restoredFrom?.location).toBe(location)
      expect(await inUseBy()).toContain('CLUSTER_CONFIGURATION')
    })

    it('another cluster behind the same address is asked nothing and loses nothing until a person confirms it', async () => {
      const one = await open({ ha: true, clusterId: '/one' })
      const other = await open({ ha: true, clusterId: '/other' })
      const address = await startMovingAddress(one.url)
      closes.push(() => address.stop())
      const scene = await follow(one, { url: address.url })
      const { system: on, run: first } = scene
      address.pointTo(other.url)
      const changedTo = await until('the change is seen', async () => {
        const { body } = await on.api.call<{ changedTo: object | null }>('GET', '/v1/clusters/application')
        return body.changedTo
      })
      const refused = await on.api.call<Problem>('POST', `/v1/jobs/${JOB.name}/savepoints`, { body: {} })
      expect(refused).toMatchObject({ status: 409, body: { code: 'CLUSTER_IDENTITY_CHANGED' } })
      await sleep(LOST_AFTER_MS + 1_000) // what must not happen has had its time
      expect(await runsOf(scene, JOB)).toMatchObject([{ id: first.id, state: 'RUNNING', missingSince: null }])

      const path = '/v1/clusters/application/confirm-identity'
      const confirmed = await on.api.call('POST', path, { body: { fingerprint: changedTo } })
      expect(confirmed.status).toBe(200)
      const second = await untilRun(scene, JOB, (run) => run.id !== first.id && run.state === 'RUNNING')
      expect(second.flinkJobId).toBe((await other.job()).id)
      expect((await on.api.call('POST', `/v1/jobs/${JOB.name}/savepoints`, { body: {} })).status).toBe(202)
    })

    /** A savepoint of an application that is gone, in a folder of its own. */
    async function keepSavepoint(): Promise<{ folder: string; location: string }> {
      const folder = await mkdtemp(join(tmpdir(), 'tidemark-kept-'))
      closes.push(() => rm(folder, { recursive: true, force: true }))
      const before = await open({ ha: false })
      const taken = await (await before.job()).takeForeignSavepoint(`${before.storage.checkpointDir}/foreign`)
      const path = fileURLToPath(taken.replace(/^file:\/*/, 'file:///'))
      await cp(path, join(folder, basename(path)), { recursive: true })
      await closes.pop()?.()
      return { folder, location: pathToFileURL(join(folder, basename(path))).href }
    }
  })
}

const checkpoints = async ({ system }: { system: TestSystem }): Promise<Snapshot[]> =>
  (
    await system.api.call<{ items: Snapshot[] }>(
      'GET',
      `/v1/jobs/${JOB.name}/snapshots?kind=CHECKPOINT&pageSize=200`,
    )
  ).body.items

const completedIds = async (scene: { system: TestSystem }, run: Run): Promise<number[]> =>
  (await checkpoints(scene))
    .filter((snapshot) => snapshot.run === run.id && snapshot.completedAt !== null)
    .map(({ flinkCheckpointId }) => flinkCheckpointId ?? 0)
