/** A copy is proven by Flink: with everything it was made from gone, a job goes on from it, in either claim mode. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { CopyOperation } from '../../src/domain/operation.ts'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import { readMetadata } from '../../src/metadata/read-metadata.ts'
import { summarize } from '../../src/metadata/summarize.ts'
import { until } from '../support/api.ts'
import type { CheckpointOptions, OpenFlink } from '../support/flink-under-test.ts'
import type { StorageKind } from '../support/savepoint-storage.ts'
import {
  KEYS,
  type ManagedJob,
  type ManagedScene,
  openManagedScene,
  RATE,
  type VersionInput,
} from './managed-scene.ts'
import { create } from './scene.ts'

/** Incremental, with files of their own for whatever is written. */
export const COPIED_CHECKPOINTS: CheckpointOptions = {
  intervalMs: 2_000,
  numRetained: 5,
  backend: 'rocksdb',
}
export const SMALL_FILES = { 'execution.checkpointing.data-inline-threshold': '0 b' }

export function describeCopies(
  name: string,
  openFlink: OpenFlink,
  { storage, merges }: { storage: StorageKind; merges: boolean },
): void {
  describe(name, () => {
    let scene: ManagedScene
    let folder: string

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'tidemark-archive-'))
      const roots = [folder]
      scene = await openManagedScene(
        'copies',
        async (kind) => {
          const flink = await openFlink(kind)
          const given = flink.storage.env['TIDEMARK_LOCAL_ROOTS']
          if (given !== undefined) roots.push(given)
          const env = { ...flink.storage.env, TIDEMARK_LOCAL_ROOTS: roots.join(',') }
          return { ...flink, storage: { ...flink.storage, env } }
        },
        { storage },
      )
      const { input } = scene.flink.storage
      await create(scene.system, 'storages', { name: 'folder', uri: pathToFileURL(folder).href })
      const beside = String(input['uri']).replace(/[^/]+$/, 'beside')
      if (storage === 's3') await create(scene.system, 'storages', { ...input, name: 'beside', uri: beside })
    })
    afterEach(async ({ task }) => {
      if (task.result?.state === 'fail') console.log(scene.system.output().slice(-6_000))
      await scene?.endJobs()
    })
    afterAll(async () => {
      await scene?.close()
      await rm(folder, { recursive: true, force: true })
    })

    const copy = async (snapshot: string, to: string): Promise<CopyOperation> => {
      const { status, body } = await scene.system.api.call<CopyOperation>(
        'POST',
        `/v1/snapshots/${snapshot}/copy`,
        { body: { storage: to }, headers: { prefer: 'wait=55' } },
      )
      expect([status, body.status], JSON.stringify(body, null, 1)).toEqual([201, 'SUCCEEDED'])
      return body
    }
    const readBytes = async ({ location }: Snapshot): Promise<Uint8Array> => {
      const { read } = scene.flink.storage
      if (location === null) throw new Error('no location')
      if (location.startsWith('file:') && storage === 's3') {
        const { readFile } = await import('node:fs/promises')
        return readFile(new URL(`${location}/_metadata`))
      }
      return (await read(location, '_metadata')) ?? new Uint8Array()
    }
    const inspect = async (snapshot: Snapshot) => summarize(await readMetadata(await readBytes(snapshot)))

    /** Runs with incremental checkpoints, of which one is copied while it goes on. */
    const copiedLive = async (to: string, version?: VersionInput) => {
      const job = await scene.newJob(version)
      await job.started()
      await job.untilCounted(2 * KEYS)
      const checkpoint = await newestOf(job, 2)
      const source = await inspect(checkpoint)
      expect(source).toMatchObject({ incremental: true, selfContained: false })
      const operation = await copy(checkpoint.id, to)
      const copied = await scene.read(operation.snapshot ?? '')
      expect(copied).toMatchObject({ source: 'COPY', copyOf: checkpoint.id, restorable: true })
      expect(await inspect(copied)).toMatchObject({ selfContained: true, stateSize: source.stateSize })
      await job.stopped({ mode: 'CANCEL' })
      return { job, source, operation, copied }
    }
    const newestOf = async (job: ManagedJob, least: number): Promise<Snapshot> => {
      const { id } = await job.run()
      return until(`${least} checkpoints of ${job.name}`, async () => {
        const all = await job.list('kind=CHECKPOINT&status=Present')
        const own = all.filter(({ run }) => run === id)
        return own.length >= least && own[0]
      })
    }
    const goesOn = async (job: ManagedJob): Promise<number> => {
      const { restored } = await job.counters()
      expect(restored).toBeGreaterThan(0)
      await job.untilCounted((restored ?? 0) + RATE)
      return restored ?? 0
    }
    const from = (snapshot: string, claimMode: 'CLAIM' | 'NO_CLAIM') => ({
      restore: { strategy: 'FROM_SNAPSHOT', snapshot, claimMode },
    })

    it('of an incremental checkpoint is all that a job needs to go on [N-11]', async () => {
      const { job, copied, operation } = await copiedLive(storage === 's3' ? 'beside' : 'folder')
      const { files = 0, filesInside } = operation.result.progress ?? {}
      expect(files).toBeGreaterThan(2)
      expect(filesInside).toBe(files)
      await scene.flink.storage.remove(job.checkpointDir)
      await job.started(from(copied.id, 'NO_CLAIM'))
      await goesOn(job)
      expect(await scene.read(copied.id)).toMatchObject({ status: 'Present' })
    })

    it('that is claimed is left behind by the checkpoints that follow: each of them can be restored [N-11]', async () => {
      const { job, copied, operation } = await copiedLive('folder')
      if (storage === 's3') expect(operation.result.progress?.filesInside).toBe(0)
      await scene.flink.storage.remove(job.checkpointDir)
      await job.started(from(copied.id, 'CLAIM'))
      const restored = await goesOn(job)
      const later = await newestOf(job, 2)
      // FLINK-39964: relative names of files that stayed in the claimed folder
      expect((await inspect(later)).files.filter(({ path }) => path.includes(copied.id))).toEqual([])
      await job.stopped({ mode: 'CANCEL' })
      await job.started(from(later.id, 'NO_CLAIM'))
      expect((await job.counters()).restored).toBeGreaterThan(restored)
      await goesOn(job)
    })

    if (merges)
      it('of a checkpoint whose files are merged has them cut out again [N-11]', async () => {
        const merging = { 'execution.checkpointing.file-merging.enabled': 'true' }
        const { job, source, copied } = await copiedLive('folder', { more: { flinkConfiguration: merging } })
        expect(source.fileMerging).toBe(true)
        expect((await inspect(copied)).fileMerging).toBe(false)
        await scene.flink.storage.remove(job.checkpointDir)
        await job.started(from(copied.id, 'CLAIM'))
        const restored = await goesOn(job)
        const later = await newestOf(job, 2)
        await job.stopped({ mode: 'CANCEL' })
        await job.started(from(later.id, 'NO_CLAIM'))
        expect((await job.counters()).restored).toBeGreaterThan(restored)
      })

    it('of a copy, and of a native savepoint, is one more [N-11]', async () => {
      const job = await scene.newJob()
      await job.started()
      await job.untilCounted(KEYS)
      const stop = await job.stopped({ format: 'NATIVE' })
      const first = await copy(stop.snapshot ?? '', 'folder')
      const second = await copy(first.snapshot ?? '', 'state')
      const [copied, again] = [
        await scene.read(first.snapshot ?? ''),
        await scene.read(second.snapshot ?? ''),
      ]
      expect(again).toMatchObject({
        copyOf: copied.id,
        format: 'NATIVE',
        flinkCheckpointId: copied.flinkCheckpointId,
      })
      await rm(new URL(copied.location ?? ''), { recursive: true })
      await scene.flink.storage.remove((await scene.read(stop.snapshot ?? '')).location ?? '')
      await job.started(from(again.id, 'NO_CLAIM'))
      await goesOn(job)
    })
  })
}
