/**
 * How an asked attempt ended, in this order: Flink's result for our trigger id, its checkpoint statistics, the attempt's
 * own directory. Never a guess: what cannot be asked throws, what is not decided yet is `pending`.
 *
 * After `/stop` the JobManager of an application goes with its job (`real-flink.md` §5.20): that it cannot be reached is then no
 * reason to know nothing, its directory decides.
 */
import { DomainError, FlinkUnavailableError } from '../domain/errors.ts'
import {
  type CheckpointEntry,
  type FlinkFailure,
  type FlinkJob,
  isTerminal,
  type SavepointAnswer,
} from '../domain/flink.ts'
import { type ClassifiedFailure, classifyFailure, savepointPathFrom } from '../domain/flink-failure.ts'
import {
  isInside,
  type Location,
  parseLocation,
  sameLocation,
  snapshotDirectory,
} from '../domain/location.ts'
import type { FlinkClient } from '../ports/flink.ts'
import type { SavepointWork } from '../ports/savepoint-work.ts'
import type { ObjectStore } from '../ports/storage.ts'
import { type AttemptDirectory, readAttemptDirectory } from './attempt-directory.ts'

export type Outcome =
  | { kind: 'pending' }
  | {
      kind: 'completed'
      foundIn: 'result' | 'statistics' | 'directory'
      location: Location
      entry: CheckpointEntry | null
      metadataModifiedAt: Date | null
      /** null: the store could not be asked. */
      metadataFound: boolean | null
      orphan: Location | null
      /** The savepoint of a stop is there, but the stop failed: the job may run again. */
      stopFailure: ClassifiedFailure | null
    }
  | { kind: 'failed'; failure: ClassifiedFailure; orphan: Location | null }
  /** Flink has forgotten it and nothing of it is left: proven that it will not complete. */
  | { kind: 'lost'; orphan: Location | null }
  /** The job is over and the directory proves that nothing finished. */
  | { kind: 'job-over'; state: string; orphan: Location | null }
  /** Nothing shows that Flink ever heard of it, and it is the same JobManager: the same trigger id may be posted again. */
  | { kind: 'not-begun' }

export type OutcomePorts = { flink: FlinkClient; store: ObjectStore | null }

type AskedWork = SavepointWork & { attempt: { flinkJobId: string } }

/** The job's clock and ours differ; an exception this much older than our question is still of its time. */
const CLOCK_SLACK_MS = 2_000

export async function findOutcome(work: AskedWork, ports: OutcomePorts): Promise<Outcome> {
  const answer = await readAnswer(work, ports.flink)
  if (answer instanceof FlinkUnavailableError) return searchWithoutFlink(work, ports, answer)
  if (answer.kind === 'pending') return { kind: 'pending' }
  if (answer.kind === 'completed') return confirm(work, ports, answer.location)
  if (answer.kind === 'failed') return explainFailure(work, ports, answer.failure)
  return searchForgotten(work, ports)
}

/** Of a stop the error is an answer as well. */
async function readAnswer(
  { attempt }: AskedWork,
  flink: FlinkClient,
): Promise<SavepointAnswer | FlinkUnavailableError> {
  try {
    return await flink.readSavepoint(attempt.flinkJobId, attempt.triggerId)
  } catch (error) {
    if (attempt.stopMode && error instanceof FlinkUnavailableError) return error
    throw error
  }
}

// ------------------------------------------------------------------------------------------------- completed

/** Flink reports a location. Sizes come from its statistics, and `_metadata` is looked for where we can. */
async function confirm(work: AskedWork, ports: OutcomePorts, reported: string): Promise<Outcome> {
  const location = snapshotDirectory(parseLocation(reported))
  const [entry, directory] = await Promise.all([
    findEntry(work, ports.flink, (path) => sameLocation(path, location)).catch(() => null),
    ports.store ? readAttemptDirectory(ports.store, attemptDirectory(work)).catch(() => null) : null,
  ])
  const child = directory?.complete.find((complete) => sameLocation(complete.location, location))
  if (!entry && child && statisticsMayBeStale(work, child)) return { kind: 'pending' }
  return {
    kind: 'completed',
    foundIn: 'result',
    location,
    entry,
    metadataModifiedAt: child?.metadataModifiedAt ?? null,
    metadataFound: directory === null ? null : child !== undefined,
    orphan: directory ? otherChild(directory, location) : null,
    stopFailure: null,
  }
}

/** `web.refresh-interval`, and the time to look again. */
const STATISTICS_CACHE_MS = 3_500
const LOOK_AGAIN_WITHIN_MS = 6_000

/**
 * Flink answers its statistics from a cache that our own observer keeps warm, so the sizes of a savepoint that has just
 * completed may not stand there yet. They are worth a moment, never the deadline; the observer fills in what is missed.
 */
function statisticsMayBeStale(
  { now, deadlineAt }: AskedWork,
  { metadataModifiedAt }: AttemptDirectory['complete'][number],
): boolean {
  if (metadataModifiedAt === null || deadlineAt.getTime() - now.getTime() < LOOK_AGAIN_WITHIN_MS) return false
  return Math.abs(now.getTime() - metadataModifiedAt.getTime()) < STATISTICS_CACHE_MS
}

async function findEntry(
  work: AskedWork,
  flink: FlinkClient,
  matches: (path: Location) => boolean,
): Promise<CheckpointEntry | null> {
  const statistics = await flink.readCheckpoints(work.attempt.flinkJobId)
  if (!statistics) return null
  const entries = statistics.latest.savepoint
    ? [statistics.latest.savepoint, ...statistics.history]
    : statistics.history
  return (
    entries.find(
      (entry) =>
        entry.status === 'COMPLETED' &&
        entry.isSavepoint &&
        entry.externalPath !== null &&
        matches(snapshotDirectory(parseLocation(entry.externalPath))),
    ) ?? null
  )
}

// ---------------------------------------------------------------------------------------------------- failed

async function explainFailure(work: AskedWork, ports: OutcomePorts, failure: FlinkFailure): Promise<Outcome> {
  const told = work.attempt.stopMode && (await findToldSavepoint(work, ports, failure))
  if (told) return told
  const directory = ports.store ? await readAttemptDirectory(ports.store, attemptDirectory(work)) : EMPTY
  const complete = directory.complete[0]
  // Flink removes what a failed savepoint left, also a `_metadata` it had just written: only one that stands is believed.
  if (complete) {
    if (!hasStood(complete, work)) return { kind: 'pending' }
    const adopted = fromDirectory(directory, complete)
    return work.attempt.stopMode ? { ...adopted, stopFailure: await classify(work, ports, failure) } : adopted
  }
  const orphan = directory.incomplete[0] ?? null

  const job = await ports.flink.findJob(work.attempt.flinkJobId)
  const classified = await classify(work, ports, failure, job)
  if (classified.code !== 'RESCALED') return { kind: 'failed', failure: classified, orphan }
  if (job && isTerminal(job.state)) return { kind: 'failed', failure: jobEnded(job.state), orphan }
  if (!job && runIsOver(work)) return { kind: 'failed', failure: jobEnded(work.run?.state ?? 'LOST'), orphan }
  // The exception of a failing job is listed only once its tasks are restarted (ExceptionHistory of the scheduler), so
  // "no exception" means a rescale only when the tasks run again.
  return job !== null && runsAgain(work, job)
    ? { kind: 'failed', failure: classified, orphan }
    : { kind: 'pending' }
}

async function classify(
  work: AskedWork,
  { flink }: OutcomePorts,
  failure: FlinkFailure,
  job: FlinkJob | null = null,
): Promise<ClassifiedFailure> {
  const exceptions = await flink.listExceptions(work.attempt.flinkJobId)
  const since = askedAtOnJobManager(work, job) - CLOCK_SLACK_MS
  return classifyFailure(failure, { exceptionsSince: exceptions.filter((e) => e.at >= since) })
}

/**
 * "A savepoint has been created at: …, but … failed during stopping": it is complete and Flink keeps it. Believed only of a
 * place in the attempt's own directory where `_metadata` lies, as far as we can look.
 */
async function findToldSavepoint(
  work: AskedWork,
  { flink, store }: OutcomePorts,
  failure: FlinkFailure,
): Promise<Outcome | null> {
  const path = savepointPathFrom(failure.text)
  if (path === null) return null
  const location = parseOwn(work, path)
  if (!location) return null
  const [entry, directory] = await Promise.all([
    findEntry(work, flink, (place) => sameLocation(place, location)).catch(() => null),
    store && readAttemptDirectory(store, attemptDirectory(work)),
  ])
  const child = directory?.complete.find((complete) => sameLocation(complete.location, location))
  if (directory && !child) return null
  return {
    kind: 'completed',
    foundIn: 'result',
    location,
    entry,
    metadataModifiedAt: child?.metadataModifiedAt ?? null,
    metadataFound: directory ? true : null,
    orphan: directory ? otherChild(directory, location) : null,
    stopFailure: classifyFailure(failure, { exceptionsSince: [] }),
  }
}

/** null: not a place, or not one of this attempt. */
function parseOwn(work: AskedWork, path: string): Location | null {
  try {
    const location = snapshotDirectory(parseLocation(path))
    return isInside(attemptDirectory(work), location) ? location : null
  } catch (error) {
    if (error instanceof DomainError) return null
    throw error
  }
}

const METADATA_STANDS_MS = 3_000

const hasStood = (
  { metadataModifiedAt }: AttemptDirectory['complete'][number],
  { now }: AskedWork,
): boolean =>
  metadataModifiedAt === null || now.getTime() - metadataModifiedAt.getTime() >= METADATA_STANDS_MS

const jobEnded = (state: string): ClassifiedFailure => ({
  code: state === 'LOST' ? 'RUN_LOST' : 'JOB_NOT_RUNNING',
  retry: 'never',
  message: `The job became ${state} while the savepoint was being taken.`,
})

/**
 * Not merely still: Flink answers for a job from a cache (`web.refresh-interval`, 3 s), which shows it RUNNING and without
 * exceptions for a while after it failed.
 */
const runsAgain = (work: AskedWork, job: FlinkJob): boolean =>
  job.allTasksRunning &&
  (job.runningSince === undefined || job.runningSince >= askedAtOnJobManager(work, job))

/** Our `askedAt` on the JobManager's clock, which is what it stamps exceptions with. */
function askedAtOnJobManager(work: AskedWork, job: FlinkJob | null): number {
  const askedAt = (work.attempt.askedAt ?? work.createdAt).getTime()
  return job?.jobManagerNow ? askedAt + job.jobManagerNow - work.now.getTime() : askedAt
}

// ------------------------------------------------------------------------------------------------- forgotten

/**
 * 404 for our trigger id: the JobManager restarted, five minutes have passed since it ended, or it never arrived. The job
 * is read before the statistics and the directory, so that what those do not show had its time to appear.
 */
async function searchForgotten(work: AskedWork, ports: OutcomePorts): Promise<Outcome> {
  const job = await ports.flink.findJob(work.attempt.flinkJobId)
  const statistics = await ports.flink.readCheckpoints(work.attempt.flinkJobId)
  const own = attemptDirectory(work)
  const entry = statistics ? await findEntry(work, ports.flink, (path) => isInside(own, path)) : null
  const directory = ports.store ? await readAttemptDirectory(ports.store, own) : EMPTY

  const complete = directory.complete[0]
  if (complete) return fromDirectory(directory, complete, entry)
  if (entry?.externalPath) {
    // Flink says it is there and the directory does not show it: believe Flink, keep the doubt.
    const location = snapshotDirectory(parseLocation(entry.externalPath))
    return {
      kind: 'completed',
      foundIn: 'statistics',
      location,
      entry,
      metadataModifiedAt: null,
      metadataFound: ports.store ? false : null,
      orphan: null,
      stopFailure: null,
    }
  }
  const orphan = directory.incomplete[0] ?? null
  const running = statistics?.history.some((e) => e.isSavepoint && e.status === 'IN_PROGRESS') ?? false
  if (running) return { kind: 'pending' } // it may be ours; what is not running any more is decided the next time
  if (job && isTerminal(job.state)) return { kind: 'job-over', state: job.state, orphan }
  if (!job)
    return runIsOver(work)
      ? { kind: 'job-over', state: work.run?.state ?? 'LOST', orphan }
      : { kind: 'pending' }
  if (job.startTime !== work.attempt.askedFlinkStart) return { kind: 'lost', orphan }
  // The same JobManager as when we asked. Nothing in the directory: it never began there.
  return orphan ? { kind: 'lost', orphan } : { kind: 'not-begun' }
}

/**
 * Nobody is there to ask. What stands complete in the directory is the savepoint; that nothing stands there proves something
 * only once the run is over. A JobManager that is merely slow has its own answer, and may still be stopping the job.
 */
async function searchWithoutFlink(
  work: AskedWork,
  { store }: OutcomePorts,
  unavailable: FlinkUnavailableError,
): Promise<Outcome> {
  const gone = unavailable.kind === 'unreachable' && !unavailable.mayHaveArrived
  if (!store || !(gone || runIsOver(work))) throw unavailable
  const directory = await readAttemptDirectory(store, attemptDirectory(work))
  const complete = directory.complete[0]
  if (complete && hasStood(complete, work)) return fromDirectory(directory, complete)
  if (complete || !runIsOver(work)) throw unavailable
  return { kind: 'job-over', state: work.run?.state ?? 'LOST', orphan: directory.incomplete[0] ?? null }
}

/** An unknown job has not ended by that alone: the observer decides (a reachable leader not listing it for 300 s). */
const runIsOver = (work: AskedWork): boolean => work.run?.over ?? false

// ------------------------------------------------------------------------------------------------- directory

const EMPTY: AttemptDirectory = { complete: [], incomplete: [] }

export const attemptDirectory = (work: SavepointWork): Location => parseLocation(work.attempt.directory)

function fromDirectory(
  directory: AttemptDirectory,
  complete: AttemptDirectory['complete'][number],
  entry: CheckpointEntry | null = null,
): Extract<Outcome, { kind: 'completed' }> {
  return {
    kind: 'completed',
    foundIn: entry ? 'statistics' : 'directory',
    location: complete.location,
    entry,
    metadataModifiedAt: complete.metadataModifiedAt,
    metadataFound: true,
    orphan: otherChild(directory, complete.location),
    stopFailure: null,
  }
}

/** Two children in one directory: the complete one is the savepoint, the other an orphan. */
function otherChild(directory: AttemptDirectory, chosen: Location): Location | null {
  const others = [...directory.incomplete, ...directory.complete.map((c) => c.location)]
  return others.find((location) => !sameLocation(location, chosen)) ?? null
}
