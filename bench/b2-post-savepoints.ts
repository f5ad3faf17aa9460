/**
 * B2: `POST savepoints` with an idempotency key until the durable 202, 16 connections, against one raw statement that
 * inserts the same row and its event. Every request is for a job of its own: a job has one savepoint at a time. No worker
 * runs: nothing but the acceptance is measured.
 */
import { Redis } from 'ioredis'
import type { Pool as PgPool } from 'pg'
import { Pool as HttpPool } from 'undici'
import type { Benchmark, BenchOptions } from './harness/benchmark.ts'
import { startTidemark } from './harness/child.ts'
import { startCpuClock } from './harness/cpu-time.ts'
import { type BenchJob, clearSnapshots, type Ground, layGround, TOKEN } from './harness/ground.ts'
import { type LoadResult, runLoad } from './harness/load.ts'
import { openPool } from './harness/pool.ts'
import { insertRaw } from './harness/raw-postgres.ts'
import { noteServiceVersions } from './harness/report.ts'
import { startServices } from './harness/services.ts'

const CONNECTIONS = 16
const REQUESTS = 6_000

export const postSavepoints: Benchmark = {
  name: 'b2',
  title: 'POST savepoints until the durable 202, 16 connections',
  run,
}

type Round = { raw: LoadResult; ours: LoadResult; cpu: Record<string, number> }

async function run({ rounds, scale, seed }: BenchOptions) {
  const services = await startServices()
  const pool = openPool(services.databaseUrl, CONNECTIONS)
  const redis = new Redis(services.redisUrl)
  try {
    await noteServiceVersions(services.databaseUrl)
    const ground = await layGround(pool, Math.round(REQUESTS * scale), { runs: true })
    const env = {
      DATABASE_URL: services.databaseUrl,
      REDIS_URL: services.redisUrl,
      TIDEMARK_TOKENS: `default:${TOKEN}`,
      TIDEMARK_HOST: '127.0.0.1',
      TIDEMARK_PORT: '0',
    }
    const api = await startTidemark('serve', env, services.folder)
    const http = new HttpPool(api.url, { connections: CONNECTIONS, pipelining: 1 })
    try {
      const measured: Round[] = []
      for (let round = -1; round < rounds; round++) {
        await clearSnapshots(pool)
        const raw = await runRaw(pool, ground)
        await clearSnapshots(pool)
        await redis.flushall() // the nudges of the last round, which no worker takes
        const clock = await startCpuClock({ harness: process.pid, api: api.pid }, pool)
        const ours = await runOurs(http, ground.jobs, `${seed}-${round}`)
        const cpu = await clock(ground.jobs.length)
        await checkDurable(pool, ground.jobs.length)
        if (round >= 0) measured.push({ raw, ours, cpu }) // the first one warms both sides up
      }
      return summarize(measured)
    } finally {
      await http.close()
      await api.stop()
    }
  } finally {
    redis.disconnect()
    await pool.end()
    await services.stop()
  }
}

const runRaw = (pool: PgPool, ground: Ground) =>
  runLoad(ground.jobs.length, CONNECTIONS, async (index) => {
    const job = ground.jobs[index]
    if (job) await insertRaw(pool, ground, job, true)
  })

const runOurs = (http: HttpPool, jobs: readonly BenchJob[], run: string) =>
  runLoad(jobs.length, CONNECTIONS, async (index) => {
    const answer = await http.request({
      method: 'POST',
      path: `/v1/jobs/${jobs[index]?.name}/savepoints`,
      headers: {
        authorization: `Bearer ${TOKEN}`,
        'content-type': 'application/json',
        'idempotency-key': `${run}-${index}`,
      },
      body: '{}',
    })
    const text = await answer.body.text()
    if (answer.statusCode !== 202) throw new Error(`POST answered ${answer.statusCode}: ${text}`)
  })

/** Every 202 was the truth: row, attempt, transition, event and idempotency record are there. */
async function checkDurable(pool: PgPool, expected: number): Promise<void> {
  const { rows } = await pool.query<Record<string, string>>(
    `select (select count(*) from snapshot) as snapshots, (select count(*) from attempt) as attempts,
       (select count(*) from history.snapshot_transition) as transitions, (select count(*) from history.event) as events,
       (select count(*) from idempotency_record) as keys`,
  )
  for (const [what, count] of Object.entries(rows[0] ?? {})) {
    if (Number(count) !== expected) throw new Error(`${count} ${what} instead of ${expected}`)
  }
}

const summarize = (measured: readonly Round[]) => ({
  ratios: [
    {
      name: 'B2 throughput',
      what: 'requests/s ÷ raw statements/s',
      bar: { is: 'at least' as const, first: 0.3, goal: 0.55 },
      rounds: measured.map(({ raw, ours }) => ours.perSecond / raw.perSecond),
    },
    {
      name: 'B2 p99',
      what: 'p99 of a request ÷ p99 of a raw statement',
      bar: { is: 'at most' as const, first: 5, goal: null },
      rounds: measured.map(({ raw, ours }) => ours.p99Ms / raw.p99Ms),
    },
  ],
  figures: measured.map(({ raw, ours, cpu }) => ({
    'raw/s': raw.perSecond,
    'raw p50 ms': raw.p50Ms,
    'raw p99 ms': raw.p99Ms,
    'requests/s': ours.perSecond,
    'p50 ms': ours.p50Ms,
    'p99 ms': ours.p99Ms,
    ...cpu,
  })),
})
