/** What rules and `expiresAt` clear, seen from outside: HTTP only, on a simulated Flink, with the data in a folder. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import type { RetentionPreview } from '../../src/services/api.ts'
import { type ApiAnswer, until } from '../support/api.ts'
import { openSimulatedFlink } from '../support/flink-under-test.ts'
import { type ManagedJob, type ManagedScene, openManagedScene } from './managed-scene.ts'
import { MANAGED_CHECKPOINTS } from './suite-managed.ts'

let scene: ManagedScene

beforeAll(async () => {
  scene = await openManagedScene(
    'retention',
    openSimulatedFlink('2.3.0', { checkpoints: MANAGED_CHECKPOINTS }),
    { storage: 'local', env: { TIDEMARK_RETENTION_INTERVAL_MS: '300' } },
  )
}, 120_000)
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') console.log(scene.system.output().slice(-10_000))
  await scene.endJobs()
})
afterAll(() => scene?.close())

// ------------------------------------------------------------------------------------------------- what is asked

const call = <Body = Record<string, unknown>>(
  method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE',
  path: string,
  body?: object,
): Promise<ApiAnswer<Body>> => scene.system.api.call<Body>(method, path, body === undefined ? {} : { body })

async function takeSavepoint(job: ManagedJob, body: Record<string, unknown> = {}): Promise<Snapshot> {
  const answer = await scene.system.api.call<Snapshot>('POST', `/v1/jobs/${job.name}/savepoints`, {
    body,
    headers: { prefer: 'wait=50' },
  })
  expect(answer.body, JSON.stringify(answer.body)).toMatchObject({ status: 'Present' })
  return answer.body
}
/** As the gate of a deploy asks for them; the oldest first. */
async function takeGates(job: ManagedJob, count: number): Promise<Snapshot[]> {
  const taken: Snapshot[] = []
  for (let n = 0; n < count; n++) taken.push(await takeSavepoint(job, { source: 'DEPLOY' }))
  return taken
}
async function startedJob(): Promise<ManagedJob> {
  const job = await scene.newJob()
  await job.started()
  return job
}
const setRule = async (job: ManagedJob, rule: object) => {
  const answer = await call('PUT', `/v1/jobs/${job.name}/retention`, rule)
  expect(answer.status, JSON.stringify(answer.body)).toBe(200)
}
const preview = async (job: ManagedJob, rule?: object) =>
  (await call<RetentionPreview>('POST', `/v1/jobs/${job.name}/retention/preview`, rule)).body

const statusOf = async ({ id }: Snapshot) => (await scene.read(id)).status
const untilCleared = (snapshot: Snapshot): Promise<Snapshot> =>
  until(`snapshot ${snapshot.id} is Cleared`, async () => {
    const now = await scene.read(snapshot.id)
    return now.status === 'Cleared' && now
  })
const filesOf = ({ location }: Snapshot): Promise<number> => scene.flink.storage.count(location ?? '')

/** A whole round has gone over every job: another one had something to lose, and has lost it. */
async function untilRoundPassed(): Promise<void> {
  const job = await startedJob()
  const [old, newer] = await takeGates(job, 2)
  if (!old || !newer) throw new Error('two were taken')
  await setRule(job, { keepCount: 1 })
  await untilCleared(old)
  await job.stopped({ mode: 'CANCEL' })
}

// ------------------------------------------------------------------------------------------------- what happens

describe('a rule of retention', () => {
  it('clears by number or by age while the job runs, once it is saved, and only for its own job [A-42] [A-43] [A-44] [A-45] [A-46] [M-10]', async () => {
    const [job, free] = [await startedJob(), await startedJob()]
    const [first, second, third, fourth] = await takeGates(job, 4)
    const others = await takeGates(free, 2)
    if (!first || !second || !third || !fourth) throw new Error('four were taken')

    const asked = await preview(job, { keepCount: 2 })
    expect(asked.items.map(({ snapshot, verdict }) => [snapshot, verdict])).toEqual([
      [fourth.id, 'KEEP'],
      [third.id, 'KEEP'],
      [second.id, 'CLEAR'],
      [first.id, 'CLEAR'],
    ])
    expect(await filesOf(first)).toBeGreaterThan(0)
    await setRule(job, { keepCount: 2 })
    for (const snapshot of [first, second]) {
      expect(await untilCleared(snapshot)).toMatchObject({ restorable: false })
      expect(await filesOf(snapshot)).toBe(0)
    }
    // The other condition clears what the number would keep; the newest savepoint stays whatever its age.
    await setRule(job, { keepCount: 2, maxAgeSeconds: 1 })
    await untilCleared(third)
    await until('the newest is too old', async () => {
      const item = (await preview(job)).items.find(({ snapshot }) => snapshot === fourth.id)
      return item?.rule === 'MAX_AGE' && item
    })
    await untilRoundPassed()
    expect(await statusOf(fourth)).toBe('Present')
    expect(await filesOf(fourth)).toBeGreaterThan(0)
    for (const snapshot of others) expect(await statusOf(snapshot)).toBe('Present')

    const { body } = await call<{ items: { to: string; by: string; reason: string }[] }>(
      'GET',
      `/v1/snapshots/${third.id}/transitions`,
    )
    expect(body.items).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ to: 'Clearing', by: 'rule:retention', reason: 'MAX_AGE' }),
      ]),
    )
  }, 180_000)

  it('never touches what a person asked for, and says what that costs [A-47] [A-48] [A-53]', async () => {
    const job = await startedJob()
    const byHand = await takeSavepoint(job)
    const [old, newest] = await takeGates(job, 2)
    if (!old || !newest) throw new Error('two were taken')
    await setRule(job, { keepCount: 1, maxAgeSeconds: 1 })
    await untilCleared(old)
    await untilRoundPassed()
    expect(await statusOf(byHand)).toBe('Present')
    const { body } = await call<{ notice: { savepoints: number; message: string } }>(
      'GET',
      `/v1/jobs/${job.name}/retention`,
    )
    expect(body.notice).toMatchObject({ savepoints: 1, message: expect.stringMatching(/cost/) })
    // Only a person removes it.
    const deleted = await call<Snapshot>('DELETE', `/v1/snapshots/${byHand.id}`)
    expect(deleted.status).toBe(202)
    await untilCleared(byHand)
  }, 180_000)

  it('of a job that was stopped is carried out at its next start [A-55]', async () => {
    const job = await startedJob()
    const gates = await takeGates(job, 3)
    await job.stopped()
    await setRule(job, { maxAgeSeconds: 1 })
    expect((await preview(job)).suspended?.code).toBe('JOB_NOT_RUNNING')
    await untilRoundPassed()
    for (const snapshot of gates) expect(await statusOf(snapshot)).toBe('Present')

    await job.started()
    for (const snapshot of gates) await untilCleared(snapshot)
    const [stop] = await job.list('source=STOP')
    expect(stop?.status).toBe('Present')
  }, 180_000)
})

describe('snapshots are made and removed', () => {
  it('by a person and by the platform, while the job runs and at its end, at once and at an instant [A-56]', async () => {
    const job = await startedJob()
    const [byHand, expiring] = [await takeSavepoint(job), await takeSavepoint(job)]
    const [gate] = await takeGates(job, 1)
    if (!gate) throw new Error('one was taken')
    await job.stopped()
    const [atTheEnd] = await job.list('source=STOP')
    expect(atTheEnd).toMatchObject({ status: 'Present', source: 'STOP' })

    expect((await call('DELETE', `/v1/snapshots/${byHand.id}`)).status).toBe(202)
    const soon = new Date(Date.now() + 1_500).toISOString()
    const patched = await call<Snapshot>('PATCH', `/v1/snapshots/${expiring.id}`, { expiresAt: soon })
    expect(patched.body).toMatchObject({ expiresAt: soon, status: 'Present' })
    await untilCleared(byHand)
    await untilCleared(expiring) // at its instant, although the job is stopped and no rule owns it
    expect(Date.now()).toBeGreaterThan(Date.parse(soon))
    expect(await filesOf(expiring)).toBe(0)
    expect(await statusOf(gate)).toBe('Present')
  }, 180_000)

  it('an instant that has passed is refused, and one that is protected outlives it', async () => {
    const job = await startedJob()
    const only = await takeSavepoint(job)
    const path = `/v1/snapshots/${only.id}`
    expect(await call('PATCH', path, { expiresAt: '2020-01-01T00:00:00Z' })).toMatchObject({
      status: 400,
      body: { code: 'VALIDATION_FAILED' },
    })
    const soon = new Date(Date.now() + 1_000).toISOString()
    expect((await call('PATCH', path, { expiresAt: soon })).status).toBe(200)
    const kept = await until('it has expired', async () =>
      (await preview(job)).items.find(({ snapshot }) => snapshot === only.id),
    )
    expect(kept).toMatchObject({ verdict: 'KEEP', rule: 'EXPIRED' })
    expect(kept.because).toMatch(/protected/)
    await untilRoundPassed()
    expect(await statusOf(only)).toBe('Present')
    const changed = await call('PATCH', path, {
      expiresAt: soon,
      description: 'the same instant is no new request',
    })
    expect(changed.status).toBe(200)
  }, 180_000)
})
