/**
 * B8: what a savepoint costs in the memory of our processes and of Redis: one that is in flight, and one that has ended and
 * is only stored. Garbage is collected before each reading; what the compilers keep grows for a while, so the first rounds
 * do not count. Nothing that is stored goes until the end: what the processes keep of it is how their memory grows with the number
 * stored, the median slope between any two readings (Theil and Sen): what is kept of each shows between all of them, what a
 * compiler allocates once only between some.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { Pool } from 'pg'
import type { Benchmark, BenchOptions } from './harness/benchmark.ts'
import { startTidemark } from './harness/child.ts'
import { type Heap, openHeap } from './harness/heap.ts'
import { type InFlightStage, raiseInFlightStage } from './harness/in-flight.ts'
import { openPool } from './harness/pool.ts'
import { noteServiceVersions } from './harness/report.ts'
import { startServices } from './harness/services.ts'
import { medianOf } from './harness/verdict.ts'

const JOBS = 1_000
const WARM_UP = 5
const INSPECT = ['--inspect=127.0.0.1:0']
/** What is under way at one moment more than at another. */
const READINGS = 5

export const memory: Benchmark = {
  name: 'b8',
  title: 'memory of a savepoint in flight, and of a stored one',
  run,
}

type Bytes = { node: number; redis: number }
type Round = { before: Bytes; after: Bytes; inFlight: Bytes }

async function run({ rounds, scale }: BenchOptions) {
  const services = await startServices()
  const pool = openPool(services.databaseUrl, 4)
  const redis = new Redis(services.redisUrl)
  const jobs = Math.round(JOBS * scale)
  try {
    await noteServiceVersions(services.databaseUrl)
    const stage = await raiseInFlightStage(services, pool, jobs, INSPECT)
    const worker = await startTidemark('worker', stage.env, services.folder, INSPECT)
    const heaps = await Promise.all([stage.server, worker].map(({ inspector }) => openHeap(inspector ?? '')))
    try {
      const measured: Round[] = []
      for (let round = -WARM_UP; round < rounds; round++) {
        const result = await measure(stage, pool, heaps, redis, jobs)
        if (round >= 0) measured.push(result)
      }
      return summarize(measured, jobs)
    } finally {
      for (const heap of heaps) heap.close()
      await worker.stop()
      await stage.stop()
    }
  } finally {
    redis.disconnect()
    await pool.end()
    await services.stop()
  }
}

async function measure(
  stage: InFlightStage,
  pool: Pool,
  heaps: readonly Heap[],
  redis: Redis,
  count: number,
): Promise<Round> {
  const read = () => readMemory(heaps, redis)
  const before = await read()
  await stage.begin(0, count)
  await stage.forget()
  await until(async () => (await stage.looked()) >= count, 'each savepoint is looked after')
  const during = await read()
  await end(pool)
  const after = await read()
  const per = (to: Bytes, from: Bytes): Bytes => ({
    node: (to.node - from.node) / count,
    redis: (to.redis - from.redis) / count,
  })
  return { before, after, inFlight: per(during, before) }
}

/** Their deadlines pass and their answers are final: they are settled and nobody looks any more. */
async function end(pool: Pool): Promise<void> {
  await pool.query(
    `update snapshot set status = 'Failed', reason = 'BENCH', settled_at = now(), next_action_at = null, lease_token = null,
       lease_until = null where status = 'Creating'`,
  )
  await until(async () => {
    const { rows } = await pool.query<{ open: string }>(
      `select count(*) as open from snapshot where status = 'Creating' or lease_token is not null`,
    )
    return rows[0]?.open === '0'
  }, 'all have ended')
  await sleep(2_000) // a worker that held one finds out
}

async function until(isSo: () => Promise<boolean>, what: string): Promise<void> {
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(100)) {
    if (await isSo()) return
  }
  throw new Error(`not within a minute: ${what}`)
}

async function readMemory(heaps: readonly Heap[], redis: Redis): Promise<Bytes> {
  const node: number[] = []
  const inRedis: number[] = []
  for (let reading = 0; reading < READINGS; reading++) {
    const sizes = await Promise.all(heaps.map((heap) => heap.read()))
    node.push(sizes.reduce((sum, size) => sum + size, 0))
    const info = await redis.info('memory')
    inRedis.push(Number(/^used_memory_dataset:(\d+)/m.exec(info)?.[1]))
    await sleep(200)
  }
  return { node: Math.min(...node), redis: medianOf(inRedis) }
}

const sumOf = ({ node, redis }: Bytes): number => node + redis

type Reading = { stored: number; bytes: number }

/** Bytes per stored one, between each two readings at different numbers of them. */
const slopesOf = (readings: readonly Reading[]): number[] =>
  readings.flatMap((from, index) =>
    readings
      .slice(index + 1)
      .filter(({ stored }) => stored !== from.stored)
      .map((to) => (to.bytes - from.bytes) / (to.stored - from.stored)),
  )

const summarize = (measured: readonly Round[], jobs: number) => {
  const readings = measured.flatMap(({ before, after }, round) => [
    { stored: round * jobs, bytes: sumOf(before) },
    { stored: (round + 1) * jobs, bytes: sumOf(after) },
  ])
  return {
    ratios: [
      {
        name: 'B8 in flight',
        what: 'bytes in Node and Redis per savepoint in flight, the middle of the rounds',
        bar: { is: 'at most' as const, first: 2_048, goal: null },
        rounds: [Math.max(0, medianOf(measured.map(({ inFlight }) => sumOf(inFlight))))],
      },
      {
        name: 'B8 stored',
        what: 'the same of a stored one, from all rounds (0; what a reading differs from the next is up to 100)',
        bar: { is: 'at most' as const, first: 100, goal: 0 },
        rounds: [Math.max(0, medianOf(slopesOf(readings)))],
      },
    ],
    figures: measured.map(({ before, after, inFlight }) => ({
      'before, Node KB': before.node / 1024,
      'before, Redis KB': before.redis / 1024,
      'after, Node KB': after.node / 1024,
      'after, Redis KB': after.redis / 1024,
      'in flight, Node': inFlight.node,
      'in flight, Redis': inFlight.redis,
    })),
  }
}
