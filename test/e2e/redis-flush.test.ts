/** Postgres is the only record: Redis flushed, stopped and emptied, Postgres restarted, and every savepoint still taken once. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterEach, describe, expect, it } from 'vitest'
import { startRedis } from '../../dev/services/redis.ts'
import { openRunFolder } from '../../dev/services/run-folder.ts'
import { type EmbeddedPostgres, startPostgres } from '../../src/cli/embedded-postgres.ts'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import { until } from '../support/api.ts'
import { type ScriptedFlink, startScriptedFlink } from '../support/simulated-flink.ts'
import { type SystemOptions, startSystem, type TestSystem } from '../support/system.ts'

const JOBS = 6
const ROUNDS = 5

const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

type Fleet = { system: TestSystem; scripted: ScriptedFlink }

async function openFleet(options: SystemOptions): Promise<Fleet> {
  const scripted = await startScriptedFlink({
    savepointDurationMs: 200,
    seedJobs: Array.from({ length: JOBS }, (_, i) => ({ name: `job-${i}` })),
  })
  stops.push(() => scripted.flink.stop())
  const system = await startSystem(options)
  stops.push(() => system.stop())
  await mkdir(join(system.folder, 'state'))
  const post = async (path: string, body: object) =>
    expect((await system.api.call('POST', path, { body })).status).toBe(201)
  await post('/v1/clusters', { name: 'flink', url: scripted.flink.url })
  await post('/v1/storages', { name: 'state', uri: `file://${system.folder}/state` })
  for (let i = 0; i < JOBS; i++) {
    const name = `job-${i}`
    await post('/v1/jobs', {
      name,
      cluster: 'flink',
      savepointStorage: 'state',
      attach: { flinkJobName: name },
    })
  }
  return { system, scripted }
}

/** One job after another takes its savepoints; a request that meets an outage is repeated under its key, as a client would. */
async function takeAll({ system }: Fleet): Promise<string[]> {
  const perJob = Array.from({ length: JOBS }, async (_, job) => {
    const ids: string[] = []
    for (let round = 0; round < ROUNDS; round++) ids.push(await takeOne(system, job, round))
    return ids
  })
  return (await Promise.all(perJob)).flat()
}

function takeOne({ api }: TestSystem, job: number, round: number): Promise<string> {
  return until(
    `savepoint ${round} of job ${job} is Present`,
    async () => {
      const answer = await api
        .call<Snapshot>('POST', `/v1/jobs/job-${job}/savepoints`, {
          body: {},
          headers: { 'idempotency-key': `${job}-${round}`, prefer: 'wait=5' },
        })
        .catch(() => null) // the API is restarting its connections: ask again
      if (answer === null || answer.status >= 500 || answer.status === 409) return null
      expect(['Creating', 'Present'], JSON.stringify(answer.body)).toContain(answer.body.status)
      return answer.body.status === 'Present' && answer.body.id
    },
    90_000,
  )
}

async function expectEachOnce({ system, scripted }: Fleet, ids: string[]): Promise<void> {
  expect(new Set(ids).size).toBe(JOBS * ROUNDS)
  const lists = Array.from({ length: JOBS }, async (_, job) => {
    const { body } = await system.api.call<{ items: Snapshot[] }>('GET', `/v1/jobs/job-${job}/snapshots`)
    return body.items
  })
  const items = (await Promise.all(lists)).flat()
  expect(items.map(({ id }) => id).sort()).toEqual([...ids].sort())
  expect(items.every(({ status, attempts }) => status === 'Present' && attempts.length === 1)).toBe(true)
  expect(scripted.flink.acceptLog.map(({ outcome }) => outcome)).toEqual(ids.map(() => 'completed'))
  for (const { id } of items) {
    const transitions = await system.api.call<{ items: unknown[] }>('GET', `/v1/snapshots/${id}/transitions`)
    expect(transitions.body.items).toHaveLength(2)
  }
}

/** Again and again until what is given has ended. */
async function meanwhile<Value>(
  work: Promise<Value>,
  everyMs: number,
  act: () => Promise<unknown>,
): Promise<Value> {
  const timer = setInterval(() => void act().catch(() => undefined), everyMs)
  return await work.finally(() => clearInterval(timer))
}

async function startOwnPostgres(): Promise<EmbeddedPostgres> {
  const folder = await openRunFolder()
  const dataDir = `${folder}/postgres-${Math.random().toString(36).slice(2)}`
  const postgres = await startPostgres({
    dataDir,
    settings: { fsync: 'off', full_page_writes: 'off', max_connections: 100 },
  })
  stops.push(() => postgres.stop())
  return postgres
}

describe(`${JOBS * ROUNDS} savepoints are all Present, each taken once,`, () => {
  it('while Redis is flushed every 500 ms', async () => {
    const redis = await startRedis()
    stops.push(() => redis.stop())
    const fleet = await openFleet({ name: 'flush', workers: 2, env: { REDIS_URL: redis.url } })
    const client = new Redis(redis.url, { lazyConnect: true })
    stops.push(async () => client.disconnect())
    let flushes = 0
    const ids = await meanwhile(takeAll(fleet), 500, async () => {
      await client.flushall()
      flushes += 1
    })
    expect(flushes).toBeGreaterThan(2)
    await expectEachOnce(fleet, ids)
  })

  it('while Redis is stopped for 5 s and comes back empty', async () => {
    const redis = await startRedis()
    stops.push(() => redis.stop())
    const fleet = await openFleet({ name: 'redis-gone', env: { REDIS_URL: redis.url } })
    const taking = takeAll(fleet)
    await until('the first savepoints are under way', async () => fleet.scripted.flink.acceptLog.length > 3)
    await redis.kill()
    await new Promise((resolve) => setTimeout(resolve, 5_000))
    await redis.restart({ empty: true })
    await expectEachOnce(fleet, await taking)
    expect((await fleet.system.api.call('GET', '/readyz')).status).toBe(200)
  })

  it('while Postgres restarts in the middle', async () => {
    const postgres = await startOwnPostgres()
    const shared = process.env['TEST_DATABASE_URL']
    process.env['TEST_DATABASE_URL'] = postgres.url
    try {
      const fleet = await openFleet({ name: 'postgres-restart' })
      const taking = takeAll(fleet)
      await until('the first savepoints are under way', async () => fleet.scripted.flink.acceptLog.length > 3)
      await postgres.restart('fast')
      await expectEachOnce(fleet, await taking)
    } finally {
      process.env['TEST_DATABASE_URL'] = shared
    }
  })

  it('with the queue on Postgres, and no Redis at all', async () => {
    const fleet = await openFleet({ name: 'postgres-queue', queue: 'postgres' })
    await expectEachOnce(fleet, await takeAll(fleet))
    expect((await fleet.system.api.call('GET', '/readyz')).status).toBe(200)
  })
})
