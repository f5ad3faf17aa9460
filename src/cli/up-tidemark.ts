/** Postgres, API and worker of `tidemark up`. Loaded apart: most of our code hangs on it, and Flink need not wait for that. */
import { mkdir } from 'node:fs/promises'
import { readConfig } from '../config.ts'
import { startServer } from '../server.ts'
import { startWorker } from '../worker.ts'
import { type EmbeddedPostgres, startPostgres } from './embedded-postgres.ts'
import type { DataDir } from './up-data-dir.ts'
import { prepareDatabase } from './up-database.ts'
import type { Environment, UpOptions } from './up-options.ts'
import type { Stops } from './up-stops.ts'

export async function startTidemark(
  { port, flink }: UpOptions,
  env: Environment,
  dataDir: DataDir,
  stops: Stops,
  say: (line: string) => void,
): Promise<string> {
  await mkdir(dataDir.postgresDir, { recursive: true })
  const postgres = await started(stops, startPostgres({ dataDir: dataDir.postgresDir }), (it) => it.stop())
  const { url, applied } = await prepareDatabase(postgres)
  say(describeDatabase(postgres, applied))
  const config = readConfig({
    TIDEMARK_LOG_LEVEL: 'error',
    TIDEMARK_OBSERVE_INTERVAL_MS: '500',
    TIDEMARK_LEASE_MS: '5000',
    // One person on a laptop that is busy starting a Flink: late is better than 503.
    TIDEMARK_MAX_EVENT_LOOP_DELAY_MS: '0',
    // A Flink of ours starts without the jobs of last time; someone else's may come back with them.
    ...(flink.kind === 'url' ? {} : { TIDEMARK_LOST_AFTER_MS: '5000' }),
    ...onlyTuning(env),
    DATABASE_URL: url,
    TIDEMARK_HOST: '127.0.0.1',
    TIDEMARK_PORT: String(port),
    TIDEMARK_TOKENS: `default:${dataDir.token}`,
    TIDEMARK_LOCAL_ROOTS: dataDir.storageRoot,
  })
  const server = await started(stops, startServer(config), (it) => it.close())
  await started(stops, startWorker(config), (it) => it.close())
  say(`API and worker run at ${server.url}.`)
  return server.url
}

/** Stopped also when the signal comes while it starts: then as soon as it is up. */
async function started<Thing>(
  stops: Stops,
  starting: Promise<Thing>,
  stop: (thing: Thing) => Promise<void>,
): Promise<Thing> {
  stops.add(() => starting.then(stop, () => undefined))
  return starting
}

const describeDatabase = ({ port }: EmbeddedPostgres, applied: readonly string[]): string =>
  `Postgres runs on port ${port}; ${applied.length === 0 ? 'its data is from last time' : `applied ${applied.join(', ')}`}.`

/** Intervals and limits may be set as ever; where things are is decided here. */
const onlyTuning = (env: Environment): Environment =>
  Object.fromEntries(Object.entries(env).filter(([name]) => /^TIDEMARK_\w+(_MS|_LEVEL|_AT)$/.test(name)))
