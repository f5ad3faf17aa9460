/** What happens to whole jobs: started, restarted, rescaled, cancelled, finished, failed, taken over. */
import { recordRestore } from './checkpoint-statistics.ts'
import { type Cluster, later } from './cluster.ts'
import { checkpointException, type JavaThrowable, stackTrace, throwable } from './java-throwable.ts'
import {
  allTasksRunning,
  type ExceptionEntry,
  isTerminal,
  moveJob,
  moveTasks,
  resetExecution,
  type SimulatedJob,
  stopTimers,
} from './job.ts'
import { abortSnapshots, releaseCheckpoints, SUSPENDING, takeSnapshot } from './snapshots.ts'

const EXCEPTIONS_KEPT = 16

/** From INITIALIZING to all tasks running; at once when the cluster's `taskStartMs` is 0. */
export function startJob(cluster: Cluster, job: SimulatedJob): void {
  const now = cluster.clock.now()
  moveJob(job, 'CREATED', now)
  moveJob(job, 'RUNNING', now)
  recover(cluster, job)
  startTasks(cluster, job)
  if (job.settings.checkpointIntervalMs !== null && job.type === 'STREAMING') scheduleCheckpoint(cluster, job)
}

function startTasks(cluster: Cluster, job: SimulatedJob): void {
  const run = () => moveTasks(job, 'RUNNING', cluster.clock.now())
  if (cluster.taskStartMs === 0) {
    run()
    return
  }
  moveTasks(job, 'INITIALIZING', cluster.clock.now())
  later(cluster, job, cluster.taskStartMs, run)
}

/** From its newest own checkpoint, else from what it was started from, else from nothing. */
function recover(cluster: Cluster, job: SimulatedJob): void {
  const restoredAt = cluster.clock.now()
  const own = job.retained.findLast((checkpoint) => checkpoint.entry !== null)
  if (own !== undefined) {
    const { checkpointId, location } = own
    recordRestore(job.statistics, {
      id: checkpointId,
      restoredAt,
      isSavepoint: false,
      externalPath: location,
    })
  } else if (job.startedFrom !== null) {
    const { checkpointId, location, claimMode } = job.startedFrom
    const isSavepoint = claimMode !== 'CLAIM'
    recordRestore(job.statistics, { id: checkpointId, restoredAt, isSavepoint, externalPath: location })
  }
}

function scheduleCheckpoint(cluster: Cluster, job: SimulatedJob): void {
  const { checkpointIntervalMs } = job.settings
  if (checkpointIntervalMs === null) return
  later(cluster, job, checkpointIntervalMs, () => {
    if (isTerminal(job)) return
    // While a savepoint runs no checkpoint is triggered.
    if (allTasksRunning(job) && job.pending.size === 0) triggerCheckpoint(cluster, job)
    scheduleCheckpoint(cluster, job)
  })
}

export const triggerCheckpoint = (cluster: Cluster, job: SimulatedJob): number | null =>
  takeSnapshot(
    cluster,
    job,
    { kind: 'checkpoint', format: null, targetDirectory: null, triggerId: null, drain: false },
    () => undefined,
  )

/** A failure of the job, or with `exception` null a rescale, which leaves no trace but the aborted snapshots. */
export function restartJob(cluster: Cluster, job: SimulatedJob, exception: ExceptionEntry | null): void {
  if (isTerminal(job)) return
  const now = cluster.clock.now()
  if (exception !== null) remember(job, { ...exception, at: now })
  abortSnapshots(job, SUSPENDING)
  moveJob(job, 'RESTARTING', now)
  moveTasks(job, exception === null ? 'CANCELED' : 'FAILED', now)
  later(cluster, job, cluster.restartDelayMs, () => {
    if (job.state !== 'RESTARTING') return
    moveJob(job, 'RUNNING', cluster.clock.now())
    recover(cluster, job)
    startTasks(cluster, job)
  })
}

function remember(job: SimulatedJob, exception: ExceptionEntry): void {
  job.exceptions.unshift(exception)
  if (job.exceptions.length > EXCEPTIONS_KEPT) job.exceptions.pop()
}

const toEntry = (exception: JavaThrowable, taskName: string | null): ExceptionEntry => ({
  exceptionName: exception.className,
  stacktrace: stackTrace(exception),
  at: 0,
  taskName,
})

/** A task that could not take snapshot `checkpointId`, as /exceptions tells it. */
export function taskFailure(job: SimulatedJob, checkpointId: number, cause: JavaThrowable): ExceptionEntry {
  const last = job.program.vertices.at(-1)
  const task = `${last?.name} (1/${last?.parallelism})`
  const declined = checkpointException(
    `Could not complete snapshot ${checkpointId} for operator ${task}#0. Failure reason: Checkpoint was declined.`,
    cause,
  )
  const text = `Could not perform checkpoint ${checkpointId} for operator ${task}#0.`
  return toEntry(throwable('java.io.IOException', text, declined), `${task} - execution #0`)
}

export const TASK_MANAGER = '127.0.0.1:43649-0e0081'

export function taskManagerLost(job: SimulatedJob): ExceptionEntry {
  const [first] = job.program.vertices
  const lost = throwable(
    'org.apache.flink.runtime.jobmaster.JobMasterException',
    `TaskManager with id ${TASK_MANAGER} is no longer reachable.`,
  )
  return toEntry(lost, `${first?.name} (1/${first?.parallelism}) - execution #0`)
}

export function cancelJob(cluster: Cluster, job: SimulatedJob): void {
  const now = cluster.clock.now()
  moveJob(job, 'CANCELLING', now)
  abortSnapshots(job, SUSPENDING)
  stopTimers(job)
  moveTasks(job, 'CANCELED', now)
  later(cluster, job, 0, () => endJob(cluster, job, 'CANCELED'))
}

/** The end of a /stop. */
export function finishJob(cluster: Cluster, job: SimulatedJob): void {
  moveTasks(job, 'FINISHED', cluster.clock.now())
  endJob(cluster, job, 'FINISHED')
}

export function failJob(cluster: Cluster, job: SimulatedJob, cause: JavaThrowable): void {
  remember(job, { ...toEntry(cause, null), at: cluster.clock.now() })
  moveTasks(job, 'FAILED', cluster.clock.now())
  endJob(cluster, job, 'FAILED')
}

/** A start that ended before the job had a graph: its id is used up. */
export function failToStart(cluster: Cluster, job: SimulatedJob, cause: JavaThrowable): void {
  job.withoutGraph = true
  failJob(cluster, job, cause)
}

function endJob(cluster: Cluster, job: SimulatedJob, state: 'CANCELED' | 'FINISHED' | 'FAILED'): void {
  moveJob(job, state, cluster.clock.now())
  abortSnapshots(job, SUSPENDING)
  stopTimers(job)
  releaseCheckpoints(cluster, job)
}

/**
 * The JobManager process dies and another one starts. Results and jars are gone in any case; jobs come back only with
 * high availability, under their ids, with a new start-time and statistics from zero.
 */
export function replaceJobManager(cluster: Cluster, options: { ha: boolean; webDirectory: string }): void {
  killJobManager(cluster)
  cluster.epoch++
  cluster.webDirectory = options.webDirectory
  const survivors = options.ha ? [...cluster.jobs.values()].filter((job) => !isTerminal(job)) : []
  cluster.jobs.clear()
  for (const job of survivors) {
    resetExecution(job, cluster.clock.now())
    cluster.jobs.set(job.id, job)
    startJob(cluster, job)
  }
}

/** Nobody cleans up after a killed process: data files without `_metadata` stay where they are. */
function killJobManager(cluster: Cluster): void {
  const settledAt = cluster.clock.now()
  for (const accepted of cluster.open) Object.assign(accepted, { outcome: 'lost', settledAt })
  cluster.open.clear()
  cluster.operations.clear()
  cluster.jars.clear()
  for (const job of cluster.jobs.values()) {
    abortSnapshots(job, SUSPENDING, true)
    stopTimers(job)
  }
}
