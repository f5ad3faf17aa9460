/**
 * Moves a bulk savepoint on, any number of times and by any worker. An item takes its place (RUNNING) in Postgres before
 * its savepoint is asked for, and asks under an idempotency key that follows from operation and job: a worker that died
 * between the two, or that slept past its lease, can only find the savepoint that is there. The savepoints themselves are
 * ordinary ones, advanced by their own sweep.
 */
import {
  endOfRefusal,
  endStatus,
  type ItemEnd,
  itemsToSee,
  type OpenItem,
  planBulkStep,
} from '../domain/bulk-savepoint.ts'
import { DomainError } from '../domain/errors.ts'
import { operationPrincipal } from '../domain/operation.ts'
import { backoffMs } from '../domain/savepoint-plan.ts'
import type { ItemAnswer, OperationWork, OperationWorkRepository } from '../ports/operations.ts'
import type { CrashPoint, Log } from '../ports/process.ts'
import type { IdempotencyKey } from '../ports/scope.ts'
import type { Caller, Services } from './api.ts'
import { advanceAll, type Swept } from './sweep.ts'

export type AdvanceOperationPorts = {
  operationWork: OperationWorkRepository
  requestSavepoint: Services['requestSavepoint']
  crashPoint: CrashPoint
  log: Log
  limits: {
    /** How long a claim works on before it gives its lease back, in ms. */
    holdMs: number
  }
}

/** How often a running operation looks for savepoints that have ended. */
const LOOK_AGAIN_MS = 300
/** What nobody foresaw fails the same way each time: after so many steps in a row the item says so. */
const MAX_UNFORESEEN_TRIES = 5

/** Claims up to `limit` due operations and advances them side by side; `done` resolves when all are given back. */
export const sweepOperations =
  (ports: AdvanceOperationPorts) =>
  async (limit: number): Promise<Swept> =>
    advanceAll(await ports.operationWork.claimDue(limit), (work) => advance(work, ports))

type Stepped = 'over' | 'again' | 'later' | 'trouble'

async function advance(work: OperationWork, ports: AdvanceOperationPorts): Promise<void> {
  const until = performance.now() + ports.limits.holdMs
  try {
    let stepped: Stepped
    do stepped = await step(work, ports)
    while (stepped === 'again' && performance.now() < until)
    if (stepped === 'over') return
    const tries = stepped === 'trouble' ? work.tries + 1 : 0
    const nextActionInMs =
      stepped === 'trouble' ? backoffMs(work.tries) : stepped === 'again' ? 0 : LOOK_AGAIN_MS
    await ports.operationWork.release(work, { nextActionInMs, tries })
  } catch (error) {
    // Postgres is away: the lease runs out and the sweep of any worker takes the operation up again.
    ports.log.warn(
      { operationId: work.id, error: error instanceof Error ? error.message : error },
      'operation could not be advanced, will be repeated',
    )
  }
}

async function step(work: OperationWork, ports: AdvanceOperationPorts): Promise<Stepped> {
  const { operationWork } = ports
  const { maxParallel } = work.request
  const open = await operationWork.listOpen(work, itemsToSee(maxParallel))
  if (open.length === 0) return end(work, ports)

  const { finish, takeUp, askAgain } = planBulkStep(open, maxParallel)
  if (finish.length + takeUp.length > 0) {
    const positions = takeUp.map(({ position }) => position)
    if (!(await operationWork.recordStep(work, { finish, takeUp: positions }))) return 'over'
  }
  const asked = await Promise.all([...askAgain, ...takeUp].map((item) => ask(work, item, ports)))
  const answers = asked.filter((answer) => answer !== null)
  if (answers.length > 0) {
    if (!(await operationWork.recordAnswers(work, answers))) return 'over'
    ports.crashPoint('bulk-item-recorded')
  }
  if (answers.length < asked.length) return 'trouble'
  const ended = finish.length + answers.filter((answer) => 'refusal' in answer).length
  return ended > 0 ? 'again' : 'later'
}

async function end(work: OperationWork, { operationWork, log }: AdvanceOperationPorts): Promise<Stepped> {
  const counts = await operationWork.countItems(work)
  const status = endStatus(counts)
  if (await operationWork.end(work, status, counts)) {
    log.info({ operationId: work.id, status, ...counts }, 'operation ended')
  }
  return 'over'
}

// ------------------------------------------------------------------------------------------------------ ask

/** null: not now; the item keeps its place and is asked for again. */
async function ask(
  work: OperationWork,
  item: OpenItem,
  ports: AdvanceOperationPorts,
): Promise<ItemAnswer | null> {
  const { position, job } = item
  const key = itemKey(work, item)
  const { principal, ...idempotency } = key
  const caller: Caller = { namespaceId: work.namespaceId, namespace: work.namespace, principal }
  const {
    description = `Savepoint of ${job.name} by ${principal}, requested by ${work.createdBy}`,
    ...options
  } = work.request.savepoint
  try {
    const { resource } = await ports.requestSavepoint({
      ...options,
      caller,
      idempotency,
      job: job.id,
      description,
      ifRunning: 'JOIN',
    })
    ports.crashPoint('bulk-savepoint-created')
    return { position, key, snapshotId: resource.id }
  } catch (error) {
    const refusal = refusalOf(error, work)
    const fields = {
      operationId: work.id,
      job: job.name,
      error: error instanceof Error ? error.message : error,
    }
    ports.log[refusal ? 'info' : 'warn'](
      fields,
      refusal ? 'no savepoint for this job' : 'savepoint could not be requested, will be repeated',
    )
    return refusal && { position, key, refusal }
  }
}

function refusalOf(error: unknown, work: OperationWork): ItemEnd | null {
  if (error instanceof DomainError) {
    const end = endOfRefusal(error.code, error.message)
    if (end || error.code !== 'INTERNAL') return end
  }
  if (work.tries < MAX_UNFORESEEN_TRIES) return null
  return {
    status: 'FAILED',
    failure: { code: 'INTERNAL', message: 'The savepoint could not be requested; our log says why.' },
  }
}

/** The same for every worker and every repetition: one item can only ever come to one savepoint. */
const itemKey = (work: OperationWork, { job }: OpenItem): IdempotencyKey => ({
  principal: operationPrincipal(work.id),
  route: 'bulk savepoint',
  key: job.id,
  bodyHash: 'item',
})
