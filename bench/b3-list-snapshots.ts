/**
 * B3: the page of 50 of a job with 1,000,000 snapshots. B3a: p99 against a job with 1,000, at random depths over the same
 * span of time, also filtered by a status that 100 rows of either job have (so that both sides answer full pages). B3b:
 * the same pages per second against a bare Fastify that serializes 50 prebuilt objects by the same response schema.
 */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pool as PgPool } from 'pg'
import { Pool as HttpPool } from 'undici'
import { encodePageToken } from '../src/db/paging.ts'
import { FAILED_ROWS, SPAN_SECONDS, seedSnapshots } from '../test/support/seed-snapshots.ts'
import type { Benchmark, BenchOptions } from './harness/benchmark.ts'
import { startScript, startTidemark } from './harness/child.ts'
import { layGround, TOKEN } from './harness/ground.ts'
import { type LoadResult, runAlternating, runLoad } from './harness/load.ts'
import { openPool } from './harness/pool.ts'
import { createRandom } from './harness/random.ts'
import { noteServiceVersions } from './harness/report.ts'
import { startServices } from './harness/services.ts'

const MANY = 1_000_000
const FEW = 1_000
const PAGES_FOR_P99 = 3_000
const PAGES_FOR_THROUGHPUT = 4_000
const CONNECTIONS = 16
/** Latency is asked of a server that is not at its limit. */
const CONNECTIONS_FOR_P99 = 2
const PAGE = 50

export const listSnapshots: Benchmark = {
  name: 'b3',
  title: 'pages of 50 of a job with 1,000,000 snapshots',
  run,
}

type Round = Record<'many' | 'few' | 'rareMany' | 'rareFew' | 'list' | 'bare', LoadResult>
type Side = { http: HttpPool; paths: Paths }

async function run({ rounds, scale, seed }: BenchOptions) {
  const services = await startServices()
  const pool = openPool(services.databaseUrl, 2)
  try {
    await noteServiceVersions(services.databaseUrl)
    const endsAt = new Date()
    const many = Math.max(FEW, Math.round(MANY * scale))
    await seedJobs(pool, many, endsAt)
    const env = {
      DATABASE_URL: services.databaseUrl,
      REDIS_URL: services.redisUrl,
      TIDEMARK_TOKENS: `default:${TOKEN}`,
      TIDEMARK_HOST: '127.0.0.1',
      TIDEMARK_PORT: '0',
    }
    const api = await startTidemark('serve', env, services.folder)
    const ours = { http: openHttp(api.url), paths: pathsOf(many, endsAt, createRandom(seed)) }
    const pageFile = join(services.folder, 'page.json')
    const page = await fetchPage(ours.http, ours.paths.many())
    await writeFile(pageFile, page)
    const bare = await startScript('bare-fastify.ts', [pageFile], services.folder)
    const bareHttp = openHttp(bare.url)
    try {
      if ((await fetchPage(bareHttp, '/page')) !== page)
        throw new Error('the bare Fastify serves another page')
      const measured: Round[] = []
      for (let round = -1; round < rounds; round++) {
        const result = await measure(ours, bareHttp)
        if (round >= 0) measured.push(result) // the first one warms caches and compilers
      }
      return summarize(measured)
    } finally {
      await Promise.all([ours.http.close(), bareHttp.close()])
      await Promise.all([api.stop(), bare.stop(), rm(pageFile, { force: true })])
    }
  } finally {
    await pool.end()
    await services.stop()
  }
}

const openHttp = (url: string) => new HttpPool(url, { connections: CONNECTIONS, pipelining: 1 })

async function seedJobs(pool: PgPool, many: number, endsAt: Date): Promise<void> {
  const { jobs, ...ground } = await layGround(pool, 2, { runs: true })
  for (const [index, count] of [many, FEW].entries()) {
    const job = jobs[index]
    if (job) await seedSnapshots(pool, { ...ground, jobId: job.id, runId: job.runId }, count, endsAt)
  }
  await pool.query('checkpoint')
}

type Paths = Record<'many' | 'few' | 'rareMany' | 'rareFew', () => string>

/** Pages that begin anywhere, but so far from the end that they are full. */
function pathsOf(many: number, endsAt: Date, random: () => number): Paths {
  const beginsAt = endsAt.getTime() - SPAN_SECONDS * 1000
  const anywhere = (job: string, rows: number, query: string) => () => {
    const row = PAGE + 1 + Math.floor(random() * (rows - PAGE))
    const instant = new Date(beginsAt + Math.round((row / rows) * SPAN_SECONDS * 1000)).toISOString()
    const token = encodePageToken([instant, 'ffffffff-ffff-7fff-8fff-ffffffffffff'], 'createdAt-desc')
    return `/v1/jobs/${job}/snapshots?pageSize=${PAGE}${query}&pageToken=${token}`
  }
  return {
    many: anywhere('job-0', many, ''),
    few: anywhere('job-1', FEW, ''),
    rareMany: anywhere('job-0', FAILED_ROWS, '&status=Failed'),
    rareFew: anywhere('job-1', FAILED_ROWS, '&status=Failed'),
  }
}

async function fetchPage(http: HttpPool, path: string): Promise<string> {
  const headers = { authorization: `Bearer ${TOKEN}` }
  const answer = await http.request({ method: 'GET', path, headers })
  const text = await answer.body.text()
  if (answer.statusCode !== 200) throw new Error(`GET ${path} answered ${answer.statusCode}: ${text}`)
  return text
}

async function measure({ http, paths }: Side, bareHttp: HttpPool): Promise<Round> {
  const fetch = (path: () => string) => () => fetchPage(http, path())
  const alternate = async (many: () => string, few: () => string) => {
    const calls = [fetch(many), fetch(few)]
    const [first, second] = await runAlternating(PAGES_FOR_P99, CONNECTIONS_FOR_P99, calls)
    if (!first || !second) throw new Error('two calls, two results')
    return [first, second] as const
  }
  const [many, few] = await alternate(paths.many, paths.few)
  const [rareMany, rareFew] = await alternate(paths.rareMany, paths.rareFew)
  const list = await runLoad(PAGES_FOR_THROUGHPUT, CONNECTIONS, fetch(paths.many))
  const bare = await runLoad(PAGES_FOR_THROUGHPUT * 3, CONNECTIONS, () => fetchPage(bareHttp, '/page'))
  return { many, few, rareMany, rareFew, list, bare }
}

const summarize = (measured: readonly Round[]) => ({
  ratios: [
    {
      name: 'B3a',
      what: 'p99 at 1,000,000 ÷ p99 at 1,000',
      bar: { is: 'at most' as const, first: 2, goal: 1.3 },
      rounds: measured.map(({ many, few }) => many.p99Ms / few.p99Ms),
    },
    {
      name: 'B3a rare status',
      what: 'the same, of the 100 Failed ones',
      bar: { is: 'at most' as const, first: 2, goal: 1.3 },
      rounds: measured.map(({ rareMany, rareFew }) => rareMany.p99Ms / rareFew.p99Ms),
    },
    {
      name: 'B3b',
      what: 'pages/s at 1,000,000 ÷ pages/s of a bare Fastify',
      bar: { is: 'at least' as const, first: 0.2, goal: 0.33 },
      rounds: measured.map(({ list, bare }) => list.perSecond / bare.perSecond),
    },
  ],
  figures: measured.map(({ many, few, rareMany, rareFew, list, bare }) => ({
    'p50 ms at 10^6': many.p50Ms,
    'p99 ms at 10^6': many.p99Ms,
    'p50 ms at 10^3': few.p50Ms,
    'p99 ms at 10^3': few.p99Ms,
    'rare p99 ms at 10^6': rareMany.p99Ms,
    'rare p99 ms at 10^3': rareFew.p99Ms,
    'pages/s': list.perSecond,
    'bare pages/s': bare.perSecond,
  })),
})
