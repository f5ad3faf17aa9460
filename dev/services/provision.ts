/**
 * The services a test run, a benchmark or CI needs: those the environment names by URL are used as they are,
 * the others are started here and end with us. Children find all of them by the same variables.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { startPostgres } from '../../src/cli/embedded-postgres.ts'
import { startRedis } from './redis.ts'
import { openRunFolder, POSTGRES_PREFIX, removeRunFolder } from './run-folder.ts'
import { startFauxqs, startVersityGateway } from './s3.ts'

export type ServiceName = 'postgres' | 'redis' | 's3' | 'versitygw'

export type ProvisionOptions = {
  need: readonly ServiceName[]
  /** Over the defaults, which trade safety against power loss for speed: benchmarks set `fsync: 'on'`. */
  postgresSettings?: Record<string, string | number>
  /** Started here whatever the environment names: for who cannot have neighbours. */
  own?: boolean
}

export type ProvisionedServices = {
  /** TEST_…_URL of each needed service, for the environment of children. */
  env: Record<string, string>
  stop(): Promise<void>
}

type Started = { env: Record<string, string>; stop(): Promise<void> }
type Starter = (options: ProvisionOptions) => Promise<Started>

/** The first variable says where a service is; the others go with it. */
const VARIABLES: Record<ServiceName, readonly [string, ...string[]]> = {
  postgres: ['TEST_DATABASE_URL'],
  redis: ['TEST_REDIS_URL'],
  s3: ['TEST_S3_URL'],
  versitygw: ['TEST_VERSITYGW_URL', 'TEST_VERSITYGW_ACCESS_KEY', 'TEST_VERSITYGW_SECRET_KEY'],
}

const STARTERS: Record<ServiceName, Starter> = {
  postgres: startTestPostgres,
  redis: async () => {
    const redis = await startRedis()
    return { env: { TEST_REDIS_URL: redis.url }, stop: redis.stop }
  },
  s3: async () => {
    const fauxqs = await startFauxqs()
    return { env: { TEST_S3_URL: fauxqs.url }, stop: fauxqs.stop }
  },
  versitygw: startTestGateway,
}

export async function provisionServices(options: ProvisionOptions): Promise<ProvisionedServices> {
  const starting = [...new Set(options.need)].map(
    (name) => (options.own ? undefined : findInEnvironment(name)) ?? STARTERS[name](options),
  )
  const stop = stopOnceFor(starting)
  const outcomes = await Promise.allSettled(starting)
  const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
  if (failures.length > 0) {
    await stop()
    throw new AggregateError(failures, failures.map((failure) => failure.message).join(' '))
  }
  const started = await Promise.all(starting)
  return { env: Object.assign({}, ...started.map(({ env }) => env)), stop }
}

function findInEnvironment(name: ServiceName): Promise<Started> | undefined {
  const [urlVariable] = VARIABLES[name]
  if (!process.env[urlVariable]) return undefined
  const env = Object.fromEntries(VARIABLES[name].map((variable) => [variable, process.env[variable] ?? '']))
  return Promise.resolve({ env, stop: async () => undefined })
}

/** A stop that may be called often, and that SIGINT and SIGTERM call too, even while services are starting. */
function stopOnceFor(starting: readonly Promise<Started>[]): () => Promise<void> {
  let stopping: Promise<void> | undefined
  const onSignal = (name: NodeJS.Signals) => {
    stop().finally(() => {
      // Nobody else listens: end as if we had not listened either. Otherwise exiting is their decision.
      if (process.listenerCount(name) === 0) process.kill(process.pid, name)
    })
  }
  const stop = () => {
    stopping ??= stopAll(starting).finally(() => {
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
    })
    return stopping
  }
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
  return stop
}

async function stopAll(starting: readonly Promise<Started>[]): Promise<void> {
  const outcomes = await Promise.allSettled(starting)
  await Promise.all(
    outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value.stop() : undefined)),
  )
  await removeRunFolder()
}

async function startTestPostgres({ postgresSettings }: ProvisionOptions): Promise<Started> {
  const dataDir = join(await openRunFolder(), `${POSTGRES_PREFIX}${Math.random().toString(36).slice(2)}`)
  // Without fsync a commit still outlives a killed Postgres, only not a crashed machine.
  const settings = { fsync: 'off', full_page_writes: 'off', max_connections: 300, ...postgresSettings }
  const postgres = await startPostgres({ dataDir, settings })
  return {
    env: { TEST_DATABASE_URL: postgres.url },
    async stop() {
      await postgres.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

async function startTestGateway(): Promise<Started> {
  const credentials = { accessKey: 'tidemark', secretKey: 'tidemark-secret' }
  const gateway = await startVersityGateway({ ...credentials, versioning: true })
  const env = {
    TEST_VERSITYGW_URL: gateway.url,
    TEST_VERSITYGW_ACCESS_KEY: credentials.accessKey,
    TEST_VERSITYGW_SECRET_KEY: credentials.secretKey,
  }
  return { env, stop: gateway.stop }
}
