/** Retained checkpoints as a caller sees them: cleared by reference, the others go on being restorable; and what a storage holds. */
import { access, mkdir, utimes, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { v7 } from 'uuid'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { AuditFinding, StorageUsage } from '../../src/domain/audit.ts'
import type { Clearing } from '../../src/domain/clearing.ts'
import type { AuditOperation } from '../../src/domain/operation.ts'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import { until } from '../support/api.ts'
import type { CheckpointOptions, OpenFlink } from '../support/flink-under-test.ts'
import type { StorageKind } from '../support/savepoint-storage.ts'
import { KEYS, type ManagedJob, type ManagedScene, openManagedScene, RATE } from './managed-scene.ts'
import type { Problem } from './scene.ts'

export const RETAINED = 3
/** Incremental, with files of their own for whatever is written. */
export const RETAINED_CHECKPOINTS: CheckpointOptions = {
  intervalMs: 2_000,
  numRetained: RETAINED,
  backend: 'rocksdb',
}
export const SMALL_FILES = { 'execution.checkpointing.data-inline-threshold': '0 b' }

export function describeRetained(title: string, openFlink: OpenFlink, storage: StorageKind): void {
  describe(title, () => {
    let scene: ManagedScene
    beforeAll(async () => {
      scene = await openManagedScene('retained', openFlink, { storage })
    })
    afterEach(async ({ task }) => {
      if (task.result?.state === 'fail') console.log(scene.system.output().slice(-8_000))
      await scene?.endJobs()
    })
    afterAll(() => scene?.close())

    const call = <Body>(
      method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
      path: string,
      options: { body?: object; headers?: Record<string, string> } = {},
    ) => scene.system.api.call<Body>(method, path, options)
    const clear = <Body = Snapshot>(id: string) =>
      call<Body>('DELETE', `/v1/snapshots/${id}`, { headers: { prefer: 'wait=55' } })
    const allow = async (clearCheckpoints: boolean) => {
      const { status } = await call('PATCH', '/v1/storages/state', { body: { clearCheckpoints } })
      expect(status).toBe(200)
    }
    const filesOf = async ({ id }: Snapshot): Promise<string[]> => {
      const page = await call<{ items: { path: string; kind: string }[] }>(
        'GET',
        `/v1/snapshots/${id}/inspection/files?pageSize=200`,
      )
      expect(page.status, JSON.stringify(page.body)).toBe(200)
      return page.body.items.map(({ path }) => path)
    }
    const expectWhole = async ({ id }: Snapshot) => {
      const { status, body } = await call<{ verdict: string }>('POST', `/v1/snapshots/${id}/verify`, {
        headers: { prefer: 'wait=55' },
      })
      expect([status, body.verdict], JSON.stringify(body)).toEqual([200, 'WHOLE'])
    }
    /** Cancelled with `RETAINED` checkpoints, the oldest first. */
    const cancelled = async (job: ManagedJob): Promise<Snapshot[]> => {
      await job.started()
      await job.untilCounted(2 * KEYS)
      const { id } = await job.run()
      const present = async () =>
        (await job.list('kind=CHECKPOINT&status=Present')).filter(({ run }) => run === id)
      await until(
        `${RETAINED} checkpoints of ${job.name}`,
        async () => (await present()).length >= RETAINED,
        60_000,
      )
      await job.stopped({ mode: 'CANCEL' })
      const kept = await until(
        `the ${RETAINED} that Flink keeps of ${job.name}`,
        async () => {
          const all = await present()
          return all.length === RETAINED && all
        },
        60_000,
      )
      return kept.toSorted((one, other) => (one.flinkCheckpointId ?? 0) - (other.flinkCheckpointId ?? 0))
    }

    it('the oldest of three that share files goes, and a job goes on from the newest [N-10] [C-11]', async () => {
      await allow(false)
      const job = await scene.newJob()
      const [oldest, middle, newest] = await cancelled(job)
      if (!oldest || !middle || !newest) throw new Error('three were kept')
      const [ofOldest, ofNewest] = [await filesOf(oldest), await filesOf(newest)]
      const shared = ofOldest.filter((path) => path.includes('/shared/'))
      expect(shared.length).toBeGreaterThan(0)
      expect(ofNewest.length).toBeGreaterThan(0)

      const refused = await clear<Problem>(oldest.id)
      expect([refused.status, refused.body.code]).toEqual([409, 'CLEARING_NOT_ENABLED'])
      await allow(true)
      const cleared = await clear(oldest.id)
      expect([cleared.status, cleared.body.status], JSON.stringify(cleared.body)).toEqual([200, 'Cleared'])
      const { body: clearing } = await call<Clearing>('GET', `/v1/snapshots/${oldest.id}/clearing`)
      expect(clearing).toMatchObject({ method: 'FILES', reason: 'BY_HAND', message: null, error: null })
      expect(clearing.deleted).toBe(clearing.objects)
      expect(await scene.flink.storage.count(oldest.location ?? '')).toBe(0)
      await expectWhole(middle)
      await expectWhole(newest)

      await job.started({
        restore: { strategy: 'FROM_SNAPSHOT', snapshot: newest.id, claimMode: 'NO_CLAIM' },
      })
      const { restored } = await job.counters()
      expect(restored).toBeGreaterThan(0)
      await job.untilCounted((restored ?? 0) + RATE)
      await job.untilCheckpoint()

      // the run that goes on has another Flink job id, and took nothing over
      expect((await clear(middle.id)).body.status).toBe('Cleared')
      await expectWhole(newest)
    })

    it('are refused while a run lives that has claimed one of them [N-10]', async () => {
      await allow(true)
      const job = await scene.newJob()
      const [oldest, , newest] = await cancelled(job)
      if (!oldest || !newest) throw new Error('three were kept')
      await job.started({ restore: { strategy: 'FROM_SNAPSHOT', snapshot: newest.id, claimMode: 'CLAIM' } })
      const refused = await clear<Problem>(oldest.id)
      expect([refused.status, refused.body.code]).toEqual([409, 'SNAPSHOT_IN_USE'])
      expect(await scene.flink.storage.count(oldest.location ?? '')).toBeGreaterThan(0)
    })

    if (storage === 'local')
      it('an orphan is reported, and goes when it is asked for [N-10]', async () => {
        await allow(false)
        const root = String(scene.flink.storage.input['uri'])
        const orphan = `default/nobody/savepoints/${v7()}/1/savepoint-abcdef-0123456789ab`
        const file = fileURLToPath(`${root}/${orphan}/part`)
        await mkdir(dirname(file), { recursive: true })
        await writeFile(file, 'half of a savepoint')
        const old = new Date(Date.now() - 25 * 3_600_000)
        await utimes(file, old, old)
        const { body: audit } = await call<AuditOperation>('POST', '/v1/storages/state/audit', {
          headers: { prefer: 'wait=55' },
        })
        expect(audit).toMatchObject({
          status: 'SUCCEEDED',
          result: { found: { ORPHAN: { count: 1, objects: 1 } } },
        })
        const found = async () => {
          const path = `/v1/operations/${audit.id}/findings?kind=ORPHAN`
          const { body } = await call<{ items: AuditFinding[] }>('GET', path)
          return body.items.find(({ location }) => location === `${root}/${orphan}/`)
        }
        const finding = await found()
        const ask = (body: object) => call<Problem>('POST', '/v1/storages/state/orphans/clear', { body })
        const wanted = { operation: audit.id, findings: [finding?.number ?? -1] }
        expect((await ask({ ...wanted, findings: [] })).body.code).toBe('VALIDATION_FAILED')
        const refused = await ask(wanted)
        expect([refused.status, refused.body.code]).toEqual([409, 'CLEARING_NOT_ENABLED'])
        await access(file)
        await allow(true)
        expect((await ask(wanted)).status).toBe(202)
        const cleared = await until('the orphan is gone', async () => {
          const { clearing } = (await found()) ?? {}
          return clearing?.endedAt && clearing
        })
        expect(cleared).toMatchObject({ phase: 'DONE', deleted: 1, error: null })
        await expect(access(file)).rejects.toThrow()
      })

    it('a storage says what lies in it and what could go [N-10] [A-48]', async () => {
      const before = await call<StorageUsage>('GET', '/v1/storages/state/usage')
      expect(before.status).toBe(200)
      const job = await scene.newJob()
      const kept = await cancelled(job)
      const { status, body } = await call<AuditOperation>('POST', '/v1/storages/state/audit', {
        headers: { prefer: 'wait=55' },
      })
      expect([status, body.status], JSON.stringify(body)).toEqual([201, 'SUCCEEDED'])
      const { body: usage } = await call<StorageUsage>('GET', '/v1/storages/state/usage')
      expect(usage).toMatchObject({ operation: body.id, measuredAt: expect.any(String) })
      const ofJob = usage.jobs.filter((entry) => entry.job?.name === job.name)
      // beside them perhaps what a checkpoint had begun to write when the job was cancelled
      expect(ofJob.map(({ kind }) => kind)).toEqual(
        expect.arrayContaining(['RETAINED_CHECKPOINT', 'SHARED_STATE']),
      )
      expect(usage.reclaimable.map(({ kind }) => kind)).toContain('RETAINED_CHECKPOINT')
      const counted = await Promise.all(kept.map(({ location }) => scene.flink.storage.count(location ?? '')))
      const retained = ofJob.find(({ kind }) => kind === 'RETAINED_CHECKPOINT')
      expect(retained).toMatchObject({ version: 1, objects: counted.reduce((sum, each) => sum + each, 0) })

      // lost behind our back: the next audit says so
      const [oldest] = kept
      await scene.flink.storage.remove(oldest?.location ?? '')
      const again = await call<AuditOperation>('POST', '/v1/storages/state/audit', {
        headers: { prefer: 'wait=55' },
      })
      expect(again.body.status, JSON.stringify(again.body)).toBe('SUCCEEDED')
      const { body: findings } = await call<{ items: AuditFinding[] }>(
        'GET',
        `/v1/operations/${again.body.id}/findings?kind=MISSING`,
      )
      expect(findings.items.map(({ snapshot }) => snapshot)).toContain(oldest?.id)
    })
  })
}
