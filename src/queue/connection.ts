/**
 * The queue's backend: Redis in production; for the embedded default the Postgres we have anyway (one worker process).
 * Producers fail fast, so that an API without Redis still answers 202; workers wait for it to come back.
 */
import {
  createPostgresBackend,
  Queue,
  type QueueOptions,
  Worker,
  type WorkerOptions,
  withBackend,
} from 'bullmq'
import { Redis } from 'ioredis'
import { handle, type JOB_OPTIONS, QUEUE_NAME, type QueueHandlers, type QueueJobName } from './catalog.ts'

export type QueueBackend = { kind: 'redis'; url: string; prefix: string } | { kind: 'postgres'; url: string }

export type Producer = {
  add(name: QueueJobName, data: object, options: typeof JOB_OPTIONS): Promise<unknown>
  /** Throws when the queue cannot be reached. */
  ping(): Promise<void>
  close(): Promise<void>
}

export type RunningWorker = {
  /** Finishes what it has begun, at most `graceMs`, and takes nothing new. */
  close(graceMs: number): Promise<void>
}

type Hooks = { onError: (error: Error) => void }

const onPostgres = withBackend(createPostgresBackend)

/** Of what has happened to hints, which nobody reads; ten thousand are kept by default. */
const MOST_EVENTS = 100

/** Stalled is what a killed worker left; it is only a hint, so it may stall as often as it likes. */
const WORKER_OPTIONS = { lockDuration: 10_000, stalledInterval: 10_000, maxStalledCount: 1_000 } as const

export async function openProducer(backend: QueueBackend, hooks: Hooks): Promise<Producer> {
  if (backend.kind === 'postgres') {
    const queue = new onPostgres.Queue(QUEUE_NAME, { connection: postgresConnection(backend.url) })
    queue.on('error', hooks.onError)
    return {
      add: (name, data, options) => queue.add(name, data, options),
      ping: async () => void (await queue.waitUntilReady()),
      close: () => queue.close(),
    }
  }
  const redis = new Redis(backend.url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    lazyConnect: true,
    connectTimeout: 2_000,
    retryStrategy: (times) => Math.min(2_000, 100 * times),
  })
  redis.on('error', hooks.onError)
  const queue = new Queue(QUEUE_NAME, queueOptions(redis, backend.prefix))
  // BullMQ's option for it is written when the queue is made, and lost where Redis is not there yet
  redis.on('ready', () => {
    redis.hset(queue.toKey('meta'), 'opts.maxLenEvents', MOST_EVENTS).catch(() => undefined)
  })
  // A Redis that is away is no reason not to start: the sweep does the work meanwhile.
  redis.connect().catch(() => undefined)
  queue.on('error', hooks.onError)
  return {
    add: (name, data, options) => queue.add(name, data, options),
    ping: async () => void (await redis.ping()),
    close: async () => {
      await queue.close()
      redis.disconnect()
    },
  }
}

// BullMQ logs and carries on where Redis's version or policy is not to its taste; we check the policy ourselves.
const queueOptions = (connection: Redis, prefix: string): QueueOptions => ({
  connection,
  prefix,
  skipVersionCheck: true,
  skipWaitingForReady: true,
})

export async function startQueueWorker(
  backend: QueueBackend,
  handlers: QueueHandlers,
  options: { concurrency: number } & Hooks,
): Promise<RunningWorker> {
  const process = (job: { name: string; data: unknown }) => handle(handlers, job.name, job.data)
  if (backend.kind === 'postgres') {
    const worker = new onPostgres.Worker(QUEUE_NAME, process, {
      connection: postgresConnection(backend.url),
      concurrency: options.concurrency,
      ...WORKER_OPTIONS,
    })
    worker.on('error', options.onError)
    return closer(worker, () => undefined)
  }
  const redis = new Redis(backend.url, {
    maxRetriesPerRequest: null,
    retryStrategy: (times) => Math.min(2_000, 100 * times),
  })
  redis.on('error', options.onError)
  const workerOptions: WorkerOptions = {
    connection: redis,
    prefix: backend.prefix,
    concurrency: options.concurrency,
    skipVersionCheck: true,
    ...WORKER_OPTIONS,
  }
  const worker = new Worker(QUEUE_NAME, process, workerOptions)
  worker.on('error', options.onError)
  return closer(worker, () => redis.disconnect())
}

function closer(worker: { close(force?: boolean): Promise<void> }, after: () => void): RunningWorker {
  return {
    close: async (graceMs) => {
      const gentle = worker.close().catch(() => undefined)
      const limit = new Promise<'late'>((resolve) => setTimeout(resolve, graceMs, 'late').unref())
      // With Redis away a gentle close waits for it; what is in hand keeps its lease and is taken up again.
      if ((await Promise.race([gentle, limit])) === 'late') worker.close(true).catch(() => undefined)
      after()
    },
  }
}

const postgresConnection = (url: string) => ({ connectionString: url, migrate: true, max: 4 })

/** Evicting would lose hints silently; anything but `noeviction` is refused at the start. null: it could not be asked. */
export async function readEvictionPolicy(url: string): Promise<string | null> {
  const redis = new Redis(url, {
    lazyConnect: true,
    maxRetriesPerRequest: 1,
    connectTimeout: 2_000,
    retryStrategy: () => null,
  })
  redis.on('error', () => undefined)
  try {
    await redis.connect()
    const answer = await redis.config('GET', 'maxmemory-policy')
    return Array.isArray(answer) ? String(answer[1]) : null
  } catch {
    return null // also a managed Redis that forbids CONFIG
  } finally {
    redis.disconnect()
  }
}
