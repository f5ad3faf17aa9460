/** What every step of a savepoint ends in: its ports, the writes that give the lease back, and the pause before the next. */
import type { Reason } from '../domain/failure-codes.ts'
import { lateLookInMs, type PlanLimits } from '../domain/savepoint-plan.ts'
import type { FlinkClient, FlinkConnections } from '../ports/flink.ts'
import type { SavepointMeter } from '../ports/metrics.ts'
import type { CrashPoint, Log } from '../ports/process.ts'
import type { SavepointWork, SavepointWorkRepository, StatusMove } from '../ports/savepoint-work.ts'
import type { ObjectStore, ObjectStores } from '../ports/storage.ts'

export type AdvanceLimits = PlanLimits & {
  /** Attempts that count (those after a rescale do not). */
  maxAttempts: number
  /** A worker keeps a savepoint at most this long before it gives the lease back. */
  holdMs: number
}

export type AdvancePorts = {
  savepoints: SavepointWorkRepository
  flink: FlinkConnections
  stores: ObjectStores
  newTriggerId: () => string
  crashPoint: CrashPoint
  sleep: (ms: number) => Promise<void>
  log: Log
  meter: SavepointMeter
  limits: AdvanceLimits
}

/** What one step came to: the row is settled for now, or the same worker goes on after a pause. */
export type Stepped = { kind: 'released' } | { kind: 'again'; inMs: number; work: SavepointWork }

export const RELEASED: Stepped = { kind: 'released' }
export const flinkOf = (work: SavepointWork, ports: AdvancePorts): FlinkClient =>
  ports.flink.to(work.cluster.address)

/** null: only Flink can reach that storage. */
export const storeOf = (work: SavepointWork, ports: AdvancePorts): ObjectStore | null =>
  work.storage.provider === 'flink-only' ? null : ports.stores.of(work.storage)
const DEFAULT_CHECKPOINT_TIMEOUT_MS = 600_000
const GIVEN_UP_AFTER_MS = 60_000

/**
 * A savepoint runs under the job's checkpoint timeout (CheckpointCoordinator), which starts when it leaves the queue. A stop goes on
 * after its savepoint, for as long as the tasks take to end: only its answer, or the end of the run, frees the job for the next
 * one, which would break it (`real-flink.md` §5.10).
 */
export async function flinkHasGivenUp(work: SavepointWork, ports: AdvancePorts): Promise<boolean> {
  const { askedAt, flinkJobId } = work.attempt
  if (!askedAt || !flinkJobId) return true
  if (work.attempt.stopMode) return work.run?.over ?? false
  const config = await flinkOf(work, ports)
    .readCheckpointConfig(flinkJobId)
    .catch(() => null)
  const timeoutMs = config?.timeoutMs ?? DEFAULT_CHECKPOINT_TIMEOUT_MS
  return work.now.getTime() > askedAt.getTime() + timeoutMs + GIVEN_UP_AFTER_MS
}

export async function fail(
  work: SavepointWork,
  ports: AdvancePorts,
  failure: Reason,
  how: { asked: boolean; orphanLocation?: string | null; outcome?: 'LOST' },
): Promise<Stepped> {
  return move(work, ports, {
    to: 'Failed',
    reason: failure.code,
    message: failure.message,
    failure: { code: failure.code, message: failure.message },
    attempt: {
      outcome: how.outcome ?? (how.asked ? 'FAILED' : 'NEVER_ASKED'),
      failure: { code: failure.code, message: failure.message },
      orphanLocation: how.orphanLocation ?? null,
    },
    settled: true,
    nextActionInMs: null,
  })
}
export async function timeOut(work: SavepointWork, ports: AdvancePorts): Promise<Stepped> {
  const asked = work.attempt.askedAt !== null
  const settled = !asked || (await flinkHasGivenUp(work, ports))
  const seconds = Math.round((work.deadlineAt.getTime() - work.createdAt.getTime()) / 1000)
  return move(work, ports, {
    to: 'Timeout',
    reason: asked ? 'DEADLINE_PASSED' : 'NEVER_ASKED',
    message: asked
      ? `Not completed within ${seconds} s; it is still watched and becomes Present if Flink completes it.`
      : `Flink could not be asked within ${seconds} s.`,
    ...(asked ? {} : { attempt: { outcome: 'NEVER_ASKED' as const } }),
    settled,
    nextActionInMs: asked ? lateLookInMs(0) : null,
  })
}

export async function move(work: SavepointWork, ports: AdvancePorts, to: StatusMove): Promise<Stepped> {
  const result = await ports.savepoints.move(work, to)
  ports.crashPoint('status-moved')
  if (result === 'moved') {
    ports.meter.settled({ outcome: to.to, reason: to.reason, durationMs: to.facts?.durationMs ?? null })
  }
  ports.log.info(
    {
      snapshotId: work.id,
      job: work.job.name,
      flinkJobId: work.attempt.flinkJobId,
      from: work.status,
      to: to.to,
      reason: to.reason,
      result,
    },
    'savepoint moved',
  )
  return RELEASED
}

export async function release(
  work: SavepointWork,
  ports: AdvancePorts,
  nextActionInMs: number | null,
): Promise<Stepped> {
  const inMs = nextActionInMs === null ? null : notPastDeadline(work, nextActionInMs)
  await ports.savepoints.release(work, { nextActionInMs: inMs, tries: 0 })
  return RELEASED
}

/** Whatever a Creating savepoint waits for, its deadline is looked at when it passes (I1). */
export const notPastDeadline = (work: SavepointWork, pauseMs: number): number =>
  work.status === 'Creating'
    ? Math.max(0, Math.min(pauseMs, work.deadlineAt.getTime() - work.now.getTime()))
    : pauseMs

export const again = (work: SavepointWork, inMs: number): Stepped => ({ kind: 'again', inMs, work })
