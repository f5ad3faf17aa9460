/** What is refused at once, before anything is asked of Flink. */
import { describe, expect, it } from 'vitest'
import { until } from '../support/api.ts'
import { KEYS, type ManagedScene, RUN_JAR, STOP, uploadArtifact } from './managed-scene.ts'
import { create, type Problem } from './scene.ts'

const UNKNOWN_ARTIFACT = `sha256:${'0'.repeat(64)}`

export function describeRefusals(use: () => ManagedScene): void {
  describe('refuses', () => {
    it('to start a version that does not exist, or cannot run', async () => {
      const { newJob, newJobWithoutVersion } = use()
      const none = await newJobWithoutVersion()
      expect(await none.refusedStart()).toMatchObject({
        status: 409,
        body: { code: 'VERSION_NOT_STARTABLE' },
      })
      const job = await newJob({ artifact: null })
      expect(await job.refusedStart()).toMatchObject({ status: 409, body: { code: 'VERSION_NOT_STARTABLE' } })
      const unknown = await job.refusedStart({ version: 17 })
      expect(unknown).toMatchObject({ status: 404, body: { code: 'REFERENCE_NOT_FOUND' } })
      expect(unknown.body.errors?.[0]?.pointer).toBe('/body/version')
      expect(await job.runs()).toEqual([])
    })

    it('an artifact that nobody uploaded, and one that is no jar', async () => {
      const { newJobWithoutVersion, system } = use()
      const job = await newJobWithoutVersion()
      const body = { artifact: UNKNOWN_ARTIFACT }
      const missing = await system.api.call<Problem>('POST', `/v1/jobs/${job.name}/versions`, { body })
      expect(missing).toMatchObject({ status: 404, body: { code: 'REFERENCE_NOT_FOUND' } })
      expect(missing.body.errors?.[0]?.pointer).toBe('/body/artifact')
      for (const bytes of ['', 'no jar', 'PK\u0003\u0004 cut off']) {
        const answer = await uploadArtifact(system, new TextEncoder().encode(bytes))
        expect(answer).toMatchObject({ status: 400, body: { code: 'ARTIFACT_INVALID' } })
      }
      const text = await uploadArtifact(system, new TextEncoder().encode('{}'), 'application/json')
      expect(text).toMatchObject({ status: 415 })
    })

    it('to claim for a version whose checkpoints go when it is cancelled [C-12]', async () => {
      const { newJob } = use()
      const job = await newJob({ checkpointing: { retention: 'DELETE_ON_CANCELLATION' } })
      const refused = await job.refusedStart({ restore: { claimMode: 'CLAIM' } })
      expect(refused).toMatchObject({ status: 409, body: { code: 'CLAIM_NOT_ALLOWED' } })
      expect(refused.body.detail).toContain('RETAIN_ON_CANCELLATION')
    })

    it('to stop what does not run, and to start what runs [A-40]', async () => {
      const { newJob, address } = use()
      const job = await newJob()
      const never = await job.refusedStop()
      expect(never).toMatchObject({ status: 409, body: { code: 'JOB_NOT_RUNNING' } })
      await job.started()
      await job.untilCounted(KEYS)
      expect(await job.refusedStart()).toMatchObject({ status: 409, body: { code: 'RUN_IS_LIVE' } })
      await job.stopped()
      const before = address.count(STOP)
      expect(await job.refusedStop()).toMatchObject({ status: 409, body: { code: 'JOB_NOT_RUNNING' } })
      expect(await job.refusedStop({ mode: 'CANCEL' })).toMatchObject({
        status: 409,
        body: { code: 'JOB_NOT_RUNNING' },
      })
      expect(address.count(STOP)).toBe(before)
    })

    it("another tenant's job, snapshot and operation", async () => {
      const { newJob, system, read } = use()
      const job = await newJob()
      await job.started()
      await job.untilCounted(KEYS)
      const { snapshot, id } = await job.stopped()
      const { location } = await read(snapshot ?? '')
      const asOther = (path: string, method: 'GET' | 'POST', body?: object) =>
        system.other.call<Problem>(method, path, body === undefined ? {} : { body })
      for (const answer of [
        await asOther(`/v1/jobs/${job.name}/start`, 'POST', {}),
        await asOther(`/v1/jobs/${job.name}/stop`, 'POST', {}),
        await asOther(`/v1/operations/${id}`, 'GET'),
        await asOther(`/v1/snapshots/${snapshot}`, 'GET'),
      ]) {
        expect(answer).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } })
        expect(JSON.stringify(answer.body)).not.toContain(location)
      }
    })

    it('to start a job that someone else starts, and gives the command for it, with the place', async () => {
      const { flink, system, address } = use()
      const inFlink = await flink.startJob({ name: 'somebody-elses' })
      try {
        const job = { name: 'attached', cluster: 'flink', savepointStorage: 'state' }
        await create(system, 'jobs', { ...job, attach: { flinkJobName: inFlink.name } })
        const path = '/v1/jobs/attached'
        const call = <Body>(below: string, body: object) =>
          system.api.call<Body>('POST', `${path}/${below}`, { body, headers: { prefer: 'wait=55' } })
        await until('it is observed', async () => {
          const { body } = await system.api.call<{ run: { state: string } | null }>('GET', path)
          return body.run?.state === 'RUNNING'
        })
        const taken = await call<{ location: string; status: string; id: string }>('savepoints', {})
        expect(taken.body.status).toBe('Present')
        const before = [address.count(RUN_JAR), address.count(STOP)]
        const restore = { strategy: 'FROM_SNAPSHOT', snapshot: taken.body.id, claimMode: 'NO_CLAIM' }
        const start = await call<Problem & { commands: { flink: string; kubernetes: object } }>('start', {
          restore,
        })
        expect(start).toMatchObject({ status: 409, body: { code: 'MANAGED_ELSEWHERE' } })
        expect(start.body.commands.flink).toContain(`--fromSavepoint '${taken.body.location}'`)
        expect(start.body.commands.kubernetes).toMatchObject({
          spec: { job: { initialSavepointPath: taken.body.location } },
        })
        const stop = await call<Problem & { commands: { flink: string } }>('stop', {})
        expect(stop).toMatchObject({ status: 409, body: { code: 'MANAGED_ELSEWHERE' } })
        expect(stop.body.commands.flink).toContain(inFlink.id)
        expect([address.count(RUN_JAR), address.count(STOP)]).toEqual(before)
      } finally {
        await inFlink.cancel()
      }
    })
  })
}
