/** What is due, what is made up for, and when a schedule pauses itself. */
import { describe, expect, it } from 'vitest'
import {
  type DueSchedule,
  findScheduleWarnings,
  isTooTight,
  jitterMs,
  judgeFiring,
  nextHealth,
  planDue,
  type SettledFiring,
  secondsOf,
  toPeriod,
} from '../../src/domain/schedule.ts'
import { type ScheduleSlots, slotsOf } from '../../src/domain/schedule-slots.ts'

function slots(cron: string): ScheduleSlots {
  const found = slotsOf({ cron, everySeconds: null, timeZone: 'UTC' })
  if ('problem' in found) throw new Error(found.problem)
  return found
}
const at = (time: string) => new Date(`2026-11-21T${time}Z`)
const due = (changes: Partial<DueSchedule> & { nextSlotAt: Date; now: Date }): DueSchedule => ({
  jobId: 'job-1',
  dueAt: changes.nextSlotAt,
  catchUp: false,
  jitterSeconds: 0,
  runState: 'RUNNING',
  ...changes,
})
const HOURLY = slots('0 * * * *')

describe('what is due', () => {
  it('is fired at its time, and the next one is known', () => {
    expect(planDue(due({ nextSlotAt: at('10:00:00'), now: at('10:00:01') }), HOURLY)).toEqual({
      fire: { slotAt: at('10:00:00'), catchUp: false },
      skip: [],
      nextSlotAt: at('11:00:00'),
      nextActionAt: at('11:00:00'),
    })
  })

  it('after an outage only the newest slot is made up for; those before it are one row', () => {
    const plan = planDue(due({ nextSlotAt: at('08:00:00'), now: at('10:20:00') }), HOURLY)
    expect(plan.fire).toEqual({ slotAt: at('10:00:00'), catchUp: true })
    expect(plan.skip).toEqual([
      {
        slotAt: at('08:00:00'),
        code: 'MISSED',
        message: '2 slots from here on passed before they could be fired.',
      },
    ])
    expect(plan.nextSlotAt).toEqual(at('11:00:00'))
  })

  it('nothing is made up for that is older than the interval', () => {
    const afternoons = slots('0/10 14 * * *')
    const plan = planDue(due({ nextSlotAt: at('14:20:00'), now: at('20:00:00') }), afternoons)
    expect(plan.fire).toBeNull()
    expect(plan.skip).toMatchObject([{ slotAt: at('14:20:00'), code: 'MISSED' }])
    expect(plan.skip[0]?.message).toContain('4 slots')
    expect(plan.nextSlotAt).toEqual(new Date('2026-11-22T14:00:00Z'))
  })

  it('nothing is made up for that is older than a day, however rare it is', () => {
    const weekly = slots('0 12 * * WED')
    const wednesday = new Date('2026-11-18T12:00:00Z')
    const soon = new Date('2026-11-19T11:00:00Z')
    expect(planDue(due({ nextSlotAt: wednesday, now: soon }), weekly).fire).toMatchObject({ catchUp: true })
    const late = new Date('2026-11-19T12:01:00Z')
    expect(planDue(due({ nextSlotAt: wednesday, now: late }), weekly)).toMatchObject({
      fire: null,
      skip: [{ slotAt: wednesday, code: 'MISSED' }],
    })
  })

  it('a slot that waits for its turn keeps it, and is no catch-up', () => {
    const afternoons = slots('0/10 14 * * *')
    const waiting = due({ nextSlotAt: at('14:50:00'), dueAt: at('15:30:00'), now: at('15:30:01') })
    expect(planDue(waiting, afternoons).fire).toEqual({ slotAt: at('14:50:00'), catchUp: false })
  })

  it('a slot that is made up for stays a catch-up while it waits, and the next one is none', () => {
    const waiting = due({
      nextSlotAt: at('10:00:00'),
      dueAt: at('10:40:00'),
      now: at('10:40:01'),
      catchUp: true,
    })
    expect(planDue(waiting, HOURLY).fire).toEqual({ slotAt: at('10:00:00'), catchUp: true })
    const later = due({
      nextSlotAt: at('10:00:00'),
      dueAt: at('11:00:05'),
      now: at('11:00:06'),
      catchUp: true,
    })
    expect(planDue(later, HOURLY).fire).toEqual({ slotAt: at('11:00:00'), catchUp: false })
  })

  it('a slot that waits is given up for the next one', () => {
    const waiting = due({ nextSlotAt: at('10:00:00'), dueAt: at('11:00:05'), now: at('11:00:06') })
    expect(planDue(waiting, HOURLY)).toMatchObject({
      fire: { slotAt: at('11:00:00'), catchUp: false },
      skip: [{ slotAt: at('10:00:00'), code: 'MISSED' }],
    })
  })

  it('jitter makes nothing late', () => {
    const jittered = due({
      nextSlotAt: at('10:00:00'),
      dueAt: at('10:25:00'),
      now: at('10:25:01'),
      jitterSeconds: 1800,
    })
    expect(planDue(jittered, HOURLY).fire).toEqual({ slotAt: at('10:00:00'), catchUp: false })
  })

  it.each([null, 'SUBMITTING', 'STOPPING', 'FINISHED', 'CANCELED', 'FAILED', 'LOST'] as const)(
    'is skipped while the run is %s',
    (runState) => {
      const plan = planDue(due({ nextSlotAt: at('10:00:00'), now: at('10:00:01'), runState }), HOURLY)
      expect(plan).toMatchObject({ fire: null, skip: [{ slotAt: at('10:00:00'), code: 'JOB_NOT_RUNNING' }] })
    },
  )

  it('a year of outage is counted to a limit, and the last day is still made up for', () => {
    const plan = planDue(
      due({ nextSlotAt: new Date('2025-11-21T00:00:00Z'), now: at('10:05:00') }),
      slots('* * * * *'),
    )
    expect(plan.fire).toEqual({ slotAt: at('10:00:00'), catchUp: true })
    expect(plan.skip[0]?.message).toContain('More than 300')
    expect(plan.nextSlotAt).toEqual(at('10:10:00'))
  })

  it('nothing is due when the clock was set back', () => {
    const plan = planDue(due({ nextSlotAt: at('10:00:00'), now: at('09:55:00') }), HOURLY)
    expect(plan).toMatchObject({ fire: null, skip: [], nextSlotAt: at('10:00:00') })
  })
})

describe('the jitter', () => {
  it('follows from job and slot, and stays below its limit', () => {
    const values = Array.from({ length: 200 }, (_, n) => jitterMs(`job-${n}`, at('10:00:00'), 60))
    expect(values).toEqual(Array.from({ length: 200 }, (_, n) => jitterMs(`job-${n}`, at('10:00:00'), 60)))
    expect(Math.max(...values)).toBeLessThan(60_000)
    expect(new Set(values.map((value) => Math.floor(value / 10_000))).size).toBe(6)
    expect(jitterMs('job-1', at('10:00:00'), 0)).toBe(0)
  })
})

describe('a settled savepoint', () => {
  const asked = at('10:00:00')
  const running: SettledFiring['run'] = {
    state: 'RUNNING',
    allTasksRunning: true,
    tasksRunningSince: at('08:00:00'),
    endedAt: null,
    restoredSince: 0,
  }
  const failed = (changes: Partial<SettledFiring> = {}): SettledFiring => ({
    status: 'Failed',
    completed: false,
    failureCode: 'CHECKPOINT_EXPIRED',
    triggeredAt: asked,
    settledAt: at('10:10:00'),
    now: at('10:10:45'),
    run: running,
    ...changes,
  })

  it.each<[string, SettledFiring, ReturnType<typeof judgeFiring>]>([
    ['that completed counts as such', failed({ status: 'Present', completed: true }), 'COMPLETED'],
    [
      'that completed did not restart the job, whatever came later',
      failed({ completed: true, run: { ...running, allTasksRunning: false } }),
      'COMPLETED',
    ],
    ['that failed beside a running job has failed', failed(), 'FAILED'],
    ['that timed out has failed', failed({ status: 'Timeout', failureCode: null }), 'FAILED'],
    [
      'with an exception of the job has restarted it',
      failed({ failureCode: 'JOB_FAILED_DURING_SAVEPOINT' }),
      'RESTARTED_JOB',
    ],
    [
      'after which not all tasks run has restarted the job',
      failed({ run: { ...running, allTasksRunning: false, tasksRunningSince: null } }),
      'RESTARTED_JOB',
    ],
    [
      'after which tasks began to run anew has restarted the job',
      failed({ run: { ...running, tasksRunningSince: at('10:00:30') } }),
      'RESTARTED_JOB',
    ],
    [
      'after which Flink restored the job has restarted it, however quickly',
      failed({ run: { ...running, restoredSince: 1 } }),
      'RESTARTED_JOB',
    ],
    [
      'whose run FAILED has restarted it once too often',
      failed({ run: { ...running, state: 'FAILED', endedAt: at('10:01:00') } }),
      'RESTARTED_JOB',
    ],
    [
      'after which tasks began to run anew much later has failed',
      failed({
        now: at('11:31:00'),
        run: { ...running, tasksRunningSince: at('11:30:00'), restoredSince: 1 },
      }),
      'FAILED',
    ],
    [
      'with tasks that run anew since soon after it has restarted the job, however late that is seen',
      failed({
        now: at('11:31:00'),
        run: { ...running, tasksRunningSince: at('10:10:20'), restoredSince: 1 },
      }),
      'RESTARTED_JOB',
    ],
    [
      'that is judged after an outage, beside tasks that do not all run, has failed',
      failed({ now: at('11:31:00'), run: { ...running, allTasksRunning: false, tasksRunningSince: null } }),
      'FAILED',
    ],
    [
      'whose run FAILED much later has failed',
      failed({ now: at('11:31:00'), run: { ...running, state: 'FAILED', endedAt: at('11:30:00') } }),
      'FAILED',
    ],
    [
      'that nobody asked Flink for says nothing',
      failed({ triggeredAt: null, failureCode: 'CLUSTER_UNSUPPORTED' }),
      'NOT_COUNTED',
    ],
    ['of a job that ended says nothing', failed({ failureCode: 'JOB_NOT_RUNNING' }), 'NOT_COUNTED'],
    ['of a rescaled job says nothing', failed({ failureCode: 'RESCALED' }), 'NOT_COUNTED'],
  ])('%s', (_, firing, verdict) => {
    expect(judgeFiring(firing, 30_000)).toBe(verdict)
  })

  it('pauses after two failures in a row, or one restart', () => {
    expect(nextHealth('FAILED', 0)).toEqual({ failures: 1, pause: null })
    expect(nextHealth('FAILED', 1)).toMatchObject({ failures: 2, pause: { reason: 'SAVEPOINTS_FAILED' } })
    expect(nextHealth('COMPLETED', 1)).toEqual({ failures: 0, pause: null })
    expect(nextHealth('NOT_COUNTED', 1)).toEqual({ failures: 1, pause: null })
    expect(nextHealth('RESTARTED_JOB', 0)).toMatchObject({ pause: { reason: 'SAVEPOINT_RESTARTED_JOB' } })
  })
})

describe('a rule beside its job', () => {
  it('is too tight when savepoints take more than a quarter of the interval', () => {
    expect(isTooTight(null, 600)).toBe(false)
    expect(isTooTight(150_000, 600)).toBe(false)
    expect(isTooTight(150_001, 600)).toBe(true)
  })

  it('warns of canonical savepoints on RocksDB, and when the state backend is not known', () => {
    const warn = (changes: object) =>
      findScheduleWarnings(
        { format: 'CANONICAL', stateBackend: 'rocksdb', attached: true, observeOnly: false, ...changes },
        HOURLY,
      ).map(({ code }) => code)
    expect(warn({})).toEqual(['CANONICAL_ON_ROCKSDB'])
    expect(warn({ stateBackend: 'org.apache.flink.state.rocksdb.EmbeddedRocksDBStateBackend' })).toEqual([
      'CANONICAL_ON_ROCKSDB',
    ])
    expect(warn({ format: 'NATIVE' })).toEqual([])
    expect(warn({ stateBackend: 'hashmap' })).toEqual([])
    expect(warn({ stateBackend: null })).toEqual(['STATE_BACKEND_UNKNOWN'])
    expect(warn({ stateBackend: null, attached: false })).toEqual([])
    expect(warn({ format: 'NATIVE', observeOnly: true })).toEqual(['OBSERVE_ONLY'])
  })

  it('shows a period in the largest unit that divides it', () => {
    expect([600, 3600, 5400, 86_400, 172_800].map(toPeriod)).toEqual([
      { minutes: 10 },
      { hours: 1 },
      { minutes: 90 },
      { days: 1 },
      { days: 2 },
    ])
    expect([600, 3600, 86_400].map((seconds) => secondsOf(toPeriod(seconds)))).toEqual([600, 3600, 86_400])
  })
})
