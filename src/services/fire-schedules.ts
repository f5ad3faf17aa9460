/**
 * Fires schedules, any number of times and by any worker. A slot is PENDING in Postgres before its savepoint is requested, and
 * the request carries an idempotency key that follows from job and slot: a worker that died between the two, or that slept past
 * its lease, can only find the savepoint that is there. The savepoints themselves are ordinary ones, advanced by their sweep.
 */
import { DomainError } from '../domain/errors.ts'
import { type DuePlan, judgeFiring, nextHealth, planDue, slotKey } from '../domain/schedule.ts'
import { inWords } from '../domain/schedule-description.ts'
import { type ScheduleSlots, slotsOf } from '../domain/schedule-slots.ts'
import type { CrashPoint, Log } from '../ports/process.ts'
import type {
  DueRecord,
  DueWork,
  FiringEnd,
  PendingFiring,
  ScheduleWorkRepository,
} from '../ports/schedules.ts'
import type { ScheduledSavepoint } from './request-savepoint.ts'

export type FireSchedulesPorts = {
  scheduleWork: ScheduleWorkRepository
  requestSavepoint: (request: ScheduledSavepoint) => Promise<{ resource: { id: string } }>
  crashPoint: CrashPoint
  log: Log
  limits: {
    /** Scheduled savepoints in flight on one cluster, at most. */
    savepointsPerCluster: number
    /** How long after a savepoint has settled its effects on the job are seen, in ms. */
    settleMs: number
  }
}

const AT_ONCE = 100
/**
 * Left alone for longer than that, or until the next one has come, a slot is not worth a savepoint any more: only the one that
 * may be there is found.
 */
const GIVEN_UP_MS = 3_600_000
/** What nobody foresaw fails the same way each time: after so many tries the firing says so. */
const MAX_TRIES = 5
/** Who waits for its turn looks again after 5 to 30 s: thousands that wait ask for little, and somebody is always there. */
const WAIT_MS = 5_000
const WAIT_SPREAD_MS = 25_000

/** One round: judges what has settled, takes up what was left behind, fires what is due. True: there is more to do. */
export const createScheduleRound = (ports: FireSchedulesPorts) => {
  const slotsOfRule = createSlotCache()
  return async (): Promise<boolean> => {
    await judgeSettled(ports)
    const left = await ports.scheduleWork.takePending(AT_ONCE)
    await Promise.all(left.map((firing) => fire(firing, ports)))
    const due = await ports.scheduleWork.claimDue(AT_ONCE)
    const begun = await recordDue(due, slotsOfRule, ports)
    await Promise.all(begun.map((firing) => fire(firing, ports)))
    return due.length === AT_ONCE || left.length === AT_ONCE
  }
}

// ------------------------------------------------------------------------------------------------------- due

type SlotsOfRule = (work: DueWork) => ScheduleSlots

async function recordDue(
  due: readonly DueWork[],
  slotsOfRule: SlotsOfRule,
  ports: FireSchedulesPorts,
): Promise<PendingFiring[]> {
  const byCluster = new Map<string, DueRecord[]>()
  for (const [index, work] of due.entries()) {
    const record = planRecord(work, index, slotsOfRule, ports)
    if (record) byCluster.set(work.clusterId, [...(byCluster.get(work.clusterId) ?? []), record])
  }
  const begun: PendingFiring[] = []
  for (const [clusterId, records] of byCluster) {
    const slots = await recordCluster(clusterId, records, ports)
    ports.crashPoint('schedule-slot-recorded')
    const works = new Map(records.map(({ work }) => [work.job.id, work]))
    for (const { jobId, slotAt } of slots) {
      const work = works.get(jobId)
      if (work) begun.push(toPending(work, slotAt))
    }
  }
  return begun
}

/** What fails for one cluster is left to its leases: the others' runs are due as well. */
async function recordCluster(
  clusterId: string,
  records: readonly DueRecord[],
  { scheduleWork, log, limits }: FireSchedulesPorts,
) {
  try {
    return await scheduleWork.record(clusterId, records, limits.savepointsPerCluster)
  } catch (error) {
    if (error instanceof DomainError && error.code === 'DATABASE_UNAVAILABLE') throw error
    log.error({ clusterId, error: describe(error) }, 'due schedules could not be recorded, will be repeated')
    return []
  }
}

const toPending = (work: DueWork, slotAt: Date): PendingFiring => ({
  namespaceId: work.namespaceId,
  namespace: work.namespace,
  job: work.job,
  slotAt,
  tries: 1,
  idleMs: 0,
  isSuperseded: false,
  isRevoked: false,
  terms: work,
})

/** null: the rule cannot be read (a time zone that this Node does not know); its lease runs out and another worker looks. */
function planRecord(
  work: DueWork,
  index: number,
  slotsOfRule: SlotsOfRule,
  { log }: FireSchedulesPorts,
): DueRecord | null {
  let plan: DuePlan
  try {
    plan = planDue({ ...work, jobId: work.job.id }, slotsOfRule(work))
  } catch (error) {
    log.error(
      { job: work.job.name, error: describe(error) },
      'the next run of a schedule cannot be worked out',
    )
    return null
  }
  const { fire, skip, nextSlotAt, nextActionAt } = plan
  const next = nextSlotAt && nextActionAt && { slotAt: nextSlotAt, actionAt: nextActionAt }
  return { work, fire, skip, next, waitMs: WAIT_MS + ((index * 7_919) % WAIT_SPREAD_MS) }
}

/** Slots of a rule are worked out per day and kept: a fleet has few rules. */
function createSlotCache(): SlotsOfRule {
  const known = new Map<string, ScheduleSlots>()
  return ({ cron, everySeconds, timeZone }) => {
    const key = JSON.stringify([cron, everySeconds, timeZone])
    const found = known.get(key)
    if (found) return found
    const slots = slotsOf({ cron, everySeconds, timeZone })
    if ('problem' in slots) throw new Error(slots.problem)
    if (known.size >= 1_000) known.clear()
    known.set(key, slots)
    return slots
  }
}

// ------------------------------------------------------------------------------------------------------ fire

async function fire(firing: PendingFiring, ports: FireSchedulesPorts): Promise<void> {
  const { job, slotAt } = firing
  try {
    const end = await endOf(firing, ports)
    if (end === null || !(await ports.scheduleWork.conclude(firing, end))) return
    ports.log.info({ job: job.name, slotAt, ...end }, 'schedule')
  } catch (error) {
    // It stays PENDING: whoever takes it up after a lease asks under the same key.
    ports.log.warn(
      { job: job.name, slotAt, error: describe(error) },
      'a scheduled savepoint could not be requested, will be repeated',
    )
  }
}

/** null: somebody else has concluded it. */
async function endOf(firing: PendingFiring, ports: FireSchedulesPorts): Promise<FiringEnd | null> {
  const { terms } = firing
  const refusal = findRefusal(firing)
  if (terms === null || refusal !== null) {
    const snapshotId = await ports.scheduleWork.findSlotSavepoint(firing)
    return snapshotId === null
      ? { outcome: 'SKIPPED', ...(refusal ?? DELETED) }
      : { outcome: 'FIRED', snapshotId }
  }
  try {
    const { resource } = await ports.requestSavepoint(toRequest(firing, terms))
    ports.crashPoint('schedule-savepoint-created')
    return { outcome: 'FIRED', snapshotId: resource.id }
  } catch (error) {
    if (error instanceof DomainError) {
      if (error.code === 'IDEMPOTENCY_KEY_REUSED') return null
      if (!PASSING.has(error.code)) return { outcome: 'SKIPPED', code: error.code, message: error.message }
    }
    if (firing.tries < MAX_TRIES) throw error
    const message = 'The savepoint could not be requested; our log says why.'
    return { outcome: 'FAILED', code: 'INTERNAL', message }
  }
}

const DELETED = { code: 'NOT_FOUND', message: 'The schedule was deleted meanwhile.' }

/** Why nobody asks for the savepoint of a slot that was left behind; one that is there already is still found. */
function findRefusal(firing: PendingFiring): { code: string; message: string } | null {
  if (firing.terms === null) return DELETED
  if (firing.isRevoked) {
    const message = 'The schedule was paused, switched off or given another rule meanwhile.'
    return { code: 'SCHEDULE_CHANGED', message }
  }
  return firing.isSuperseded || firing.idleMs > GIVEN_UP_MS
    ? { code: 'MISSED', message: 'No worker could request its savepoint in time.' }
    : null
}

const PASSING = new Set(['DATABASE_UNAVAILABLE', 'OVERLOADED', 'INTERNAL'])

function toRequest(
  { namespaceId, namespace, job, slotAt }: PendingFiring,
  terms: NonNullable<PendingFiring['terms']>,
): ScheduledSavepoint {
  const { principal, ...idempotency } = slotKey(job.id, slotAt)
  const rule = terms.cron ?? `every ${inWords((terms.everySeconds ?? 0) / 60)}`
  return {
    caller: { namespaceId, namespace, principal },
    idempotency,
    job: job.id,
    source: 'SCHEDULE',
    description: terms.description ?? `Savepoint of ${job.name} on schedule (${rule})`,
    ...(terms.format !== null && { format: terms.format }),
    ...(terms.timeoutSeconds !== null && { timeoutSeconds: terms.timeoutSeconds }),
  }
}

// ----------------------------------------------------------------------------------------------------- judge

async function judgeSettled({ scheduleWork, log, limits }: FireSchedulesPorts): Promise<void> {
  for (const work of await scheduleWork.listSettled(AT_ONCE, limits.settleMs)) {
    const verdict = judgeFiring(work, limits.settleMs)
    const health = nextHealth(verdict, work.failures ?? 0)
    const judged = await scheduleWork.judge(work, health)
    if (judged && health.pause) {
      log.warn({ jobId: work.jobId, snapshotId: work.snapshotId, ...health.pause }, 'schedule pauses itself')
    }
  }
}

const describe = (error: unknown): unknown => (error instanceof Error ? error.message : error)
