/** Watches what became of a start that Flink was asked for, by its job id alone: nothing is asked of Flink twice here. */
import { FlinkUnavailableError } from '../domain/errors.ts'
import type { FlinkJob } from '../domain/flink.ts'
import { rootCause } from '../domain/flink-failure.ts'
import { beginStep, noteOnStep } from '../domain/operation-steps.ts'
import { NEVER_SEEN } from '../domain/run-observation.ts'
import { lookAgainInMs } from '../domain/savepoint-plan.ts'
import { classifyStartFailure } from '../domain/start-failure.ts'
import { judgeRun, judgeStarted, type StartVerdict } from '../domain/start-plan.ts'
import type { FlinkClient, FlinkConnections } from '../ports/flink.ts'
import type { StartWork } from '../ports/lifecycle.ts'
import type { Advanced } from './advance-lifecycle.ts'
import { describeRun, failStart, type Reason, type StartEndPorts, succeedStart } from './end-start.ts'

export type WatchStartPorts = StartEndPorts & { flink: FlinkConnections }
type StartedRun = NonNullable<StartWork['run']>

/** `last`: the deadline has passed, so it ends now, whatever is known. */
export async function watchStart(work: StartWork, ports: WatchStartPorts, last: boolean): Promise<Advanced> {
  const { run } = work
  if (run === null) throw new Error(`operation ${work.id} was asked for without a run`)
  const flink = ports.flink.to(work.cluster.address)
  const known = judgeRun(run)
  if (known === 'lost') return lose(work, run, ports)
  try {
    const job = await flink.findJob(run.flinkJobId)
    const seen = judgeStarted(job)
    // The observer's poll may be fresher than the details of a job, which Flink caches for 3 s; an end stays an end.
    const verdict = known !== null && (seen === 'coming' || seen === 'unlisted') ? known : seen
    return await conclude(work, run, { job, verdict }, flink, ports, last)
  } catch (error) {
    if (!last || !(error instanceof FlinkUnavailableError)) throw error
    return giveUp(work, run, null, ports)
  }
}

type Sight = { job: FlinkJob | null; verdict: StartVerdict }

async function conclude(
  work: StartWork,
  run: StartedRun,
  { job, verdict }: Sight,
  flink: FlinkClient,
  ports: WatchStartPorts,
  last: boolean,
): Promise<Advanced> {
  switch (verdict) {
    case 'running':
      return succeedStart(work, ports, 'All tasks run.', {
        ...describeRun(job, 'RUNNING'),
        allTasksRunning: true,
      })
    case 'finished': {
      const message = 'The job has finished already: it ran to its end.'
      const warnings = [...(work.result.warnings ?? []), { code: 'ALREADY_ENDED', message }]
      return succeedStart(work, ports, message, describeRun(job, 'FINISHED'), { warnings })
    }
    case 'canceled': {
      const message = 'Somebody cancelled the job before all its tasks ran.'
      return failStart(work, ports, { code: 'START_CANCELED', message }, describeRun(job, 'CANCELED'))
    }
    case 'failed': {
      const failure = await explain(work, run, flink)
      if (failure === null && !last && causeMayCome(job)) return lookAgain(work, run, job, ports, last)
      const reason = failure ?? classifyStartFailure('')
      return failStart(work, ports, reason, describeRun(job, 'FAILED', reason))
    }
    case 'unlisted':
      return work.result.refusal && run.flinkStartTime === NEVER_SEEN
        ? failStart(work, ports, work.result.refusal, describeRun(null, 'FAILED', work.result.refusal))
        : lookAgain(work, run, job, ports, last)
    case 'coming':
      return lookAgain(work, run, job, ports, last)
  }
}

/**
 * Why the job FAILED: by its exceptions, else by what Flink refused the request with, else by what the observer saw. null:
 * nobody has said.
 */
async function explain(work: StartWork, run: StartedRun, flink: FlinkClient): Promise<Reason | null> {
  const [newest] = await flink.listExceptions(run.flinkJobId)
  const text = newest && (newest.text === '' ? newest.exceptionName : newest.text)
  if (text) return classifyStartFailure(text)
  if (work.result.refusal) return work.result.refusal
  return run.failure ? classifyStartFailure(run.failure.message) : null
}

/** Flink answers from what it kept up to 3 s ago (`web.refresh-interval`): its exceptions may be older than the end of the job. */
const CAUSE_WITHIN_MS = 6_000

const causeMayCome = (job: FlinkJob | null): boolean =>
  job !== null &&
  job.jobManagerNow !== null &&
  (job.endTime === null || job.jobManagerNow - job.endTime < CAUSE_WITHIN_MS)

async function lookAgain(
  work: StartWork,
  run: StartedRun,
  job: FlinkJob | null,
  ports: WatchStartPorts,
  last: boolean,
): Promise<Advanced> {
  if (last) return giveUp(work, run, job, ports)
  const begun = work.steps.some(({ name, status }) => name === 'run' && status === 'RUNNING')
  const running = begun ? work.steps : beginStep(work.steps, 'run', work.now)
  const told = noteOnStep(running, job ? `Flink says ${job.state}` : NOT_LISTED(run))
  if (!begun || told) await ports.lifecycleWork.record(work, { steps: told ?? running })
  const sinceMs = work.now.getTime() - (work.askedAt ?? work.now).getTime()
  return { againInMs: Math.max(SHORTEST_PAUSE_MS, lookAgainInMs(sinceMs)) }
}

const SHORTEST_PAUSE_MS = 200
const NOT_LISTED = ({ flinkJobId, flinkStartTime }: StartedRun): string =>
  flinkStartTime !== NEVER_SEEN
    ? `Flink does not list job ${flinkJobId} any more`
    : `Flink does not list job ${flinkJobId} yet`

/** The deadline has passed. Nothing is taken back: the job is left as it is, and the run stays what it is. */
async function giveUp(
  work: StartWork,
  run: StartedRun,
  job: FlinkJob | null,
  ports: WatchStartPorts,
): Promise<Advanced> {
  if (job === null && run.flinkStartTime === NEVER_SEEN) return failStart(work, ports, unanswered(run), null)
  const [newest] = await ports.flink
    .to(work.cluster.address)
    .listExceptions(run.flinkJobId)
    .catch(() => [])
  const why = newest ? ` Its newest failure: ${rootCause(newest.text)}` : ''
  const state = job ? `Flink says ${job.state}` : 'Flink does not show it now'
  const message = `The job ${run.flinkJobId} did not run with all its tasks in time: ${state}. It is left as it is; stop it if it is not wanted.${why}`
  return failStart(work, ports, { code: 'START_TIMEOUT', message }, job && describeRun(job, 'RUNNING'))
}

/** The observer has not found the job for a long time (`lostAfterMs`): whether it lives nobody can say. */
const lose = (work: StartWork, run: StartedRun, ports: WatchStartPorts): Promise<Advanced> =>
  failStart(
    work,
    ports,
    run.flinkStartTime !== NEVER_SEEN
      ? {
          code: 'RUN_LOST',
          message: `The job ${run.flinkJobId} was started and is lost: Flink does not list it any more. When it is certain that it is gone, say so with POST /v1/runs/${run.id}/confirm-ended.`,
        }
      : unanswered(run),
    null,
  )

const unanswered = ({ id, flinkJobId }: StartedRun): Reason => ({
  code: 'START_UNANSWERED',
  message: `Flink was asked to start the job under the id ${flinkJobId} and its answer was not seen, nor was the job: it may still begin. Nothing else is started until the run is seen, or its end is confirmed with POST /v1/runs/${id}/confirm-ended.`,
})
