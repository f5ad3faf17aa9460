/** Clearing as a caller sees it: what goes, what stays and why, and that the row remains. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Clearing } from '../../src/domain/clearing.ts'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import { findClearingCrashPoints } from '../faults/crash-point-names.ts'
import { until } from '../support/api.ts'
import type { OpenFlink } from '../support/flink-under-test.ts'
import type { StorageKind } from '../support/savepoint-storage.ts'
import { cancelAndObserve, create, openScene, type Problem, type Scene, type SceneJob } from './scene.ts'

export function describeClearing(title: string, openFlink: OpenFlink, storage: StorageKind): void {
  describe(title, () => {
    let scene: Scene
    beforeAll(async () => {
      scene = await openScene('clearing', openFlink, storage, { TIDEMARK_RETENTION_INTERVAL_MS: '1000' })
      // what the checkpoints of a run that was restored from a savepoint need is read before the savepoint goes
      await create(scene.system, 'storages', {
        name: 'checkpoints',
        ...scene.flink.storage.checkpointInput,
      })
    }, 120_000)
    afterEach(async ({ task }) => {
      if (task.result?.state === 'fail') console.log(scene.system.output().slice(-10_000))
      await scene.endJobs()
    })
    afterAll(() => scene?.close())

    const take = async (job: SceneJob, body: Record<string, unknown> = {}): Promise<Snapshot> => {
      const answer = await job.savepoint(body, { waitSeconds: 55 })
      expect(answer.body.status, JSON.stringify(answer.body)).toBe('Present')
      return answer.body
    }
    const clear = <Body = Snapshot>(id: string, query = '', headers: Record<string, string> = {}) =>
      scene.system.api.call<Body>('DELETE', `/v1/snapshots/${id}${query}`, { headers })
    const progress = (id: string) => scene.system.api.call<Clearing>('GET', `/v1/snapshots/${id}/clearing`)

    it('deletes one savepoint by hand: its data goes, its row stays and restores nothing any more [T-10] [T-19] [A-41] [A-49]', async () => {
      const job = await scene.newJob()
      const [first, second] = [await take(job), await take(job)]
      const restore = (id: string) =>
        job.get<{ decision: string }>(`/restore-point?strategy=FROM_SNAPSHOT&snapshot=${id}`)
      expect((await restore(first.id)).body.decision).toBe('restore')
      expect(await scene.flink.storage.count(first.location ?? '')).toBeGreaterThan(0)

      const asked = await clear(first.id)
      expect(asked.status, JSON.stringify(asked.body)).toBe(202)
      expect(asked.body).toMatchObject({ status: 'Clearing', reason: 'BY_HAND', restorable: false })
      expect(Number(asked.headers['retry-after'])).toBeGreaterThan(0)
      const done = await clear(first.id, '', { prefer: 'wait=55' })
      expect(done.status, JSON.stringify(done.body)).toBe(200)
      expect(done.headers['preference-applied']).toBe('wait')
      expect(done.body).toMatchObject({ status: 'Cleared', reason: 'CLEARED', restorable: false })

      expect(await scene.flink.storage.count(first.ownedPrefix ?? '')).toBe(0)
      expect(await scene.flink.storage.count(second.ownedPrefix ?? '')).toBeGreaterThan(0)
      expect((await restore(first.id)).body.decision).toBe('refuse')
      expect((await job.list()).map(({ id, status }) => ({ id, status }))).toEqual([
        { id: second.id, status: 'Present' },
        { id: first.id, status: 'Cleared' },
      ])
      expect((await scene.transitions(first.id)).map(({ to, by }) => ({ to, by }))).toMatchObject([
        { to: 'Creating' },
        { to: 'Present' },
        { to: 'Clearing' },
        { to: 'Cleared', by: 'worker' },
      ])
      const { body } = await progress(first.id)
      expect(body).toMatchObject({
        method: 'OBJECTS',
        reason: 'BY_HAND',
        phase: 'DONE',
        error: null,
        forced: false,
      })
      expect(body.deleted).toBe(body.objects)
      expect((await progress(second.id)).status).toBe(404)
    })

    it('refuses the newest one, a pinned one and one that is in use, each with its reason [N-01]', async () => {
      const job = await scene.newJob()
      const [older, newest] = [await take(job), await take(job)]
      const refused = await clear<Problem & { protections: { code: string }[] }>(newest.id)
      expect(refused.status).toBe(409)
      expect(refused.headers['content-type']).toContain('application/problem+json')
      expect(refused.body.code).toBe('SNAPSHOT_PROTECTED')
      expect(refused.body.protections.map(({ code }) => code)).toContain('NEWEST_RESTORABLE_SAVEPOINT')

      const { api } = scene.system
      await api.call('PATCH', `/v1/snapshots/${older.id}`, { body: { pinned: true } })
      expect((await clear<Problem>(older.id, '?force=true')).body).toMatchObject({
        code: 'SNAPSHOT_PROTECTED',
      })
      await api.call('PATCH', `/v1/snapshots/${older.id}`, { body: { pinned: false } })

      const restored = await scene.newJob({ from: older.location ?? '' })
      await until(`the restore of ${restored.name} is known`, async () => {
        const { body } = await api.call<{ inUseBy: unknown[] }>('GET', `/v1/snapshots/${older.id}/references`)
        return body.inUseBy.length > 0
      })
      const used = await clear<Problem & { inUseBy: unknown[] }>(older.id, '?force=true')
      expect(used.body).toMatchObject({ code: 'SNAPSHOT_IN_USE', inUseBy: [{ reason: 'RUN' }] })
      expect(await scene.flink.storage.count(older.location ?? '')).toBeGreaterThan(0)

      await cancelAndObserve(scene, restored)
      expect((await clear(older.id, '', { prefer: 'wait=55' })).body.status).toBe('Cleared')
      expect((await clear(newest.id, '?force=true', { prefer: 'wait=55' })).body.status).toBe('Cleared')
    })

    it('clears also while the job is gone and its cluster is down [N-01]', async () => {
      const job = await scene.newJob()
      const [first] = [await take(job), await take(job)]
      await cancelAndObserve(scene, job)
      const { api } = scene.system
      const nowhere = 'http://127.0.0.1:9'
      const moved = await api.call('PATCH', '/v1/clusters/flink', { body: { url: nowhere } })
      expect(moved.status, JSON.stringify(moved.body)).toBe(200)
      try {
        expect((await clear(first.id, '', { prefer: 'wait=55' })).body).toMatchObject({ status: 'Cleared' })
        expect(await scene.flink.storage.count(first.ownedPrefix ?? '')).toBe(0)
      } finally {
        await api.call('PATCH', '/v1/clusters/flink', { body: { url: scene.flink.url } })
      }
    })

    it('leaves what a person asked for to persons: no rule touches it, a DELETE clears it [A-09] [A-53]', async () => {
      const job = await scene.newJob()
      const byHand = await take(job)
      const [ruled] = [
        await take(job, { source: 'DEPLOY' }),
        await take(job, { source: 'DEPLOY' }),
        await take(job),
      ]
      const path = `/v1/jobs/${job.name}/retention`
      const rule = await scene.system.api.call('PUT', path, { body: { keepCount: 1 } })
      expect([200, 201], JSON.stringify(rule.body)).toContain(rule.status)

      await scene.untilStatus(ruled.id, 'Cleared', 90_000)
      expect((await progress(ruled.id)).body).toMatchObject({ reason: 'KEEP_COUNT' })
      expect(await scene.read(byHand.id)).toMatchObject({ status: 'Present', source: 'MANUAL' })
      expect((await clear(byHand.id, '', { prefer: 'wait=55' })).body.status).toBe('Cleared')
    })

    it('forgets on request, and leaves the data', async () => {
      const job = await scene.newJob()
      const [first] = [await take(job), await take(job)]
      const { body } = await clear(first.id, '?data=keep', { prefer: 'wait=55' })
      expect(body).toMatchObject({ status: 'Cleared', reason: 'FORGOTTEN' })
      expect(await scene.flink.storage.count(first.location ?? '')).toBeGreaterThan(0)
    })

    it('goes through Flink where only Flink reaches the storage, and is done when Flink says so [N-01]', async () => {
      const { api } = scene.system
      const uri = `${scene.flink.storage.input['uri']}-far`
      await create(scene.system, 'storages', { name: 'far', uri, provider: 'flink-only' })
      const job = await scene.newJob()
      const moved = await api.call('PATCH', `/v1/jobs/${job.name}`, { body: { savepointStorage: 'far' } })
      expect(moved.status, JSON.stringify(moved.body)).toBe(200)
      const [first] = [await take(job), await take(job)]
      const location = first.location ?? ''
      expect(location.startsWith(uri)).toBe(true)
      expect(await scene.flink.storage.count(location)).toBeGreaterThan(0)

      // a real Flink may not have told the checkpoint id of the second: the first is then the newest one known
      const done = await clear(first.id, '?force=true', { prefer: 'wait=55' })
      expect(done.body, JSON.stringify(done.body)).toMatchObject({ status: 'Cleared', reason: 'CLEARED' })
      expect((await progress(first.id)).body).toMatchObject({ method: 'FLINK', phase: 'DONE' })
      expect(await scene.flink.storage.count(location)).toBe(0)
    })

    if (storage === 'local')
      it('goes on where a killed worker stopped, at every point of the way [N-01]', async () => {
        const job = await scene.newJob()
        const points = (await findClearingCrashPoints()).filter(({ name }) => !name.includes('flink'))
        const taken: Snapshot[] = []
        for (const _ of points) taken.push(await take(job))
        await take(job)
        for (const [index, { name }] of points.entries()) {
          const snapshot = taken[index]
          if (!snapshot) throw new Error('there are as many savepoints as points')
          await scene.replaceWorkers({ TIDEMARK_CRASH_AT: name })
          expect((await clear(snapshot.id)).status).toBe(202)
          await scene.system.workers[0]?.ended
          expect(scene.system.workers[0]?.child.signalCode, name).toBe('SIGKILL')
          await scene.replaceWorkers()
          await scene.untilStatus(snapshot.id, 'Cleared')
          expect(await scene.flink.storage.count(snapshot.ownedPrefix ?? ''), name).toBe(0)
          expect(
            (await scene.transitions(snapshot.id)).filter(({ to }) => to === 'Cleared'),
            name,
          ).toHaveLength(1)
        }
      }, 180_000)
  })
}
