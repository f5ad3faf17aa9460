/**
 * Triggered operations: savepoints, stops, checkpoints, disposals. The key is (trigger id, job): a repeat of a known
 * key does nothing. An unknown job is no error of the trigger but of its result.
 */
import { randomBytes } from 'node:crypto'
import { type AcceptedTrigger, appendTo } from './accept-log.ts'
import type { SavepointFormat } from './checkpoint-statistics.ts'
import type { Cluster } from './cluster.ts'
import { qualify, schemeOf } from './files.ts'
import type { SnapshotKind } from './hooks.ts'
import { completionException, jobNotFound, rootMessage, throwable } from './java-throwable.ts'
import { allTasksRunning, isTerminal, type SimulatedJob } from './job.ts'
import { cancelJob, finishJob, restartJob } from './lifecycle.ts'
import type { Operation, OperationKind, OperationOutcome } from './operations.ts'
import { abortSnapshots, SUSPENDING, takeSnapshot } from './snapshots.ts'

export type TriggerOrder = {
  kind: SnapshotKind
  jobId: string
  triggerId: string
  targetDirectory: string | null
  format: SavepointFormat | null
  cancelJob: boolean
  drain: boolean
}

export const newTriggerId = (): string => randomBytes(16).toString('hex')

const operationKind = (kind: SnapshotKind): OperationKind => (kind === 'checkpoint' ? kind : 'savepoint')

export function trigger(cluster: Cluster, order: TriggerOrder): void {
  const kind = operationKind(order.kind)
  const known = cluster.operations.find(kind, order.triggerId, order.jobId)
  if (known !== undefined) {
    known.accepted.repeats++
    return
  }
  const job = cluster.jobs.get(order.jobId)
  const accepted = accept(cluster, {
    kind: order.kind,
    jobId: order.jobId,
    jobName: job?.name ?? null,
    triggerId: order.triggerId,
    directory: order.targetDirectory,
  })
  const operation = cluster.operations.begin(kind, accepted)
  if (job === undefined || isTerminal(job)) {
    const cause = completionException(jobNotFound(order.jobId))
    settleOperation(cluster, operation, { ok: false, cause })
  } else accepted.checkpointId = start(cluster, job, order, operation)
}

function start(
  cluster: Cluster,
  job: SimulatedJob,
  order: TriggerOrder,
  operation: Operation,
): number | null {
  // A stop stops the coordinator first, which ends every snapshot in flight: also another stop's.
  if (order.kind === 'stop' && allTasksRunning(job)) abortSnapshots(job, SUSPENDING)
  const { epoch } = cluster
  const settle = (outcome: OperationOutcome) => {
    settleOperation(cluster, operation, outcome)
    if (!outcome.ok || epoch !== cluster.epoch || isTerminal(job)) return
    if (order.kind === 'stop') finishJob(cluster, job)
    else if (order.cancelJob) cancelJob(cluster, job)
  }
  return takeSnapshot(cluster, job, order, {
    settle,
    restart: (exception) => restartJob(cluster, job, exception),
  })
}

function accept(
  cluster: Cluster,
  asked: Pick<AcceptedTrigger, 'kind' | 'jobId' | 'jobName' | 'triggerId' | 'directory'>,
): AcceptedTrigger {
  const accepted: AcceptedTrigger = {
    at: cluster.clock.now(),
    ...asked,
    repeats: 0,
    checkpointId: null,
    outcome: 'pending',
    settledAt: null,
    location: null,
    failure: null,
  }
  appendTo(cluster.acceptLog, accepted)
  cluster.open.add(accepted)
  return accepted
}

function settleOperation(cluster: Cluster, operation: Operation, outcome: OperationOutcome): void {
  const { accepted } = operation
  cluster.operations.settle(operation, outcome)
  // A dead JobManager has lost it: nothing that ends later changes that.
  if (!cluster.open.delete(accepted)) return
  accepted.outcome = outcome.ok ? 'completed' : 'failed'
  accepted.settledAt = cluster.clock.now()
  if (outcome.ok) accepted.location = outcome.location
  else accepted.failure = rootMessage(outcome.cause)
}

// ------------------------------------------------------------------------------------------------- disposal

/** Every call is a new operation with an id of the server's own. */
export function disposeSavepoint(cluster: Cluster, path: string): string {
  const triggerId = newTriggerId()
  const accepted = accept(cluster, { kind: 'disposal', jobId: '', jobName: null, triggerId, directory: path })
  const operation = cluster.operations.begin('disposal', accepted)
  void dispose(cluster, path).then((outcome) => settleOperation(cluster, operation, outcome))
  return triggerId
}

async function dispose(cluster: Cluster, path: string): Promise<OperationOutcome> {
  const directory = qualify(path).replace(/\/_metadata$/, '')
  try {
    const metadata = await cluster.files.read(`${directory}/_metadata`)
    if (metadata === null) return notDisposed(path, missingSnapshot(path))
    await cluster.files.removeFile(`${directory}/_metadata`)
    await cluster.files.removeDirectory(directory)
    return { ok: true, location: directory, checkpointId: -1 }
  } catch (error) {
    return notDisposed(path, error instanceof Error ? error.message : String(error))
  }
}

export const missingSnapshot = (path: string): string =>
  `Cannot find checkpoint or savepoint file/directory '${path}' on file system '${schemeOf(qualify(path))}'.`

const notDisposed = (path: string, text: string): OperationOutcome => ({
  ok: false,
  cause: throwable(
    'org.apache.flink.util.FlinkException',
    `Could not dispose savepoint ${path}.`,
    throwable('java.io.FileNotFoundException', text),
  ),
})
