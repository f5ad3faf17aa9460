/**
 * What a random run happens in: an installation of its own (database, Redis, object store, an API process, two workers),
 * one or two simulated Flinks behind proxies, and a keeper that starts again whatever died.
 */
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { sampleJobArguments } from '../../dev/flink/submit.ts'
import { type RedisService, startRedis } from '../../dev/services/redis.ts'
import { startTcpProxy, type TcpProxy } from '../../dev/services/tcp-proxy.ts'
import type { Api } from '../support/api.ts'
import { SAMPLE_CLASS, writeJar } from '../support/flink-under-test.ts'
import type { StartedProcess } from '../support/processes.ts'
import { type ScriptedFlink, startScriptedFlink } from '../support/simulated-flink.ts'
import { startSystem, type TestSystem } from '../support/system.ts'
import { collect } from './collect.ts'
import type { ClientCall, Disturbance, History, Limits, Wish } from './history.ts'
import type { Random } from './random.ts'
import { openRunStore, type RunStore } from './store.ts'

export type Cluster = ScriptedFlink & { name: string; proxy: TcpProxy; jobs: FlinkJob[] }
/** `id` changes when the job is deployed anew. */
export type FlinkJob = { name: string; id: string; isOver: boolean }

export type World = {
  system: TestSystem
  redis: RedisService
  store: RunStore
  clusters: Cluster[]
  /** Of the first cluster; only we start them. */
  managedJobs: string[]
  workers: Seat[]
  server: Seat
  calls: ClientCall[]
  wishes: Wish[]
  disturbances: Disturbance[]
  endedFlinkJobs: string[]
  /** Undone when the faults end. */
  cleanUps: (() => void)[]
  disturb(what: string, work: () => Promise<unknown>): Promise<void>
  /** Replaces the API, or both workers, by ones that die at this point. */
  crashNext(process: 'worker' | 'server', point: string): Promise<void>
  /** Whether one of those has died since, and not at our hand. */
  crashed(process: 'worker' | 'server'): boolean
  /** Waits until every seat is taken by a living, thawed process. */
  settle(): Promise<void>
  /** Ends our processes for good, so that what is read next stays as it is. */
  halt(): Promise<void>
  /** What it all left behind. */
  collect(): Promise<Remains>
  close(): Promise<void>
}

type Remains = Awaited<ReturnType<typeof collect>> & Pick<History, 'calls' | 'wishes' | 'deletes'>

/** Where one process of ours sits; the keeper puts a new one there when it dies. */
export type Seat = {
  current: StartedProcess
  frozen: boolean
  /** Where the next process in this seat dies. */
  crashAt: string | undefined
  deaths: number
  /** Resolves once the seat is taken by a living process. */
  alive: Promise<void>
}

const REQUEST_TIMEOUT_MS = 1_000

const ENV = {
  TIDEMARK_FLINK_REQUEST_TIMEOUT_MS: String(REQUEST_TIMEOUT_MS),
  TIDEMARK_FLINK_CONNECT_TIMEOUT_MS: '500',
  TIDEMARK_RESCALE_SETTLE_MS: '300',
  TIDEMARK_LOST_AFTER_MS: '1500',
  TIDEMARK_WORKER_CONCURRENCY: '20',
  TIDEMARK_STORAGE_TIMEOUT_MS: '1000',
  TIDEMARK_RETENTION_INTERVAL_MS: '300',
}

export const LIMITS: Limits = {
  leaseMs: 2_000,
  sweepMs: 100,
  lastLookMs: 4 * REQUEST_TIMEOUT_MS,
  // A clearing that has failed again and again waits longer than a savepoint does.
  drainMs: 25_000,
}

export type WorldOptions = {
  name: string
  clusters: number
  jobsPerCluster: number
  /** With a job that only we start. */
  managed?: boolean
  /** The migrated database that its own is a copy of. */
  template?: string
  /** 2 when absent. */
  workers?: 1 | 2
  random: Random
  /** The first crash point of each process. */
  crashAt?: { server?: string; workers?: (string | undefined)[] }
}

export async function openWorld(options: WorldOptions): Promise<World> {
  const redis = await startRedis()
  const opened: (() => Promise<unknown>)[] = [() => redis.stop()]
  const close = async () => {
    for (const stop of opened.reverse()) await stop()
  }
  try {
    const store = await openRunStore()
    opened.push(() => store.close())
    const system = await startSystem({
      name: options.name,
      workers: 0,
      ...(options.template !== undefined && { template: options.template }),
      env: { ...ENV, ...store.env, REDIS_URL: redis.url },
    })
    opened.push(() => system.stop())
    const clusters = await Promise.all(
      Array.from({ length: options.clusters }, (_, index) => openCluster(index, store, options)),
    )
    opened.push(() => Promise.all(clusters.map(closeCluster)))
    await describeToApi(system, store, clusters)
    const managedJobs = options.managed ? [await createManagedJob(system, store)] : []
    const world = await keepAlive({ system, redis, store, clusters, managedJobs }, options)
    const stopKeeping = world.close
    return {
      ...world,
      async close() {
        await stopKeeping()
        await close()
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function openCluster(
  index: number,
  store: RunStore,
  { jobsPerCluster, random }: WorldOptions,
): Promise<Cluster> {
  const scripted = await startScriptedFlink({
    version: index === 0 ? '2.3.0' : '1.20.3',
    restartDelayMs: random.int(100, 500),
    savepointDurationMs: random.int(50, 300),
    s3: store.flinkOptions,
  })
  const name = `flink-${index + 1}`
  const jobs = Array.from({ length: jobsPerCluster }, (_, number) => {
    const job = scripted.flink.addJob({ name: `job-${index + 1}-${number + 1}`, parallelism: 2 })
    return { name: job.name, id: job.id, isOver: false }
  })
  return { ...scripted, name, jobs, proxy: await startTcpProxy({ target: scripted.flink.url }) }
}

async function closeCluster({ proxy, flink }: Cluster): Promise<void> {
  await proxy.stop()
  await flink.stop()
}

async function describeToApi(
  { api }: TestSystem,
  store: RunStore,
  clusters: readonly Cluster[],
): Promise<void> {
  await create(api, 'storages', { name: 'savepoints', ...store.input })
  for (const { name, proxy, jobs } of clusters) {
    await create(api, 'clusters', { name, url: proxy.url })
    for (const job of jobs) {
      const attach = { flinkJobName: job.name }
      await create(api, 'jobs', { name: job.name, cluster: name, savepointStorage: 'savepoints', attach })
    }
  }
}

const MANAGED = 'managed'

/** It is not started; its checkpoints come every second. */
async function createManagedJob({ api, env }: TestSystem, store: RunStore): Promise<string> {
  const jar = await writeJar()
  const token = /(?:^|,)default:([^,]+)/.exec(env['TIDEMARK_TOKENS'] ?? '')?.[1]
  const answer = await fetch(`${api.url}/v1/artifacts?storage=savepoints`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/java-archive' },
    body: await readFile(jar.file),
  })
  await jar.remove()
  if (!answer.ok) throw new Error(`artifact: ${answer.status} ${await answer.text()}`)
  const { artifact } = (await answer.json()) as { artifact: string }
  await create(api, 'jobs', { name: MANAGED, cluster: 'flink-1', savepointStorage: 'savepoints' })
  await create(api, `jobs/${MANAGED}/versions`, {
    artifact,
    entryClass: SAMPLE_CLASS,
    programArgs: sampleJobArguments({ name: MANAGED, rate: 50, keys: 20, bytesPerKey: 100 }),
    parallelism: 2,
    checkpointing: {
      intervalMs: 1_000,
      storage: { type: 'filesystem', dir: `${store.checkpointRoot}/${MANAGED}` },
    },
  })
  return MANAGED
}

async function create(api: Api, what: string, body: Record<string, unknown>): Promise<void> {
  const answer = await api.call('POST', `/v1/${what}`, { body })
  if (answer.status !== 201) throw new Error(`${what}: ${answer.status} ${JSON.stringify(answer.body)}`)
}

// ---------------------------------------------------------------------------------------------------- keeper

async function keepAlive(
  opened: Pick<World, 'system' | 'redis' | 'store' | 'clusters' | 'managedJobs'>,
  { crashAt = {}, workers: count = 2 }: WorldOptions,
): Promise<World> {
  const { system, store, clusters, managedJobs } = opened
  const disturbances: Disturbance[] = []
  const [calls, wishes, endedFlinkJobs]: [ClientCall[], Wish[], string[]] = [[], [], []]
  let isClosing = false

  const keep = (seat: Seat, what: string, start: Start): void => {
    void seat.current.ended.then(async () => {
      if (isClosing) return
      const from = Date.now()
      seat.frozen = false
      seat.deaths += 1
      seat.alive = restart(() => start(takeCrashPoint(seat))).then((next) => {
        seat.current = next
        disturbances.push({ what: `${what} died`, from, to: Date.now() })
        keep(seat, what, start)
      })
      await seat.alive
    })
  }
  /** What needs Postgres to start may be refused by it right now: whoever runs us in production tries again too. */
  const restart = async (start: () => Promise<StartedProcess>): Promise<StartedProcess> => {
    for (let tries = 1; ; tries++) {
      try {
        return await start()
      } catch (error) {
        if (isClosing || tries === 5) throw error
        await sleep(200)
      }
    }
  }
  const sit = (current: StartedProcess): Seat => ({
    current,
    frozen: false,
    crashAt: undefined,
    deaths: 0,
    alive: Promise.resolve(),
  })
  const startServer = async (env: Record<string, string> = {}) => {
    await system.restartServer(env)
    return system.server
  }

  const [firstCrash, secondCrash] = crashAt.workers ?? []
  const workers = await Promise.all(
    [firstCrash, secondCrash]
      .slice(0, count)
      .map(async (point) => sit(await system.startWorker(crashEnv(point)))),
  )
  const server = sit(crashAt.server ? await startServer(crashEnv(crashAt.server)) : system.server)
  for (const [index, seat] of workers.entries()) keep(seat, `worker ${index + 1}`, system.startWorker)
  keep(server, 'API', startServer)

  return {
    ...opened,
    workers,
    server,
    calls,
    wishes,
    disturbances,
    endedFlinkJobs,
    cleanUps: [],
    async disturb(what, work) {
      const from = Date.now()
      try {
        await work()
      } finally {
        disturbances.push({ what, from, to: Date.now() })
      }
    },
    async settle() {
      for (const seat of [...workers, server]) {
        if (seat.frozen) seat.current.child.kill('SIGCONT')
        seat.frozen = false
        await seat.alive
      }
    },
    async halt() {
      isClosing = true
      await Promise.allSettled([...workers, server].map(({ alive }) => alive))
      await Promise.all([...workers, server].map(({ current }) => current.stop(5_000)))
    },
    async collect() {
      const remains = await collect({
        databaseUrl: system.databaseUrl,
        objects: await store.listObjects(),
        contents: store.contents,
        flinks: clusters.map(({ flink }) => flink),
        endedFlinkJobs,
        managedJobs,
      })
      return { ...remains, calls, wishes, deletes: [...store.deletes] }
    },
    async crashNext(process, point) {
      const seats = process === 'server' ? [server] : workers
      for (const seat of seats) {
        seat.crashAt = point
        seat.deaths = 0
        await seat.current.kill()
        await waitForDeath(seat)
        await seat.alive
        seat.deaths = 0
      }
    },
    crashed: (process) => (process === 'server' ? [server] : workers).some(({ deaths }) => deaths > 0),
    async close() {
      isClosing = true
      await Promise.allSettled([...workers, server].map(({ alive }) => alive))
    },
  }
}

type Start = (env: Record<string, string>) => Promise<StartedProcess>

/** Once: whoever comes after it lives on. */
function takeCrashPoint(seat: Seat): Record<string, string> {
  const point = seat.crashAt
  seat.crashAt = undefined
  return crashEnv(point)
}

/** The keeper has noticed: from now on `alive` speaks of the next process. */
const waitForDeath = async (seat: Seat): Promise<void> => {
  while (seat.deaths === 0) await sleep(5)
}

const crashEnv = (point: string | undefined): Record<string, string> =>
  point === undefined ? {} : { TIDEMARK_CRASH_AT: point }

/** As a superuser: cuts every connection that our processes have to their database. */
export async function killBackends(databaseUrl: string): Promise<void> {
  const client = new Client({ connectionString: databaseUrl })
  client.on('error', () => undefined)
  await client.connect()
  try {
    await client.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
    )
  } finally {
    await client.end()
  }
}
