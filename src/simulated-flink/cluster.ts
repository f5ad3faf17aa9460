/** The state of one simulated cluster. Its rules are in `lifecycle.ts`, `snapshots.ts`, `triggers.ts` and `jars.ts`. */
import type { AcceptedTrigger } from './accept-log.ts'
import type { Clock } from './clock.ts'
import type { Dialect } from './dialect.ts'
import { type Files, qualify } from './files.ts'
import type { Hooks } from './hooks.ts'
import type { JobSettings, SharedFile, SimulatedJob } from './job.ts'
import type { MetadataBytes } from './metadata-bytes.ts'
import type { Operations } from './operations.ts'
import type { ReadCache } from './read-cache.ts'

export type CheckRestore = (
  metadata: Uint8Array,
  job: SimulatedJob,
  restore: { location: string; allowNonRestoredState: boolean },
) => Promise<{
  /** What it shares with others. */
  shared: readonly SharedFile[]
  /** What `counter.ts` had counted; null when it does not say. */
  total: number | null
}>

export type UploadedJar = {
  id: string
  name: string
  uploadedAt: number
  entryClass: string | null
  /** null for what is no zip file or has no class: it runs all the same. */
  entries: ReadonlySet<string> | null
}

export type Cluster = {
  readonly clock: Clock
  readonly dialect: Dialect
  readonly files: Files
  readonly metadataBytes: MetadataBytes
  /** Throws, with Flink's text, when the job cannot be restored from this `_metadata`; else what is to be known of it. */
  readonly checkRestore: CheckRestore
  /** Configuration of every job that does not say otherwise. */
  readonly defaults: JobSettings
  readonly savepointDirectory: string | null
  readonly restartDelayMs: number
  readonly taskStartMs: number
  readonly slots: number
  /** Of /jobmanager/config, over what follows from the rest; null takes an entry away. Tests change it at run time. */
  readonly extraConfiguration: Map<string, string | null>
  readonly readCache: ReadCache
  readonly hooks: Hooks
  readonly jobs: Map<string, SimulatedJob>
  readonly jars: Map<string, UploadedJar>
  readonly operations: Operations
  readonly acceptLog: AcceptedTrigger[]
  /** Accepted and not settled: what a dying JobManager loses. */
  readonly open: Set<AcceptedTrigger>
  /** Directory of this JobManager process; a new process has a new one. */
  webDirectory: string
  /** One job, which every JobManager starts by itself. */
  isApplication: boolean
  /** Without one no task runs. */
  taskManagerThere: boolean
  /** Raised by every JobManager start: work begun for an earlier one is ignored. */
  epoch: number
}

/** Of a job's checkpoints: `chk-N`, `shared` and `taskowned` lie in it. */
export const checkpointRoot = (directory: string, jobId: string): string => `${qualify(directory)}/${jobId}`

/** Calls back unless the job's timers are stopped first. */
export function later(cluster: Cluster, job: SimulatedJob, ms: number, callback: () => void): () => void {
  const stop = cluster.clock.after(ms, () => {
    job.cancelTimers.delete(cancel)
    callback()
  })
  const cancel = () => {
    job.cancelTimers.delete(cancel)
    stop()
  }
  job.cancelTimers.add(cancel)
  return cancel
}

export const wait = (cluster: Cluster, job: SimulatedJob, ms: number): Promise<void> =>
  new Promise((resolve) => {
    later(cluster, job, ms, resolve)
  })
