/**
 * Schedules on a real Postgres: one savepoint per slot whatever is repeated, dies or goes stale. The clock is the database's;
 * a test moves it by moving a schedule's next slot instead: only the distance between the two counts.
 */
import { randomBytes } from 'node:crypto'
import { v7 } from 'uuid'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { withDomainErrors } from '../../src/db/errors.ts'
import { createJobRepository } from '../../src/db/jobs.ts'
import { createScheduleWorkRepository } from '../../src/db/schedule-work.ts'
import { createScheduleRepository } from '../../src/db/schedules.ts'
import { createSnapshotRepository } from '../../src/db/snapshots.ts'
import { DomainError } from '../../src/domain/errors.ts'
import type { Firing } from '../../src/domain/schedule.ts'
import type { ScheduleInput } from '../../src/services/api.ts'
import { deleteSchedule } from '../../src/services/delete-schedule.ts'
import { createScheduleRound, type FireSchedulesPorts } from '../../src/services/fire-schedules.ts'
import { getSchedule } from '../../src/services/get-schedule.ts'
import { listScheduleFirings } from '../../src/services/list-schedule-firings.ts'
import { pauseSchedule } from '../../src/services/pause-schedule.ts'
import { putSchedule } from '../../src/services/put-schedule.ts'
import { requestSavepoint } from '../../src/services/request-savepoint.ts'
import { resumeSchedule } from '../../src/services/resume-schedule.ts'
import { openMigratedDatabase, type TestDatabase } from '../support/database.ts'
import { createTenants, insertSavepoint, type Tenant } from '../support/fixtures.ts'

let database: TestDatabase
let ours: Tenant
let theirs: Tenant
const killed = async () => {
  throw new Error('killed')
}
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }

beforeAll(async () => {
  database = await openMigratedDatabase('schedules')
  const tenants = await createTenants(database.db)
  ours = tenants.ours
  theirs = tenants.theirs
})
afterAll(() => database?.drop())

beforeEach(async () => {
  await sql('delete from schedule')
  await sql('delete from schedule_firing')
  await sql('delete from idempotency_record')
  await sql('update snapshot set settled_at = now() where settled_at is null')
  await sql(`update run set state = 'RUNNING', all_tasks_running = true, tasks_running_since = now() - interval '1 day',
    ended_at = null`)
})

const sql = <Row extends Record<string, unknown>>(text: string, values: readonly unknown[] = []) =>
  database.db.sql<Row>(text, values)

function wire(options: Partial<FireSchedulesPorts> & { leaseMs?: number; perCluster?: number } = {}) {
  const { leaseMs = 60_000, perCluster = 5, ...ports } = options
  const snapshots = createSnapshotRepository(database.db)
  const schedules = createScheduleRepository(database.db)
  const api = { schedules, jobs: createJobRepository(database.db) }
  const request = requestSavepoint({
    snapshots,
    nudges: { savepointDue: () => undefined },
    newId: v7,
    newTriggerId: () => randomBytes(16).toString('hex'),
    crashPoint: () => undefined,
  })
  return {
    snapshots,
    request,
    get: (tenant: Tenant) => getSchedule(api)({ caller: tenant.caller, job: 'orders' }),
    put: (tenant: Tenant, schedule: ScheduleInput, ifMatch?: string) =>
      putSchedule(api)({ caller: tenant.caller, job: 'orders', schedule, ifMatch }),
    pause: (tenant: Tenant) => pauseSchedule(api)({ caller: tenant.caller, job: 'orders' }),
    resume: (tenant: Tenant) => resumeSchedule(api)({ caller: tenant.caller, job: 'orders' }),
    remove: (tenant: Tenant) => deleteSchedule(api)({ caller: tenant.caller, job: 'orders' }),
    firings: async (tenant: Tenant, page: { pageSize?: number; pageToken?: string } = {}) =>
      listScheduleFirings(api)({ caller: tenant.caller, job: 'orders', ...page }),
    round: createScheduleRound({
      scheduleWork: createScheduleWorkRepository(database.db, { leaseMs, newLease: v7 }),
      requestSavepoint: request,
      crashPoint: () => undefined,
      log: silent,
      limits: { savepointsPerCluster: perCluster, settleMs: 0 },
      ...ports,
    }),
  }
}

/** As if the schedule's next slot had been so long ago; whole tens of minutes stay slots of `0/10 * * * *`. */
async function comeDue({ jobId }: Tenant, slotAgo: string, actionAgo = slotAgo): Promise<string> {
  const [row] = await sql<{ next_slot_at: string }>(
    `update schedule set next_slot_at = date_bin('10 minutes', now(), 'epoch') - $2::interval,
       next_action_at = date_bin('10 minutes', now(), 'epoch') - $3::interval
     where job_id = $1 returning next_slot_at`,
    [jobId, slotAgo, actionAgo],
  )
  return row?.next_slot_at ?? ''
}
/** Slots of one minute ago: nothing but the slot itself has passed, whatever minute it is now. */
async function comeJustDue({ jobId }: Tenant): Promise<string> {
  const [row] = await sql<{ next_slot_at: string }>(
    `update schedule set next_slot_at = date_trunc('milliseconds', now() - interval '100 ms'), next_action_at = now()
     where job_id = $1 returning next_slot_at`,
    [jobId],
  )
  return row?.next_slot_at ?? ''
}
const scheduled = ({ jobId }: Tenant) =>
  sql<{ id: string; description: string; format: string; created_by: string }>(
    `select id, description, format, created_by from snapshot
     where job_id = $1 and source = 'SCHEDULE' order by created_at, id`,
    [jobId],
  )
const newSnapshots = async (tenant: Tenant, work: () => Promise<unknown>) => {
  const before = (await scheduled(tenant)).length
  await work()
  return (await scheduled(tenant)).slice(before)
}
const outcomes = ({ items }: { items: Firing[] }) => items.map(({ outcome, code }) => code ?? outcome)
const settle = ({ jobId }: Tenant, way: readonly string[], facts = 'settled_at = now()') =>
  Promise.all(way).then(async (statuses) => {
    for (const status of statuses) {
      await sql(`update snapshot set status = $2 where job_id = $1 and settled_at is null`, [jobId, status])
    }
    await sql(`update snapshot set ${facts} where job_id = $1 and settled_at is null`, [jobId])
  })

describe('a due slot', () => {
  it('becomes one savepoint of the schedule, with its terms', async () => {
    const { put, get, round, firings } = wire()
    await put(ours, { cron: '0/10 * * * *', format: 'NATIVE', timeoutSeconds: 90 })
    const slot = await comeJustDue(ours)
    const [snapshot, ...more] = await newSnapshots(ours, round)
    expect(more).toEqual([])
    expect(snapshot).toMatchObject({
      description: 'Savepoint of orders on schedule (0/10 * * * *)',
      format: 'NATIVE',
      created_by: `schedule:${slot}`,
    })
    const { items } = await firings(ours)
    expect(items).toMatchObject([{ slotAt: slot, outcome: 'FIRED', snapshot: snapshot?.id, catchUp: false }])
    const after = await get(ours)
    expect(after.lastRunAt).toBe(slot)
    expect(Date.parse(after.nextRunAt ?? '')).toBeGreaterThan(Date.now())
    expect((await scheduled(theirs)).length).toBe(0)
  })

  it('is fired once by any number of workers and rounds', async () => {
    await wire().put(ours, { cron: '0/10 * * * *' })
    await comeJustDue(ours)
    const workers = Array.from({ length: 6 }, () => wire().round)
    const taken = await newSnapshots(ours, () => Promise.all(workers.map((round) => round().then(round))))
    expect(taken).toHaveLength(1)
    expect(outcomes(await wire().firings(ours))).toEqual(['FIRED'])
  })

  it('is fired by another worker under the same key when one dies before it asks', async () => {
    const lost = wire({
      leaseMs: 0,
      requestSavepoint: async () => {
        throw new Error('killed')
      },
    })
    await lost.put(ours, { cron: '0/10 * * * *' })
    await comeJustDue(ours)
    expect(await newSnapshots(ours, lost.round)).toEqual([])
    expect(outcomes(await lost.firings(ours))).toEqual(['PENDING'])
    expect(await newSnapshots(ours, wire({ leaseMs: 0 }).round)).toHaveLength(1)
    expect(outcomes(await lost.firings(ours))).toEqual(['FIRED'])
  })

  it('finds its savepoint when the worker died after it had asked', async () => {
    const { request } = wire()
    const lost = wire({
      leaseMs: 0,
      requestSavepoint: async (command) => {
        await request(command)
        throw new Error('killed')
      },
    })
    await lost.put(ours, { cron: '0/10 * * * *' })
    await comeJustDue(ours)
    const taken = await newSnapshots(ours, async () => {
      await lost.round()
      await Promise.all([wire({ leaseMs: 0 }).round(), wire({ leaseMs: 0 }).round()])
    })
    expect(taken).toHaveLength(1)
    expect((await lost.firings(ours)).items).toMatchObject([{ outcome: 'FIRED', snapshot: taken[0]?.id }])
  })

  it('finds its savepoint a day later, too, when its key has expired; and asks for none then', async () => {
    const { request } = wire()
    const made: boolean[] = []
    for (const asks of [true, false]) {
      const lost = wire({
        leaseMs: 0,
        requestSavepoint: async (command) => {
          if (asks) await request(command)
          throw new Error('killed')
        },
      })
      await sql('delete from schedule_firing')
      await lost.put(ours, { cron: '0/10 * * * *' })
      await comeJustDue(ours)
      await lost.round()
      await settle(ours, ['Present'])
      await sql(`delete from idempotency_record`)
      await sql(`update schedule_firing set fired_at = now() - interval '25 hours'`)
      expect(await newSnapshots(ours, wire({ leaseMs: 1_000 }).round)).toEqual([])
      made.push((await lost.firings(ours)).items[0]?.snapshot != null)
    }
    expect(made).toEqual([true, false])
    expect(outcomes(await wire().firings(ours))).toEqual(['MISSED'])
  })

  it('that was left PENDING until a newer one came gets no savepoint: one outage, one savepoint', async () => {
    const lost = wire({ leaseMs: 0, requestSavepoint: killed })
    await lost.put(ours, { cron: '0/10 * * * *' })
    await comeJustDue(ours)
    await lost.round()
    await sql(
      `update schedule_firing set slot_at = date_bin('10 minutes', now(), 'epoch') - interval '50 minutes',
         fired_at = now() - interval '50 minutes'`,
    )
    await comeDue(ours, '40 minutes')
    const { round, firings } = wire({ leaseMs: 1_000 })
    const taken = await newSnapshots(ours, async () => {
      await Promise.all([round(), wire({ leaseMs: 1_000 }).round()])
      await settle(ours, ['Present'])
      await sql('update schedule set next_action_at = now()')
      await round()
    })
    expect(taken).toHaveLength(1)
    const { items } = await firings(ours)
    expect(items.filter(({ outcome }) => outcome === 'FIRED')).toMatchObject([{ catchUp: true }])
    expect(items.at(-1)).toMatchObject({ outcome: 'SKIPPED', code: 'MISSED', snapshot: null })
  })

  it('that was left PENDING through an outage is a catch-up when it is fired', async () => {
    const lost = wire({ leaseMs: 0, requestSavepoint: killed })
    await lost.put(ours, { cron: '0 0 1 1 *' })
    await comeJustDue(ours)
    await lost.round()
    await sql(`update schedule_firing set fired_at = now() - interval '40 minutes'`)
    const { round, firings } = wire({ leaseMs: 1_000 })
    expect(await newSnapshots(ours, round)).toHaveLength(1)
    expect((await firings(ours)).items).toMatchObject([{ outcome: 'FIRED', catchUp: true }])
  })

  it('that is made up for stays a catch-up while it waits for its turn', async () => {
    const { put, round, firings } = wire({ perCluster: 0 })
    await put(ours, { cron: '0/10 * * * *' })
    await comeDue(ours, '0', '5 minutes')
    expect(await newSnapshots(ours, round)).toEqual([])
    await sql('update schedule set next_action_at = now()')
    expect(await newSnapshots(ours, wire().round)).toHaveLength(1)
    expect((await firings(ours)).items).toMatchObject([{ outcome: 'FIRED', catchUp: true }])
  })

  it('that was left PENDING gets no savepoint once the schedule is paused, off, changed or created anew', async () => {
    const lost = wire({ leaseMs: 0, requestSavepoint: killed })
    const { put, pause, resume, remove } = lost
    const leave = async (change: () => Promise<unknown>) => {
      await sql('delete from schedule_firing')
      await put(ours, { cron: '0/10 * * * *' })
      await resume(ours)
      await comeJustDue(ours)
      await lost.round()
      await change()
      const taken = await newSnapshots(ours, wire({ leaseMs: 0 }).round)
      return [taken.length, ...outcomes(await lost.firings(ours))]
    }
    const none = [0, 'SCHEDULE_CHANGED']
    expect(await leave(() => pause(ours))).toEqual(none)
    expect(await leave(() => put(ours, { cron: '0/10 * * * *', enabled: false }))).toEqual(none)
    expect(await leave(() => put(ours, { cron: '0 0 1 1 *' }))).toEqual(none)
    expect(
      await leave(async () => {
        await remove(ours)
        await put(ours, { cron: '0/10 * * * *' })
      }),
    ).toEqual(none)
    expect(await leave(() => remove(ours))).toEqual([0, 'NOT_FOUND'])
    expect(await leave(() => put(ours, { cron: '0/10 * * * *', format: 'NATIVE' }))).toEqual([1, 'FIRED'])
  })

  it('finds its savepoint when the worker died after it had asked and the schedule was paused', async () => {
    const { request, pause, put, firings } = wire()
    const lost = wire({
      requestSavepoint: async (command) => {
        await request(command)
        return killed()
      },
    })
    await put(ours, { cron: '0/10 * * * *' })
    await comeJustDue(ours)
    const taken = await newSnapshots(ours, lost.round)
    await pause(ours)
    expect(await newSnapshots(ours, wire({ leaseMs: 0 }).round)).toEqual([])
    expect((await firings(ours)).items).toMatchObject([{ outcome: 'FIRED', snapshot: taken[0]?.id }])
  })

  it('whose refusal was recorded gets no savepoint from a worker that slept meanwhile', async () => {
    const { request } = wire()
    let wake: () => void = () => undefined
    const asleep = new Promise<void>((resolve) => {
      wake = resolve
    })
    const slow = wire({
      requestSavepoint: async (command) => {
        await asleep
        return request(command)
      },
    })
    await slow.put(ours, { cron: '0/10 * * * *' })
    await comeJustDue(ours)
    const busy = await insertSavepoint(database.db, ours)
    const sleeping = slow.round()
    await until(async () => outcomes(await slow.firings(ours))[0] === 'PENDING')
    await wire({ leaseMs: 0 }).round()
    expect(outcomes(await slow.firings(ours))).toEqual(['SAVEPOINT_IN_PROGRESS'])
    await sql('update snapshot set settled_at = now() where id = $1', [busy])
    expect(
      await newSnapshots(ours, async () => {
        wake()
        await sleeping
      }),
    ).toEqual([])
    expect(outcomes(await slow.firings(ours))).toEqual(['SAVEPOINT_IN_PROGRESS'])
  })

  it('that cannot be asked for says so after five tries', async () => {
    const broken = wire({
      leaseMs: 0,
      requestSavepoint: async () => {
        throw new Error('a defect')
      },
    })
    await broken.put(ours, { cron: '0/10 * * * *' })
    await comeJustDue(ours)
    for (let tries = 0; tries < 5; tries++) await broken.round()
    expect((await broken.firings(ours)).items).toMatchObject([{ outcome: 'FAILED', code: 'INTERNAL' }])
  })
})

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (await holds()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('it did not come')
}

describe('the clock', () => {
  it('after two hours without workers one slot is made up for', async () => {
    const { put, round, firings } = wire()
    await put(ours, { cron: '0/10 * * * *' })
    const first = await comeDue(ours, '2 hours')
    expect(await newSnapshots(ours, () => Promise.all([round(), wire().round()]))).toHaveLength(1)
    const { items } = await firings(ours)
    expect(items).toMatchObject([
      { outcome: 'FIRED', catchUp: true },
      { outcome: 'SKIPPED', code: 'MISSED', slotAt: first },
    ])
    expect(items[1]?.message).toContain('12 slots')
  })

  it('set back by five minutes it fires no slot again', async () => {
    const { put, round, firings } = wire()
    await put(ours, { cron: '0/10 * * * *' })
    const slot = await comeDue(ours, '0')
    expect(await newSnapshots(ours, round)).toHaveLength(1)
    await settle(ours, ['Present'])
    await sql('update schedule set next_slot_at = $2, next_action_at = $2 where job_id = $1', [
      ours.jobId,
      slot,
    ])
    expect(await newSnapshots(ours, round)).toEqual([])
    expect(outcomes(await firings(ours))).toEqual(['FIRED'])
    expect(Date.parse((await wire().get(ours)).nextRunAt ?? '')).toBeGreaterThan(Date.now())
  })

  it('set forward by five minutes it fires the slots that come then once', async () => {
    const { put, round, firings } = wire()
    await put(ours, { cron: '0/10 * * * *' })
    const slot = await comeDue(ours, '10 minutes', '5 minutes')
    await newSnapshots(ours, round)
    const { items } = await firings(ours)
    expect(items.filter(({ outcome }) => outcome === 'FIRED')).toHaveLength(1)
    expect(items.map(({ slotAt }) => slotAt)).toContain(slot)
    expect(new Set(items.map(({ slotAt }) => slotAt)).size).toBe(items.length)
  })
})

describe('beside others', () => {
  it('recording a slot and deleting its job do not lock each other out', async () => {
    const { put } = wire()
    await put(ours, { cron: '0/10 * * * *' })
    await comeJustDue(ours)
    const work = createScheduleWorkRepository(database.db, { leaseMs: 60_000, newLease: v7 })
    const [claimed] = await work.claimDue(10)
    if (!claimed) throw new Error('nothing was due')
    const fire = { slotAt: claimed.nextSlotAt, catchUp: false }
    const next = { slotAt: new Date(), actionAt: new Date() }
    const client = await database.db.pool.connect()
    try {
      await client.query('begin')
      await client.query('select 1 from job where id = $1 for update', [ours.jobId])
      const recording = work.record(
        claimed.clusterId,
        [{ work: claimed, fire, skip: [], next, waitMs: 0 }],
        5,
      )
      await until(async () => {
        const waiting = await sql(
          `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
        )
        return waiting.length > 0
      })
      await client.query('delete from schedule where job_id = $1', [ours.jobId])
      await client.query('rollback')
      expect(await recording).toHaveLength(1)
    } finally {
      client.release()
    }
  })

  it('a deadlock that comes all the same is one to try again', async () => {
    const given = Object.assign(new Error('deadlock detected'), { code: '40P01' })
    const repository = withDomainErrors({ write: () => Promise.reject(given) })
    await expect(repository.write()).rejects.toMatchObject({ code: 'OVERLOADED', cause: given })
  })

  it('of one cluster whose slots cannot be recorded, those of another are fired', async () => {
    const scheduleWork = createScheduleWorkRepository(database.db, { leaseMs: 60_000, newLease: v7 })
    const failing = (error: Error) =>
      wire({
        scheduleWork: {
          ...scheduleWork,
          record: async (clusterId, records, most) => {
            if (records.some(({ work }) => work.job.id === ours.jobId)) throw error
            return scheduleWork.record(clusterId, records, most)
          },
        },
      })
    const { put } = wire()
    await put(ours, { cron: '0/10 * * * *' })
    await put(theirs, { cron: '0/10 * * * *' })
    await comeJustDue(theirs)
    await comeDue(ours, '0')
    expect(await newSnapshots(theirs, failing(new Error('a defect')).round)).toHaveLength(1)

    await settle(theirs, ['Present'])
    await sql(`update schedule set lease_until = now() - interval '1 s' where lease_until is not null`)
    const away = new DomainError('DATABASE_UNAVAILABLE', 'The database did not answer.')
    await expect(failing(away).round()).rejects.toBe(away)
  })
})

describe('a slot is skipped', () => {
  it('while a savepoint is in progress', async () => {
    const { put, round, firings } = wire()
    await put(ours, { cron: '0/10 * * * *' })
    await comeJustDue(ours)
    await insertSavepoint(database.db, ours)
    expect(await newSnapshots(ours, round)).toEqual([])
    expect(outcomes(await firings(ours))).toEqual(['SAVEPOINT_IN_PROGRESS'])
  })

  it('while the job does not run, on an observe-only cluster, and while the job is ambiguous', async () => {
    const { put, round, firings } = wire()
    await put(ours, { cron: '0/10 * * * *' })
    const skip = async (before: string, after: string) => {
      await sql('delete from schedule_firing')
      await sql(before)
      await comeJustDue(ours)
      expect(await newSnapshots(ours, round)).toEqual([])
      await sql(after)
      return outcomes(await firings(ours))
    }
    expect(await skip(`update run set state = 'CANCELED'`, `update run set state = 'RUNNING'`)).toEqual([
      'JOB_NOT_RUNNING',
    ])
    expect(
      await skip(`update cluster set mode = 'OBSERVE_ONLY'`, `update cluster set mode = 'MANAGE'`),
    ).toEqual(['OBSERVE_ONLY'])
    expect(await skip(`update job set ambiguous = '["a", "b"]'`, 'update job set ambiguous = null')).toEqual([
      'JOB_AMBIGUOUS',
    ])
  })

  it('of nobody while the schedule is off, paused or gone', async () => {
    const { put, pause, resume, remove, round, get } = wire()
    await put(ours, { cron: '0/10 * * * *', enabled: false })
    expect((await get(ours)).nextRunAt).toBeNull()
    await put(ours, { cron: '0/10 * * * *' })
    await comeJustDue(ours)
    await pause(ours)
    expect(await newSnapshots(ours, round)).toEqual([])
    expect((await put(ours, { cron: '0/10 * * * *' })).resource).toMatchObject({
      nextRunAt: null,
      paused: { reason: 'REQUESTED' },
    })
    expect((await resume(ours)).paused).toBeNull()
    await comeJustDue(ours)
    await remove(ours)
    expect(await newSnapshots(ours, round)).toEqual([])
    await expect(get(ours)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('of nobody once the job is deleted, which takes its schedule along', async () => {
    const { put } = wire()
    const jobs = createJobRepository(database.db)
    await put(ours, { cron: '0/10 * * * *' })
    const etag = (await jobs.find(ours.caller, ours.jobId))?.etag ?? ''
    expect(await jobs.remove(ours.caller, ours.jobId, etag)).toBe('deleted')
    expect(await sql('select 1 from schedule where job_id = $1', [ours.jobId])).toEqual([])
    await sql('update job set deleted_at = null where id = $1', [ours.jobId])
  })
})

describe('a change of the schedule', () => {
  it('ends what a worker worked out from the old one', async () => {
    const work = createScheduleWorkRepository(database.db, { leaseMs: 60_000, newLease: v7 })
    const { put, pause, get } = wire()
    await put(ours, { cron: '0/10 * * * *' })
    await comeJustDue(ours)
    const [claimed] = await work.claimDue(10)
    if (!claimed) throw new Error('nothing was due')
    await pause(ours)
    const record = {
      work: claimed,
      fire: { slotAt: claimed.nextSlotAt, catchUp: false },
      skip: [],
      next: { slotAt: new Date(), actionAt: new Date() },
      waitMs: 0,
    }
    expect(await work.record(claimed.clusterId, [record], 5)).toEqual([])
    expect(await get(ours)).toMatchObject({ nextRunAt: null })
  })

  it('of its terms keeps a slot that waits; of its rule does not', async () => {
    const { put, get } = wire()
    await put(ours, { cron: '0/10 * * * *' })
    const slot = await comeJustDue(ours)
    await put(ours, { cron: '0/10 * * * *', format: 'NATIVE' })
    expect((await get(ours)).nextRunAt).toBe(slot)
    await put(ours, { cron: '0/20 * * * *', format: 'NATIVE' })
    expect((await get(ours)).nextRunAt).not.toBe(slot)
  })

  it('is refused when it names another version, and creates it for one of many only', async () => {
    const { put, get } = wire()
    await expect(put(ours, { cron: '0 0 * * *' }, '1')).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
    const answers = await Promise.all(Array.from({ length: 4 }, () => put(ours, { every: { hours: 6 } })))
    expect(answers.filter(({ created }) => created)).toHaveLength(1)
    const { etag } = await get(ours)
    await put(ours, { cron: '0 1 * * *' }, etag)
    await expect(put(ours, { cron: '0 2 * * *' }, etag)).rejects.toMatchObject({
      code: 'PRECONDITION_FAILED',
    })
  })

  it('is refused when it names a schedule that was deleted and created again since', async () => {
    const { put, get, remove } = wire()
    await put(ours, { cron: '0 1 * * *' })
    const { etag } = await get(ours)
    await remove(ours)
    await put(ours, { cron: '0 1 * * *' })
    await expect(put(ours, { cron: '0 3 * * *' }, etag)).rejects.toMatchObject({
      code: 'PRECONDITION_FAILED',
    })
    const schedules = createScheduleRepository(database.db)
    expect(await schedules.remove(ours.caller, ours.jobId, etag, 'x')).toBe(false)
    expect(await schedules.pause(ours.caller, ours.jobId, etag, 'x', 'x')).toBe(false)
    expect(await schedules.resume(ours.caller, ours.jobId, etag, null, 'x')).toBe(false)
    expect(await schedules.remove(ours.caller, ours.jobId, (await get(ours)).etag, 'x')).toBe(true)
  })

  it('touches nobody else', async () => {
    const { put, get, firings, round, remove } = wire()
    await put(ours, { cron: '0/10 * * * *' })
    await expect(get(theirs)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await put(theirs, { cron: '0 3 * * *' })
    await comeJustDue(ours)
    await round()
    expect((await firings(theirs)).items).toEqual([])
    await remove(theirs)
    expect((await get(ours)).cron).toBe('0/10 * * * *')
    const foreign = { ...ours, caller: theirs.caller }
    const schedules = createScheduleRepository(database.db)
    expect(
      (await schedules.listFirings(foreign.caller, ours.jobId, { pageSize: 5, after: null })).items,
    ).toEqual([])
    const { etag } = await get(ours)
    expect(await schedules.remove(theirs.caller, ours.jobId, etag, 'x')).toBe(false)
    expect(await schedules.pause(theirs.caller, ours.jobId, etag, 'x', 'x')).toBe(false)
    const values = {
      ...{ cron: '0 0 * * *', everySeconds: null, timeZone: 'UTC', format: null, description: null },
      ...{ timeoutSeconds: null, jitterSeconds: 0, enabled: true },
    }
    expect(await schedules.put(theirs.caller, ours.jobId, null, values, null, 'x')).toBe(false)
    expect(await schedules.put(theirs.caller, ours.jobId, etag, values, null, 'x')).toBe(false)
  })

  it('that switches it off is taken however tight it has become; resuming it is not', async () => {
    const { put, resume } = wire()
    await put(ours, { every: { minutes: 10 } })
    const id = await insertSavepoint(database.db, ours, { status: 'Present' })
    await sql('update snapshot set duration_ms = 200000, completed_at = now() where id = $1', [id])
    const { resource } = await put(ours, { every: { minutes: 10 }, enabled: false })
    expect(resource).toMatchObject({ enabled: false, nextRunAt: null })
    await expect(resume(ours)).rejects.toMatchObject({ code: 'SCHEDULE_TOO_TIGHT' })
    await sql('update snapshot set duration_ms = null where id = $1', [id])
  })

  it('is refused when savepoints of the job take more than a quarter of the interval', async () => {
    const { put } = wire()
    for (const seconds of [100, 120, 160]) {
      const id = await insertSavepoint(database.db, theirs, { status: 'Present' })
      await sql('update snapshot set duration_ms = $2, completed_at = now() where id = $1', [
        id,
        seconds * 1000,
      ])
    }
    await expect(put(theirs, { every: { minutes: 10 } })).rejects.toMatchObject({
      code: 'SCHEDULE_TOO_TIGHT',
      extra: { p90DurationMs: 160_000, effectiveIntervalSeconds: 600 },
    })
    expect((await put(theirs, { every: { minutes: 20 } })).created).toBe(true)
    expect((await put(ours, { every: { minutes: 10 } })).created).toBe(true)
  })
})

describe('a schedule pauses itself', () => {
  const fireAndFail = async (facts: string, way: readonly string[] = ['Failed'], settledAgo = '1 s') => {
    const { round } = wire()
    await comeJustDue(ours)
    const [snapshot] = await newSnapshots(ours, round)
    await sql(`update snapshot set triggered_at = now() - interval '9 s' where id = $1`, [snapshot?.id])
    await settle(ours, way, `settled_at = now() - interval '${settledAgo}', ${facts}`)
    await Promise.all([round(), wire().round()])
    return snapshot?.id
  }
  const events = () =>
    sql<{ snapshot_id: string; data: { reason: string } }>(
      `select snapshot_id, data from history.event where type = 'schedule.paused' and job_id = $1
       and data ->> 'by' = 'tidemark' order by seq desc`,
      [ours.jobId],
    )

  it('after two savepoints in a row that failed, with one event', async () => {
    const { put, get, resume } = wire()
    await put(ours, { cron: '0/10 * * * *' })
    const told = (await events()).length
    await fireAndFail(`failure_code = 'CHECKPOINT_EXPIRED'`)
    expect(await get(ours)).toMatchObject({ failures: 1, paused: null })
    await fireAndFail('completed_at = now()', ['Present'])
    expect(await get(ours)).toMatchObject({ failures: 0, paused: null })
    await fireAndFail(`failure_code = 'CHECKPOINT_EXPIRED'`)
    const last = await fireAndFail(`failure_code = 'CHECKPOINT_EXPIRED'`)
    expect(await get(ours)).toMatchObject({
      failures: 2,
      paused: { reason: 'SAVEPOINTS_FAILED' },
      nextRunAt: null,
      enabled: true,
    })
    const now = await events()
    expect(now.length - told).toBe(1)
    expect(now[0]).toMatchObject({ snapshot_id: last, data: { reason: 'SAVEPOINTS_FAILED' } })
    expect(await resume(ours)).toMatchObject({ failures: 0, paused: null })
    expect((await get(ours)).nextRunAt).not.toBeNull()
  })

  it('after one savepoint that restarted the job', async () => {
    const { put, get } = wire()
    await put(ours, { cron: '0/10 * * * *' })
    await sql(`update run set tasks_running_since = now() - interval '5 s' where id = $1`, [ours.runId])
    await fireAndFail(`failure_code = 'CHECKPOINT_DECLINED'`)
    expect(await get(ours)).toMatchObject({ paused: { reason: 'SAVEPOINT_RESTARTED_JOB' } })
  })

  it('not for a restart that came after the savepoint had settled', async () => {
    const { put, get } = wire()
    await put(ours, { cron: '0/10 * * * *' })
    await sql('update run set tasks_running_since = now() where id = $1', [ours.runId])
    await fireAndFail(`failure_code = 'CHECKPOINT_DECLINED'`, ['Failed'], '7 s')
    expect(await get(ours)).toMatchObject({ failures: 1, paused: null })
  })

  it('not for a job that ended', async () => {
    const { put, get } = wire()
    await put(ours, { cron: '0/10 * * * *' })
    await fireAndFail(`failure_code = 'JOB_NOT_RUNNING'`)
    await fireAndFail(`failure_code = 'JOB_NOT_RUNNING'`)
    expect(await get(ours)).toMatchObject({ failures: 0, paused: null })
  })
})

describe('the list of firings', () => {
  it('is paged from the newest slot, and knows its own tokens only', async () => {
    const { firings } = wire()
    await sql(
      `insert into schedule_firing (namespace_id, job_id, slot_at, outcome, code)
       select $1, $2, now() - make_interval(mins => n * 10), 'SKIPPED', 'JOB_NOT_RUNNING' from generate_series(1, 5) n`,
      [ours.caller.namespaceId, ours.jobId],
    )
    const all = (await firings(ours)).items.map(({ slotAt }) => slotAt)
    expect(all).toEqual([...all].sort().reverse())
    const seen: string[] = []
    let pageToken: string | undefined
    do {
      const page = await firings(ours, { pageSize: 2, ...(pageToken && { pageToken }) })
      seen.push(...page.items.map(({ slotAt }) => slotAt))
      pageToken = page.nextPageToken ?? undefined
    } while (pageToken)
    expect(seen).toEqual(all)
    const { nextPageToken } = await firings(ours, { pageSize: 2 })
    await expect(firings(theirs, { pageToken: nextPageToken ?? '' })).rejects.toMatchObject({
      code: 'PAGE_TOKEN_INVALID',
    })
  })
})

describe('a storm', () => {
  const JOBS = 2_000
  it('of two thousand schedules at one minute leaves no more in flight than the cap, whoever fires', async () => {
    const root = await database.db.sql<{ id: string }>(
      `insert into cluster (id, namespace_id, name, url) values ($1, $2, 'storm', 'http://flink:8081') returning id`,
      [v7(), theirs.caller.namespaceId],
    )
    const clusterId = root[0]?.id
    await sql(
      `with made as (
         insert into job (id, namespace_id, name, cluster_id, savepoint_storage_id, attach_flink_job_name)
         select gen_random_uuid(), $1, 'storm-' || n, $2, $3, 'storm-' || n from generate_series(1, $4::int) n returning *),
       runs as (
         insert into run (id, namespace_id, job_id, cluster_id, flink_job_id, state, flink_state, flink_start_time, started_at)
         select gen_random_uuid(), namespace_id, id, cluster_id, md5(id::text), 'RUNNING', 'RUNNING', 1, now() from made
         returning id, job_id)
       select 1`,
      [theirs.caller.namespaceId, clusterId, theirs.storageId, JOBS],
    )
    await sql(
      `update job j set current_run_id = r.id from run r where r.job_id = j.id and j.cluster_id = $1`,
      [clusterId],
    )
    await sql(
      `insert into schedule (namespace_id, job_id, cron, next_slot_at, next_action_at, created_by)
       select namespace_id, id, '0 * * * *', date_trunc('hour', now()), now(), 'test' from job where cluster_id = $1`,
      [clusterId],
    )
    const [, ...workers] = [0, 1, 2].map(() => wire({ perCluster: 5 }).round)
    const inFlight = async () =>
      (
        await sql<{ id: string }>(
          `select s.id from snapshot s join job j on j.id = s.job_id
           where j.cluster_id = $1 and s.settled_at is null`,
          [clusterId],
        )
      ).map(({ id }) => id)
    let fired = 0
    for (let wave = 0; wave < 3; wave++) {
      for (let more = true; more; ) more = (await Promise.all(workers.map((round) => round()))).some(Boolean)
      const now = await inFlight()
      expect(now).toHaveLength(5)
      fired += now.length
      await sql('update snapshot set settled_at = now() where id = any($1::uuid[])', [now])
      await sql('update schedule set next_action_at = now() where next_slot_at < now()')
    }
    const [counts] = await sql<{ waiting: number; firings: number }>(
      `select count(*) filter (where next_slot_at = date_trunc('hour', now())) as waiting,
         (select count(*) from schedule_firing f join job j on j.id = f.job_id where j.cluster_id = $1) as firings
       from schedule s join job j on j.id = s.job_id where j.cluster_id = $1`,
      [clusterId],
    )
    expect(counts).toEqual({ waiting: JOBS - fired, firings: fired })
  })
})
