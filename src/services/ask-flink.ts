/**
 * The one place that asks Flink for a savepoint, also for the one of a stop. Intent before effect: the run, its `start-time` and `asked_at` are
 * committed first, and whoever finds them set never asks blindly again (find-outcome decides).
 */

import { StorageError } from '../domain/errors.ts'
import type { FailureCode, Reason } from '../domain/failure-codes.ts'
import { type FlinkJob, isTerminal } from '../domain/flink.ts'
import { type ClassifiedFailure, classifyRefusal } from '../domain/flink-failure.ts'
import { formatLocation, parseLocation } from '../domain/location.ts'
import type { FlinkClient } from '../ports/flink.ts'
import type { CrashPoint } from '../ports/process.ts'
import type { SavepointWork, SavepointWorkRepository } from '../ports/savepoint-work.ts'
import type { ObjectStore } from '../ports/storage.ts'

export type Asked =
  | { kind: 'asked'; at: Date; flinkJobId: string; flinkStartTime: number }
  /** Not now: the job is restarting, or this JobManager does not know it (yet). */
  | { kind: 'wait'; inMs: number; because: string }
  /** `asked`: Flink itself said no. */
  | { kind: 'refused'; failure: Reason; asked: boolean }
  /** Another worker has it now, or may have. */
  | { kind: 'lease-lost' }

export type AskPorts = {
  savepoints: SavepointWorkRepository
  flink: FlinkClient
  store: ObjectStore | null
  crashPoint: CrashPoint
}

/** How long a job that a reachable Flink does not know may still appear (a JobManager that is recovering its jobs). */
const UNKNOWN_JOB_GRACE_MS = 20_000
const LOOK_FOR_JOB_MS = 500
/** A process that was frozen after it had committed its question leaves the asking to whoever looks next. */
const POST_WITHIN_MS = 1_500
/** How long a job nobody has observed yet is given to be: its savepoint then belongs to a run. */
const UNOBSERVED_GRACE_MS = 5_000

export async function askFlink(work: SavepointWork, ports: AskPorts): Promise<Asked> {
  const target = await findTarget(work, ports.flink)
  if (target.kind === 'wait') return target
  if (target.kind === 'refused') return { ...target, asked: false }
  const problem = await checkDirectory(work, ports.store)
  if (problem) return { kind: 'refused', failure: problem, asked: false }

  const before = performance.now()
  const at = await ports.savepoints.markAsked(work, target.flinkJobId, target.flinkStartTime)
  if (!at) return { kind: 'lease-lost' }
  ports.crashPoint('asked-committed')
  if (performance.now() - before > POST_WITHIN_MS) return { kind: 'lease-lost' }
  const refusal = await post(work, target.flinkJobId, ports.flink)
  ports.crashPoint('flink-asked')
  return refusal ? { kind: 'refused', failure: refusal, asked: true } : { ...target, kind: 'asked', at }
}

/** Posts the trigger; only for an attempt whose `asked_at` is committed. Answers what Flink refused. */
export async function post(
  work: SavepointWork,
  flinkJobId: string,
  flink: FlinkClient,
): Promise<ClassifiedFailure | null> {
  const { triggerId, directory, stopMode } = work.attempt
  const request = { flinkJobId, triggerId, targetDirectory: directory, format: work.format }
  const answer = stopMode
    ? await flink.stopJob({ ...request, drain: stopMode === 'DRAIN' })
    : await flink.triggerSavepoint(request)
  return answer.kind === 'refused' ? classifyRefusal(answer) : null
}

type Target =
  | { kind: 'live'; flinkJobId: string; flinkStartTime: number }
  | { kind: 'wait'; inMs: number; because: string }
  | { kind: 'refused'; failure: Reason }

/** What a fresh observation already knows is not asked again. */
async function findTarget(work: SavepointWork, flink: FlinkClient): Promise<Target> {
  const { run } = work
  const runs = run?.state === 'RUNNING' || (run?.state === 'STOPPING' && work.attempt.stopMode !== null)
  if (run && runs && work.observationIsFresh && run.allTasksRunning) {
    return { kind: 'live', flinkJobId: run.flinkJobId, flinkStartTime: run.flinkStartTime }
  }
  const found = await findJobs(work, flink)
  const live = found.filter((job) => !isTerminal(job.state))
  const [job, second] = live
  if (job && second) {
    const ids = live.map((each) => each.flinkJobId).join(', ')
    return refused('JOB_AMBIGUOUS', `More than one live Flink job is called like this: ${ids}.`)
  }
  const ageMs = work.now.getTime() - work.attempt.createdAt.getTime()
  const notTheRun = job && work.attempt.stopMode && isNotTheRun(job, work)
  if (notTheRun) return notTheRun
  if (job && !work.run && ageMs < UNOBSERVED_GRACE_MS) {
    return { kind: 'wait', inMs: LOOK_FOR_JOB_MS / 2, because: 'the job has not been observed yet' }
  }
  if (job) {
    return job.allTasksRunning
      ? { kind: 'live', flinkJobId: job.flinkJobId, flinkStartTime: job.startTime }
      : {
          kind: 'wait',
          inMs: LOOK_FOR_JOB_MS,
          because: `the job is ${job.state} and not all of its tasks run`,
        }
  }
  const ended = found[0]
  if (ended) return refused('JOB_NOT_RUNNING', `The Flink job ${ended.flinkJobId} is ${ended.state}.`)
  if (ageMs < UNKNOWN_JOB_GRACE_MS) {
    return { kind: 'wait', inMs: LOOK_FOR_JOB_MS, because: 'this Flink cluster does not know the job' }
  }
  return refused(
    'JOB_NOT_FOUND',
    `The Flink cluster ${work.cluster.name} does not know ${describeTarget(work)}.`,
  )
}

/** Only the run that was to be stopped is: not one that has taken its name, nor one that nobody has judged yet. */
function isNotTheRun(job: FlinkJob, { run }: SavepointWork): Target | null {
  if (job.flinkJobId !== run?.flinkJobId) {
    return refused('JOB_NOT_RUNNING', `The run has ended; ${job.flinkJobId}, which runs now, is another one.`)
  }
  return job.startTime === run.flinkStartTime
    ? null
    : { kind: 'wait', inMs: LOOK_FOR_JOB_MS, because: 'the job began anew: perhaps it is another run' }
}

const refused = (code: FailureCode, message: string): Target => ({
  kind: 'refused',
  failure: { code, message },
})

async function findJobs(work: SavepointWork, flink: FlinkClient): Promise<FlinkJob[]> {
  const attach = work.attach
  if (attach && 'flinkJobName' in attach) {
    return (await flink.listJobs()).filter((job) => job.name === attach.flinkJobName)
  }
  const flinkJobId = attach?.flinkJobId ?? work.run?.flinkJobId
  const job = flinkJobId ? await flink.findJob(flinkJobId) : null
  return job ? [job] : []
}

const describeTarget = ({ attach, run }: SavepointWork): string => {
  if (attach && 'flinkJobName' in attach) return `a job called ${attach.flinkJobName}`
  return `the job ${attach?.flinkJobId ?? run?.flinkJobId ?? ''}`
}

const STORAGE_CODES: Partial<Record<StorageError['kind'], FailureCode>> = {
  'bucket-missing': 'STORAGE_BUCKET_MISSING',
  'access-denied': 'STORAGE_ACCESS_DENIED',
  refused: 'STORAGE_REFUSED',
}

/**
 * We must be able to read what Flink will write there, or a lost answer could never be decided. A store that does not
 * answer right now throws, and the step is repeated.
 */
async function checkDirectory(work: SavepointWork, store: ObjectStore | null): Promise<Reason | null> {
  if (!store) return null
  try {
    await store.list(parseLocation(work.attempt.directory), { pageSize: 1 })
    return null
  } catch (error) {
    const code = error instanceof StorageError ? STORAGE_CODES[error.kind] : undefined
    if (code === undefined || !(error instanceof Error)) throw error
    return {
      code,
      message: `Tidemark cannot read the savepoint storage ${formatLocation(work.storage.root)}: ${error.message}`,
    }
  }
}
