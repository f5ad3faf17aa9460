/**
 * B1: 5,000 savepoints through the API and a worker, from POST to Present, against the harmonic bound of what each of them
 * cannot do without, done raw and alone: one insert with event, one queue job added, one handled, one GET, one guarded
 * update with event. The simulated Flink is done before the worker's first look; the storage is Flink's alone, so nobody
 * reads files. 200 jobs, each asked again as soon as its savepoint has settled.
 */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool as PgPool } from 'pg'
import { Pool as HttpPool } from 'undici'
import type { Benchmark, BenchOptions } from './harness/benchmark.ts'
import { type Child, startScript, startTidemark } from './harness/child.ts'
import { startCpuClock } from './harness/cpu-time.ts'
import { type BenchJob, clearSnapshots, type Ground, layGround, TOKEN } from './harness/ground.ts'
import { runLoad } from './harness/load.ts'
import { openPool } from './harness/pool.ts'
import { insertRaw, moveRaw } from './harness/raw-postgres.ts'
import { openRawQueue, type RawQueue } from './harness/raw-queue.ts'
import { noteServiceVersions } from './harness/report.ts'
import { type BenchServices, startServices } from './harness/services.ts'

const LIFECYCLES = 5_000
const JOBS = 200
const CONNECTIONS = 16
const BULK = 100
/** Below the 50 ms after which a worker looks first. */
const SAVEPOINT_MS = 20

export const lifecycles: Benchmark = {
  name: 'b1',
  title: 'savepoints through the API until Present, everything durable',
  run,
}

type RawRates = { insert: number; move: number; add: number; handle: number; get: number }
type Round = RawRates & { bound: number; ours: number; cpu: Record<string, number> }

async function run({ rounds, scale, seed }: BenchOptions) {
  const services = await startServices()
  const pool = openPool(services.databaseUrl, CONNECTIONS)
  try {
    await noteServiceVersions(services.databaseUrl)
    const count = Math.round(LIFECYCLES * scale)
    const stage = await raiseStage(services, pool)
    try {
      const measured: Round[] = []
      for (let round = -1; round < rounds; round++) {
        const result = await measure(stage, count, `${seed}-${round}`)
        if (round >= 0) measured.push(result) // the first one warms both sides up
      }
      return summarize(measured)
    } finally {
      await stage.stop()
    }
  } finally {
    await pool.end()
    await services.stop()
  }
}

// --------------------------------------------------------------------------------------------------- stage

type Stage = {
  pool: PgPool
  ground: Ground
  api: HttpPool
  bare: HttpPool
  queue: RawQueue
  /** Ours run only while they are measured: an idle worker polls. */
  startWorker(): Promise<Child>
  pids: Record<string, number>
  stop(): Promise<void>
}

async function raiseStage({ databaseUrl, redisUrl, folder }: BenchServices, pool: PgPool): Promise<Stage> {
  const ground = await layGround(pool, JOBS)
  const jobsFile = join(folder, 'jobs.json')
  await writeFile(
    jobsFile,
    JSON.stringify(ground.jobs.map(({ flinkJobId, name }) => ({ id: flinkJobId, name }))),
  )
  const flink = await startScript('flink.ts', [jobsFile, String(SAVEPOINT_MS)], folder)
  await pool.query('update cluster set url = $1', [flink.url])
  const bareServer = await startScript('bare-http.ts', [], folder)
  const env = {
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl,
    TIDEMARK_TOKENS: `default:${TOKEN}`,
    TIDEMARK_HOST: '127.0.0.1',
    TIDEMARK_PORT: '0',
  }
  const server = await startTidemark('serve', env, folder)
  const queue = openRawQueue(redisUrl)
  const api = new HttpPool(server.url, { connections: CONNECTIONS, pipelining: 1 })
  const bare = new HttpPool(bareServer.url, { connections: CONNECTIONS, pipelining: 1 })
  return {
    pool,
    ground,
    api,
    bare,
    queue,
    startWorker: () => startTidemark('worker', env, folder),
    pids: { harness: process.pid, api: server.pid, flink: flink.pid },
    async stop() {
      await Promise.all([api.close(), bare.close(), queue.close()])
      await Promise.all([server.stop(), flink.stop(), bareServer.stop(), rm(jobsFile, { force: true })])
    },
  }
}

async function measure(stage: Stage, count: number, run: string): Promise<Round> {
  const raw = await measureRaw(stage, count)
  await clearSnapshots(stage.pool)
  const worker = await stage.startWorker()
  try {
    await untilAllAreObserved(stage.pool)
    await measureOurs(stage, Math.min(count, 2 * JOBS), `${run}-warm`) // a fresh worker has compiled nothing yet
    await clearSnapshots(stage.pool)
    const clock = await startCpuClock({ ...stage.pids, worker: worker.pid }, stage.pool)
    const ours = await measureOurs(stage, count, run)
    const cpu = await clock(count)
    await checkDurable(stage.pool, count)
    return { ...raw, bound: harmonic(raw), ours, cpu }
  } finally {
    await worker.stop()
  }
}

/** What one lifecycle after another could come to when nothing but these five things had to be done. */
const harmonic = ({ insert, move, add, handle, get }: RawRates): number =>
  1 / [insert, move, add, handle, get].reduce((sum, rate) => sum + 1 / rate, 0)

// ----------------------------------------------------------------------------------------------------- raw

async function measureRaw({ pool, ground, queue, bare }: Stage, count: number): Promise<RawRates> {
  await clearSnapshots(pool)
  const rates = { insert: 0, move: 0 }
  // A job has one unsettled savepoint at a time: so many inserts, then their moves, and again.
  for (let from = 0; from < count; from += ground.jobs.length) {
    const jobs = ground.jobs.slice(0, count - from)
    const ids: string[] = []
    const inserted = await runLoad(jobs.length, CONNECTIONS, async (index) => {
      const job = jobs[index]
      if (job) ids.push(await insertRaw(pool, ground, job, false))
    })
    const moved = await runLoad(ids.length, CONNECTIONS, (index) => moveRaw(pool, ids[index] ?? ''))
    rates.insert += inserted.seconds
    rates.move += moved.seconds
  }
  const add = await queue.measureAdd(count, BULK)
  const handle = await queue.measureHandle(count)
  const get = await runLoad(count, CONNECTIONS, async (index) => {
    const answer = await bare.request({ method: 'GET', path: `/jobs/${index}/savepoints/${index}` })
    await answer.body.text()
  })
  return { insert: count / rates.insert, move: count / rates.move, add, handle, get: get.perSecond }
}

// ---------------------------------------------------------------------------------------------------- ours

async function untilAllAreObserved(pool: PgPool): Promise<void> {
  for (;;) {
    const { rows } = await pool.query<{ ready: boolean }>(
      `select count(*) = $1 and bool_and(c.reachable and w.id is not null) as ready
       from job j join run r on r.id = j.current_run_id and r.all_tasks_running
         join cluster c on c.id = j.cluster_id left join worker w on w.id = c.observer_id`,
      [JOBS],
    )
    if (rows[0]?.ready) return
    await sleep(100)
  }
}

async function measureOurs({ pool, api, ground }: Stage, count: number, run: string): Promise<number> {
  const free = [...ground.jobs]
  const underWay = new Map<string, BenchJob>()
  let posted = 0
  let present = 0
  const begun = performance.now()

  const poster = async () => {
    while (posted < count) {
      const job = free.shift()
      if (!job) {
        await sleep(2)
        continue
      }
      const number = posted++
      await post(api, job, `${run}-${number}`)
      underWay.set(job.id, job)
    }
  }
  /** What is no longer unsettled is done; the partial index holds at most one row per job. */
  const watcher = async () => {
    while (present < count) {
      await sleep(20)
      const asked = [...underWay.values()]
      const { rows } = await pool.query<{ job_id: string }>({
        name: 'unsettled',
        text: `select job_id from snapshot where settled_at is null and source in ('MANUAL', 'STOP', 'DEPLOY', 'SCHEDULE')`,
      })
      const open = new Set(rows.map((row) => row.job_id))
      for (const job of asked.filter(({ id }) => !open.has(id))) {
        underWay.delete(job.id)
        free.push(job)
        present += 1
      }
    }
  }
  await Promise.all([watcher(), ...Array.from({ length: CONNECTIONS }, poster)])
  return (count * 1000) / (performance.now() - begun)
}

async function post(api: HttpPool, job: BenchJob, key: string): Promise<void> {
  const answer = await api.request({
    method: 'POST',
    path: `/v1/jobs/${job.name}/savepoints`,
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json', 'idempotency-key': key },
    body: '{}',
  })
  const text = await answer.body.text()
  if (answer.statusCode !== 202) throw new Error(`POST answered ${answer.statusCode}: ${text}`)
}

/** Nothing but Present, asked once, with both transitions and both events. */
async function checkDurable(pool: PgPool, count: number): Promise<void> {
  const { rows } = await pool.query<Record<string, string>>(
    // The observer takes what was cleared away before this round for somebody else's: those are not ours to count.
    `with ours as (select id, status, location from snapshot where source = 'MANUAL')
     select (select count(*) from ours where status = 'Present' and location is not null) as present,
       (select count(*) from attempt where outcome = 'COMPLETED') as attempts,
       (select count(*) / 2 from history.snapshot_transition t join ours on ours.id = t.snapshot_id) as transitions,
       (select count(*) / 2 from history.event e join ours on ours.id = e.snapshot_id where type = 'snapshot.status') as events`,
  )
  for (const [what, found] of Object.entries(rows[0] ?? {})) {
    if (Number(found) !== count) throw new Error(`${found} ${what} instead of ${count}`)
  }
}

const summarize = (measured: readonly Round[]) => ({
  ratios: [
    {
      name: 'B1',
      what: 'lifecycles/s ÷ harmonic bound of the raw parts',
      bar: { is: 'at least' as const, first: 0.25, goal: 0.5 },
      rounds: measured.map(({ ours, bound }) => ours / bound),
    },
  ],
  figures: measured.map(({ insert, move, add, handle, get, bound, ours, cpu }) => ({
    'insert+event/s': insert,
    'update+event/s': move,
    'bulk add/s': add,
    'no-op/s': handle,
    'GET/s': get,
    'bound/s': bound,
    'lifecycles/s': ours,
    ...cpu,
  })),
})
