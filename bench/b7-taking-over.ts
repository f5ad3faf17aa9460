/**
 * B7: of two workers with 500 savepoints in flight one is killed; and, by itself, Redis is flushed. How long until each of the
 * 500 has been looked at again, which nobody does without owning it.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { Benchmark, BenchOptions } from './harness/benchmark.ts'
import { startTidemark } from './harness/child.ts'
import { type InFlightStage, raiseInFlightStage } from './harness/in-flight.ts'
import { openPool } from './harness/pool.ts'
import { noteServiceVersions } from './harness/report.ts'
import { type BenchServices, startServices } from './harness/services.ts'

const IN_FLIGHT = 500
const LEASE_MS = 5_000
const GIVEN_UP_MS = 60_000

export const takingOver: Benchmark = {
  name: 'b7',
  title: 'a worker killed with 500 savepoints in flight, and Redis flushed',
  run,
}

type Round = { undisturbed: number; killed: number; flushed: number }

async function run({ rounds, scale }: BenchOptions) {
  const services = await startServices()
  const pool = openPool(services.databaseUrl, 4)
  try {
    await noteServiceVersions(services.databaseUrl)
    const count = Math.round(IN_FLIGHT * scale)
    const stage = await raiseInFlightStage(services, pool, count)
    try {
      return summarize(await measureAll(stage, services, count, rounds))
    } finally {
      await stage.stop()
    }
  } finally {
    await pool.end()
    await services.stop()
  }
}

async function measureAll(
  stage: InFlightStage,
  services: BenchServices,
  count: number,
  rounds: number,
): Promise<Round[]> {
  const env = { ...stage.env, TIDEMARK_LEASE_MS: String(LEASE_MS) }
  const start = () => startTidemark('worker', env, services.folder)
  const redis = new Redis(services.redisUrl)
  const workers = [await start(), await start()]
  try {
    await stage.begin(0, count)
    const measured: Round[] = []
    for (let round = 0; round < rounds; round++) {
      const undisturbed = await untilAllAreLookedAt(stage, count)
      const victim = workers.shift()
      if (!victim) throw new Error('no worker')
      process.kill(victim.pid, 'SIGKILL')
      const killed = await untilAllAreLookedAt(stage, count)
      await victim.stop()
      workers.push(await start())
      await untilAllAreLookedAt(stage, count)
      await redis.flushall()
      measured.push({ undisturbed, killed, flushed: await untilAllAreLookedAt(stage, count) })
    }
    return measured
  } finally {
    redis.disconnect()
    await Promise.all(workers.map((worker) => worker.stop()))
  }
}

/** Milliseconds. */
async function untilAllAreLookedAt(stage: InFlightStage, count: number): Promise<number> {
  await stage.forget()
  const begun = performance.now()
  while (performance.now() - begun < GIVEN_UP_MS) {
    await sleep(20)
    if ((await stage.looked()) >= count) return performance.now() - begun
  }
  throw new Error(`after a minute only ${await stage.looked()} of ${count} were looked at again`)
}

const summarize = (measured: readonly Round[]) => {
  const bar = { is: 'at most' as const, first: 3, goal: 1.5 }
  return {
    ratios: [
      {
        name: 'B7 killed',
        what: `time until all are owned again ÷ the lease of ${LEASE_MS} ms`,
        bar,
        // the slowest: what counts is that none takes longer
        rounds: [Math.max(...measured.map(({ killed }) => killed / LEASE_MS))],
      },
      {
        name: 'B7 flushed',
        what: 'the same after FLUSHALL',
        bar,
        rounds: [Math.max(...measured.map(({ flushed }) => flushed / LEASE_MS))],
      },
    ],
    figures: measured.map(({ undisturbed, killed, flushed }) => ({
      'undisturbed ms': undisturbed,
      'killed ms': killed,
      'flushed ms': flushed,
    })),
  }
}
