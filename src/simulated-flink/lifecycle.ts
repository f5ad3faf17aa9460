/** What happens to whole jobs: started, restarted, rescaled, cancelled, finished, failed, taken over. */
import { recordRestore } from './checkpoint-statistics.ts'
import { type Cluster, later } from './cluster.ts'
import { beginCounting, reportCounter, setCounting } from './counter.ts'
import { rememberException, taskManagerLost, toExceptionEntry } from './exceptions.ts'
import type { JavaThrowable } from './java-throwable.ts'
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
import { releaseCheckpoints } from './retention.ts'
import { abortSnapshots, SUSPENDING, takeSnapshot } from './snapshots.ts'

/** From INITIALIZING to all tasks running; at once when the cluster's `taskStartMs` is 0. */
export function startJob(cluster: Cluster, job: SimulatedJob): void {
  const now = cluster.clock.now()
  moveJob(job, 'CREATED', now)
  moveJob(job, 'RUNNING', now)
  recover(cluster, job)
  startTasks(cluster, job)
  reportCounter(cluster, job)
  if (job.settings.checkpointIntervalMs !== null && job.type === 'STREAMING') scheduleCheckpoint(cluster, job)
}

function startTasks(cluster: Cluster, job: SimulatedJob): void {
  const run = () => {
    moveTasks(job, 'RUNNING', cluster.clock.now())
    setCounting(job, true, cluster.clock.now())
  }
  if (!cluster.taskManagerThere) {
    moveTasks(job, 'SCHEDULED', cluster.clock.now())
    return
  }
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
  beginCounting(job, own?.total ?? job.startedFrom?.total ?? null)
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
    { settle: () => undefined, restart: (exception) => restartJob(cluster, job, exception) },
  )

/** A failure of the job, or with `exception` null a rescale, which leaves no trace but the aborted snapshots. */
export function restartJob(cluster: Cluster, job: SimulatedJob, exception: ExceptionEntry | null): void {
  if (isTerminal(job)) return
  const now = cluster.clock.now()
  if (exception !== null) rememberException(job, { ...exception, at: now })
  abortSnapshots(job, SUSPENDING)
  moveJob(job, 'RESTARTING', now)
  moveTasks(job, exception === null ? 'CANCELED' : 'FAILED', now)
  setCounting(job, false, now)
  later(cluster, job, cluster.restartDelayMs, () => {
    if (job.state !== 'RESTARTING') return
    moveJob(job, 'RUNNING', cluster.clock.now())
    recover(cluster, job)
    startTasks(cluster, job)
  })
}

/** The only TaskManager dies, or another one comes: jobs restart and wait for its slots. */
export function setTaskManager(cluster: Cluster, there: boolean): void {
  if (cluster.taskManagerThere === there) return
  cluster.taskManagerThere = there
  for (const job of cluster.jobs.values()) {
    if (!there) restartJob(cluster, job, taskManagerLost(job))
    else if (job.state === 'RUNNING' && job.tasks === 'SCHEDULED') startTasks(cluster, job)
  }
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
  rememberException(job, { ...toExceptionEntry(cause, null), at: cluster.clock.now() })
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
 * high availability, under their ids, with a new start-time and statistics from zero. Answers those that were alive.
 */
export function replaceJobManager(
  cluster: Cluster,
  options: { ha: boolean; webDirectory: string },
): SimulatedJob[] {
  killJobManager(cluster)
  cluster.epoch++
  cluster.webDirectory = options.webDirectory
  const alive = [...cluster.jobs.values()].filter((job) => !isTerminal(job))
  cluster.jobs.clear()
  for (const job of options.ha ? alive : []) {
    // Still being submitted: it was not stored yet, and its client hears nothing.
    if (job.state === 'INITIALIZING' && !cluster.isApplication) continue
    resetExecution(job, cluster.clock.now())
    cluster.jobs.set(job.id, job)
    startJob(cluster, job)
  }
  return alive
}

/** Nobody cleans up after a killed process: data files without `_metadata` stay where they are. */
function killJobManager(cluster: Cluster): void {
  const settledAt = cluster.clock.now()
  for (const accepted of cluster.open) Object.assign(accepted, { outcome: 'lost', settledAt })
  cluster.open.clear()
  cluster.operations.clear()
  cluster.readCache.clear()
  cluster.jars.clear()
  for (const job of cluster.jobs.values()) {
    abortSnapshots(job, SUSPENDING, true)
    stopTimers(job)
  }
}
