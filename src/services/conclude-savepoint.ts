/** What the outcome of an asked attempt means for its savepoint: Present, Failed, another attempt, or look again. */
import type { Reason } from '../domain/failure-codes.ts'
import type { ClassifiedFailure } from '../domain/flink-failure.ts'
import { formatLocation, joinLocation, locationKey, parseLocation } from '../domain/location.ts'
import { lateLookInMs, lookAgainInMs } from '../domain/savepoint-plan.ts'
import { STOP_FAILED_AFTER_SAVEPOINT } from '../domain/stop-plan.ts'
import type { AttemptEnd, SavepointWork, SnapshotFacts } from '../ports/savepoint-work.ts'
import { post } from './ask-flink.ts'
import { readCheckpointId } from './attempt-directory.ts'
import { findOutcome, type Outcome } from './find-outcome.ts'
import {
  type AdvancePorts,
  again,
  fail,
  flinkHasGivenUp,
  flinkOf,
  move,
  notPastDeadline,
  RELEASED,
  type Stepped,
  storeOf,
  timeOut,
} from './savepoint-moves.ts'

export async function lookThenTimeOut(work: SavepointWork, ports: AdvancePorts): Promise<Stepped> {
  let outcome: Outcome
  try {
    outcome = await outcomeOf(work, ports)
  } catch (error) {
    ports.log.warn(
      { snapshotId: work.id, error: String(error) },
      'last look before the deadline could not be done',
    )
    return timeOut(work, ports)
  }
  return outcome.kind === 'pending' || outcome.kind === 'not-begun'
    ? timeOut(work, ports)
    : conclude(work, ports, outcome)
}

export async function look(work: SavepointWork, ports: AdvancePorts): Promise<Stepped> {
  return conclude(work, ports, await outcomeOf(work, ports))
}

async function outcomeOf(work: SavepointWork, ports: AdvancePorts): Promise<Outcome> {
  const { flinkJobId } = work.attempt
  if (flinkJobId === null) throw new Error('an asked attempt without a Flink job id')
  const asked = { ...work, attempt: { ...work.attempt, flinkJobId } }
  const outcome = await findOutcome(asked, { flink: flinkOf(work, ports), store: storeOf(work, ports) })
  ports.crashPoint('answer-read')
  return outcome
}

async function conclude(work: SavepointWork, ports: AdvancePorts, outcome: Outcome): Promise<Stepped> {
  switch (outcome.kind) {
    case 'pending':
      return stillPending(work, ports)
    case 'completed':
      return complete(work, ports, outcome)
    case 'failed':
      return failed(work, ports, outcome.failure, outcome.orphan && formatLocation(outcome.orphan))
    case 'job-over':
      return fail(
        work,
        ports,
        {
          code: outcome.state === 'LOST' ? 'RUN_LOST' : 'JOB_NOT_RUNNING',
          message: `The job is over (${outcome.state}) and no savepoint was completed in its directory.`,
        },
        { asked: true, orphanLocation: outcome.orphan && formatLocation(outcome.orphan) },
      )
    case 'lost':
      return lost(work, ports, outcome.orphan && formatLocation(outcome.orphan))
    case 'not-begun':
      return notBegun(work, ports)
  }
}

/** After the deadline the job becomes free once Flink must have given up (its own timeout and a minute more). */
async function stillPending(work: SavepointWork, ports: AdvancePorts): Promise<Stepped> {
  const askedAt = (work.attempt.askedAt ?? work.createdAt).getTime()
  if (work.status === 'Creating') {
    const untilDeadline = Math.max(0, work.deadlineAt.getTime() - work.now.getTime())
    return again(work, Math.min(untilDeadline, lookAgainInMs(work.now.getTime() - askedAt)))
  }
  const settled = work.settledAt === null && (await flinkHasGivenUp(work, ports))
  const sinceDeadline = work.now.getTime() - work.deadlineAt.getTime()
  await ports.savepoints.release(work, { nextActionInMs: lateLookInMs(sinceDeadline), tries: 0, settled })
  return RELEASED
}

/** A request of ours that is still on its way to a slow JobManager has arrived by then. */
const STRAY_POST_MS = 10_000

async function notBegun(work: SavepointWork, ports: AdvancePorts): Promise<Stepped> {
  const { flinkJobId, askedAt } = work.attempt
  if (flinkJobId === null || askedAt === null) return lost(work, ports, null)
  if (work.status !== 'Creating') {
    // Past the deadline nothing is posted any more; but what was posted shortly before may yet begin.
    const sinceMs = work.now.getTime() - Math.max(askedAt.getTime(), work.deadlineAt.getTime())
    return sinceMs < STRAY_POST_MS ? stillPending(work, ports) : lost(work, ports, null)
  }
  const refusal = await post(work, flinkJobId, flinkOf(work, ports))
  return refusal ? fail(work, ports, refusal, { asked: true }) : again(work, lookAgainInMs(1_000))
}
// --------------------------------------------------------------------------------------------------- present

type Completed = Extract<Outcome, { kind: 'completed' }>

const FOUND_REASONS: Record<Completed['foundIn'], string> = {
  result: 'COMPLETED',
  statistics: 'ADOPTED_FROM_STATISTICS',
  directory: 'ADOPTED_FROM_DIRECTORY',
}

async function complete(work: SavepointWork, ports: AdvancePorts, outcome: Completed): Promise<Stepped> {
  const late = work.status === 'Timeout'
  const { stopFailure } = outcome
  const orphanLocation = outcome.orphan && formatLocation(outcome.orphan)
  const remarks = [
    late && `It completed after its deadline of ${work.deadlineAt.toISOString()}.`,
    stopFailure && `The savepoint is complete, but the job was not stopped by it: ${stopFailure.message}`,
  ]
  return move(work, ports, {
    to: 'Present',
    reason: late
      ? 'LATE_COMPLETION'
      : stopFailure
        ? STOP_FAILED_AFTER_SAVEPOINT
        : FOUND_REASONS[outcome.foundIn],
    message: remarks.filter(Boolean).join(' ') || null,
    facts: await factsOf(work, ports, outcome),
    attempt: { outcome: 'COMPLETED', orphanLocation },
    settled: true,
    nextActionInMs: null,
  })
}

async function factsOf(work: SavepointWork, ports: AdvancePorts, outcome: Completed): Promise<SnapshotFacts> {
  const { entry, location } = outcome
  const store = storeOf(work, ports)
  const completedAt = completionTime(work, outcome)
  return {
    completedAt,
    durationMs:
      entry?.durationMs ??
      Math.max(0, completedAt.getTime() - (work.attempt.askedAt ?? work.createdAt).getTime()),
    location: formatLocation(location),
    locationKey: locationKey(location),
    flinkCheckpointId:
      entry?.id ?? (store && outcome.metadataFound ? await readCheckpointId(store, location) : null),
    checkpointType: entry?.checkpointType ?? 'SAVEPOINT',
    sizeBytes: entry?.stateSizeBytes ?? null,
    uploadedBytes: entry?.uploadedBytes ?? null,
    flinkVersion: work.cluster.flinkVersion,
    ...(outcome.metadataFound === null
      ? {}
      : { verdict: outcome.metadataFound ? 'METADATA_FOUND' : 'METADATA_MISSING' }),
  }
}

/** By our clock: the JobManager's may differ, its durations do not. Never later than now. */
function completionTime(work: SavepointWork, { entry, metadataModifiedAt }: Completed): Date {
  const askedAt = (work.attempt.askedAt ?? work.createdAt).getTime()
  const guess = entry?.durationMs != null ? askedAt + entry.durationMs : metadataModifiedAt?.getTime()
  return new Date(Math.min(work.now.getTime(), Math.max(askedAt, guess ?? work.now.getTime())))
}
// ---------------------------------------------------------------------------------------------------- failed

const RETRY_PAUSE_MS = 2_000

/** A passing failure becomes a new attempt with its own trigger id and directory, while the deadline and the limit allow. */
async function failed(
  work: SavepointWork,
  ports: AdvancePorts,
  failure: ClassifiedFailure,
  orphanLocation: string | null,
): Promise<Stepped> {
  const ended: AttemptEnd = { outcome: 'FAILED', failure, orphanLocation }
  if (!mayTryAgain(work) || failure.retry === 'never')
    return fail(work, ports, failure, { asked: true, orphanLocation })
  if (failure.retry === 'after-rescale') return tryAgain(work, ports, ended, true)
  return work.countedAttempts < ports.limits.maxAttempts
    ? tryAgain(work, ports, ended, false)
    : fail(work, ports, failure, { asked: true, orphanLocation })
}

/**
 * At the last look before the deadline it is too late for another attempt: the failure stands. A stop is never sent a second
 * time: whether the job is to be stopped after all is for whoever asked.
 */
const mayTryAgain = ({ status, now, deadlineAt, attempt }: SavepointWork): boolean =>
  status === 'Creating' && now < deadlineAt && attempt.stopMode === null

async function lost(
  work: SavepointWork,
  ports: AdvancePorts,
  orphanLocation: string | null,
): Promise<Stepped> {
  const failure: Reason = {
    code: 'JOBMANAGER_LOST',
    message: 'The JobManager restarted and has forgotten the savepoint; nothing completed in its directory.',
  }
  const ended: AttemptEnd = { outcome: 'LOST', failure, orphanLocation }
  if (mayTryAgain(work) && work.countedAttempts < ports.limits.maxAttempts) {
    return tryAgain(work, ports, ended, false)
  }
  return fail(work, ports, failure, { asked: true, orphanLocation, outcome: 'LOST' })
}

async function tryAgain(
  work: SavepointWork,
  ports: AdvancePorts,
  ended: AttemptEnd,
  afterRescale: boolean,
): Promise<Stepped> {
  const number = work.attempt.number + 1
  const began = await ports.savepoints.beginAttempt(work, ended, {
    triggerId: ports.newTriggerId(),
    directory: `${formatLocation(joinLocation(parseLocation(work.ownedPrefix), String(number)))}/`,
    afterRescale,
    startInMs: notPastDeadline(work, RETRY_PAUSE_MS),
  })
  ports.crashPoint('attempt-begun')
  ports.log.info(
    { snapshotId: work.id, job: work.job.name, attempt: number, began, because: ended.failure?.code },
    'savepoint is tried again',
  )
  return RELEASED
}
