/** Thousands of running jobs with a filled checkpoint history, made at once: nothing is written and no timer runs. */
import { randomBytes } from 'node:crypto'
import { type CheckpointEntry, type CheckpointStatistics, recordPast } from './checkpoint-statistics.ts'
import { type Cluster, checkpointRoot } from './cluster.ts'
import { createJob, type JobSettings, moveJob, moveTasks, type SimulatedJob } from './job.ts'
import { countSubtasks, sampleProgram } from './program.ts'
import { NOT_ADDRESSABLE } from './retention.ts'

export type SeedOptions = {
  count: number
  /** Of the job with this number, from 0; `job-<n>` when absent. */
  name?: (index: number) => string
  parallelism?: number
  /** Completed checkpoints of each, the newest of which are retained; at most 10 stay in the history. Default 10. */
  checkpoints?: number
  /** Between one checkpoint and the next, the newest one ending now. Default 60 s. */
  everyMs?: number
  stateBytes?: number
}

export function seedRunningJobs(cluster: Cluster, options: SeedOptions): SimulatedJob[] {
  const { count, name = (index) => `job-${index}`, parallelism = 1, stateBytes = 4096 } = options
  const program = sampleProgram({ name: '', parallelism, maxParallelism: 128, stateBytes })
  const settings: JobSettings = { ...cluster.defaults, checkpointIntervalMs: null }
  const now = cluster.clock.now()
  return Array.from({ length: count }, (_, index) => {
    const jobName = name(index)
    const job = createJob(
      {
        id: randomBytes(16).toString('hex'),
        name: jobName,
        type: 'STREAMING',
        parallelism,
        // The vertices are shared: nothing changes them.
        program: { ...program, name: jobName },
        settings,
        userConfig: {},
      },
      now,
    )
    fillHistory(job, options, now)
    moveJob(job, 'RUNNING', now)
    moveTasks(job, 'RUNNING', now)
    cluster.jobs.set(job.id, job)
    return job
  })
}

function fillHistory(job: SimulatedJob, { checkpoints = 10, everyMs = 60_000 }: SeedOptions, now: number) {
  job.startTime = now - (checkpoints + 1) * everyMs
  const { statistics } = job
  for (let id = 1; id <= checkpoints; id++) {
    recordSeeded(job, statistics, {
      id,
      at: now - (checkpoints - id) * everyMs,
      isKept: id > checkpoints - kept(job),
    })
  }
  job.nextCheckpointId = checkpoints + 1
}

const kept = ({ settings }: SimulatedJob): number => Math.max(1, settings.numRetained)

function recordSeeded(
  job: SimulatedJob,
  statistics: CheckpointStatistics,
  { id, at, isKept }: { id: number; at: number; isKept: boolean },
): void {
  const { checkpointDirectory, checkpointDurationMs, unaligned } = job.settings
  const subtasks = countSubtasks(job.program)
  const location =
    checkpointDirectory === null
      ? NOT_ADDRESSABLE
      : `${checkpointRoot(checkpointDirectory, job.id)}/chk-${id}`
  const entry: CheckpointEntry = {
    id,
    status: 'COMPLETED',
    type: unaligned ? 'UNALIGNED_CHECKPOINT' : 'CHECKPOINT',
    format: null,
    triggeredAt: at - checkpointDurationMs,
    latestAckAt: at,
    checkpointedSize: job.program.stateBytes,
    stateSize: job.program.stateBytes,
    durationMs: checkpointDurationMs,
    subtasks,
    acknowledged: subtasks,
    externalPath: location,
    discarded: !isKept,
    failedAt: null,
    failureMessage: null,
  }
  recordPast(statistics, entry)
  if (isKept) job.retained.push({ checkpointId: id, location, entry, shared: [], total: 0 })
}
