/**
 * B6: how fast one worker observes 10,000 running jobs on ten simulated JobManagers, with 1,000 savepoints in flight,
 * against a raw undici pool that reads the same answers of the same servers over as many connections. Nothing changes in
 * Flink: before the savepoints are asked for, nothing may be written, and what is asked of Postgres is counted.
 */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool as PgPool } from 'pg'
import { Pool as HttpPool, request } from 'undici'
import { v7 } from 'uuid'
import type { Benchmark, BenchOptions } from './harness/benchmark.ts'
import { type Child, startScript, startTidemark } from './harness/child.ts'
import { startCpuClock } from './harness/cpu-time.ts'
import { TOKEN } from './harness/ground.ts'
import { runLoad } from './harness/load.ts'
import { openPool } from './harness/pool.ts'
import { noteServiceVersions } from './harness/report.ts'
import { type BenchServices, startServices } from './harness/services.ts'

const CLUSTERS = 10
const JOBS = 10_000
const IN_FLIGHT = 1_000
/** Per cluster, on both sides. */
const CONNECTIONS = 8
const MEASURE_MS = 15_000
/** Rounds until the simulated JobManagers answer as fast as they ever will. */
const WARM_UP = 1
/** Raw GETs of each job, before ours and again after it: enough to take some seconds each time. */
const RAW_TIMES = 12
/** A busy backend of Postgres tells what it counted after a second, one that has become idle after ten. */
const STATISTICS_MS = 1_500
const ALL_STATISTICS_MS = 11_000

export const observe: Benchmark = {
  name: 'b6',
  title: '10,000 running jobs observed, nothing changing',
  run,
}

type Fleet = { url: string; jobs: { id: string; name: string }[] }[]
type Stage = {
  pool: PgPool
  api: string
  fleet: Fleet
  counter: string
  env: Record<string, string>
  folder: string
  pids: Record<string, number>
}
type Look = {
  perSecond: number
  writes: number
  statements: number
  polls: number
  cpu: Record<string, number>
}
type Round = { raw: number; quiet: Look; busy: Look }

async function run({ rounds, scale }: BenchOptions) {
  const services = await startServices()
  const pool = openPool(services.databaseUrl, 4)
  try {
    await noteServiceVersions(services.databaseUrl)
    const { stage, stop } = await raiseStage(services, pool, scale)
    try {
      const measured: Round[] = []
      for (let round = -WARM_UP; round < rounds; round++) {
        const result = await measure(stage, scale)
        if (round >= 0) measured.push(result)
      }
      return summarize(measured)
    } finally {
      await stop()
    }
  } finally {
    await pool.end()
    await services.stop()
  }
}

// --------------------------------------------------------------------------------------------------- stage

async function raiseStage({ databaseUrl, redisUrl, folder }: BenchServices, pool: PgPool, scale: number) {
  const file = join(folder, 'fleet.json')
  const each = Math.max(1, Math.round((JOBS * scale) / CLUSTERS))
  const flink = await startScript('flink-fleet.ts', [String(CLUSTERS), String(each), file], folder)
  const fleet: Fleet = JSON.parse(await readFile(file, 'utf8'))
  await layFleet(pool, fleet)
  const env = {
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl,
    TIDEMARK_TOKENS: `default:${TOKEN}`,
    TIDEMARK_HOST: '127.0.0.1',
    TIDEMARK_PORT: '0',
    TIDEMARK_FLINK_CONNECTIONS: String(CONNECTIONS),
    // Often: a longer pause between two rounds would be what is measured, a shorter one asks Postgres for its jobs each time.
    TIDEMARK_OBSERVE_INTERVAL_MS: '250',
    TIDEMARK_CHECKPOINT_INTERVAL_MS: '50',
  }
  const server = await startTidemark('serve', env, folder)
  return {
    stage: {
      api: server.url,
      pool,
      fleet,
      counter: flink.url,
      env,
      folder,
      pids: { harness: process.pid, flink: flink.pid },
    },
    async stop() {
      await Promise.all([server.stop(), flink.stop(), rm(file, { force: true })])
    },
  }
}

async function layFleet(pool: PgPool, fleet: Fleet): Promise<void> {
  const [namespaceId, storageId] = [v7(), v7()]
  await pool.query(`insert into namespace (id, name) values ($1, 'default')`, [namespaceId])
  await pool.query(
    `insert into storage (id, namespace_id, name, uri, root_key, provider)
     values ($1, $2, 'state', 's3://bench/flink', 's3://bench/flink/', 'flink-only')`,
    [storageId, namespaceId],
  )
  for (const [index, { url, jobs }] of fleet.entries()) {
    const clusterId = v7()
    await pool.query('insert into cluster (id, namespace_id, name, url) values ($1, $2, $3, $4)', [
      clusterId,
      namespaceId,
      `cluster-${index}`,
      url,
    ])
    await pool.query(
      `insert into job (id, namespace_id, name, cluster_id, savepoint_storage_id, attach_flink_job_id)
       select j.key, $2, j.name, $3, $4, j.id from jsonb_to_recordset($1::jsonb) as j(key uuid, id text, name text)`,
      [JSON.stringify(jobs.map((job) => ({ ...job, key: v7() }))), namespaceId, clusterId, storageId],
    )
  }
  await pool.query('vacuum analyze')
}

/** Asked for and taken by the first worker; none of them ends while we measure. */
async function startSavepoints(url: string, fleet: Fleet, count: number): Promise<void> {
  const jobs = fleet.flatMap((cluster) => cluster.jobs)
  const step = Math.max(1, Math.floor(jobs.length / count))
  const chosen = jobs.filter((_, index) => index % step === 0).slice(0, count)
  await runLoad(chosen.length, 16, async (index) => {
    const answer = await request(`${url}/v1/jobs/${chosen[index]?.name}/savepoints`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify({ timeoutSeconds: 7_200 }),
    })
    const text = await answer.body.text()
    if (answer.statusCode !== 202) throw new Error(`POST answered ${answer.statusCode}: ${text}`)
  })
}

// ------------------------------------------------------------------------------------------------- measure

async function measure(stage: Stage, scale: number): Promise<Round> {
  const gets = Math.round(JOBS * scale) * RAW_TIMES
  const before = await measureRaw(stage, gets)
  const ours = await measureBoth(stage, scale)
  return { ...ours, raw: (before + (await measureRaw(stage, gets))) / 2 }
}

async function measureBoth(stage: Stage, scale: number): Promise<Omit<Round, 'raw'>> {
  const worker = await startTidemark('worker', stage.env, stage.folder)
  try {
    await untilAllIsQuiet(stage)
    const quiet = await measureOurs(stage, worker, ALL_STATISTICS_MS)
    const inFlight = Math.round(IN_FLIGHT * scale)
    await startSavepoints(stage.api, stage.fleet, inFlight)
    await untilAllAreAsked(stage.pool, inFlight)
    return { quiet, busy: await measureOurs(stage, worker, STATISTICS_MS) }
  } finally {
    await worker.stop()
    await stage.pool.query(`delete from attempt; delete from snapshot where kind = 'SAVEPOINT'`)
  }
}

async function measureRaw({ fleet }: Stage, count: number): Promise<number> {
  const pools = fleet.map(({ url }) => new HttpPool(url, { connections: CONNECTIONS, pipelining: 1 }))
  const targets = fleet.flatMap(({ jobs }, cluster) => jobs.map(({ id }) => ({ cluster, id })))
  try {
    const { perSecond } = await runLoad(count, CLUSTERS * CONNECTIONS, async (index) => {
      const target = targets[index % targets.length]
      const answer = await pools[target?.cluster ?? 0]?.request({
        method: 'GET',
        path: `/jobs/${target?.id}/checkpoints`,
      })
      await answer?.body.text()
    })
    return perSecond
  } finally {
    await Promise.all(pools.map((pool) => pool.close()))
  }
}

/** `settleMs`: before and after, so that everything counted until then is told and nothing from before is counted. */
async function measureOurs({ pool, counter, pids }: Stage, worker: Child, settleMs: number): Promise<Look> {
  await sleep(settleMs)
  const clock = await startCpuClock({ ...pids, worker: worker.pid }, pool)
  const before = await readCounts(pool, counter)
  const begun = performance.now()
  await sleep(MEASURE_MS)
  const polls = (await readPolls(counter)) - before.polls
  const perSecond = (polls * 1000) / (performance.now() - begun)
  const cpu = await clock(polls)
  await sleep(settleMs)
  const after = await readCounts(pool, counter)
  return {
    perSecond,
    polls: after.polls - before.polls,
    writes: after.writes - before.writes,
    statements: after.statements - before.statements,
    cpu,
  }
}

async function readPolls(counter: string): Promise<number> {
  const answer = await request(counter)
  return ((await answer.body.json()) as { checkpoints: number }).checkpoints
}

/** Every statement of ours is a transaction of its own; the heartbeat in `worker` is the one write that is meant to be. */
async function readCounts(pool: PgPool, counter: string) {
  const { rows } = await pool.query<{ statements: string; writes: string }>(
    `select (select xact_commit from pg_stat_database where datname = current_database()) as statements,
       (select sum(n_tup_ins + n_tup_upd + n_tup_del) from pg_stat_user_tables where relname <> 'worker') as writes`,
  )
  const polls = await readPolls(counter)
  return { polls, statements: Number(rows[0]?.statements), writes: Number(rows[0]?.writes) }
}

/** All runs and their checkpoints are written down, and nothing is written any more. */
async function untilAllIsQuiet({ pool, counter, fleet }: Stage): Promise<void> {
  const { polls: begun } = await readCounts(pool, counter)
  const jobs = fleet.reduce((sum, cluster) => sum + cluster.jobs.length, 0)
  for (const deadline = Date.now() + 180_000; Date.now() < deadline; ) {
    const { rows } = await pool.query<{ runs: string; checkpoints: string }>(
      `select (select count(*) from run where checkpoint_config is not null) as runs,
         (select count(*) from snapshot where kind = 'CHECKPOINT') as checkpoints`,
    )
    const [found] = rows
    if (Number(found?.runs) === jobs && Number(found?.checkpoints) === 10 * jobs) {
      const before = await readCounts(pool, counter)
      await sleep(STATISTICS_MS)
      const after = await readCounts(pool, counter)
      if (after.writes === before.writes && after.polls - begun > 2 * jobs) return
    }
    await sleep(500)
  }
  throw new Error('the worker did not come to rest')
}

async function untilAllAreAsked(pool: PgPool, inFlight: number): Promise<void> {
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(200)) {
    const { rows } = await pool.query<{ asked: string }>(
      'select count(*) as asked from attempt where asked_at is not null',
    )
    if (Number(rows[0]?.asked) >= inFlight) return
  }
  throw new Error('not every savepoint was asked for')
}

const summarize = (measured: readonly Round[]) => ({
  ratios: [
    {
      name: 'observed jobs/s',
      what: 'jobs observed per second, 1,000 savepoints in flight ÷ raw GETs of the same answers',
      bar: { is: 'at least' as const, first: 0.4, goal: 0.7 },
      rounds: measured.map(({ busy, raw }) => busy.perSecond / raw),
    },
    {
      name: 'statements',
      what: 'statements per 1,000 polls that show nothing new',
      bar: { is: 'at most' as const, first: 5, goal: null },
      rounds: measured.map(({ quiet }) => (quiet.statements * 1000) / quiet.polls),
    },
    {
      name: 'writes',
      what: 'rows written per poll that shows nothing new, 1 added so that none is a number',
      bar: { is: 'at most' as const, first: 1, goal: null },
      rounds: measured.map(({ quiet }) => 1 + quiet.writes / quiet.polls),
    },
  ],
  figures: measured.map(({ raw, quiet, busy }) => ({
    'raw GETs/s': raw,
    'jobs/s, nothing in flight': quiet.perSecond,
    'jobs/s, savepoints in flight': busy.perSecond,
    'rows written, nothing in flight': quiet.writes,
    'statements per 1,000 polls, savepoints in flight': (busy.statements * 1000) / busy.polls,
    ...busy.cpu,
  })),
})
