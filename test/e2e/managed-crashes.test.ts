/**
 * kill -9 of the worker at every named crash point of a start and of a stop: whoever goes on, Flink runs one job and hears of
 * one stop; where nobody can know whether Flink heard of it, nothing is asked again and that is said.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { findLifecycleCrashPoints } from '../faults/crash-point-names.ts'
import { openSimulatedFlink } from '../support/flink-under-test.ts'
import {
  CANCEL,
  KEYS,
  type ManagedJob,
  type ManagedScene,
  openManagedScene,
  RUN_JAR,
  STOP,
} from './managed-scene.ts'
import { MANAGED_CHECKPOINTS } from './suite-managed.ts'

const LOST_AFTER_MS = 1_500

let scene: ManagedScene
beforeAll(async () => {
  const open = openSimulatedFlink('2.3.0', { checkpoints: MANAGED_CHECKPOINTS })
  scene = await openManagedScene('managed-crashes', open, {
    storage: 'local',
    env: { TIDEMARK_LOST_AFTER_MS: String(LOST_AFTER_MS) },
  })
})
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') console.log(scene.system.output().slice(-10_000))
  await replaceWorkers()
  await scene.endJobs()
})
afterAll(() => scene?.close())

async function replaceWorkers(env?: Record<string, string>): Promise<void> {
  const { system } = scene
  await Promise.all(system.workers.splice(0).map((worker) => worker.kill()))
  await system.startWorker(env)
}

/** The worker dies at the point; another one goes on. */
async function dieAt<Answer>(point: string, ask: () => Promise<Answer>): Promise<Answer> {
  await replaceWorkers({ TIDEMARK_CRASH_AT: point })
  const answer = await ask()
  await scene.system.workers[0]?.ended
  expect(scene.system.workers[0]?.child.signalCode).toBe('SIGKILL')
  await replaceWorkers()
  return answer
}

const asked = () => [RUN_JAR, STOP, CANCEL].map((call) => scene.address.count(call))
const since = (before: number[]) => asked().map((count, index) => count - (before[index] ?? 0))

async function runningJob(): Promise<ManagedJob> {
  const job = await scene.newJob()
  await job.started()
  await job.untilCounted(KEYS)
  return job
}

describe('killed right after', () => {
  it('every point that the sources name', async () => {
    const names = new Set((await findLifecycleCrashPoints()).map(({ name }) => name))
    expect([...names].sort()).toEqual([
      'cancel-asked',
      'cancel-asked-committed',
      'start-asked',
      'start-submitted',
      'stop-begun',
    ])
  })

  it('a start was committed: it is never asked for, says so, and a person lets the next one begin', async () => {
    const job = await scene.newJob()
    const before = asked()
    const { body } = await dieAt('start-submitted', () => job.start())
    expect(await scene.ended(body.id)).toMatchObject({
      status: 'FAILED',
      failure: { code: 'START_UNANSWERED' },
    })
    expect([since(before), await job.countInFlink()]).toEqual([[0, 0, 0], 0])
    expect(await job.refusedStart()).toMatchObject({ status: 409, body: { code: 'RUN_STATE_UNKNOWN' } })
    const { id } = await job.run()
    expect((await scene.system.api.call('POST', `/v1/runs/${id}/confirm-ended`)).status).toBe(200)
    // That run may have taken checkpoints that nobody has seen.
    const refused = await job.start()
    expect(await scene.ended(refused.body.id)).toMatchObject({ failure: { code: 'NEWER_MAY_EXIST' } })
    await job.started({ restore: { acceptOlder: true, fallback: 'NONE' } })
    expect([since(before), await job.countInFlink()]).toEqual([[1, 0, 0], 1])
  })

  it('Flink was asked to start: the job is found under its id, and is the only one', async () => {
    const job = await scene.newJob()
    const before = asked()
    const { body } = await dieAt('start-asked', () => job.start())
    expect(await scene.ended(body.id)).toMatchObject({ status: 'SUCCEEDED' })
    expect([since(before), await job.countInFlink()]).toEqual([[1, 0, 0], 1])
    expect(await job.runs()).toMatchObject([{ flinkJobId: (await job.inFlink()).id, state: 'RUNNING' }])
  })

  it.each(['stop-begun', 'asked-committed', 'flink-asked', 'answer-read', 'status-moved'])(
    '%s, at a stop: Flink hears of one stop, and one savepoint is there',
    async (point) => {
      const job = await runningJob()
      const before = asked()
      const { body } = await dieAt(point, () => job.stop())
      const ended = await scene.ended(body.id)
      expect(ended, JSON.stringify(ended)).toMatchObject({ status: 'SUCCEEDED' })
      expect(since(before)).toEqual([0, 1, 0])
      expect(await job.list()).toMatchObject([
        { id: ended.snapshot, source: 'STOP', status: 'Present', attempts: [{ number: 1 }] },
      ])
      await job.untilRun(({ state }) => state === 'FINISHED')
    },
  )

  it.each(['cancel-asked-committed', 'cancel-asked'])('%s: the job is cancelled', async (point) => {
    const job = await runningJob()
    const { body } = await dieAt(point, () => job.stop({ mode: 'CANCEL' }))
    expect(await scene.ended(body.id)).toMatchObject({ status: 'SUCCEEDED', snapshot: null })
    await job.untilRun(({ state }) => state === 'CANCELED')
    expect(await job.list()).toEqual([])
  })
})
