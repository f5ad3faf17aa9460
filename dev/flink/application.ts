import { setTimeout as sleep } from 'node:timers/promises'
import { type ClusterOptions, type FlinkCluster, startCluster } from './cluster.ts'
import type { FlinkDistribution } from './distribution.ts'
import type { JobManagerProgram } from './flink-processes.ts'
import { buildEntryPoint, buildSampleJob } from './java-programs.ts'
import { getJson } from './rest.ts'
import { type SampleJobOptions, sampleJobArguments, waitUntilRunning } from './submit.ts'

export interface ApplicationOptions extends ClusterOptions {
  readonly sample?: SampleJobOptions
  /** Without it Flink chooses: at random, or with high availability from the HA cluster id. */
  readonly jobId?: string
  readonly parallelism?: number
  readonly savepointPath?: string
}

/**
 * Flink in application mode: the JobManager is the job, and ends with it. After a restart without high
 * availability it starts anew from `savepointPath` or empty, under a new id unless one was chosen.
 */
export async function startApplicationCluster(options: ApplicationOptions = {}): Promise<FlinkCluster> {
  const configuration = { ...applicationConfiguration(options), ...options.configuration }
  const cluster = await startCluster({ ...options, configuration }, (flink, { controlDir }) =>
    applicationOf(flink, { controlDir, ...options.sample }),
  )
  try {
    await waitForApplication(cluster)
    return cluster
  } catch (cause) {
    const logs = await cluster.logs()
    await cluster.stop()
    throw new Error(
      `The application did not start. ${cause instanceof Error ? cause.message : cause}\n${logs}`,
      { cause },
    )
  }
}

/** Also looks at the process: an application that cannot start takes its REST API, and the reason, with it. */
async function waitForApplication(cluster: FlinkCluster): Promise<void> {
  const done = new AbortController()
  const running = findOnlyJob(cluster.restUrl).then((jobId) => waitUntilRunning(cluster.restUrl, jobId))
  running.catch(() => {}) // its failure may come after the race is lost
  try {
    await Promise.race([running, jobManagerEnd(cluster, done.signal)])
  } finally {
    done.abort()
  }
}

async function jobManagerEnd(cluster: FlinkCluster, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    if (cluster.jobManagerPid === undefined) throw new Error('Its JobManager has ended.')
    await sleep(250)
  }
}

/** The job of an application cluster, as soon as there is one. */
export async function findOnlyJob(restUrl: string, timeoutMs = 60_000): Promise<string> {
  const giveUpAt = Date.now() + timeoutMs
  for (;;) {
    const answer = await getJson<{ jobs: { id: string }[] }>(restUrl, '/jobs').catch(() => undefined)
    const job = answer?.jobs[0]
    if (job !== undefined) return job.id
    if (Date.now() > giveUpAt) throw new Error(`No job appeared at ${restUrl} within ${timeoutMs} ms.`)
    await sleep(250)
  }
}

async function applicationOf(flink: FlinkDistribution, sample: SampleJobOptions): Promise<JobManagerProgram> {
  return {
    mainClass: 'dev.tidemark.application.EntryPoint',
    jars: [await buildEntryPoint(flink)],
    args: [await buildSampleJob(flink), ...sampleJobArguments(sample)],
  }
}

function applicationConfiguration(options: ApplicationOptions): Record<string, string> {
  const { jobId, parallelism, savepointPath } = options
  return {
    ...(jobId !== undefined && { '$internal.pipeline.job-id': jobId }),
    ...(parallelism !== undefined && { 'parallelism.default': String(parallelism) }),
    ...(savepointPath !== undefined && { 'execution.state-recovery.path': savepointPath }),
  }
}
