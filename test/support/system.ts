/**
 * A whole installation for one test file: its own migrated database, queue prefix and storage folder, an API process and
 * workers, two namespaces with a token each. Times are scaled so that leases and sweeps pass quickly.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDatabase } from '../../dev/services/database.ts'
import { migrate } from '../../src/db/migrate.ts'
import { type Api, apiClient } from './api.ts'
import { MIGRATIONS } from './database.ts'
import { type StartedProcess, startProcess } from './processes.ts'

export type TestSystem = {
  /** The caller of namespace `default`; `other` is the second tenant. */
  api: Api
  other: Api
  /** The local root that storages may use. */
  folder: string
  databaseUrl: string
  redisUrl: string
  env: Record<string, string>
  server: StartedProcess
  workers: StartedProcess[]
  startWorker(env?: Record<string, string>): Promise<StartedProcess>
  /** Starts the API again on the same port after it was killed. */
  restartServer(env?: Record<string, string>): Promise<void>
  /** Everything the processes printed, for a failing test. */
  output(): string
  stop(): Promise<void>
}

export type SystemOptions = {
  name: string
  /** Over the scaled defaults. */
  env?: Record<string, string>
  workers?: number
  /** A migrated database nobody is connected to: copying it beats migrating again. */
  template?: string
  /** `postgres`: the queue of the embedded default. */
  queue?: 'redis' | 'postgres'
}

const SCALED = {
  TIDEMARK_LEASE_MS: '2000',
  TIDEMARK_SWEEP_INTERVAL_MS: '100',
  TIDEMARK_OBSERVE_INTERVAL_MS: '200',
  TIDEMARK_CHECKPOINT_INTERVAL_MS: '400',
  TIDEMARK_FOLD_INTERVAL_MS: '1000',
  TIDEMARK_MAX_EVENT_LOOP_DELAY_MS: '0', // test machines are busy; overload has a test of its own
  TIDEMARK_LOG_LEVEL: 'info',
}

export async function startSystem(options: SystemOptions): Promise<TestSystem> {
  const folder = await mkdtemp(join(tmpdir(), `tidemark-${options.name}-`))
  const { template } = options
  const database = await createDatabase(
    process.env['TEST_DATABASE_URL'] ?? '',
    options.name,
    template === undefined ? {} : { template },
  )
  if (template === undefined) await migrate(database.url, MIGRATIONS)
  const redisUrl = process.env['TEST_REDIS_URL'] ?? ''
  const tokens = { default: randomBytes(16).toString('hex'), other: randomBytes(16).toString('hex') }
  const env: Record<string, string> = {
    ...SCALED,
    DATABASE_URL: database.url,
    ...(options.queue === 'postgres' ? {} : { REDIS_URL: redisUrl, TIDEMARK_QUEUE_PREFIX: database.name }),
    TIDEMARK_TOKENS: `default:${tokens.default},other:${tokens.other}`,
    TIDEMARK_HOST: '127.0.0.1',
    TIDEMARK_PORT: '0',
    TIDEMARK_LOCAL_ROOTS: folder,
    ...options.env,
  }
  const system = {
    server: await startProcess('serve', env),
    workers: [] as StartedProcess[],
    past: [] as string[],
  }
  const port = new URL(system.server.url).port
  const startWorker = async (more: Record<string, string> = {}) => {
    const worker = await startProcess('worker', { ...env, ...more })
    system.workers.push(worker)
    return worker
  }
  await Promise.all(Array.from({ length: options.workers ?? 1 }, () => startWorker()))

  return {
    api: apiClient(system.server.url, tokens.default),
    other: apiClient(system.server.url, tokens.other),
    folder,
    databaseUrl: database.url,
    redisUrl,
    env,
    get server() {
      return system.server
    },
    workers: system.workers,
    startWorker,
    async restartServer(more = {}) {
      await system.server.kill()
      system.past.push(system.server.output())
      system.server = await startProcess('serve', { ...env, TIDEMARK_PORT: port, ...more })
    },
    output: () =>
      [...system.past, ...[system.server, ...system.workers].map((each) => each.output())].join('\n'),
    async stop() {
      await Promise.all([system.server, ...system.workers].map((each) => each.stop()))
      await database.drop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
