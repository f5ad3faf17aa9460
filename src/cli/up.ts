/**
 * `tidemark up`: Postgres, API, worker, a Flink with the sample job and a first savepoint, from nothing but Node. API and
 * worker run in this process; Postgres and Flink are its children in all but one case: Postgres survives a SIGKILL of us,
 * and the next start on the same data directory stops it.
 */
import { createUpApi } from './up-api.ts'
import { startFlink } from './up-choose-flink.ts'
import { type DataDir, openDataDir, readPostgresPid, type UpFile } from './up-data-dir.ts'
import { sayError, UpError } from './up-error.ts'
import type { UpFlink } from './up-flink.ts'
import {
  type Environment,
  readUpOptions,
  requireFreePort,
  type UpArguments,
  type UpOptions,
} from './up-options.ts'
import { JOB, register } from './up-register.ts'
import { describeInstallation, describeNextCommands, describeSavepoint } from './up-report.ts'
import { startSample } from './up-run-sample.ts'
import { type FirstSavepoint, takeFirstSavepoint } from './up-savepoint.ts'
import { createStops, type Stops, waitForSignal } from './up-stops.ts'

/** Ends the process. */
export async function runUp(given: UpArguments, env: Environment): Promise<never> {
  const signal = waitForSignal()
  const stops = createStops()
  const code = await untilDone(given, env, stops, signal)
  for (const problem of await stops.stopAll()) console.error(`While stopping: ${sayError(problem)}`)
  process.exit(code)
}

async function untilDone(
  given: UpArguments,
  env: Environment,
  stops: Stops,
  signal: Promise<number>,
): Promise<number> {
  try {
    const options = readUpOptions(given)
    const early = await Promise.race([signal, start(options, env, stops)])
    if (early !== undefined) return early
    if (options.once) return 0
    console.log(`\nCtrl-C stops everything; the data stays.`)
    await signal
    console.log('\nStopping.')
    return 0
  } catch (error) {
    console.error(error instanceof UpError || env['TIDEMARK_LOG_LEVEL'] !== 'debug' ? sayError(error) : error)
    return 1
  }
}

async function start(options: UpOptions, env: Environment, stops: Stops): Promise<undefined> {
  const say = createProgress()
  if (options.port !== 0) await requireFreePort(options.port)
  const dataDir = await openDataDir(options.dataDir)
  stops.add(() => dataDir.release())

  // Flink takes longest; it and the database know nothing of each other.
  const flinkStart = startFlink(options.flink, { directory: dataDir.flinkDir, say })
  let flink: UpFlink | undefined
  // One that is only half up ends with this process.
  stops.add(async () => flink?.stop())
  const [apiUrl] = await Promise.all([
    import('./up-tidemark.ts').then((it) => it.startTidemark(options, env, dataDir, stops, say)),
    flinkStart.then((started) => {
      flink = started
      say(`Flink ${started.version} answers at ${started.url}.`)
    }),
  ])
  const running = await flinkStart

  const api = createUpApi(apiUrl, dataDir.token)
  await register(api, {
    flinkUrl: running.url,
    storageRoot: dataDir.storageRoot,
    sample: running.sample,
  })
  const started = await startSample(api, running)
  say(
    started === null
      ? 'The sample job runs there already.'
      : `The sample job was started ${started.restoredFrom === null ? 'without state' : `from ${started.restoredFrom}`}.`,
  )
  say('Taking a savepoint of the sample job.')
  const savepoint = await takeFirstSavepoint(api).catch((error: unknown) => {
    if (options.once) throw error
    console.error(sayError(error))
    return null
  })
  await report(apiUrl, dataDir, running, savepoint)
}

async function report(
  apiUrl: string,
  dataDir: DataDir,
  flink: UpFlink,
  savepoint: FirstSavepoint | null,
): Promise<void> {
  const postgres = await readPostgresPid(dataDir.postgresDir)
  const up: UpFile = {
    apiUrl,
    token: dataDir.token,
    flinkUrl: flink.url,
    flinkKind: flink.kind,
    flinkVersion: flink.version,
    storageRoot: dataDir.storageRoot,
    job: JOB,
    snapshotId: savepoint?.id ?? null,
    pids: [process.pid, ...(postgres ? [postgres] : []), ...flink.pids],
  }
  await dataDir.writeUpFile(up)
  console.log(describeInstallation(up, dataDir.path))
  if (savepoint) console.log(describeSavepoint(savepoint))
  console.log(describeNextCommands(up))
}

function createProgress(): (line: string) => void {
  const startedAt = performance.now()
  return (line) =>
    console.log(`[${((performance.now() - startedAt) / 1000).toFixed(1).padStart(4)} s] ${line}`)
}
