/**
 * A Flink session cluster that exists only in this process: the REST API of a real one, jobs that take checkpoints and
 * savepoints, and real files with real `_metadata`. `npm run up` talks to it when no JDK is found, tests and benchmarks
 * embed it.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AcceptedTrigger } from './accept-log.ts'
import { type Clock, systemClock } from './clock.ts'
import type { Cluster } from './cluster.ts'
import { dialectOf } from './dialect.ts'
import { type Files, filesByScheme, memoryFiles } from './files.ts'
import type { Hooks } from './hooks.ts'
import { throwable } from './java-throwable.ts'
import { createJob, type JobSettings, type JobState, type SimulatedJob } from './job.ts'
import {
  cancelJob,
  failJob,
  replaceJobManager,
  restartJob,
  startJob,
  taskManagerLost,
  triggerCheckpoint,
} from './lifecycle.ts'
import { localFiles } from './local-files.ts'
import type { MetadataBytes } from './metadata-bytes.ts'
import { createOperations, type OperationKind } from './operations.ts'
import { sampleProgram } from './program.ts'
import { type S3Options, s3Files } from './s3-files.ts'
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
    extraConfiguration: options.configuration ?? {},
    hooks: options.hooks ?? {},
    jobs: new Map(),
    jars: new Map(),
    operations: createOperations(clock, options.resultStoreMs ?? 300_000),
    acceptLog: [],
    open: new Set(),
    webDirectory: newWebDirectory(),
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
  const job = createJob(
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
  cluster.jobs.set(job.id, job)
  startJob(cluster, job)
  return job
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
  replaceJobManager(cluster, { ha: options.ha, webDirectory: newWebDirectory() })
  await pause(options.downMs ?? 0)
  await options.downUntil
  if (options.electionMs !== undefined) {
    server.setAvailability('electing')
    await pause(options.electionMs)
  }
  server.setAvailability('up')
}
