/**
 * Moves one savepoint on, called by the queue and by the sweep any number of times. Every step may be repeated: what has
 * happened is read from Postgres, Flink and the store, never remembered. What cannot be asked now is tried again with a
 * growing pause until the deadline; it is never a failed savepoint.
 */
import { DomainError, FlinkUnavailableError, StorageError } from '../domain/errors.ts'
import { backoffMs, lookAgainInMs, nextStep, type SavepointRefusal } from '../domain/savepoint-plan.ts'
import type { SavepointWork } from '../ports/savepoint-work.ts'
import { askFlink } from './ask-flink.ts'
import { look, lookThenTimeOut } from './conclude-savepoint.ts'
import { clockFrom } from './database-clock.ts'
import {
  type AdvancePorts,
  again,
  fail,
  flinkHasGivenUp,
  flinkOf,
  notPastDeadline,
  RELEASED,
  release,
  type Stepped,
  storeOf,
  timeOut,
} from './savepoint-moves.ts'
import { advanceAll, type Swept } from './sweep.ts'
import { within } from './within.ts'

/** Shorter pauses are slept with the lease in hand; longer ones give it back. */
const LONGEST_SLEEP_MS = 1_000

/** Claims up to `limit` due savepoints and advances them side by side; `done` resolves when all are given back. */
export const sweepSavepoints =
  (ports: AdvancePorts) =>
  async (limit: number): Promise<Swept> =>
    advanceAll(await ports.savepoints.claimDue(limit), (work) => advance(work, ports))

async function advance(claimed: SavepointWork, ports: AdvancePorts): Promise<void> {
  const now = clockFrom(claimed.now)
  let work = claimed
  for (;;) {
    const stepped = await stepBeforeDeadline(work, ports)
    if (stepped.kind === 'released') return
    const heldMs = now().getTime() - claimed.now.getTime()
    if (stepped.inMs > LONGEST_SLEEP_MS || heldMs + stepped.inMs > ports.limits.holdMs) {
      await ports.savepoints.release(stepped.work, { nextActionInMs: stepped.inMs, tries: 0 })
      return
    }
    await ports.sleep(stepped.inMs)
    work = { ...stepped.work, now: now() }
  }
}

/** What a look may still take once the deadline has come. */
const LAST_LOOK_MS = 1_000

/**
 * A Flink that hangs must not keep a savepoint Creating past its deadline (I1): the step is left to itself then. What it
 * still writes needs the lease, which is gone; whether it has asked is read from the row at the next claim.
 */
async function stepBeforeDeadline(work: SavepointWork, ports: AdvancePorts): Promise<Stepped> {
  const running = step(work, ports)
  if (work.status !== 'Creating') return running
  const leftMs = Math.max(LAST_LOOK_MS, work.deadlineAt.getTime() - work.now.getTime())
  const result = await within(leftMs, running, 'late')
  if (result !== 'late') return result
  return work.attempt.askedAt ? timeOut(work, ports) : release(work, ports, 0)
}

async function step(work: SavepointWork, ports: AdvancePorts): Promise<Stepped> {
  try {
    return await takeStep(work, ports)
  } catch (error) {
    return await retreat(work, ports, error)
  }
}

async function takeStep(work: SavepointWork, ports: AdvancePorts): Promise<Stepped> {
  const next = nextStep(work, ports.limits)
  switch (next.do) {
    case 'nothing':
      return release(work, ports, null)
    case 'wait':
      return release(work, ports, next.inMs) // not slept through: the run is read again at the next claim
    case 'fail':
      return fail(work, ports, { code: next.code, message: REFUSALS[next.code] }, { asked: false })
    case 'ask':
      return ask(work, ports)
    case 'look':
      return look(work, ports)
    case 'time-out':
      return next.asked ? lookThenTimeOut(work, ports) : timeOut(work, ports)
  }
}

const REFUSALS: Record<SavepointRefusal, string> = {
  OBSERVE_ONLY: 'The cluster is observe-only: nothing is triggered there.',
  CLUSTER_IDENTITY_CHANGED: 'Another Flink cluster answers at this address; confirm it first.',
  CLUSTER_UNSUPPORTED:
    'The cluster runs a Flink before 1.15: it takes no trigger ids of ours. Upgrade the cluster.',
  JOB_AMBIGUOUS: 'More than one live Flink job has this name; nothing is triggered.',
  JOB_NOT_RUNNING: 'The job is not running.',
  RUN_LOST: 'The run is lost: Flink has not listed the job for a long time.',
}
/** Nothing is known and nothing has changed: look again later, or time out when the deadline has passed meanwhile. */
async function retreat(work: SavepointWork, ports: AdvancePorts, error: unknown): Promise<Stepped> {
  const foreseen =
    error instanceof FlinkUnavailableError || error instanceof StorageError || error instanceof DomainError
  const message = error instanceof Error ? error.message : String(error)
  ports.log[foreseen ? 'warn' : 'error'](
    {
      snapshotId: work.id,
      job: work.job.name,
      attempt: work.attempt.number,
      error: foreseen ? message : error,
    },
    'savepoint step could not be done, will be repeated',
  )
  try {
    if (work.status === 'Creating' && work.now >= work.deadlineAt) return await timeOut(work, ports)
    const nextActionInMs = notPastDeadline(work, backoffMs(work.tries))
    // Time alone frees the job as well: by then Flink has given up, whether it can be asked or not.
    const settled =
      work.status === 'Timeout' && work.settledAt === null && (await flinkHasGivenUp(work, ports))
    await ports.savepoints.release(work, { nextActionInMs, tries: work.tries + 1, settled })
  } catch (cause) {
    // Postgres is away as well: the lease runs out and the sweep of any worker takes the row up again.
    ports.log.warn(
      { snapshotId: work.id, error: cause instanceof Error ? cause.message : cause },
      'lease left to expire',
    )
  }
  return RELEASED
}
async function ask(work: SavepointWork, ports: AdvancePorts): Promise<Stepped> {
  const asked = await askFlink(work, {
    savepoints: ports.savepoints,
    flink: flinkOf(work, ports),
    store: storeOf(work, ports),
    crashPoint: ports.crashPoint,
  })
  switch (asked.kind) {
    case 'lease-lost':
      return release(work, ports, 0) // nothing happens when it is lost indeed
    case 'wait':
      return release(work, ports, asked.inMs)
    case 'refused':
      return fail(work, ports, asked.failure, { asked: asked.asked })
    case 'asked':
      return again(
        {
          ...work,
          now: asked.at,
          attempt: {
            ...work.attempt,
            askedAt: asked.at,
            flinkJobId: asked.flinkJobId,
            askedFlinkStart: asked.flinkStartTime,
          },
        },
        lookAgainInMs(0),
      )
  }
}
