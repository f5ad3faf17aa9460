/**
 * A Flink with the sample job, as one end-to-end suite sees it: simulated and scripted, or real. Jobs are started through
 * the same REST calls on both, and obey the same control directory. `flink-application-under-test.ts` has the clusters that
 * are one job.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ClusterOptions, startFlinkCluster } from '../../dev/flink/cluster.ts'
import { findRealFlink, getFlink } from '../../dev/flink/distribution.ts'
import { buildSampleJob } from '../../dev/flink/java-programs.ts'
import { getJson, putJson } from '../../dev/flink/rest.ts'
import { startS3Mock } from '../../dev/flink/s3mock.ts'
import { newJobId, type SampleJobOptions, submitJob } from '../../dev/flink/submit.ts'
import { whyNoSql } from '../../dev/flink/table-jars.ts'
import { DEFAULT_SETTINGS, settingsFrom } from '../../src/simulated-flink/settings.ts'
import { until } from './api.ts'
import { type FlinkJobUnderTest, handleJob } from './flink-job-under-test.ts'
import { makeJar, manifestOf } from './jars.ts'
import {
  openBucketOfTheRun,
  openLocalStorage,
  openS3Storage,
  type S3Server,
  type SavepointStorage,
  type StorageKind,
} from './savepoint-storage.ts'
import { type ScriptedFlink, startScriptedFlink } from './simulated-flink.ts'

export type { FlinkJobUnderTest } from './flink-job-under-test.ts'

/** What a session cluster and an application have in common. */
export type FlinkProcesses = {
  readonly kind: 'simulated' | 'real'
  readonly version: string
  readonly url: string
  readonly storage: SavepointStorage
  /** Kill -9 of the JobManager: what it knew is gone, its jobs come back with the next one if there is HA. */
  killJobManager(): Promise<void>
  startJobManager(): Promise<void>
  /** Kill -9: the jobs wait until there is one again. */
  killTaskManager(): Promise<void>
  startTaskManager(): Promise<void>
  /** GET /jobmanager/config. */
  readConfiguration(): Promise<Record<string, string>>
  stop(): Promise<void>
}

export type FlinkUnderTest = FlinkProcesses & {
  /** The sample job's; a simulated Flink runs its own whatever the bytes are. */
  readJar(): Promise<Uint8Array>
  /** Runs when it resolves. */
  startJob(options: StartOptions): Promise<FlinkJobUnderTest>
  /** Cancels it and starts it again under its name and a new id: empty, or from a snapshot. */
  redeployJob(job: FlinkJobUnderTest, options?: Omit<StartOptions, 'name'>): Promise<FlinkJobUnderTest>
  /** The job loses its TaskManager and restarts on another one. */
  replaceTaskManager(job: FlinkJobUnderTest): Promise<void>
  /** To one subtask per vertex; a real one needs `ADAPTIVE`. Runs again when it resolves. */
  rescaleJob(job: FlinkJobUnderTest): Promise<void>
}

export type StartOptions = {
  name: string
  /** A savepoint or retained checkpoint. */
  from?: string
  claimMode?: 'CLAIM' | 'NO_CLAIM'
  /** The job's user configuration, such as `tidemark.version`. */
  parameters?: Record<string, string>
  configuration?: Record<string, string>
}

/** Of the whole cluster: `num-retained` is read from nowhere else. */
export type CheckpointOptions = {
  intervalMs: number
  numRetained?: number
  /** Default hashmap. RocksDB is incremental. */
  backend?: 'hashmap' | 'rocksdb'
  /** Default RETAIN_ON_CANCELLATION. */
  retention?: 'RETAIN_ON_CANCELLATION' | 'DELETE_ON_CANCELLATION' | 'NO_EXTERNALIZED_CHECKPOINTS'
  timeoutMs?: number
  tolerableFailures?: number
}

export type FlinkOptions = {
  /** Without them savepoints are the only snapshots, so that what is counted, slow or failing is ours. */
  checkpoints?: CheckpointOptions
  /** Default true. */
  ha?: boolean
  configuration?: Record<string, string>
}

export type OpenFlink = (storage: StorageKind) => Promise<FlinkUnderTest>

/** The scheduler that can rescale a running job. */
export const ADAPTIVE = { 'jobmanager.scheduler': 'adaptive' }

export const NO_CHECKPOINTS = { 'execution.checkpointing.interval': '24 h' }

/** Keys that 1.20 and 2.x both know. */
export function configurationOf(checkpoints: CheckpointOptions | undefined): Record<string, string> {
  if (checkpoints === undefined) return NO_CHECKPOINTS
  const {
    intervalMs,
    numRetained,
    backend = 'hashmap',
    retention,
    timeoutMs,
    tolerableFailures,
  } = checkpoints
  const key = (name: string) => `execution.checkpointing.${name}`
  return {
    [key('interval')]: `${intervalMs} ms`,
    [key('num-retained')]: String(numRetained ?? 1),
    [key('externalized-checkpoint-retention')]: retention ?? 'RETAIN_ON_CANCELLATION',
    [key('incremental')]: String(backend === 'rocksdb'),
    'state.backend.type': backend,
    ...(timeoutMs !== undefined && { [key('timeout')]: `${timeoutMs} ms` }),
    ...(tolerableFailures !== undefined && {
      [key('tolerable-failed-checkpoints')]: String(tolerableFailures),
    }),
  }
}

/** Two subtasks: those of the counter write their files while the total is still being slow. */
export const SAMPLE: SampleJobOptions = { keys: 200, bytesPerKey: 1_000, rate: 500 }

// -------------------------------------------------------------------------------------------------- simulated

export const openSimulatedFlink =
  (version: string, options: FlinkOptions = {}): OpenFlink =>
  async (storageKind) => {
    const { scripted, storage } = await openScripted(version, storageKind, options)
    const { flink } = scripted
    const jar = await writeJar()
    const start = (job: StartOptions) =>
      startSampleJob({ url: flink.url, jar: jar.file, storage, options }, job)
    return {
      ...simulatedProcesses(scripted, storage, options.ha ?? true),
      readJar: () => readFile(jar.file),
      startJob: start,
      redeployJob: (job, more) => redeploy(job, start, more),
      async replaceTaskManager(job) {
        flink.loseTaskManager(job.id)
        await job.untilRunning()
      },
      async rescaleJob(job) {
        flink.rescaleJob(job.id)
        await job.untilRunning()
      },
      async stop() {
        await flink.stop()
        await Promise.all([storage.close(), jar.remove()])
      },
    }
  }

/** The settings are the cluster's, so that its jobs have them as jobs of a real one would. */
export async function openScripted(
  version: string,
  storageKind: StorageKind,
  { checkpoints, configuration = {} }: FlinkOptions,
): Promise<{ scripted: ScriptedFlink; storage: SavepointStorage }> {
  const s3 = storageKind === 's3' ? await openBucketOfTheRun() : undefined
  const storage = s3 ? openS3Storage(s3) : await openLocalStorage()
  const settings = settingsFrom({ ...configurationOf(checkpoints), ...configuration }, DEFAULT_SETTINGS)
  const scripted = await startScriptedFlink({
    version,
    restartDelayMs: 300,
    checkpointDir: storage.checkpointDir,
    jobDefaults: {
      ...settings,
      numRetained: checkpoints?.numRetained ?? settings.numRetained,
      checkpointDirectory: storage.checkpointDir,
    },
    configuration,
    ...(s3 && {
      s3: { endpoint: s3.endpoint, accessKeyId: s3.accessKey, secretAccessKey: s3.secretKey },
    }),
  })
  return { scripted, storage }
}

export function simulatedProcesses(
  { flink }: ScriptedFlink,
  storage: SavepointStorage,
  ha: boolean,
): Omit<FlinkProcesses, 'stop'> {
  let restart: Promise<void> | undefined
  let comesBack = () => {}
  return {
    kind: 'simulated',
    version: flink.version,
    url: flink.url,
    storage,
    async killJobManager() {
      // Down is down at once; how long is told only when the next one starts.
      const back = new Promise<void>((resolve) => {
        comesBack = resolve
      })
      restart = flink.restartJobManager({ ha, downUntil: back, electionMs: 200 })
    },
    async startJobManager() {
      comesBack()
      await restart
    },
    killTaskManager: async () => flink.setTaskManager('gone'),
    startTaskManager: async () => flink.setTaskManager('there'),
    readConfiguration: () => readConfiguration(flink.url),
  }
}

/** The class that both Flinks look for in the jar. */
export const SAMPLE_CLASS = 'dev.tidemark.sample.SampleJob'
const SAMPLE_ENTRY = {
  name: `${SAMPLE_CLASS.replaceAll('.', '/')}.class`,
  content: Buffer.from('cafebabe', 'hex'),
}

/** Well made, so that we and the simulated Flink take it, and of no use to a real one. */
export async function writeJar(): Promise<{ file: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-jar-'))
  const file = join(folder, 'sample-job.jar')
  await writeFile(file, makeJar([manifestOf(`Main-Class: ${SAMPLE_CLASS}`), SAMPLE_ENTRY]))
  return { file, remove: () => rm(folder, { recursive: true, force: true }) }
}

// ------------------------------------------------------------------------------------------------------- real

export const openRealFlink =
  (version: string, options: FlinkOptions = {}): OpenFlink =>
  async (storageKind) => {
    const { storage, closeStorage, cluster } = await openRealStorage(storageKind, options)
    try {
      return await openCluster(version, storage, closeStorage, cluster, options)
    } catch (error) {
      await closeStorage()
      throw error
    }
  }

/** A storage of its own for a real cluster, and what the cluster must be told of it. */
export async function openRealStorage(
  storageKind: StorageKind,
  { ha, checkpoints, configuration }: FlinkOptions,
) {
  const server = storageKind === 's3' ? await startOwnS3() : undefined
  const storage = server ? openS3Storage(server.s3) : await openLocalStorage()
  const cluster: ClusterOptions = {
    ha: ha ?? true,
    ...(server && { s3: server.s3 }),
    configuration: {
      'execution.checkpointing.dir': storage.checkpointDir,
      ...configurationOf(checkpoints),
      ...configuration,
    },
  }
  return { storage, cluster, closeStorage: () => Promise.all([storage.close(), server?.stop()]) }
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
  clusterOptions: ClusterOptions,
  options: FlinkOptions = {},
): Promise<FlinkUnderTest> {
  const jar = await buildSampleJob(await getFlink(version))
  const cluster = await startFlinkCluster({ version, ha: true, ...clusterOptions })
  const start = (job: StartOptions) => startSampleJob({ url: cluster.restUrl, jar, storage, options }, job)
  return {
    kind: 'real',
    version: cluster.version,
    url: cluster.restUrl,
    storage,
    readJar: () => readFile(jar),
    startJob: start,
    redeployJob: (job, more) => redeploy(job, start, more),
    killJobManager: () => cluster.killJobManager(),
    startJobManager: () => cluster.startJobManager(),
    killTaskManager: () => cluster.killTaskManager(),
    startTaskManager: () => cluster.startTaskManager(),
    rescaleJob: (job) => rescaleToOne(cluster.restUrl, job),
    async replaceTaskManager(job) {
      await cluster.killTaskManager()
      await cluster.startTaskManager()
      await job.untilRunning()
    },
    readConfiguration: () => readConfiguration(cluster.restUrl),
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

/** The same of one with what SQL needs. */
export async function whyNoRealSql(version: string): Promise<string | null> {
  return process.env['CI'] === 'true' ? null : ((await whyNoSql(version)) ?? null)
}

// ------------------------------------------------------------------------------------------------------- jobs

export async function readConfiguration(url: string): Promise<Record<string, string>> {
  const entries = await getJson<{ key: string; value: string }[]>(url, '/jobmanager/config')
  return Object.fromEntries(entries.map(({ key, value }) => [key, value]))
}

type Requirements = Record<string, { parallelism: { lowerBound: number; upperBound: number } }>

/** PUT /jobs/:id/resource-requirements (JobResourceRequirementsBody, 1.18+). */
async function rescaleToOne(url: string, job: FlinkJobUnderTest): Promise<void> {
  const path = `/jobs/${job.id}/resource-requirements`
  const before = await getJson<Requirements>(url, path)
  const one = { parallelism: { lowerBound: 1, upperBound: 1 } }
  await putJson(url, path, Object.fromEntries(Object.keys(before).map((vertex) => [vertex, one])))
  await until('the job runs with one subtask', async () => {
    const { vertices } = await getJson<{ vertices: { parallelism: number }[] }>(url, `/jobs/${job.id}`)
    return vertices.every(({ parallelism }) => parallelism === 1)
  })
  await job.untilRunning()
}

type Where = { url: string; jar: string; storage: SavepointStorage; options: FlinkOptions }

async function startSampleJob(
  { url, jar, storage, options: { checkpoints } }: Where,
  options: StartOptions,
): Promise<FlinkJobUnderTest> {
  const { name, from, claimMode, parameters = {}, configuration } = options
  const controlDir = await mkdtemp(join(tmpdir(), 'tidemark-control-'))
  const id = await submitJob(
    url,
    jar,
    { ...SAMPLE, name, controlDir, parameters },
    {
      jobId: newJobId(),
      parallelism: 2,
      flinkConfiguration: { ...configurationOf(checkpoints), ...configuration },
      ...(from !== undefined && { savepointPath: from }),
      ...(claimMode !== undefined && { claimMode }),
    },
  )
  return handleJob({ url, id, name, controlDir, storage })
}

async function redeploy(
  job: FlinkJobUnderTest,
  start: (options: StartOptions) => Promise<FlinkJobUnderTest>,
  more: Omit<StartOptions, 'name'> = {},
): Promise<FlinkJobUnderTest> {
  await job.cancel()
  return await start({ name: job.name, ...more })
}
