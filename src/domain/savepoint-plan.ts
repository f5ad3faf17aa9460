/**
 * What to do next with a savepoint: pure, and the same whether a nudge or the sweep asks. Keeps I1 (nothing is Creating
 * past its deadline) and I2 (Flink is asked once per attempt: an asked attempt is only ever looked at).
 */
import type { RunState } from './resources.ts'
import type { SnapshotStatus } from './snapshot-status.ts'

export type SavepointFacts = {
  status: SnapshotStatus
  now: Date
  deadlineAt: Date
  attempt: { askedAt: Date | null; createdAt: Date; afterRescale: boolean; outcome: string | null }
  run: { state: RunState; allTasksRunning: boolean; tasksRunningSince: Date | null } | null
  /** What `run` says was confirmed a moment ago. */
  observationIsFresh: boolean
  cluster: {
    mode: 'MANAGE' | 'OBSERVE_ONLY'
    identityChanged: boolean
    /** false once we know that it is too old for trigger ids of ours (Flink before 1.15). */
    supported: boolean
  }
  ambiguous: readonly string[] | null
}

export type SavepointStep =
  | { do: 'nothing' }
  | { do: 'wait'; inMs: number }
  | { do: 'ask' }
  | { do: 'look' }
  /** `asked` tells whether one more look is owed first. */
  | { do: 'time-out'; asked: boolean }
  | { do: 'fail'; code: SavepointRefusal }

export type SavepointRefusal =
  | 'OBSERVE_ONLY'
  | 'CLUSTER_IDENTITY_CHANGED'
  | 'CLUSTER_UNSUPPORTED'
  | 'JOB_AMBIGUOUS'
  | 'JOB_NOT_RUNNING'
  | 'RUN_LOST'

export type PlanLimits = {
  /** After a rescale all tasks must have run this long before Flink is asked again. */
  rescaleSettleMs: number
}

const WAIT_FOR_TASKS_MS = 500

export function nextStep(savepoint: SavepointFacts, limits: PlanLimits): SavepointStep {
  if (savepoint.status === 'Timeout') return isOpen(savepoint) ? { do: 'look' } : { do: 'nothing' }
  if (savepoint.status !== 'Creating') return { do: 'nothing' }
  const asked = savepoint.attempt.askedAt !== null
  if (savepoint.now >= savepoint.deadlineAt) return { do: 'time-out', asked }
  if (asked) return { do: 'look' }
  const refusal = refuse(savepoint)
  if (refusal) return { do: 'fail', code: refusal }
  const waitMs = timeToWait(savepoint, limits)
  return waitMs > 0 ? { do: 'wait', inMs: waitMs } : { do: 'ask' }
}

/** Asked, and its answer is not final: it may still complete. */
const isOpen = ({ attempt }: SavepointFacts): boolean => attempt.askedAt !== null && attempt.outcome === null

function refuse({ cluster, ambiguous, run, observationIsFresh }: SavepointFacts): SavepointRefusal | null {
  if (cluster.mode === 'OBSERVE_ONLY') return 'OBSERVE_ONLY'
  if (cluster.identityChanged) return 'CLUSTER_IDENTITY_CHANGED'
  if (!cluster.supported) return 'CLUSTER_UNSUPPORTED'
  if (ambiguous) return 'JOB_AMBIGUOUS'
  if (run?.state === 'LOST') return 'RUN_LOST'
  if (run && observationIsFresh && isEnded(run.state)) return 'JOB_NOT_RUNNING'
  return null
}

const isEnded = (state: RunState): boolean =>
  state === 'FINISHED' || state === 'CANCELED' || state === 'FAILED'

/** Flink refuses while tasks are missing; asking then would use up an attempt. Unknown is no reason to wait. */
function timeToWait({ run, observationIsFresh, attempt, now }: SavepointFacts, limits: PlanLimits): number {
  if (attempt.afterRescale) {
    if (!run?.allTasksRunning || !run.tasksRunningSince) return WAIT_FOR_TASKS_MS
    return Math.max(0, run.tasksRunningSince.getTime() + limits.rescaleSettleMs - now.getTime())
  }
  return run && observationIsFresh && !run.allTasksRunning ? WAIT_FOR_TASKS_MS : 0
}

/** How long to wait before the next look: often while it is young, less often as it grows old. */
export const lookAgainInMs = (sinceAskedMs: number): number =>
  Math.round(Math.min(5_000, Math.max(50, sinceAskedMs / 4)))

/** After the deadline: the result stays readable for five minutes in Flink, so a look a minute misses nothing. */
export const lateLookInMs = (sinceDeadlineMs: number): number =>
  Math.round(Math.min(60_000, Math.max(1_000, sinceDeadlineMs / 4)))

/** Exponential from half a second to half a minute, for what could not be done. */
export const backoffMs = (tries: number): number => Math.min(30_000, 500 * 2 ** Math.min(tries, 10))
