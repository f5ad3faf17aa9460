/**
 * A Flink with the sample job, as one end-to-end suite sees it: simulated and scripted, or real. Jobs are started through
 * the same REST calls on both, and obey the same control directory.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ClusterOptions, startFlinkCluster } from '../../dev/flink/cluster.ts'
import { failSnapshots, obeyNothing, slowSnapshots } from '../../dev/flink/control-dir.ts'
import { findRealFlink, getFlink } from '../../dev/flink/distribution.ts'
import { buildSampleJob } from '../../dev/flink/java-programs.ts'
import { getJson } from '../../dev/flink/rest.ts'
import { startS3Mock } from '../../dev/flink/s3mock.ts'
import { cancelJob, newJobId, submitJob, waitUntilRunning } from '../../dev/flink/submit.ts'
import {
  openBucketOfTheRun,
  openLocalStorage,
  openS3Storage,
  type S3Server,
  type SavepointStorage,
  type StorageKind,
} from './savepoint-storage.ts'
import { startScriptedFlink } from './simulated-flink.ts'

export type FlinkUnderTest = {
  readonly kind: 'simulated' | 'real'
  readonly version: string
  readonly url: string
  readonly storage: SavepointStorage
  /** Runs when it resolves. */
  startJob(options: StartOptions): Promise<FlinkJobUnderTest>
  /** Kill -9 of the JobManager: what it knew is gone, its jobs come back with the next one. */
  killJobManager(): Promise<void>
  startJobManager(): Promise<void>
  /** The job loses its TaskManager and restarts on another one. */
  replaceTaskManager(job: FlinkJobUnderTest): Promise<void>
  stop(): Promise<void>
}

export type StartOptions = { name: string; from?: string; configuration?: Record<string, string> }

export type FlinkJobUnderTest = {
  readonly id: string
  readonly name: string
  /** Snapshots wait that long, or until `obeyNothing`. */
  slowSnapshots(ms: number): Promise<void>
  /** Snapshots throw this text, and the job restarts, until `obeyNothing`. */
  failSnapshots(text: string): Promise<void>
  obeyNothing(): Promise<void>
  untilRunning(): Promise<void>
  /** Gone when it resolves; a second time is harmless. */
  cancel(): Promise<void>
  statistics(): Promise<Statistics>
}

export type Statistics = {
  counts: { total: number; in_progress: number; completed: number; failed: number }
  latest: {
    savepoint: { external_path: string } | null
    restored: { id: number; external_path: string } | null
  }
  history: {
    id: number
    status: string
    is_savepoint: boolean
    savepointFormat: string | null
    trigger_timestamp: number
  }[]
}

export type OpenFlink = (storage: StorageKind) => Promise<FlinkUnderTest>

/** Savepoints are the only snapshots, so that what is counted, slow or failing is ours. */
const NO_CHECKPOINTS = { 'execution.checkpointing.interval': '24 h' }

/** Two subtasks: those of the counter write their files while the total is still being slow. */
const SAMPLE = { keys: 200, bytesPerKey: 1_000, rate: 500 }

// -------------------------------------------------------------------------------------------------- simulated

export const openSimulatedFlink =
  (version: string): OpenFlink =>
  async (storageKind) => {
    const s3 = storageKind === 's3' ? await openBucketOfTheRun() : undefined
    const storage = s3 ? openS3Storage(s3) : await openLocalStorage()
    const { flink } = await startScriptedFlink({
      version,
      restartDelayMs: 300,
      ...(s3 && {
        s3: { endpoint: s3.endpoint, accessKeyId: s3.accessKey, secretAccessKey: s3.secretKey },
      }),
    })
    const jar = await writeJar()
    let restart: Promise<void> | undefined
    let comesBack = () => {}
    return {
      kind: 'simulated',
      version: flink.version,
      url: flink.url,
      storage,
      startJob: (options) => startSampleJob(flink.url, jar.file, options),
      async killJobManager() {
        // Down is down at once; how long is told only when the next one starts.
        const back = new Promise<void>((resolve) => {
          comesBack = resolve
        })
        restart = flink.restartJobManager({ ha: true, downUntil: back, electionMs: 200 })
      },
      async startJobManager() {
        comesBack()
        await restart
      },
      async replaceTaskManager(job) {
        flink.loseTaskManager(job.id)
        await job.untilRunning()
      },
      async stop() {
        await flink.stop()
        await Promise.all([storage.close(), jar.remove()])
      },
    }
  }

/** The simulated Flink runs its sample job whatever the bytes are. */
async function writeJar(): Promise<{ file: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-jar-'))
  const file = join(folder, 'sample-job.jar')
  await writeFile(file, 'no jar')
  return { file, remove: () => rm(folder, { recursive: true, force: true }) }
}

// ------------------------------------------------------------------------------------------------------- real

export const openRealFlink =
  (version: string, more: Pick<ClusterOptions, 'configuration'> = {}): OpenFlink =>
  async (storageKind) => {
    const server = storageKind === 's3' ? await startOwnS3() : undefined
    const storage = server ? openS3Storage(server.s3) : await openLocalStorage()
    const closeStorage = () => Promise.all([storage.close(), server?.stop()])
    try {
      return await openCluster(version, storage, closeStorage, {
        ...(server && { s3: server.s3 }),
        configuration: { ...NO_CHECKPOINTS, ...more.configuration },
      })
    } catch (error) {
      await closeStorage()
      throw error
    }
  }

async function startOwnS3(): Promise<{ s3: S3Server; stop(): Promise<void> }> {
  const mock = await startS3Mock({ buckets: ['flink'] })
  return { s3: { ...mock, bucket: 'flink' }, stop: mock.stop }
}

/** For a storage that was opened already; `closeStorage` runs after the cluster has stopped. */
export async function openCluster(
  version: string,
  storage: SavepointStorage,
  closeStorage: () => Promise<unknown>,
  options: ClusterOptions,
): Promise<FlinkUnderTest> {
  const jar = await buildSampleJob(await getFlink(version))
  const cluster = await startFlinkCluster({ version, ha: true, ...options })
  return {
    kind: 'real',
    version: cluster.version,
    url: cluster.restUrl,
    storage,
    startJob: (start) => startSampleJob(cluster.restUrl, jar, start),
    killJobManager: () => cluster.killJobManager(),
    startJobManager: () => cluster.startJobManager(),
    async replaceTaskManager(job) {
      await cluster.killTaskManager()
      await cluster.startTaskManager()
      await job.untilRunning()
    },
    async stop() {
      await cluster.stop()
      await closeStorage()
    },
  }
}

/** Why no real Flink of this version can be had here; in CI that is a failure, not a reason to skip. */
export async function whyNoRealFlink(version: string): Promise<string | null> {
  const found = await findRealFlink(version)
  return found.found || process.env['CI'] === 'true' ? null : found.reason
}

// ------------------------------------------------------------------------------------------------------- jobs

async function startSampleJob(url: string, jar: string, options: StartOptions): Promise<FlinkJobUnderTest> {
  const controlDir = await mkdtemp(join(tmpdir(), 'tidemark-control-'))
  const id = await submitJob(
    url,
    jar,
    { ...SAMPLE, name: options.name, controlDir },
    {
      jobId: newJobId(),
      parallelism: 2,
      flinkConfiguration: { ...NO_CHECKPOINTS, ...options.configuration },
      ...(options.from !== undefined && { savepointPath: options.from }),
    },
  )
  return {
    id,
    name: options.name,
    slowSnapshots: (ms) => slowSnapshots(controlDir, ms),
    failSnapshots: (text) => failSnapshots(controlDir, text),
    obeyNothing: () => obeyNothing(controlDir),
    untilRunning: () => waitUntilRunning(url, id),
    async cancel() {
      await obeyNothing(controlDir)
      await cancelJob(url, id)
      await rm(controlDir, { recursive: true, force: true })
    },
    async statistics() {
      await sleep(STATISTICS_REFRESH_MS)
      return getJson<Statistics>(url, `/jobs/${id}/checkpoints`)
    },
  }
}

/** Older answers are served from a cache (`web.refresh-interval` of dev/flink). */
const STATISTICS_REFRESH_MS = 550
