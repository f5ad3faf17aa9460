/**
 * What one poll of a cluster means for a followed job. Pure: the listing of a reachable leader against the runs we know.
 * A job that is not listed has not ended by that: it is missing, and LOST only after `lostAfterMs`.
 */
import { type FlinkJob, type FlinkJobState, isTerminal } from './flink.ts'
import type { JobAttachment, RunState } from './resources.ts'

export type KnownRun = {
  id: string
  flinkJobId: string
  state: RunState
  flinkState: string
  flinkStartTime: number
  allTasksRunning: boolean
  /** How long a reachable leader has not listed it; null while it is listed. */
  missingForMs: number | null
  /** A person has said that it is over, or a later run under its id has proven it. */
  endConfirmed: boolean
  declaredVersion: number | null
  completedCheckpoints: number
  /** Its CheckpointConfig has been recorded. */
  configured: boolean
  /** Under a Flink job id that we chose, so nobody else can start it. */
  startedByUs: boolean
  /** The `locationKey` of what it was started from. */
  restoredKey: string | null
}

export type FollowedJob = {
  id: string
  attach: JobAttachment | null
  ambiguous: string[] | null
  currentRunId: string | null
  /** The current run, and every other run that has not ended. */
  runs: KnownRun[]
}

/** Why a run FAILED, down to the root cause. */
export type RunFailure = { code: 'JOB_FAILED'; message: string }

type Seen = { flinkState: FlinkJobState | string; flinkStartTime: number; allTasksRunning: boolean }

type RunChanged = {
  kind: 'run-changed'
  jobId: string
  runId: string
  flinkJobId: string
  state: RunState
  missing: boolean
  failure?: RunFailure
} & Seen

export type NewRun = {
  kind: 'new-run'
  jobId: string
  flinkJobId: string
  state: RunState
  declaredVersion: number | null
  failure?: RunFailure
  /** The run that lived under the same Flink job id until a moment ago: it is over, whatever became of it. */
  supersedes: string | null
} & Seen

export type RunChange =
  | NewRun
  | RunChanged
  | { kind: 'ambiguous'; jobId: string; flinkJobIds: string[] | null }

/** The job goes on under its id with another `start-time`: the same run after a failover, or another one. */
export type Restart = { jobId: string; run: KnownRun; job: FlinkJob }

export type Comparison = { changes: RunChange[]; restarts: Restart[] }

/** The start-time of a run that we have submitted and that Flink has not shown yet. */
export const NEVER_SEEN = 0

/** The listing of one poll, indexed once for all followed jobs. */
export type Listing = {
  byId: ReadonlyMap<string, FlinkJob>
  byName: ReadonlyMap<string, readonly FlinkJob[]>
}

export function indexListing(jobs: readonly FlinkJob[]): Listing {
  const byName = new Map<string, FlinkJob[]>()
  for (const job of jobs) byName.set(job.name, [...(byName.get(job.name) ?? []), job])
  return { byId: new Map(jobs.map((job) => [job.flinkJobId, job])), byName }
}

/** Everything that must be written; empty when the poll shows nothing new. */
export function compareJob(followed: FollowedJob, listing: Listing, lostAfterMs: number): Comparison {
  const { target, ambiguous } = chooseTarget(followed, listing)
  const changes: RunChange[] = []
  const restarts: Restart[] = []
  if (!sameIds(ambiguous, followed.ambiguous)) {
    changes.push({ kind: 'ambiguous', jobId: followed.id, flinkJobIds: ambiguous })
  }
  const current = followed.runs.find((run) => run.id === followed.currentRunId)
  for (const run of followed.runs) {
    const job = listing.byId.get(run.flinkJobId)
    if (isOver(run)) continue // Flink forgets ended jobs after an hour, and an id may live again as another run
    if (job && run.flinkStartTime !== NEVER_SEEN && job.startTime !== run.flinkStartTime)
      restarts.push({ jobId: followed.id, run, job })
    else changes.push(...compareRun(followed.id, run, job, lostAfterMs))
  }
  if (target && isNewRun(target, current)) changes.push(newRun(followed.id, target))
  return { changes, restarts }
}

/** Another cluster behind the same address would look like this: jobs gone, jobs begun, jobs restarted. */
export const isDoubtful = ({ changes, restarts }: Comparison): boolean =>
  restarts.length > 0 ||
  changes.some((change) => change.kind === 'new-run' || (change.kind === 'run-changed' && change.missing))

/** The run goes on: what it is now, with the new `start-time`. */
export function continuedRun({ jobId, run, job }: Restart): RunChanged {
  return {
    kind: 'run-changed',
    jobId,
    runId: run.id,
    flinkJobId: run.flinkJobId,
    state: runStateOf(job, run.state),
    missing: false,
    ...seen(job),
  }
}

/** Not decided yet: everything but the `start-time`, which keeps the question open. */
export function undecidedRun(restart: Restart): RunChanged[] {
  const { run } = restart
  const change = { ...continuedRun(restart), flinkStartTime: run.flinkStartTime }
  const same =
    run.flinkState === change.flinkState &&
    run.allTasksRunning === change.allTasksRunning &&
    run.missingForMs === null
  return same || isTerminal(restart.job.state) ? [] : [change]
}

/** Which Flink job a followed job is now: by id; by name the one live job, or while none lives the newest ended one. */
function chooseTarget(
  followed: FollowedJob,
  listing: Listing,
): { target: FlinkJob | undefined; ambiguous: string[] | null } {
  const { attach } = followed
  if (attach === null) return { target: undefined, ambiguous: null }
  if ('flinkJobId' in attach) return { target: listing.byId.get(attach.flinkJobId), ambiguous: null }
  const named = listing.byName.get(attach.flinkJobName) ?? []
  const live = named.filter((job) => !isTerminal(job.state))
  if (live.length > 1) return { target: undefined, ambiguous: live.map((job) => job.flinkJobId).sort() }
  return { target: live[0] ?? newest(named), ambiguous: null }
}

const newest = (jobs: readonly FlinkJob[]): FlinkJob | undefined =>
  jobs.reduce<FlinkJob | undefined>(
    (best, job) => (best && best.startTime >= job.startTime ? best : job),
    undefined,
  )

function isNewRun(target: FlinkJob, current: KnownRun | undefined): boolean {
  if (!current) return true
  if (current.flinkJobId === target.flinkJobId && !isOver(current)) return false
  return !isTerminal(target.state) || target.startTime > current.flinkStartTime
}

function compareRun(
  jobId: string,
  run: KnownRun,
  listed: FlinkJob | undefined,
  lostAfterMs: number,
): RunChanged[] {
  if (!listed) return compareMissing(jobId, run, lostAfterMs)
  const state = runStateOf(listed, run.state)
  const same =
    run.state === state &&
    run.flinkState === listed.state &&
    run.allTasksRunning === listed.allTasksRunning &&
    run.missingForMs === null
  return same
    ? []
    : [
        {
          kind: 'run-changed',
          jobId,
          runId: run.id,
          flinkJobId: run.flinkJobId,
          state,
          missing: false,
          ...seen(listed),
        },
      ]
}

function compareMissing(jobId: string, run: KnownRun, lostAfterMs: number): RunChanged[] {
  if (run.state === 'LOST') return []
  const lost = run.missingForMs !== null && run.missingForMs >= lostAfterMs
  if (run.missingForMs !== null && !lost) return []
  return [
    {
      kind: 'run-changed',
      jobId,
      runId: run.id,
      flinkJobId: run.flinkJobId,
      state: lost ? 'LOST' : run.state,
      missing: true,
      flinkState: run.flinkState,
      flinkStartTime: run.flinkStartTime,
      allTasksRunning: false,
    },
  ]
}

export const newRun = (jobId: string, job: FlinkJob, supersedes: string | null = null): NewRun => ({
  kind: 'new-run',
  jobId,
  flinkJobId: job.flinkJobId,
  state: runStateOf(job, 'RUNNING'),
  declaredVersion: null,
  supersedes,
  ...seen(job),
})

const seen = (job: FlinkJob): Seen => ({
  flinkState: job.state,
  flinkStartTime: job.startTime,
  allTasksRunning: job.allTasksRunning,
})

/** A run that we are stopping stays STOPPING until Flink shows its end. */
function runStateOf(job: FlinkJob, before: RunState): RunState {
  if (job.state === 'FINISHED' || job.state === 'CANCELED' || job.state === 'FAILED') return job.state
  return before === 'STOPPING' ? 'STOPPING' : 'RUNNING'
}

/** Nothing more will be heard of it. A LOST run may be listed again, and then goes on, unless its end is confirmed. */
const isOver = ({ state, endConfirmed }: KnownRun): boolean =>
  state === 'FINISHED' || state === 'CANCELED' || state === 'FAILED' || (state === 'LOST' && endConfirmed)

const sameIds = (a: readonly string[] | null, b: readonly string[] | null): boolean =>
  a === b || (a !== null && b !== null && a.length === b.length && a.every((id, index) => id === b[index]))
