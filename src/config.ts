/**
 * The environment as one frozen, typed Config; the only reader of process.env. All problems are listed at once.
 * `.env.example` names every setting, and a test compares the two.
 */

export class ConfigError extends Error {
  override name = 'ConfigError'
}

type Setting<Value> = { env: string; read: (text: string) => Value; fallback: () => Value; help: string }

const text = (env: string, fallback: string, help: string): Setting<string> => ({
  env,
  read: (v) => v,
  fallback: () => fallback,
  help,
})

const optional = (env: string, help: string): Setting<string | null> => ({
  env,
  read: (v) => v,
  fallback: () => null,
  help,
})

function integer(env: string, fallback: number, [min, max]: [number, number], help: string): Setting<number> {
  return {
    env,
    fallback: () => fallback,
    help,
    read: (value) => {
      const number = Number(value)
      if (!/^\d+$/.test(value) || number < min || number > max)
        throw new Error(`must be a whole number from ${min} to ${max}`)
      return number
    },
  }
}

function oneOf<const Value extends string>(
  env: string,
  values: readonly Value[],
  fallback: Value,
  help: string,
): Setting<Value> {
  return {
    env,
    fallback: () => fallback,
    help,
    read: (value) => {
      const found = values.find((known) => known === value)
      if (!found) throw new Error(`must be one of ${values.join(', ')}`)
      return found
    },
  }
}

const list = (env: string, help: string): Setting<string[]> => ({
  env,
  fallback: () => [],
  help,
  read: (value) =>
    value
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== ''),
})

function readPort(value: string): number {
  const port = Number(value)
  if (!/^\d+$/.test(value) || port > 65535) throw new Error('must be a port')
  return port
}

export type Token = { namespace: string; token: string }

/** `namespace:token`, comma separated; the name part before the first colon. */
function readTokens(value: string): Token[] {
  return value.split(',').map((pair) => {
    const [, namespace, token] = /^\s*([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?):(\S{16,})\s*$/.exec(pair) ?? []
    if (namespace === undefined || token === undefined) {
      throw new Error('must read namespace:token, comma separated, each token of at least 16 characters')
    }
    return { namespace, token }
  })
}

const SECOND = 1_000
const DAY = 86_400 * SECOND

export const SETTINGS = {
  databaseUrl: text(
    'DATABASE_URL',
    'postgres://tidemark:tidemark@127.0.0.1:5432/tidemark',
    'Postgres, the only record.',
  ),
  databasePoolSize: integer('TIDEMARK_DATABASE_POOL_SIZE', 20, [2, 200], 'Connections per process.'),
  redisUrl: optional('REDIS_URL', 'The queue. Unset: the queue lives on Postgres (one worker process only).'),
  queuePrefix: text('TIDEMARK_QUEUE_PREFIX', 'tidemark', 'Prefix of our keys in Redis.'),
  host: optional(
    'TIDEMARK_HOST',
    'Address to listen on. Unset: every address when tokens are set, else loopback.',
  ),
  port: integer('TIDEMARK_PORT', 8080, [0, 65535], 'Port of the API; 0 takes a free one.'),
  workerPort: {
    env: 'TIDEMARK_WORKER_PORT',
    read: readPort,
    fallback: () => null,
    help: "Port of the worker's /livez and /metrics. Unset: the worker listens nowhere.",
  } as Setting<number | null>,
  tokens: {
    env: 'TIDEMARK_TOKENS',
    read: readTokens,
    fallback: () => [],
    help: 'namespace:token,… One bearer token per namespace. Unset: no token is asked for, loopback only.',
  } as Setting<Token[]>,
  localRoots: list(
    'TIDEMARK_LOCAL_ROOTS',
    'Directories below which local storages may lie, comma separated.',
  ),
  secretsDir: optional('TIDEMARK_SECRETS_DIR', 'Directory with one folder of secret files per namespace.'),
  logLevel: oneOf(
    'TIDEMARK_LOG_LEVEL',
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
    'info',
    'Lowest level that is logged.',
  ),
  leaseMs: integer(
    'TIDEMARK_LEASE_MS',
    15 * SECOND,
    [500, DAY],
    'How long a silent worker keeps what it has claimed, in ms.',
  ),
  sweepIntervalMs: integer(
    'TIDEMARK_SWEEP_INTERVAL_MS',
    500,
    [20, 60 * SECOND],
    'Pause between two sweeps over due rows, in ms.',
  ),
  observeIntervalMs: integer(
    'TIDEMARK_OBSERVE_INTERVAL_MS',
    2 * SECOND,
    [50, 60 * SECOND],
    'Pause between two polls of a cluster, in ms.',
  ),
  checkpointIntervalMs: integer(
    'TIDEMARK_CHECKPOINT_INTERVAL_MS',
    5 * SECOND,
    [50, 600 * SECOND],
    'Pause between two looks at the checkpoint statistics of a job, in ms.',
  ),
  lostAfterMs: integer(
    'TIDEMARK_LOST_AFTER_MS',
    300 * SECOND,
    [SECOND, DAY],
    'A job that a reachable leader has not listed for so long is LOST, in ms.',
  ),
  foldIntervalMs: integer(
    'TIDEMARK_FOLD_INTERVAL_MS',
    60 * SECOND,
    [100, DAY],
    'Pause between two rounds that fold old checkpoints into hourly figures, in ms.',
  ),
  retentionIntervalMs: integer(
    'TIDEMARK_RETENTION_INTERVAL_MS',
    60 * SECOND,
    [100, DAY],
    'Pause between two rounds that clear what rules and expiry ask for, in ms.',
  ),
  rescaleSettleMs: integer(
    'TIDEMARK_RESCALE_SETTLE_MS',
    60 * SECOND,
    [0, DAY],
    'After a rescale, how long all tasks must have run before the next attempt, in ms.',
  ),
  maxAttempts: integer(
    'TIDEMARK_MAX_ATTEMPTS',
    3,
    [1, 10],
    'Attempts of one savepoint, rescales not counted.',
  ),
  scheduledSavepointsPerCluster: integer(
    'TIDEMARK_SCHEDULED_SAVEPOINTS_PER_CLUSTER',
    5,
    [1, 1000],
    'Savepoints of schedules in flight on one cluster at once; further ones wait for their turn.',
  ),
  workerConcurrency: integer(
    'TIDEMARK_WORKER_CONCURRENCY',
    100,
    [1, 5000],
    'Savepoints one worker advances at once.',
  ),
  flinkConnectTimeoutMs: integer(
    'TIDEMARK_FLINK_CONNECT_TIMEOUT_MS',
    3 * SECOND,
    [50, 60 * SECOND],
    'In ms.',
  ),
  flinkRequestTimeoutMs: integer(
    'TIDEMARK_FLINK_REQUEST_TIMEOUT_MS',
    10 * SECOND,
    [50, 600 * SECOND],
    'Whole answer, in ms.',
  ),
  flinkRunTimeoutMs: integer(
    'TIDEMARK_FLINK_RUN_TIMEOUT_MS',
    120 * SECOND,
    [50, 600 * SECOND],
    "Start of a job, whose program's main method runs meanwhile, in ms.",
  ),
  flinkMaxAnswerBytes: integer(
    'TIDEMARK_FLINK_MAX_ANSWER_BYTES',
    16 * 1024 * 1024,
    [1024, 1024 ** 3],
    'Longer answers are not read to their end.',
  ),
  flinkConnections: integer('TIDEMARK_FLINK_CONNECTIONS', 8, [1, 256], 'Connections to one JobManager.'),
  storageTimeoutMs: integer(
    'TIDEMARK_STORAGE_TIMEOUT_MS',
    20 * SECOND,
    [50, 600 * SECOND],
    'One request to object storage, in ms.',
  ),
  maxArtifactBytes: integer(
    'TIDEMARK_MAX_ARTIFACT_BYTES',
    512 * 1024 * 1024,
    [1024, 16 * 1024 ** 3],
    'A larger jar is not taken. One that is being uploaded lies in TMPDIR, so that must have room for it.',
  ),
  verifyPerSecond: integer(
    'TIDEMARK_VERIFY_PER_SECOND',
    5,
    [0, 1000],
    'Snapshots of which one worker begins to look for every file, per second; 0: none by itself.',
  ),
  verifyEveryHours: integer(
    'TIDEMARK_VERIFY_EVERY_HOURS',
    168,
    [1, 8760],
    'How long after a snapshot was verified it is verified again, in hours.',
  ),
  maxEventLoopDelayMs: integer(
    'TIDEMARK_MAX_EVENT_LOOP_DELAY_MS',
    2 * SECOND,
    [0, 600 * SECOND],
    'Above this mean delay of its event loop the API answers 503 OVERLOADED, in ms; 0 never.',
  ),
  shutdownGraceMs: integer(
    'TIDEMARK_SHUTDOWN_GRACE_MS',
    10 * SECOND,
    [100, 600 * SECOND],
    'How long a stopping process finishes what it began, in ms.',
  ),
  crashAt: optional(
    'TIDEMARK_CRASH_AT',
    'Tests only: the process kills itself at this named point (name or name:count).',
  ),
} as const

type Settings = typeof SETTINGS
export type Config = {
  readonly [Name in keyof Settings]: Settings[Name] extends Setting<infer Value> ? Value : never
}

/** Throws ConfigError listing everything that is wrong. An empty variable counts as unset. */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const problems: string[] = []
  const entries = Object.entries(SETTINGS).map(([name, setting]) => {
    const value = env[setting.env]
    if (value === undefined || value === '') return [name, setting.fallback()]
    try {
      return [name, setting.read(value)]
    } catch (error) {
      problems.push(`${setting.env} ${error instanceof Error ? error.message : String(error)}`)
      return [name, setting.fallback()]
    }
  })
  problems.push(...unknownSettings(env))
  if (problems.length > 0)
    throw new ConfigError(`The configuration is not usable:\n  ${problems.join('\n  ')}`)
  return Object.freeze(Object.fromEntries(entries))
}

/** A misspelt setting would silently be a default. Secrets and what scripts around us use are named here. */
const OTHERS = /^TIDEMARK_(SECRET_|CACHE_DIR$|URL$|TOKEN$|TEST_)/
function unknownSettings(env: NodeJS.ProcessEnv): string[] {
  const known = new Set<string>(Object.values(SETTINGS).map((setting) => setting.env))
  return Object.keys(env)
    .filter((name) => name.startsWith('TIDEMARK_') && !known.has(name) && !OTHERS.test(name))
    .map((name) => `${name} is not a setting`)
}
