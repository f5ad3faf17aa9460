/** Savepoints that go well: what a caller sees of them from the request to the restore. */
import { describe, expect, it } from 'vitest'
import { getJson } from '../../dev/flink/rest.ts'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import { countSavepoints, type Scene } from './scene.ts'

const METADATA_MAGIC = 0x4960672d
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

export function describeTaking(use: () => Scene): void {
  describe('taking', () => {
    it('answers the Present savepoint with everything about it when the caller waits [T-02] [T-03] [T-04] [T-05] [T-06] [T-07] [T-09] [T-14] [T-15] [T-17] [T-18] [T-20] [T-24] [T-26] [A-13]', async () => {
      const { flink, system, newJob, transitions } = use()
      const job = await newJob()
      const version = await system.api.call('POST', `/v1/jobs/${job.name}/versions`, {
        body: { labels: { git: 'abc123' } },
      })
      expect(version.status, JSON.stringify(version.body)).toBe(201)

      const answer = await job.savepoint({ description: 'before the upgrade' }, { waitSeconds: 55 })

      expect(answer.status, JSON.stringify(answer.body)).toBe(201)
      expect(answer.headers['preference-applied']).toBe('wait')
      expect(answer.headers['location']).toBe(`/v1/snapshots/${answer.body.id}`)
      const savepoint = answer.body
      expect(savepoint).toMatchObject({
        kind: 'SAVEPOINT',
        status: 'Present',
        reason: 'COMPLETED',
        source: 'MANUAL',
        description: 'before the upgrade',
        job: { name: job.name },
        jobVersion: 1,
        run: expect.any(String),
        format: 'CANONICAL',
        flinkVersion: flink.version,
        attempt: 1,
        attempts: [{ number: 1, outcome: 'COMPLETED', flinkJobId: job.flink.id, orphanLocation: null }],
        verdict: expect.stringMatching(/^(METADATA_FOUND|WHOLE)$/), // it may have been verified by now
        restorable: true,
        failure: null,
      })
      expectOneStory(savepoint)
      await expectMetadata(use(), savepoint)
      expect(await transitions(savepoint.id)).toMatchObject([
        { from: null, to: 'Creating', reason: 'REQUESTED' },
        { from: 'Creating', to: 'Present', reason: 'COMPLETED' },
      ])
    })

    it('answers at once without waiting, and the row stands in the list as Creating [T-01] [T-08] [T-25]', async () => {
      const { newJob, system, untilStatus } = use()
      const job = await newJob()
      await job.flink.slowSnapshots(30_000)

      const answer = await job.savepoint()

      expect(answer.status).toBe(202)
      expect(answer.headers['location']).toBe(`/v1/snapshots/${answer.body.id}`)
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
      expect(await job.list()).toMatchObject([{ id: answer.body.id, status: 'Creating', source: 'MANUAL' }])
      await job.untilTaken()
      await job.flink.obeyNothing()
      const waited = await system.api.call<Snapshot>('GET', `/v1/snapshots/${answer.body.id}`, {
        headers: { prefer: 'wait=55' },
      })
      expect([waited.status, waited.body.status]).toEqual([200, 'Present'])
      expect(await untilStatus(answer.body.id, 'Present')).toMatchObject({ attempt: 1 })
    })

    it('describes a savepoint nobody described, and keeps the labels and the purpose it was given [T-03] [T-23] [A-13]', async () => {
      const job = await use().newJob()
      const plain = await job.savepoint({}, { waitSeconds: 55 })
      expect(plain.body.description).toContain(job.name)
      const gate = await job.savepoint(
        { source: 'DEPLOY', labels: { purpose: 'upgrade', git: 'f00' } },
        { waitSeconds: 55 },
      )
      expect(gate.body).toMatchObject({
        status: 'Present',
        source: 'DEPLOY',
        labels: { purpose: 'upgrade', git: 'f00' },
      })
      expect(gate.body.description).toContain('deploy')
      expect((await job.list()).map(({ id }) => id)).toEqual([gate.body.id, plain.body.id])
    })

    it.each(['CANONICAL', 'NATIVE'] as const)(
      'takes the format that was asked for: %s [A-12]',
      async (format) => {
        const job = await use().newJob({ attachBy: 'id' })
        const { body } = await job.savepoint({ format }, { waitSeconds: 55 })
        expect(body).toMatchObject({ status: 'Present', format })
        const { history } = await job.flink.statistics()
        const savepoints = history.filter((entry) => entry.is_savepoint)
        expect(savepoints.map(({ savepointFormat }) => savepointFormat)).toEqual([format])
        await expectMetadata(use(), body)
      },
    )

    it('keeps apart how state is held and where its copies lie [M-15]', async () => {
      const { newJob, system } = use()
      const job = await newJob()
      const { status, body } = await system.api.call('POST', `/v1/jobs/${job.name}/versions`, {
        body: { state: { backend: 'rocksdb' } },
      })
      expect(status, JSON.stringify(body)).toBe(201)
      expect(body).toMatchObject({ state: { backend: 'rocksdb' } })
      const { body: read } = await system.api.call('GET', `/v1/jobs/${job.name}`)
      expect(read['savepointStorage']).toMatchObject({ name: 'savepoints' })
      const { body: savepoint } = await job.savepoint({}, { waitSeconds: 55 })
      expect(savepoint).toMatchObject({ status: 'Present', storage: { name: 'savepoints' } })
    })

    it('tells clients that statuses, sources and reasons may be added [T-13]', async () => {
      const { body } = await use().system.api.call<{
        components: { schemas: { Snapshot: { properties: Record<string, { description: string }> } } }
      }>('GET', '/openapi.json')
      const { properties } = body.components.schemas.Snapshot
      for (const field of ['status', 'source', 'reason', 'kind']) {
        expect(properties[field]?.description).toContain('Clients must tolerate values added later')
      }
    })

    it('holds the state of the job: another one starts from its location [T-22] [A-10]', async () => {
      const { newJob, flink } = use()
      const job = await newJob()
      const { body: savepoint } = await job.savepoint({}, { waitSeconds: 55 })
      const restored = await newJob({ from: savepoint.location ?? '' })
      expect((await restored.flink.statistics()).latest.restored).toMatchObject({
        id: savepoint.flinkCheckpointId,
        external_path: expect.stringContaining((savepoint.location ?? '').split('/').at(-1) ?? '?'),
      })
      const { 'flink-version': version } = await getJson<{ 'flink-version': string }>(flink.url, '/config')
      expect(savepoint.flinkVersion).toBe(version)
      expect(await countSavepoints(job)).toBe(1)
    })
  })
}

/** Times in order, an id, a size, a place of its own: the fields agree with each other. */
function expectOneStory(savepoint: Snapshot): void {
  const { id, ownedPrefix, location, createdAt, triggeredAt, completedAt, settledAt, durationMs } = savepoint
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/)
  for (const instant of [createdAt, triggeredAt, completedAt, settledAt]) expect(instant).toMatch(INSTANT)
  const times = [createdAt, triggeredAt, completedAt, settledAt].map((instant) => Date.parse(instant ?? ''))
  expect(times).toEqual([...times].sort((a, b) => a - b))
  expect(durationMs).toBeGreaterThan(0)
  expect(durationMs).toBeLessThanOrEqual(Date.now() - Date.parse(createdAt))
  expect(savepoint.flinkCheckpointId).toBeGreaterThan(0)
  expect(savepoint.sizeBytes).toBeGreaterThan(100_000)
  expect(savepoint.uploadedBytes).toBeGreaterThan(0)
  expect(location?.startsWith(ownedPrefix ?? '?')).toBe(true)
  expect(ownedPrefix).toContain(`/default/${savepoint.job.name}/savepoints/${id}/`)
}

/** `_metadata` is really there, and it is of this checkpoint. */
export async function expectMetadata({ flink }: Scene, savepoint: Snapshot): Promise<void> {
  const bytes = await flink.storage.read(savepoint.location ?? '', '_metadata')
  if (bytes === null) throw new Error(`no _metadata at ${savepoint.location}`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  expect(view.getUint32(0)).toBe(METADATA_MAGIC)
  expect(Number(view.getBigInt64(8))).toBe(savepoint.flinkCheckpointId)
}
