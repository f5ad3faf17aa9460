/**
 * What to do next with a stop: pure, from what Postgres says and, where the end of the job is awaited, what Flink says of it.
 * Keeps the promise that no stop is sent while another may be under way (`product.md` §1.6): the savepoint of a stop has one
 * attempt, and nothing here asks for a second one.
 */
import type { StopFailedCode, StopWarningCode } from './failure-codes.ts'
import { type FlinkJob, isTerminal } from './flink.ts'
import type { StopMode } from './operation.ts'
import type { RunState } from './resources.ts'
import type { SnapshotStatus } from './snapshot-status.ts'

/** The reason of a Present snapshot whose job was not stopped by it. */
export const STOP_FAILED_AFTER_SAVEPOINT = 'STOP_FAILED_AFTER_SAVEPOINT'

export type StopFacts = {
  now: Date
  createdAt: Date
  deadlineAt: Date
  /** Set once Flink has been asked to cancel. */
  askedAt: Date | null
  request: { mode: StopMode; timeoutSeconds: number }
  job: { name: string; ambiguous: readonly string[] | null }
  cluster: {
    name: string
    mode: 'MANAGE' | 'OBSERVE_ONLY'
    identityChanged: boolean
    idempotentTriggers: boolean
  }
  /** Another savepoint of the job was in the way when it was last looked. */
  waitedForSavepoint: boolean
  run: {
    id: string
    state: RunState
    over: boolean
    flinkStartTime: number
    failure: { code: string; message: string } | null
  } | null
  snapshot: {
    id: string
    status: SnapshotStatus
    reason: string
    askedFlinkStart: number | null
    failure: { code: string; message: string } | null
  } | null
}

/** What Flink says of the job now; `unknown`: it does not list it, or could not be asked. */
export type SeenJob = Pick<FlinkJob, 'state' | 'startTime'> | 'unknown'

export type StopEnding =
  | { status: 'SUCCEEDED'; message: string; warnings: { code: StopWarningCode; message: string }[] }
  /** The code is a StopFailedCode, or that of the savepoint's failure. */
  | { status: 'FAILED'; code: string; message: string }

export type StopStep =
  | { do: 'end'; ending: StopEnding }
  /** Nothing has been seen of the job yet. */
  | { do: 'wait'; because: string }
  /** Take the savepoint, once none is in the way. */
  | { do: 'begin' }
  /** The savepoint is being taken. */
  | { do: 'watch' }
  /** The savepoint is there, or the cancellation is asked for: the job must end. */
  | { do: 'see-end' }
  /** Ask Flink to cancel: the job itself is looked at first. */
  | { do: 'cancel' }

/** A job that nobody has observed yet is given so long to be. */
const UNOBSERVED_GRACE_MS = 10_000

export function nextStopStep(stop: StopFacts): StopStep {
  if (stop.snapshot) return followSavepoint(stop, stop.snapshot)
  if (stop.askedAt) return { do: 'see-end' }
  const { run } = stop
  if (run?.over) return end(alreadyEnded(run.state))
  const refusal = refuse(stop)
  if (refusal) return end(refusal)
  if (stop.now >= stop.deadlineAt) return end(tooLate(stop))
  if (!run) return waitForRun(stop)
  return { do: stop.request.mode === 'CANCEL' ? 'cancel' : 'begin' }
}

const end = (ending: StopEnding): StopStep => ({ do: 'end', ending })

const failed = (code: StopFailedCode, message: string): StopEnding => ({ status: 'FAILED', code, message })

const waitForRun = ({ now, createdAt, job }: StopFacts): StopStep =>
  now.getTime() - createdAt.getTime() < UNOBSERVED_GRACE_MS
    ? { do: 'wait', because: 'The job has not been observed yet.' }
    : end(failed('JOB_NOT_RUNNING', `The job ${job.name} has not been seen running.`))

/** What Flink must not be asked for. Also looked at before a cancellation is repeated. */
export function refuse({ cluster, job, run }: StopFacts): StopEnding | null {
  if (cluster.mode === 'OBSERVE_ONLY') {
    return failed('OBSERVE_ONLY', `The cluster ${cluster.name} is observe-only: nothing is stopped there.`)
  }
  if (cluster.identityChanged) {
    return failed(
      'CLUSTER_IDENTITY_CHANGED',
      `Another Flink cluster answers at the address of ${cluster.name}; confirm it first.`,
    )
  }
  if (!cluster.idempotentTriggers) {
    return failed(
      'CLUSTER_UNSUPPORTED',
      `The cluster ${cluster.name} runs a Flink before 1.15: it takes no trigger ids of ours. Upgrade the cluster.`,
    )
  }
  if (job.ambiguous) {
    return failed(
      'JOB_AMBIGUOUS',
      `More than one live Flink job is called like the one ${job.name} follows: ${job.ambiguous.join(', ')}. Nothing is stopped.`,
    )
  }
  if (run?.state === 'LOST') {
    return failed('RUN_LOST', 'The run is lost: Flink has not listed the job for a long time.')
  }
  return null
}

function alreadyEnded(state: RunState): StopEnding {
  const message = `The run had ended (${state}) before Flink was asked; no savepoint was taken.`
  return { status: 'SUCCEEDED', message, warnings: [{ code: 'ALREADY_ENDED', message }] }
}

function tooLate({ waitedForSavepoint, createdAt, deadlineAt }: StopFacts): StopEnding {
  const seconds = Math.round((deadlineAt.getTime() - createdAt.getTime()) / 1000)
  return waitedForSavepoint
    ? failed(
        'SAVEPOINT_IN_PROGRESS',
        `Another savepoint of the job was in progress for ${seconds} s; Flink was not asked to stop the job.`,
      )
    : failed(
        'STOP_TIMEOUT',
        `Flink could not be asked to stop the job within ${seconds} s; it was not asked.`,
      )
}

// ------------------------------------------------------------------------------------------------- savepoint

function followSavepoint(stop: StopFacts, snapshot: NonNullable<StopFacts['snapshot']>): StopStep {
  const { run } = stop
  switch (snapshot.status) {
    case 'Creating': // its own deadline is near: until then Flink may yet be asked, which nobody must deny
      return { do: 'watch' }
    case 'Timeout':
      return end(stillStopping(stop, snapshot.askedFlinkStart))
    case 'Failed':
      if (run?.over && snapshot.askedFlinkStart === null) return end(alreadyEnded(run.state))
      return end({
        status: 'FAILED',
        code: snapshot.failure?.code ?? snapshot.reason,
        message: `The job was not stopped: ${snapshot.failure?.message || snapshot.reason}`,
      })
    default:
      return snapshot.reason === STOP_FAILED_AFTER_SAVEPOINT
        ? end(notStopped(snapshot.id, 'it failed while it was stopping'))
        : { do: 'see-end' }
  }
}

const stillStopping = ({ request }: StopFacts, askedFlinkStart: number | null): StopEnding =>
  askedFlinkStart === null
    ? failed('STOP_TIMEOUT', `Flink could not be asked within ${request.timeoutSeconds} s; it was not asked.`)
    : failed(
        'STOP_TIMEOUT',
        `The savepoint was not completed within ${request.timeoutSeconds} s. Flink may still complete it and stop the job: it is watched, and no second stop is sent before its answer is final.`,
      )

const notStopped = (snapshotId: string, why: string): StopEnding =>
  failed(
    'STOP_FAILED',
    `The job was not stopped: ${why}. The savepoint ${snapshotId} is complete and kept; the job may go on from an earlier checkpoint.`,
  )

// ------------------------------------------------------------------------------------------------------- end

export type EndStep =
  | { do: 'end'; ending: StopEnding; seen: 'FINISHED' | 'CANCELED' | null }
  | { do: 'wait' }
  /** It lives and is not being cancelled: a JobManager that has failed over has forgotten the request. */
  | { do: 'cancel' }

/** Whether the job has ended as it should. Of what neither the observer nor Flink can say nothing is said before the deadline. */
export function judgeEnd(stop: StopFacts, job: SeenJob): EndStep {
  const ended = endOf(stop, job)
  if (ended) return { do: 'end', ...ended }
  if (stop.now >= stop.deadlineAt) return { do: 'end', ending: notEnded(stop), seen: null }
  return stop.request.mode === 'CANCEL' && isUncancelled(stop, job) ? { do: 'cancel' } : { do: 'wait' }
}

function endOf(stop: StopFacts, job: SeenJob): Omit<Extract<EndStep, { do: 'end' }>, 'do'> | null {
  const { run, snapshot } = stop
  if (!run) return null
  if (run.over) return { ending: endingOf(stop, run.state), seen: null }
  if (isTheRun(stop, job)) {
    // Of a failure the observer tells the cause.
    if (job.state === 'FINISHED' || job.state === 'CANCELED') {
      return { ending: endingOf(stop, job.state), seen: job.state }
    }
    const restarted = snapshot?.askedFlinkStart != null && snapshot.askedFlinkStart !== job.startTime
    return restarted && !isTerminal(job.state)
      ? { ending: notStopped(snapshot.id, 'its JobManager failed over, and it runs again'), seen: null }
      : null
  }
  // Flink answers a stop only once all tasks have FINISHED (RT/scheduler/stopwithsavepoint): an application's JobManager is
  // gone right after.
  if (job !== 'unknown') return null
  if (snapshot?.reason === 'COMPLETED') return { ending: endingOf(stop, 'FINISHED'), seen: 'FINISHED' }
  // Nothing more is to be heard of it but a person's word: there is nothing to wait for.
  return run.state === 'LOST' ? { ending: lost(stop, run.id), seen: null } : null
}

const lost = ({ snapshot }: StopFacts, runId: string): StopEnding =>
  failed(
    'RUN_LOST',
    `${snapshot ? `The savepoint ${snapshot.id} is complete and kept` : 'The cancellation was asked for'}, but Flink has not listed the job for a long time, so nobody has seen it end. When you know that it has, confirm it with POST /v1/runs/${runId}/confirm-ended.`,
  )

const isTheRun = ({ run }: StopFacts, job: SeenJob): job is Exclude<SeenJob, 'unknown'> =>
  job !== 'unknown' && run !== null && job.startTime === run.flinkStartTime

const isUncancelled = (stop: StopFacts, job: SeenJob): boolean =>
  isTheRun(stop, job) && !isTerminal(job.state) && job.state !== 'CANCELLING' && refuse(stop) === null

function endingOf(stop: StopFacts, state: RunState): StopEnding {
  const { request, snapshot } = stop
  if (request.mode === 'CANCEL') {
    const none = { code: 'NO_SAVEPOINT' as const, message: 'The job was cancelled: no savepoint was taken.' }
    return state === 'CANCELED'
      ? { status: 'SUCCEEDED', message: 'The job is CANCELED.', warnings: [none] }
      : { ...differently(state, 'CANCELED'), warnings: [...differently(state, 'CANCELED').warnings, none] }
  }
  // A run that was called LOST meanwhile: Flink itself had said that it was stopped.
  if (!snapshot || state === 'FINISHED' || (state === 'LOST' && snapshot.reason === 'COMPLETED')) {
    return { status: 'SUCCEEDED', message: 'The job is FINISHED.', warnings: [] }
  }
  if (state === 'CANCELED') return differently(state, 'FINISHED')
  return notStopped(
    snapshot.id,
    state === 'LOST' ? 'its run is lost' : `its run became ${state} after the savepoint${causeOf(stop)}`,
  )
}

const differently = (state: RunState, expected: string) => ({
  status: 'SUCCEEDED' as const,
  message: `The job is ${state}.`,
  warnings: [
    {
      code: 'ENDED_DIFFERENTLY' as const,
      message: `The job became ${state} and not ${expected}: something else ended it.`,
    },
  ],
})

const causeOf = ({ run }: StopFacts): string => (run?.failure ? ` (${run.failure.message})` : '')

function notEnded({ request, snapshot }: StopFacts): StopEnding {
  return snapshot
    ? failed(
        'STOP_TIMEOUT',
        `The savepoint ${snapshot.id} is complete and kept, but the job was not seen to end in time; it may still end.`,
      )
    : failed(
        'STOP_TIMEOUT',
        `The cancellation was asked for, but the job was not seen to end within ${request.timeoutSeconds} s; it may still end.`,
      )
}
