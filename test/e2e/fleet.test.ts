/** A fleet of fifty jobs: found on their cluster, attached by pattern, and all saved at once without ever asking too much of it. */
import { cp, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { BulkSavepointOperation as Operation } from '../../src/domain/operation.ts'
import type { Job } from '../../src/domain/resources.ts'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import type { AttachReport, FlinkJobList } from '../../src/services/api.ts'
import type { AcceptedTrigger } from '../../src/simulated-flink/accept-log.ts'
import { findBulkCrashPoints } from '../faults/crash-point-names.ts'
import { until } from '../support/api.ts'
import { type ScriptedFlink, startScriptedFlink } from '../support/simulated-flink.ts'
import { startSystem, type TestSystem } from '../support/system.ts'
import type { Problem } from './scene.ts'

const JOBS = 50
const PARALLEL = 5

let system: TestSystem
/** Fifty jobs that we may touch. */
let fleet: ScriptedFlink
/** Two jobs that we may only watch. */
let watched: ScriptedFlink

beforeAll(async () => {
  const named = (name: string, count: number) =>
    Array.from({ length: count }, (_, n) => ({ name: `${name} ${n}` }))
  fleet = await startScriptedFlink({
    savepointDurationMs: 150,
    seedJobs: [...named('Orders', JOBS), { name: 'twins' }, { name: 'twins' }],
  })
  watched = await startScriptedFlink({ seedJobs: named('Ledger', 2) })
  system = await startSystem({ name: 'fleet', workers: 2 })
  await mkdir(join(system.folder, 'state'))
  await created('/v1/clusters', { name: 'fleet', url: fleet.flink.url })
  await created('/v1/clusters', { name: 'watched', url: watched.flink.url, mode: 'OBSERVE_ONLY' })
  await created('/v1/storages', { name: 'state', uri: `file://${system.folder}/state` })
})
afterAll(async () => {
  await system?.stop()
  await fleet?.flink.stop()
  await watched?.flink.stop()
})

const created = async (path: string, body: object) => {
  const answer = await system.api.call('POST', path, { body })
  expect(answer.status, JSON.stringify(answer.body)).toBe(201)
}
const flinkJobs = async (cluster: string) => {
  const { status, body } = await system.api.call<FlinkJobList>('GET', `/v1/clusters/${cluster}/flink-jobs`)
  expect(status).toBe(200)
  return body
}
const attach = async (cluster: string, namePattern: string, labels: object) => {
  const { status, body } = await system.api.call<AttachReport>('POST', `/v1/clusters/${cluster}/attach`, {
    body: { namePattern, savepointStorage: 'state', labels },
  })
  expect(status).toBe(200)
  return body
}
const untilObserved = (names: readonly string[]) =>
  until('all jobs are seen running', async () => {
    const page = await system.api.call<{ items: Job[] }>('GET', '/v1/jobs?pageSize=200')
    const running = new Set(
      page.body.items.filter(({ run }) => run?.state === 'RUNNING').map(({ name }) => name),
    )
    return names.every((name) => running.has(name))
  })

const savepoints = async (body: object, key: string) => {
  const answer = await system.api.call<Operation>('POST', '/v1/savepoints', {
    body,
    headers: { 'idempotency-key': key },
  })
  expect(answer.status, JSON.stringify(answer.body)).toBe(202)
  return answer
}
const untilEnded = (id: string) =>
  until(
    'the operation has ended',
    async () => {
      const { status, body } = await system.api.call<Operation>('GET', `/v1/operations/${id}`, {
        headers: { prefer: 'wait=20' },
      })
      return status === 200 && body
    },
    90_000,
  )

/** How many savepoints Flink had in hand at the same time, at most. */
function mostAtOnce(log: readonly AcceptedTrigger[]): number {
  const moments = log.flatMap(({ at, settledAt }) => [
    { at, change: 1 },
    { at: settledAt ?? Number.POSITIVE_INFINITY, change: -1 },
  ])
  // Ends before begins: the clock counts whole milliseconds.
  moments.sort((one, other) => one.at - other.at || one.change - other.change)
  let now = 0
  return Math.max(0, ...moments.map(({ change }) => (now += change)))
}
const countByJob = (log: readonly AcceptedTrigger[]): number[] => {
  const counts = new Map<string, number>()
  for (const { jobId } of log) counts.set(jobId, (counts.get(jobId) ?? 0) + 1)
  return [...counts.values()]
}

describe('a fleet', () => {
  it('is discovered and attached by pattern, once [N-13]', async () => {
    const before = await flinkJobs('fleet')
    expect(before.items).toHaveLength(JOBS + 2)
    expect(before.items.every(({ job, state }) => job === null && state === 'RUNNING')).toBe(true)
    expect(before.items.filter(({ ambiguous }) => ambiguous).map(({ name }) => name)).toEqual([
      'twins',
      'twins',
    ])

    const report = await attach('fleet', '*', { team: 'fleet' })
    expect(report.counts).toEqual({ matched: JOBS + 1, attached: JOBS, skipped: 1, left: 0 })
    expect(report.skipped).toEqual([{ flinkJobName: 'twins', reason: 'AMBIGUOUS', job: null }])
    const again = await attach('fleet', 'Orders ?*', { team: 'other' })
    expect([again.attached, again.counts.skipped]).toEqual([[], JOBS])
    await attach('watched', 'Ledger *', { team: 'watched' })

    const after = await flinkJobs('fleet')
    const names = after.items.flatMap(({ name, job }) => (job ? [[name, job.name]] : []))
    expect(Object.fromEntries(names)).toMatchObject({ 'Orders 0': 'orders-0', 'Orders 49': 'orders-49' })
    expect(names).toHaveLength(JOBS)
    await untilObserved([...report.attached.map(({ job }) => job.name), 'ledger-0', 'ledger-1'])
    const foreign = await system.other.call<Problem>('GET', '/v1/clusters/fleet/flink-jobs')
    expect(foreign.status).toBe(404)
  })

  it('cannot be discovered while its cluster is away [N-13]', async () => {
    fleet.faults.reply({ route: 'jobsOverview', times: 'always' }, { kind: 'refused' })
    const { status, body } = await system.api.call<Problem>('GET', '/v1/clusters/fleet/flink-jobs')
    fleet.faults.clear()
    expect([status, body.code]).toEqual([503, 'CLUSTER_UNREACHABLE'])
    await untilObserved(['orders-0'])
  })

  it('is saved with never more than five savepoints in flight, and one report [N-16]', async () => {
    const began = fleet.flink.acceptLog.length
    const body = { cluster: 'fleet', maxParallel: PARALLEL, savepoint: { labels: { before: 'maintenance' } } }
    const { body: accepted, headers } = await savepoints(body, 'maintenance')
    expect(accepted).toMatchObject({ status: 'RUNNING', counts: { waiting: JOBS }, endedAt: null })
    expect(headers['location']).toBe(`/v1/operations/${accepted.id}`)
    const repeated = await savepoints(body, 'maintenance')
    expect([repeated.body.id, repeated.headers['idempotency-replayed']]).toEqual([accepted.id, 'true'])

    const ended = await untilEnded(accepted.id)
    expect([ended.status, ended.counts]).toEqual([
      'SUCCEEDED',
      { waiting: 0, running: 0, done: JOBS, failed: 0, skipped: 0 },
    ])
    expect(
      ended.items.every(
        ({ status, snapshotStatus, joined }) => status === 'DONE' && snapshotStatus === 'Present' && !joined,
      ),
    ).toBe(true)
    const log = fleet.flink.acceptLog.slice(began)
    expect(mostAtOnce(log)).toBe(PARALLEL)
    expect(countByJob(log)).toEqual(Array.from({ length: JOBS }, () => 1))
    const foreign = await system.other.call('GET', `/v1/operations/${accepted.id}`)
    expect(foreign.status).toBe(404)
  })

  it('names every point at which the work on it may die', async () => {
    const names = (await findBulkCrashPoints()).map(({ name }) => name)
    expect(names.sort()).toEqual(['bulk-item-recorded', 'bulk-savepoint-created'])
  })

  it.each(['bulk-savepoint-created:13', 'bulk-item-recorded:4'])(
    'is saved once although its workers die at %s [N-16]',
    async (point) => {
      const began = fleet.flink.acceptLog.length
      await Promise.all(system.workers.splice(0).map((worker) => worker.kill()))
      const dying = await system.startWorker({ TIDEMARK_CRASH_AT: point })
      const { body: accepted } = await savepoints({ labels: { team: 'fleet' }, maxParallel: PARALLEL }, point)
      await dying.ended
      const { body: halfway } = await system.api.call<Operation>('GET', `/v1/operations/${accepted.id}`)
      expect(halfway).toMatchObject({ status: 'RUNNING', endedAt: null })
      expect(halfway.counts.running).toBeGreaterThan(0)
      system.workers.splice(0)
      await Promise.all([system.startWorker(), system.startWorker()])

      const ended = await untilEnded(accepted.id)
      expect([ended.status, ended.counts.done]).toEqual(['SUCCEEDED', JOBS])
      expect(ended.items.some(({ joined }) => joined)).toBe(false)
      const log = fleet.flink.acceptLog.slice(began)
      expect(mostAtOnce(log)).toBeLessThanOrEqual(PARALLEL)
      expect(countByJob(log)).toEqual(Array.from({ length: JOBS }, () => 1))
    },
  )

  it('knows a savepoint that somebody else took once it is registered, and its own as it is', async () => {
    const list = await system.api.call<{ items: Snapshot[] }>('GET', '/v1/jobs/orders-3/snapshots?pageSize=1')
    const own = list.body.items[0]?.location ?? ''
    const path = '/v1/jobs/orders-3/snapshots'
    const known = await system.api.call<Snapshot>('POST', path, { body: { location: own } })
    expect([known.status, known.body.id]).toEqual([200, list.body.items[0]?.id])

    const copy = join(system.folder, 'state', 'copied')
    await cp(own.replace('file://', ''), copy, { recursive: true })
    const register = () =>
      system.api.call<Snapshot>('POST', path, { body: { location: `file://${copy}/_metadata`, owned: true } })
    const answers = await Promise.all([register(), register()])
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 201])
    expect(answers[0]?.body).toMatchObject({
      id: answers[1]?.body.id,
      status: 'Present',
      source: 'IMPORT',
      flinkCheckpointId: known.body.flinkCheckpointId,
      location: `file://${copy}`,
      ownedPrefix: `file://${copy}/`,
      restorable: true,
    })
    const nothing = await system.api.call<Problem>('POST', path, {
      body: { location: `file://${system.folder}/state/nothing` },
    })
    expect([nothing.status, nothing.body.code]).toEqual([409, 'METADATA_MISSING'])
    const foreign = await system.other.call('POST', path, { body: { location: own } })
    expect(foreign.status).toBe(404)
  })

  it('that is only watched takes no savepoint, and the report says so [N-14]', async () => {
    const refused = await system.api.call<Problem>('POST', '/v1/jobs/ledger-0/savepoints', { body: {} })
    expect([refused.status, refused.body.code]).toEqual([409, 'OBSERVE_ONLY'])
    const { body: accepted } = await savepoints({ cluster: 'watched' }, 'watched')
    const ended = await untilEnded(accepted.id)
    expect(ended.status).toBe('FAILED')
    expect(
      ended.items.map(({ job, status, snapshot, failure }) => [job.name, status, snapshot, failure?.code]),
    ).toEqual(['ledger-0', 'ledger-1'].map((name) => [name, 'FAILED', null, 'OBSERVE_ONLY']))
    expect(watched.flink.acceptLog).toEqual([])
  })

  it('of which some jobs have ended or fail is reported job by job [N-16]', async () => {
    const { items } = await flinkJobs('fleet')
    const idOf = (name: string) => items.find((job) => job.name === name)?.flinkJobId ?? ''
    fleet.faults.snapshot(
      { jobId: idOf('Orders 2') },
      { failure: { kind: 'coordinator', text: 'Checkpoint expired before completing.' } },
    )
    const cancelled = await fetch(`${fleet.flink.url}/jobs/${idOf('Orders 1')}?mode=cancel`, {
      method: 'PATCH',
    })
    expect(cancelled.status).toBe(202)
    await until('the end is observed', async () => {
      const { body } = await system.api.call<Job>('GET', '/v1/jobs/orders-1')
      return body.run?.state === 'CANCELED'
    })
    const { body: accepted } = await savepoints({ cluster: 'fleet', maxParallel: 50 }, 'partly')
    const ended = await untilEnded(accepted.id)
    expect([ended.status, ended.counts]).toEqual([
      'PARTIAL',
      { waiting: 0, running: 0, done: JOBS - 2, failed: 1, skipped: 1 },
    ])
    const bad = ended.items.filter(({ status }) => status !== 'DONE')
    expect(bad.map(({ job, status, failure }) => [job.name, status, failure?.code])).toEqual([
      ['orders-1', 'SKIPPED', 'JOB_NOT_RUNNING'],
      ['orders-2', 'FAILED', 'CHECKPOINT_EXPIRED'],
    ])
    const listed = await system.api.call<{ items: Operation[] }>('GET', '/v1/operations?pageSize=1')
    expect(listed.body.items).toMatchObject([{ id: accepted.id, status: 'PARTIAL', counts: ended.counts }])
  })
})
