/**
 * Moves starts and stops on, any number of times and by any worker. What has happened is read from Postgres, Flink and the
 * store; what cannot be asked now is tried again with a growing pause until the deadline, it is never a failure. The lease is
 * renewed while a step waits for Flink.
 */
import { DomainError, FlinkUnavailableError, StorageError } from '../domain/errors.ts'
import { LIFECYCLE_KINDS } from '../domain/operation.ts'
import { noteOnStep } from '../domain/operation-steps.ts'
import { backoffMs } from '../domain/savepoint-plan.ts'
import type { LifecycleWork, LifecycleWorkRepository, StartWork, StopWork } from '../ports/lifecycle.ts'
import type { Log } from '../ports/process.ts'
import { clockFrom } from './database-clock.ts'
import { keepLease } from './keep-lease.ts'
import { advanceAll, type Swept } from './sweep.ts'

/** Ended, or to be looked at again after a pause. A lost lease is `again` as well: giving it back then does nothing. */
export type Advanced = 'over' | { againInMs: number }

export type AdvanceLifecyclePorts = {
  lifecycleWork: LifecycleWorkRepository
  advanceStart: (work: StartWork) => Promise<Advanced>
  advanceStop: (work: StopWork) => Promise<Advanced>
  log: Log
  limits: {
    /** How often the lease is renewed while work is under way, in ms: a third of it. */
    renewMs: number
  }
}

/** Claims up to `limit` due operations and advances them side by side; `done` resolves when all are given back. */
export const sweepLifecycles =
  (ports: AdvanceLifecyclePorts) =>
  async (limit: number): Promise<Swept> =>
    advanceAll(await ports.lifecycleWork.claimDue(limit, LIFECYCLE_KINDS), (work) => advance(work, ports))

async function advance(work: LifecycleWork, ports: AdvanceLifecyclePorts): Promise<void> {
  // The database's clock, carried on by a clock that nobody sets.
  const now = clockFrom(work.now)
  const lease = keepLease(() => ports.lifecycleWork.renew(work), ports.limits.renewMs)
  try {
    const advanced = await (work.kind === 'START' ? ports.advanceStart(work) : ports.advanceStop(work))
    if (advanced === 'over') return
    const nextActionInMs = notPastDeadline(work, now().getTime(), advanced.againInMs)
    await ports.lifecycleWork.release(work, { nextActionInMs, tries: 0 })
  } catch (error) {
    await retreat(work, now().getTime(), ports, error)
  } finally {
    lease.stop()
  }
}

/** Whatever it waits for, its deadline is looked at when it passes. */
const notPastDeadline = ({ deadlineAt }: LifecycleWork, nowMs: number, pauseMs: number): number => {
  const leftMs = deadlineAt.getTime() - nowMs
  return leftMs > 0 ? Math.min(pauseMs, leftMs) : pauseMs
}

/** Nothing is known and nothing has changed: look again later. What nobody foresaw keeps its lease until that runs out. */
async function retreat(
  work: LifecycleWork,
  nowMs: number,
  ports: AdvanceLifecyclePorts,
  error: unknown,
): Promise<void> {
  const foreseen =
    error instanceof FlinkUnavailableError || error instanceof StorageError || error instanceof DomainError
  const message = error instanceof Error ? error.message : String(error)
  ports.log[foreseen ? 'warn' : 'error'](
    { operationId: work.id, kind: work.kind, job: work.job.name, error: foreseen ? message : error },
    'operation could not be advanced, will be repeated',
  )
  if (!foreseen) return
  try {
    await tellTrouble(work, ports, message)
    const nextActionInMs = notPastDeadline(work, nowMs, backoffMs(work.tries))
    await ports.lifecycleWork.release(work, { nextActionInMs, tries: work.tries + 1 })
  } catch (cause) {
    // Postgres is away as well: the lease runs out and the sweep of any worker takes the operation up again.
    ports.log.warn(
      { operationId: work.id, error: cause instanceof Error ? cause.message : cause },
      'lease left to expire',
    )
  }
}

/** The step under way says what it waits for; read again first, because steps may have been recorded since the claim. */
async function tellTrouble(
  work: LifecycleWork,
  { lifecycleWork }: AdvanceLifecyclePorts,
  message: string,
): Promise<void> {
  const fresh = await lifecycleWork.renew(work)
  const steps = fresh && noteOnStep(fresh.steps, message)
  if (fresh && steps) await lifecycleWork.record(fresh, { steps })
}
