import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { getJson, patch, postFile, postJson, summarizeTrace } from './rest.ts'

/** The arguments of the sample job; what is left out has the default of its `Arguments.java`. */
export interface SampleJobOptions {
  readonly name?: string
  /** Events per second, over all subtasks. */
  readonly rate?: number
  readonly keys?: number
  readonly bytesPerKey?: number
  readonly maxParallelism?: number
  readonly controlDir?: string
  readonly extraOperator?: boolean
  /** What `/jobs/:id/config` shows as `user-config`, such as `tidemark.version`. */
  readonly parameters?: Readonly<Record<string, string>>
}

export interface RunOptions {
  readonly jobId?: string
  readonly parallelism?: number
  readonly savepointPath?: string
  readonly allowNonRestoredState?: boolean
  readonly claimMode?: 'CLAIM' | 'NO_CLAIM'
  readonly flinkConfiguration?: Readonly<Record<string, string>>
}

export const newJobId = (): string => randomBytes(16).toString('hex')

export function sampleJobArguments(options: SampleJobOptions): string[] {
  const valued = [
    ['--name', options.name],
    ['--rate', options.rate],
    ['--keys', options.keys],
    ['--bytes-per-key', options.bytesPerKey],
    ['--max-parallelism', options.maxParallelism],
    ['--control-dir', options.controlDir],
  ] as const
  const given = valued.flatMap(([option, value]) => (value === undefined ? [] : [option, String(value)]))
  const parameters = Object.entries(options.parameters ?? {}).flatMap(([key, value]) => [
    '--parameter',
    `${key}=${value}`,
  ])
  return [...given, ...parameters, ...(options.extraOperator ? ['--extra-operator'] : [])]
}

/** Uploads the jar, runs it and waits until every task runs. Answers the job id. */
export async function submitJob(
  restUrl: string,
  jar: string,
  sample: SampleJobOptions = {},
  run: RunOptions = {},
): Promise<string> {
  const jobId = await runJar(restUrl, await uploadJar(restUrl, jar), sample, run)
  await waitUntilRunning(restUrl, jobId)
  return jobId
}

/** Answers the id under which this JobManager process knows the jar; it is gone after a failover. */
export async function uploadJar(restUrl: string, jar: string): Promise<string> {
  const file = new File([await readFile(jar)], basename(jar), { type: 'application/x-java-archive' })
  const uploaded = await postFile<{ filename: string }>(restUrl, '/jars/upload', 'jarfile', file)
  return basename(uploaded.filename)
}

export async function runJar(
  restUrl: string,
  jarId: string,
  sample: SampleJobOptions,
  run: RunOptions,
): Promise<string> {
  const body = { jobId: newJobId(), ...run, programArgsList: sampleJobArguments(sample) }
  const { jobid } = await postJson<{ jobid: string }>(restUrl, `/jars/${jarId}/run`, body)
  return jobid
}

interface JobAnswer {
  readonly state: string
  readonly vertices: readonly { readonly status: string }[]
}

/** The job's state is not enough: it is RUNNING while tasks are still INITIALIZING, and a savepoint then fails. */
export async function waitUntilRunning(restUrl: string, jobId: string, timeoutMs = 60_000): Promise<void> {
  await waitForJob(restUrl, jobId, 'RUNNING', timeoutMs, ({ state, vertices }) => {
    return state === 'RUNNING' && vertices.length > 0 && vertices.every(({ status }) => status === 'RUNNING')
  })
}

/** Takes a savepoint, or stops the job with one, under a trigger id of Flink's own. Answers its location. */
export async function takeSavepoint(
  restUrl: string,
  jobId: string,
  how: { directory: string; stop?: boolean },
  timeoutMs = 60_000,
): Promise<string> {
  const [path, body] = how.stop
    ? [`/jobs/${jobId}/stop`, { targetDirectory: how.directory }]
    : [`/jobs/${jobId}/savepoints`, { 'target-directory': how.directory }]
  const { 'request-id': id } = await postJson<{ 'request-id': string }>(restUrl, path, body)
  const giveUpAt = Date.now() + timeoutMs
  for (;;) {
    const { status, operation } = await getJson<SavepointAnswer>(restUrl, `/jobs/${jobId}/savepoints/${id}`)
    if (operation?.location !== undefined) return operation.location
    if (status.id === 'COMPLETED') {
      throw new Error(summarizeTrace(operation?.['failure-cause']?.['stack-trace'] ?? 'no cause was given'))
    }
    if (Date.now() > giveUpAt) throw new Error(`A savepoint of ${jobId} took longer than ${timeoutMs} ms.`)
    await sleep(100)
  }
}

interface SavepointAnswer {
  readonly status: { readonly id: string }
  readonly operation: {
    readonly location?: string
    readonly 'failure-cause'?: { readonly 'stack-trace': string }
  } | null
}

/** Cancels and waits for the end. */
export async function cancelJob(restUrl: string, jobId: string, timeoutMs = 60_000): Promise<void> {
  await patch(restUrl, `/jobs/${jobId}?mode=cancel`)
  await waitForJob(restUrl, jobId, 'CANCELED', timeoutMs, ({ state }) => state === 'CANCELED')
}

async function waitForJob(
  restUrl: string,
  jobId: string,
  wanted: string,
  timeoutMs: number,
  isReached: (job: JobAnswer) => boolean,
): Promise<void> {
  const giveUpAt = Date.now() + timeoutMs
  for (;;) {
    // A JobManager that is only just starting answers 503 or 404, or not at all.
    const job = await getJson<JobAnswer>(restUrl, `/jobs/${jobId}`).catch(() => undefined)
    if (job !== undefined && isReached(job)) return
    if (job !== undefined && ['FAILED', 'FINISHED', 'CANCELED'].includes(job.state)) {
      throw new Error(
        `Job ${jobId} is ${job.state} instead of ${wanted}: ${await newestException(restUrl, jobId)}`,
      )
    }
    if (Date.now() > giveUpAt)
      throw new Error(`Job ${jobId} is ${job?.state ?? 'unknown'} instead of ${wanted}.`)
    await sleep(250)
  }
}

interface ExceptionsAnswer {
  readonly exceptionHistory: { readonly entries: readonly { readonly stacktrace: string }[] }
}

async function newestException(restUrl: string, jobId: string): Promise<string> {
  const answer = await getJson<ExceptionsAnswer>(restUrl, `/jobs/${jobId}/exceptions`)
  return summarizeTrace(answer.exceptionHistory.entries[0]?.stacktrace ?? 'no exception recorded')
}
