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
}

export type FollowedJob = {
  id: string
  attach: JobAttachment | null
  ambiguous: string[] | null
  currentRunId: string | null
  /** The current run, and every other run that has not ended. */
  runs: KnownRun[]
}

type Seen = { flinkState: FlinkJobState | string; flinkStartTime: number; allTasksRunning: boolean }

type RunChanged = {
  kind: 'run-changed'
  jobId: string
  runId: string
  state: RunState
  missing: boolean
} & Seen

export type RunChange =
  | ({ kind: 'new-run'; jobId: string; flinkJobId: string; state: RunState } & Seen)
  | RunChanged
  | { kind: 'ambiguous'; jobId: string; flinkJobIds: string[] | null }

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
export function compareJob(followed: FollowedJob, listing: Listing, lostAfterMs: number): RunChange[] {
  const { target, ambiguous } = chooseTarget(followed, listing)
  const changes: RunChange[] = []
  if (!sameIds(ambiguous, followed.ambiguous)) {
    changes.push({ kind: 'ambiguous', jobId: followed.id, flinkJobIds: ambiguous })
  }
  const current = followed.runs.find((run) => run.id === followed.currentRunId)
  for (const run of followed.runs) {
    const change = compareRun(followed.id, run, listing.byId.get(run.flinkJobId), lostAfterMs)
    // A job that lives again under the id of an ended run is a new run, not news of the old one.
    if (change && !(isEnded(run.state) && change.state === 'RUNNING')) changes.push(change)
  }
  if (target && isNewRun(target, current)) changes.push(newRun(followed.id, target))
  return changes
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
  if (current.flinkJobId !== target.flinkJobId)
    return !isTerminal(target.state) || target.startTime > current.flinkStartTime
  return isEnded(current.state) && current.state !== 'LOST' && !isTerminal(target.state)
}

function compareRun(
  jobId: string,
  run: KnownRun,
  listed: FlinkJob | undefined,
  lostAfterMs: number,
): RunChanged | null {
  if (!listed) return compareMissing(jobId, run, lostAfterMs)
  const state = runStateOf(listed, run.state)
  const same =
    run.state === state &&
    run.flinkState === listed.state &&
    run.flinkStartTime === listed.startTime &&
    run.allTasksRunning === listed.allTasksRunning &&
    run.missingForMs === null
  if (same) return null
  return { kind: 'run-changed', jobId, runId: run.id, state, missing: false, ...seen(listed) }
}

function compareMissing(jobId: string, run: KnownRun, lostAfterMs: number): RunChanged | null {
  if (isEnded(run.state)) return null // Flink forgets ended jobs after an hour
  const lost = run.missingForMs !== null && run.missingForMs >= lostAfterMs
  if (run.missingForMs !== null && !lost) return null
  return {
    kind: 'run-changed',
    jobId,
    runId: run.id,
    state: lost ? 'LOST' : run.state,
    missing: true,
    flinkState: run.flinkState,
    flinkStartTime: run.flinkStartTime,
    allTasksRunning: false,
  }
}

const newRun = (jobId: string, job: FlinkJob): RunChange => ({
  kind: 'new-run',
  jobId,
  flinkJobId: job.flinkJobId,
  state: runStateOf(job, 'RUNNING'),
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

export const isEnded = (state: RunState): boolean =>
  state === 'FINISHED' || state === 'CANCELED' || state === 'FAILED' || state === 'LOST'

const sameIds = (a: readonly string[] | null, b: readonly string[] | null): boolean =>
  a === b || (a !== null && b !== null && a.length === b.length && a.every((id, index) => id === b[index]))
