/** Wrong credentials for the bucket, ours and Flink's, on an S3 server that checks them: two mistakes, two codes. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startVersityGateway, type VersityGateway } from '../../dev/services/s3.ts'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import { type FlinkUnderTest, openCluster, whyNoRealFlink } from '../support/flink-under-test.ts'
import { openS3Storage } from '../support/savepoint-storage.ts'
import { countSavepoints, create, openScene, type Scene, type SceneJob } from './scene.ts'
import { expectMetadata } from './suite-taking.ts'

const RIGHT = { accessKey: 'tidemark', secretKey: 'tidemark-secret' }

for (const version of ['1.20', '2']) {
  const missing = await whyNoRealFlink(version)
  const name = `credentials on a real Flink ${version}${missing === null ? '' : ` (${missing})`}`
  describe.skipIf(missing !== null)(name, () => {
    let gateway: VersityGateway
    let scene: Scene

    beforeAll(async () => {
      gateway = await startVersityGateway(RIGHT)
      await Promise.all(['allowed', 'refused'].map((bucket) => gateway.createBucket(bucket)))
      scene = await openScene('credentials', () => openFlink(version, gateway.url), 's3')
    })
    afterEach(({ task }) => {
      if (task.result?.state === 'fail') console.log(scene.system.output().slice(-6_000))
      return scene.endJobs()
    })
    afterAll(async () => {
      await scene?.close()
      await gateway?.stop()
    })

    it('that are right on both sides make a Present savepoint', async () => {
      const job = await scene.newJob()
      const { body } = await job.savepoint({}, { waitSeconds: 55 })
      expect(body).toMatchObject({
        status: 'Present',
        verdict: expect.stringMatching(/^(METADATA_FOUND|WHOLE)$/),
      })
      await expectMetadata(scene, body)
    })

    it('of ours that are wrong are found out before Flink is asked', async () => {
      const job = await scene.newJob()
      await useStorage(job, {
        name: 'ours-wrong',
        uri: 's3://allowed/elsewhere',
        credentials: {
          accessKeyId: { env: 'TIDEMARK_SECRET_DEFAULT_ID' },
          secretAccessKey: { env: 'TIDEMARK_SECRET_DEFAULT_WRONG' },
        },
      })
      const { body } = await job.savepoint({}, { waitSeconds: 55 })
      expect(body).toMatchObject({ status: 'Failed', reason: 'STORAGE_ACCESS_DENIED' })
      expect(body.attempts).toMatchObject([{ askedAt: null, outcome: 'NEVER_ASKED' }])
      expect(await countSavepoints(job)).toBe(0)
    })

    it("of Flink's that are wrong are told in Flink's name", async () => {
      const job = await scene.newJob()
      await useStorage(job, { name: 'flinks-wrong', uri: 's3://refused/savepoints' })
      const body = (await job.savepoint({}, { waitSeconds: 55 })).body
      const ended = body.status === 'Creating' ? await untilEnded(body.id) : body
      expect(ended).toMatchObject({ status: 'Failed', reason: 'FLINK_STORAGE_ACCESS_DENIED' })
      expect(ended.attempts).toMatchObject([{ outcome: 'FAILED' }])
    })

    const untilEnded = (id: string): Promise<Snapshot> => scene.untilStatus(id, 'Failed', 180_000)

    async function useStorage(job: SceneJob, storage: Record<string, unknown> & { name: string }) {
      const { system, flink } = scene
      await create(system, 'storages', { ...flink.storage.input, ...storage })
      const moved = await system.api.call('PATCH', `/v1/jobs/${job.name}`, {
        body: { savepointStorage: storage.name },
      })
      expect(moved.status, JSON.stringify(moved.body)).toBe(200)
    }
  })
}

/** One cluster, two buckets: for one of them this Flink has a wrong secret. */
async function openFlink(version: string, endpoint: string): Promise<FlinkUnderTest> {
  const s3 = { endpoint, ...RIGHT, bucket: 'allowed' }
  const storage = openS3Storage(s3)
  const env = { ...storage.env, TIDEMARK_SECRET_DEFAULT_WRONG: 'not-the-secret' }
  return openCluster(version, { ...storage, env }, storage.close, {
    s3,
    configuration: {
      's3.directory.marker.retention': 'keep', // on a posix tree S3A cannot delete parent markers
      's3.attempts.maximum': '2', // its SDK repeats a refused listing 20 times, which takes minutes
      's3.bucket.refused.access.key': RIGHT.accessKey,
      's3.bucket.refused.secret.key': 'not-the-secret',
      'execution.checkpointing.interval': '24 h',
    },
  })
}
