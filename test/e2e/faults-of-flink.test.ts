/** Every fault that can be scripted into a Flink, and the honest end of a savepoint that meets it. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import { until } from '../support/api.ts'
import { type ReplyFault, type ScriptedFlink, startScriptedFlink } from '../support/simulated-flink.ts'
import { startSystem, type TestSystem } from '../support/system.ts'

let scripted: ScriptedFlink
let system: TestSystem

beforeAll(async () => {
  scripted = await startScriptedFlink({ restartDelayMs: 300 })
  system = await startSystem({
    name: 'faults',
    env: {
      TIDEMARK_FLINK_REQUEST_TIMEOUT_MS: '1000',
      TIDEMARK_FLINK_MAX_ANSWER_BYTES: '1048576',
      TIDEMARK_RESCALE_SETTLE_MS: '400',
      TIDEMARK_LOST_AFTER_MS: '2000',
    },
  })
  await mkdir(join(system.folder, 'state'))
  const created = await Promise.all([
    system.api.call('POST', '/v1/clusters', { body: { name: 'flink', url: scripted.flink.url } }),
    system.api.call('POST', '/v1/storages', {
      body: { name: 'savepoints', uri: `file://${system.folder}/state` },
    }),
  ])
  expect(created.map(({ status }) => status)).toEqual([201, 201])
})
afterEach(({ task }) => {
  if (task.result?.state === 'fail') console.log(system.output().slice(-6_000))
  scripted.faults.clear()
})
afterAll(async () => {
  await system?.stop()
  await scripted?.flink.stop()
})

type Job = { name: string; id: string }
let names = 0

async function newJob(attachBy: 'name' | 'id' = 'name'): Promise<Job> {
  names += 1
  const name = `job-${names}`
  const { id } = scripted.flink.addJob({ name, parallelism: 2 })
  const attach = attachBy === 'id' ? { flinkJobId: id } : { flinkJobName: name }
  const { status } = await system.api.call('POST', '/v1/jobs', {
    body: { name, cluster: 'flink', savepointStorage: 'savepoints', attach },
  })
  expect(status).toBe(201)
  await until('the run is observed', async () => {
    const { body } = await system.api.call<{ run: unknown }>('GET', `/v1/jobs/${name}`)
    return body.run !== null
  })
  return { name, id }
}

const ask = async ({ name }: Job, body: object = {}, waitSeconds = 0): Promise<Snapshot> =>
  (
    await system.api.call<Snapshot>('POST', `/v1/jobs/${name}/savepoints`, {
      body,
      headers: waitSeconds > 0 ? { prefer: `wait=${waitSeconds}` } : {},
    })
  ).body

type RunView = { id: string; state: string; flinkJobId: string }
const runOf = async ({ name }: Job): Promise<RunView> =>
  (await system.api.call<{ run: RunView }>('GET', `/v1/jobs/${name}`)).body.run

/** Once it counts as LOST, a person's word that it is over. */
async function confirmEnded(job: Job): Promise<void> {
  const lost = await until('the run is LOST', async () => {
    const run = await runOf(job)
    return run.state === 'LOST' && run
  })
  const { status } = await system.api.call('POST', `/v1/runs/${lost.id}/confirm-ended`)
  expect(status).toBe(200)
}

const untilStatus = (id: string, status: Snapshot['status']): Promise<Snapshot> =>
  until(`snapshot ${id} is ${status}`, async () => {
    const { body } = await system.api.call<Snapshot>('GET', `/v1/snapshots/${id}`)
    return body.status === status && body
  })

const accepted = (job: Job) => scripted.flink.acceptLog.filter((entry) => entry.jobName === job.name)
const untilAccepted = (job: Job, count = 1) =>
  until(`${count} savepoints accepted`, async () => accepted(job).length >= count)

const list = async ({ name }: Job): Promise<Snapshot[]> =>
  (await system.api.call<{ items: Snapshot[] }>('GET', `/v1/jobs/${name}/snapshots`)).body.items

/** Present after one trigger and nothing else, as if nothing had happened. */
async function expectOneSavepoint(job: Job, savepoint: Snapshot): Promise<void> {
  expect(savepoint).toMatchObject({ status: 'Present', restorable: true, failure: null })
  expect(savepoint.attempts).toHaveLength(1)
  const [only, ...others] = accepted(job)
  expect(others).toEqual([])
  expect(only).toMatchObject({ triggerId: savepoint.triggerId, outcome: 'completed' })
  expect((await list(job)).map(({ id }) => id)).toEqual([savepoint.id])
}

const BROKEN: readonly (readonly [string, ReplyFault])[] = [
  ['is slow', { kind: 'slow', ms: 600 }],
  ['is too slow', { kind: 'slow', ms: 2_000 }],
  ['answers 500', { kind: 'internal-error' }],
  ['answers 500 after it did what was asked', { kind: 'internal-error', afterEffect: true }],
  ['elects a leader', { kind: 'leader-election' }],
  ['hangs', { kind: 'hang' }],
  ['hangs after it did what was asked', { kind: 'hang', afterEffect: true }],
  ['resets the connection', { kind: 'refused' }],
  ['does what was asked and the answer is lost', { kind: 'reply-lost' }],
  ['sends half a body', { kind: 'half-body' }],
  ['sends its body byte by byte', { kind: 'slow-bytes', bytes: 1, everyMs: 100 }],
  ['redirects', { kind: 'redirect', to: 'http://127.0.0.1:1/elsewhere' }],
  ['answers 100 MB', { kind: 'huge' }],
  ['answers deep JSON', { kind: 'deep-json' }],
  ['answers HTML', { kind: 'not-json' }],
]

describe('one savepoint comes of it when Flink, asked to take it,', () => {
  it.each(BROKEN)('%s', async (_what, fault) => {
    const job = await newJob()
    scripted.faults.reply({ route: 'triggerSavepoint', jobId: job.id }, fault)
    await expectOneSavepoint(job, await ask(job, {}, 50))
    expect(scripted.faults.pending()).toBe(0)
  })
})

describe('one savepoint comes of it when Flink, asked for the result,', () => {
  it.each(BROKEN)('%s', async (_what, fault) => {
    const job = await newJob()
    scripted.faults.reply({ route: 'readSavepoint', jobId: job.id }, fault)
    await expectOneSavepoint(job, await ask(job, {}, 50))
    expect(scripted.faults.pending()).toBe(0)
  })

  it('has forgotten it: it is found in its directory', async () => {
    const job = await newJob()
    const held = scripted.faults.holdSnapshot({ jobId: job.id })
    scripted.faults.reply({ route: 'readSavepoint', jobId: job.id, times: 3 }, { kind: 'internal-error' })
    const { id, triggerId } = await ask(job)
    await untilAccepted(job)
    held.release()
    await until('completed in Flink', async () => accepted(job)[0]?.outcome === 'completed')
    scripted.flink.forgetTrigger('savepoint', triggerId ?? '', job.id)
    const savepoint = await untilStatus(id, 'Present')
    expect(savepoint.reason).toMatch(/ADOPTED_FROM_(?:STATISTICS|DIRECTORY)|COMPLETED/)
    await expectOneSavepoint(job, savepoint)
  })
})

describe('a failure is told as it is', () => {
  it('COMPLETED with a failure cause is Failed with the cause [T-12]', async () => {
    const job = await newJob()
    const text = 'java.lang.IllegalStateException: No space left on device'
    scripted.faults.snapshot(
      { jobId: job.id },
      {
        failure: {
          kind: 'coordinator',
          text: `An Exception occurred while triggering the checkpoint. ${text}`,
        },
      },
    )
    const failed = await ask(job, {}, 50)
    expect(failed).toMatchObject({ status: 'Failed', restorable: false, location: null })
    expect(failed.failure?.message).toContain('No space left on device')
    expect(accepted(job)).toHaveLength(1)
  })

  it('a savepoint that expired in Flink is Failed and is not repeated', async () => {
    const job = await newJob()
    scripted.faults.snapshot({ jobId: job.id }, { failure: { kind: 'expired' } })
    expect(await ask(job, {}, 50)).toMatchObject({ status: 'Failed', reason: 'CHECKPOINT_EXPIRED' })
    expect(accepted(job)).toHaveLength(1)
  })

  it('a task that throws is Failed with its words, found in the exceptions of that moment [T-12]', async () => {
    const job = await newJob()
    scripted.faults.failTask({ jobId: job.id }, 'the disk of the sink is full')
    const failed = await ask(job, {}, 50)
    expect(failed).toMatchObject({ status: 'Failed', reason: 'TASK_FAILED_SNAPSHOT' })
    expect(failed.failure?.message).toContain('the disk of the sink is full')
  })

  it('a job that is gone without a trace is Failed once somebody says that it has ended', async () => {
    const job = await newJob('id')
    scripted.faults.holdSnapshot({ jobId: job.id })
    const { id } = await ask(job)
    await untilAccepted(job)
    scripted.flink.removeJob(job.id)
    await confirmEnded(job)
    const failed = await untilStatus(id, 'Failed')
    expect(failed.reason).toBe('RUN_LOST')
    expect(failed.failure?.message).toBeTruthy()
    expect(accepted(job)).toHaveLength(1)
  })

  it('a job redeployed under a new id is never mistaken for the one that was asked', async () => {
    const job = await newJob()
    scripted.faults.holdSnapshot({ jobId: job.id })
    const { id } = await ask(job)
    await untilAccepted(job)
    const successor = scripted.flink.redeployJob(job.id)
    // The job has moved on once its new run has a checkpoint of its own: then nothing of the old one is awaited.
    await until('a new run', async () => (await runOf(job)).flinkJobId === successor.id)
    scripted.flink.triggerCheckpoint(successor.id)
    const ended = await until('the savepoint is decided', async () => {
      const { body } = await system.api.call<Snapshot>('GET', `/v1/snapshots/${id}`)
      return body.status !== 'Creating' && body
    })
    expect(ended.attempts[0]?.flinkJobId).toBe(job.id)
    expect(ended.status).toBe('Failed')
    expect(accepted(job).filter((entry) => entry.jobId === successor.id)).toEqual([])
    const next = await ask(job, {}, 50)
    expect(next).toMatchObject({ status: 'Present', attempts: [{ flinkJobId: successor.id }] })
  })
})

describe('an attempt that could not help it is followed by another', () => {
  it('after a rescale, and it does not count', async () => {
    const job = await newJob()
    for (const _time of [1, 2, 3, 4]) scripted.faults.holdSnapshot({ jobId: job.id })
    const { id } = await ask(job)
    for (const attempt of [1, 2, 3, 4]) {
      await untilAccepted(job, attempt)
      scripted.flink.rescaleJob(job.id)
    }
    const savepoint = await untilStatus(id, 'Present')
    expect(savepoint.attempts.map(({ outcome, failure }) => failure?.code ?? outcome)).toEqual([
      'RESCALED',
      'RESCALED',
      'RESCALED',
      'RESCALED',
      'COMPLETED',
    ])
    expect(new Set(savepoint.attempts.map(({ directory }) => directory)).size).toBe(5)
  })

  it('after a lost TaskManager, three times at most', async () => {
    const job = await newJob()
    for (const _time of [1, 2, 3]) scripted.faults.holdSnapshot({ jobId: job.id })
    const { id } = await ask(job)
    for (const attempt of [1, 2, 3]) {
      await untilAccepted(job, attempt)
      scripted.flink.loseTaskManager(job.id)
    }
    const failed = await untilStatus(id, 'Failed')
    expect(failed.reason).toBe('TASKMANAGER_LOST')
    expect(failed.attempts.map(({ failure }) => failure?.code)).toEqual([
      'TASKMANAGER_LOST',
      'TASKMANAGER_LOST',
      'TASKMANAGER_LOST',
    ])
    expect(new Set(failed.attempts.map(({ triggerId }) => triggerId)).size).toBe(3)
    expect(accepted(job)).toHaveLength(3)
  })

  it('not before the tasks run again: asking earlier would waste it', async () => {
    const job = await newJob()
    scripted.flink.setTasksRunning(job.id, false)
    const { id } = await ask(job)
    await until('the job is observed starting', async () =>
      scripted.requests.some(({ route }) => route === 'jobsOverview'),
    )
    scripted.flink.setTasksRunning(job.id, true)
    const savepoint = await untilStatus(id, 'Present')
    expect(savepoint.attempts.every(({ failure }) => !failure || failure.code === 'TASKS_NOT_RUNNING')).toBe(
      true,
    )
  })
})

describe('a deadline is kept', () => {
  it('is Timeout on time although Flink hangs on every question, and Present when it answers again [T-11] [N-03]', async () => {
    const job = await newJob()
    const held = scripted.faults.holdSnapshot({ jobId: job.id })
    const { id, deadlineAt } = await ask(job, { timeoutSeconds: 2 })
    await untilAccepted(job)
    const removeFault = scripted.faults.reply(
      { route: ['readSavepoint', 'job', 'checkpoints', 'checkpointConfig'], jobId: job.id, times: 'always' },
      { kind: 'hang' },
    )
    const late = await untilStatus(id, 'Timeout')
    expect(Date.parse(late.updatedAt) - Date.parse(deadlineAt ?? '')).toBeLessThan(4_000)
    removeFault()
    held.release()
    expect(await untilStatus(id, 'Present')).toMatchObject({ reason: 'LATE_COMPLETION' })
    expect(accepted(job)).toHaveLength(1)
  })

  it('is Timeout, never asked, when Flink cannot be reached at all', async () => {
    const job = await newJob()
    scripted.faults.reply({ route: 'triggerSavepoint', jobId: job.id, times: 'always' }, { kind: 'refused' })
    const { id } = await ask(job, { timeoutSeconds: 2 })
    const late = await untilStatus(id, 'Timeout')
    expect(late.restorable).toBe(false)
    expect(accepted(job)).toEqual([])
  })
})

describe('a JobManager that restarts', () => {
  it('with high availability: the savepoint in flight is lost, its orphan recorded, a new attempt succeeds', async () => {
    const job = await newJob()
    scripted.faults.holdSnapshot({ jobId: job.id })
    const { id } = await ask(job)
    await untilAccepted(job)
    await scripted.flink.restartJobManager({ ha: true, downMs: 300, electionMs: 300 })
    const savepoint = await untilStatus(id, 'Present')
    const [first, second] = savepoint.attempts
    expect(first).toMatchObject({ outcome: 'LOST', failure: { code: 'JOBMANAGER_LOST' } })
    expect(first?.orphanLocation?.startsWith(first.directory)).toBe(true)
    expect(second?.outcome).toBe('COMPLETED')
    expect((await list(job)).map(({ status }) => status)).toEqual(['Present'])
  })

  it('without high availability: the job is LOST, which is no end until a person says so', async () => {
    const job = await newJob('id')
    scripted.faults.holdSnapshot({ jobId: job.id })
    const { id } = await ask(job)
    await untilAccepted(job)
    await scripted.flink.restartJobManager({ ha: false, downMs: 300 })
    await until('the run is LOST', async () => (await runOf(job)).state === 'LOST')
    expect(await untilStatus(id, 'Creating')).toMatchObject({ settledAt: null })
    await confirmEnded(job)
    const failed = await untilStatus(id, 'Failed')
    expect(failed.reason).toBe('RUN_LOST')
    expect(failed.attempts[0]?.orphanLocation).toBeTruthy()
  })
})
