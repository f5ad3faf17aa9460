/**
 * A Flink session cluster that exists only in this process: the REST API of a real one, jobs that take checkpoints and
 * savepoints, and real files with real `_metadata`. `npm run up` talks to it when no JDK is found, tests and benchmarks
 * embed it.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AcceptedTrigger } from './accept-log.ts'
import { nextApplication, startApplication } from './application.ts'
import { type Clock, systemClock } from './clock.ts'
import type { Cluster } from './cluster.ts'
import { dialectOf } from './dialect.ts'
import { taskManagerLost } from './exceptions.ts'
import { type Files, filesByScheme, memoryFiles } from './files.ts'
import type { Hooks } from './hooks.ts'
import { throwable } from './java-throwable.ts'
import { createJob, isTerminal, type JobSettings, type JobState, type SimulatedJob } from './job.ts'
import {
  cancelJob,
  failJob,
  replaceJobManager,
  restartJob,
  setTaskManager,
  startJob,
  triggerCheckpoint,
} from './lifecycle.ts'
import { localFiles } from './local-files.ts'
import type { MetadataBytes } from './metadata-bytes.ts'
import { createOperations, type OperationKind } from './operations.ts'
import { sampleProgram } from './program.ts'
import { createReadCache } from './read-cache.ts'
import { type S3Options, s3Files } from './s3-files.ts'
import { type SeedOptions, seedRunningJobs } from './seed-jobs.ts'
import { listen, type RestServer } from './server.ts'
import { DEFAULT_SETTINGS } from './settings.ts'
import { checkRestore, snapshotMetadata } from './snapshot-metadata.ts'

export type SimulatedFlinkOptions = {
  /** 0 or absent: any free one. Always on loopback. */
  port?: number
  version?: string
  /** Where checkpoints go; without it they have no address. */
  checkpointDir?: string
  /** `execution.checkpointing.savepoint-dir`. */
  savepointDir?: string
  s3?: S3Options
  /** Writes nothing, neither locally nor to S3. */
  memoryFiles?: boolean
  metadataBytes?: MetadataBytes
  clock?: Clock
  seedJobs?: readonly JobOptions[]
  /** `rest.async.store-duration`. */
  resultStoreMs?: number
  restartDelayMs?: number
  taskStartMs?: number
  savepointDurationMs?: number
  /** The cluster's configuration, for jobs that do not say otherwise. */
  jobDefaults?: Partial<JobSettings>
  slots?: number
  /** `web.refresh-interval`: so long details, exceptions and statistics of a job are answered again. 0 when absent. */
  refreshIntervalMs?: number
  /** More entries of /jobmanager/config. */
  configuration?: Record<string, string>
  hooks?: Hooks
}

export type JobOptions = Partial<JobSettings> & {
  name: string
  id?: string
  type?: 'STREAMING' | 'BATCH'
  parallelism?: number
  maxParallelism?: number
  stateBytes?: number
  userConfig?: Record<string, string>
  controlDirectory?: string
}

export type ApplicationRestart = {
  /** With high availability the job has the id it had. */
  ha: boolean
  downMs?: number
}

export type JobView = { id: string; name: string; state: JobState; startTime: number; parallelism: number }

export type JobManagerRestart = {
  ha: boolean
  downMs?: number
  downUntil?: Promise<void>
  electionMs?: number
}

export type SimulatedFlink = {
  readonly url: string
  readonly port: number
  readonly version: string
  /** Every trigger that was accepted, oldest first. Live: entries change as they settle. */
  readonly acceptLog: readonly AcceptedTrigger[]
  addJob(options: JobOptions): JobView
  /** Running jobs with a history and no timers, by the thousand. */
  seedRunningJobs(options: SeedOptions): JobView[]
  /** An entry of /jobmanager/config from now on, such as `high-availability.cluster-id`; null takes it away. */
  setConfiguration(key: string, value: string | null): void
  /** Gone: every job restarts and waits, until there is one again. */
  setTaskManager(state: 'there' | 'gone'): void
  /**
   * The cluster is this one job from now on, begun with `execution.state-recovery.path` if the configuration has it. A
   * JobManager that is restarted without high availability then starts it anew, under another id, and one that finds its
   * path gone ends with the job: nobody answers.
   */
  startApplication(options: JobOptions): Promise<JobView>
  /**
   * The application is cancelled, which ends its JobManager, and started again: nothing is restored but the configured
   * path, checkpoint ids begin at 1, and with high availability the id is the same one. Retained checkpoints stay until a
   * new one of their number fails on them.
   */
  restartApplication(options: ApplicationRestart): Promise<JobView>
  findJob(jobId: string): JobView | undefined
  /** All tasks running, or not: a savepoint then fails at once. */
  setTasksRunning(jobId: string, running: boolean): void
  triggerCheckpoint(jobId: string): number | null
  cancelJob(jobId: string): void
  failJob(jobId: string, message: string): void
  /** Gone without a trace, as after `jobstore.expiration-time`. */
  removeJob(jobId: string): void
  /** The same job under a new id, as an application-mode deployment does without high availability. */
  redeployJob(jobId: string): JobView
  /** The job restarts; what was in flight fails; /exceptions says why. */
  loseTaskManager(jobId: string): void
  /** The adaptive scheduler changes the parallelism: like a restart, but nothing in /exceptions. */
  rescaleJob(jobId: string): void
  /** True when it was known. */
  forgetTrigger(kind: OperationKind, triggerId: string, jobId: string): boolean
  /**
   * Connections are reset for `downMs` and until `downUntil`, then answered 503 for `electionMs`, then the new JobManager
   * answers.
   */
  restartJobManager(options: JobManagerRestart): Promise<void>
  stop(): Promise<void>
}

export async function startSimulatedFlink(options: SimulatedFlinkOptions = {}): Promise<SimulatedFlink> {
  const cluster = createCluster(options)
  for (const job of options.seedJobs ?? []) addJob(cluster, job)
  const server = await listen(cluster, options.port ?? 0)
  return toHandle(cluster, server)
}

function createCluster(options: SimulatedFlinkOptions): Cluster {
  const clock = options.clock ?? systemClock
  return {
    clock,
    dialect: dialectOf(options.version ?? '2.3.0'),
    files: createFiles(options),
    metadataBytes: options.metadataBytes ?? snapshotMetadata,
    checkRestore,
    defaults: {
      ...DEFAULT_SETTINGS,
      checkpointDirectory: options.checkpointDir ?? null,
      savepointDurationMs: options.savepointDurationMs ?? DEFAULT_SETTINGS.savepointDurationMs,
      ...options.jobDefaults,
    },
    savepointDirectory: options.savepointDir ?? null,
    restartDelayMs: options.restartDelayMs ?? 1000,
    taskStartMs: options.taskStartMs ?? 0,
    slots: options.slots ?? 8,
    extraConfiguration: new Map(Object.entries(options.configuration ?? {})),
    readCache: createReadCache(clock, options.refreshIntervalMs ?? 0),
    hooks: options.hooks ?? {},
    jobs: new Map(),
    jars: new Map(),
    operations: createOperations(clock, options.resultStoreMs ?? 300_000),
    acceptLog: [],
    open: new Set(),
    webDirectory: newWebDirectory(),
    taskManagerThere: true,
    isApplication: false,
    epoch: 0,
  }
}

const newWebDirectory = (): string => join(tmpdir(), `flink-web-${randomUUID()}`)

function createFiles({ memoryFiles: inMemory, s3 }: SimulatedFlinkOptions): Files {
  if (inMemory) return memoryFiles()
  const byScheme = new Map<string, Files>([['file', localFiles()]])
  if (s3 !== undefined) {
    const store = s3Files(s3)
    byScheme.set('s3', store).set('s3a', store)
  }
  return filesByScheme(byScheme)
}

function addJob(cluster: Cluster, options: JobOptions): SimulatedJob {
  const job = newJob(cluster, options)
  cluster.jobs.set(job.id, job)
  startJob(cluster, job)
  return job
}

function newJob(cluster: Cluster, options: JobOptions): SimulatedJob {
  const {
    name,
    id,
    type,
    parallelism = 1,
    maxParallelism,
    stateBytes,
    userConfig,
    controlDirectory,
  } = options
  const program = sampleProgram({
    name,
    parallelism,
    maxParallelism: maxParallelism ?? 128,
    stateBytes: stateBytes ?? 4096,
    controlDirectory: controlDirectory ?? null,
  })
  return createJob(
    {
      id: id ?? newJobId(),
      name,
      type: type ?? 'STREAMING',
      parallelism,
      program,
      settings: overrideSettings(cluster.defaults, options),
      userConfig: userConfig ?? {},
    },
    cluster.clock.now(),
  )
}

const newJobId = (): string => randomBytes(16).toString('hex')

function overrideSettings(defaults: JobSettings, options: JobOptions): JobSettings {
  return {
    checkpointIntervalMs: options.checkpointIntervalMs ?? defaults.checkpointIntervalMs,
    checkpointTimeoutMs: options.checkpointTimeoutMs ?? defaults.checkpointTimeoutMs,
    minPauseMs: options.minPauseMs ?? defaults.minPauseMs,
    maxConcurrent: options.maxConcurrent ?? defaults.maxConcurrent,
    tolerableFailures: options.tolerableFailures ?? defaults.tolerableFailures,
    numRetained: options.numRetained ?? defaults.numRetained,
    mode: options.mode ?? defaults.mode,
    retention: options.retention ?? defaults.retention,
    unaligned: options.unaligned ?? defaults.unaligned,
    alignedTimeoutMs: options.alignedTimeoutMs ?? defaults.alignedTimeoutMs,
    stateBackend: options.stateBackend ?? defaults.stateBackend,
    incremental: options.incremental ?? defaults.incremental,
    checkpointDirectory: options.checkpointDirectory ?? defaults.checkpointDirectory,
    savepointDurationMs: options.savepointDurationMs ?? defaults.savepointDurationMs,
    checkpointDurationMs: options.checkpointDurationMs ?? defaults.checkpointDurationMs,
  }
}

const view = ({ id, name, state, startTime, parallelism }: SimulatedJob): JobView => ({
  id,
  name,
  state,
  startTime,
  parallelism,
})

function toHandle(cluster: Cluster, server: RestServer): SimulatedFlink {
  const find = (jobId: string): SimulatedJob => {
    const job = cluster.jobs.get(jobId)
    if (job === undefined) throw new Error(`The simulated Flink has no job ${jobId}`)
    return job
  }
  const remove = (jobId: string): SimulatedJob => {
    const job = find(jobId)
    cancelJob(cluster, job)
    for (const cancel of [...job.cancelTimers]) cancel()
    cluster.jobs.delete(jobId)
    return job
  }
  return {
    url: `http://127.0.0.1:${server.port}`,
    port: server.port,
    version: cluster.dialect.version,
    acceptLog: cluster.acceptLog,
    addJob: (options) => view(addJob(cluster, options)),
    seedRunningJobs: (seed) => seedRunningJobs(cluster, seed).map(view),
    setConfiguration: (key, value) => {
      cluster.extraConfiguration.set(key, value)
    },
    setTaskManager: (state) => setTaskManager(cluster, state === 'there'),
    async startApplication(options) {
      cluster.isApplication = true
      const job = newJob(cluster, options)
      await startApplication(cluster, job)
      return view(job)
    },
    restartApplication: (restart) => restartApplication(cluster, server, restart),
    findJob: (jobId) => {
      const job = cluster.jobs.get(jobId)
      return job && view(job)
    },
    setTasksRunning: (jobId, running) => {
      find(jobId).tasks = running ? 'RUNNING' : 'INITIALIZING'
    },
    triggerCheckpoint: (jobId) => triggerCheckpoint(cluster, find(jobId)),
    cancelJob: (jobId) => cancelJob(cluster, find(jobId)),
    failJob: (jobId, message) =>
      failJob(cluster, find(jobId), throwable('java.lang.RuntimeException', message)),
    removeJob: (jobId) => {
      remove(jobId)
    },
    redeployJob: (jobId) => view(redeploy(cluster, remove(jobId))),
    loseTaskManager: (jobId) => restartJob(cluster, find(jobId), taskManagerLost(find(jobId))),
    rescaleJob: (jobId) => restartJob(cluster, find(jobId), null),
    forgetTrigger: (kind, triggerId, jobId) => cluster.operations.forget(kind, triggerId, jobId),
    restartJobManager: (restart) => restartJobManager(cluster, server, restart),
    async stop() {
      for (const job of cluster.jobs.values()) {
        for (const cancel of [...job.cancelTimers]) cancel()
      }
      await server.close()
      cluster.files.close()
    },
  }
}

/** Started again from nothing but its program: another id, its first checkpoint is 1 again. */
function redeploy(cluster: Cluster, old: SimulatedJob): SimulatedJob {
  const job = createJob({ ...old, id: newJobId() }, cluster.clock.now())
  cluster.jobs.set(job.id, job)
  startJob(cluster, job)
  return job
}

async function restartJobManager(
  cluster: Cluster,
  server: RestServer,
  options: JobManagerRestart,
): Promise<void> {
  const pause = (ms: number) => new Promise<void>((resolve) => cluster.clock.after(ms, resolve))
  server.setAvailability('down')
  const alive = replaceJobManager(cluster, { ha: options.ha, webDirectory: newWebDirectory() })
  await pause(options.downMs ?? 0)
  await options.downUntil
  if (cluster.isApplication && !options.ha) {
    for (const job of alive) await startApplication(cluster, nextApplication(cluster, job, false))
    // It takes its REST API, and the reason, with it.
    if ([...cluster.jobs.values()].some(isTerminal)) return
  }
  if (options.electionMs !== undefined) {
    server.setAvailability('electing')
    await pause(options.electionMs)
  }
  server.setAvailability('up')
}

/** The retention decides what a cancelled job leaves, before its JobManager ends. */
async function restartApplication(
  cluster: Cluster,
  server: RestServer,
  { ha, downMs = 0 }: ApplicationRestart,
): Promise<JobView> {
  const [old] = cluster.jobs.values()
  if (old === undefined || !cluster.isApplication) throw new Error('The simulated Flink runs no application')
  server.setAvailability('down')
  await cancelNow(cluster, old)
  replaceJobManager(cluster, { ha: false, webDirectory: newWebDirectory() })
  await new Promise<void>((resolve) => cluster.clock.after(downMs, resolve))
  const job = nextApplication(cluster, old, ha)
  await startApplication(cluster, job)
  if (!isTerminal(job)) server.setAvailability('up')
  return view(job)
}

async function cancelNow(cluster: Cluster, job: SimulatedJob): Promise<void> {
  if (!isTerminal(job)) cancelJob(cluster, job)
  while (!isTerminal(job)) await new Promise<void>((resolve) => cluster.clock.after(1, resolve))
}
