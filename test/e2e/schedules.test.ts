/**
 * Schedules through HTTP, on a simulated Flink. A run is at least ten minutes away, so where one must come the test moves the
 * schedule's next slot in the database, as if that time had passed; everything else is HTTP.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Firing, Schedule } from '../../src/domain/schedule.ts'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import type { SchedulePreview } from '../../src/services/api.ts'
import { findScheduleCrashPoints } from '../faults/crash-point-names.ts'
import { type ApiAnswer, until } from '../support/api.ts'
import { type ScriptedFlink, startScriptedFlink } from '../support/simulated-flink.ts'
import { startSystem, type TestSystem } from '../support/system.ts'
import type { Problem } from './scene.ts'

const JOBS = ['orders', 'payments', 'refunds', 'shipments', 'returns', 'invoices', 'parcels', 'ledgers']

let system: TestSystem
let scripted: ScriptedFlink
let database: Client

beforeAll(async () => {
  scripted = await startScriptedFlink({
    savepointDurationMs: 100,
    seedJobs: JOBS.map((name) => ({ name })),
  })
  system = await startSystem({ name: 'schedules', workers: 2 })
  database = new Client({ connectionString: system.databaseUrl })
  await database.connect()
  await mkdir(join(system.folder, 'state'))
  await created('/v1/clusters', { name: 'flink', url: scripted.flink.url })
  await created('/v1/storages', { name: 'state', uri: `file://${system.folder}/state` })
  for (const name of JOBS) {
    await created('/v1/jobs', {
      name,
      cluster: 'flink',
      savepointStorage: 'state',
      attach: { flinkJobName: name },
      allowStop: true,
    })
  }
  for (const name of JOBS) await untilRunning(name)
})
afterAll(async () => {
  await database?.end()
  await system?.stop()
  await scripted?.flink.stop()
})

const created = async (path: string, body: object) => {
  const answer = await system.api.call('POST', path, { body })
  expect(answer.status, JSON.stringify(answer.body)).toBe(201)
}
const untilRunning = (job: string) =>
  until(`${job} is seen running`, async () => {
    const { body } = await system.api.call<{ run: { state: string } | null }>('GET', `/v1/jobs/${job}`)
    return body.run?.state === 'RUNNING'
  })
const put = async (job: string, body: object): Promise<Schedule> => {
  const answer = await system.api.call<Schedule>('PUT', `/v1/jobs/${job}/schedule`, { body })
  expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(202)
  return answer.body
}
const read = async (job: string) => (await system.api.call<Schedule>('GET', `/v1/jobs/${job}/schedule`)).body
const firings = async (job: string) =>
  (await system.api.call<{ items: Firing[] }>('GET', `/v1/jobs/${job}/schedule/firings`)).body.items
const savepoints = async (job: string, query = '') =>
  (await system.api.call<{ items: Snapshot[] }>('GET', `/v1/jobs/${job}/snapshots?kind=SAVEPOINT${query}`))
    .body.items
const act = (job: string, verb: 'pause' | 'resume') =>
  system.api.call<Schedule>('POST', `/v1/jobs/${job}/schedule/${verb}`, {})

/** As if the run had come a moment ago. */
const comeDue = (job: string, ago = '100 ms') =>
  database.query(
    `update schedule set next_slot_at = now() - $2::interval, next_action_at = now() - $2::interval
     where next_slot_at is not null and job_id = (select id from job where name = $1 and deleted_at is null)`,
    [job, ago],
  )
/** The next firing that is decided, beyond those that were. */
const untilFired = async (job: string, known: readonly Firing[] = []) =>
  until(`${job} is fired or skipped`, async () => {
    const decided = (await firings(job)).filter(({ outcome }) => outcome !== 'PENDING')
    return decided.length > known.length && decided[0]
  })
const untilStatus = (id: string | null, status: string) =>
  until(`savepoint ${id} is ${status}`, async () => {
    const { body } = await system.api.call<Snapshot>('GET', `/v1/snapshots/${id}`)
    return body.status === status && body
  })

type Preview = SchedulePreview & Problem
const preview = (body: object): Promise<ApiAnswer<Preview>> =>
  system.api.call<Preview>('POST', '/v1/schedules/preview', {
    body: { from: '2026-11-21T00:00:00Z', ...body },
  })
/** The next runs after Saturday, 2026-11-21, to the minute. */
const runs = async (cron: string, count = 3, more: object = {}): Promise<string[]> => {
  const { status, body } = await preview({ cron, count, ...more })
  expect(status, JSON.stringify(body)).toBe(200)
  return body.nextRuns.map((at) => at.slice(0, 16).replace('T', ' '))
}
const times = async (cron: string, count: number) => (await runs(cron, count)).map((at) => at.slice(11))
const hint = async (cron: string): Promise<string> => {
  const { status, body } = await preview({ cron })
  expect([status, body.code], cron).toEqual([400, 'VALIDATION_FAILED'])
  expect(body.errors?.map(({ pointer }) => pointer)).toEqual(['/body/cron'])
  return body.errors?.[0]?.detail ?? ''
}

describe('the fields', () => {
  it('are exactly five, in their order, all of them needed [A-18]', async () => {
    expect(await runs('1 2 3 4 *', 1)).toEqual(['2027-04-03 02:01'])
    expect(await runs('1 2 * 4 5', 1)).toEqual(['2027-04-02 02:01'])
    expect(await hint('0 0 * *')).toContain('all five are needed')
    expect(await hint('0 0 0 * * *')).toContain('no seconds and no year')
    expect(await hint('@daily')).toContain('five fields')
  })

  it('minute is 0 to 59 with * , - / [A-19]', async () => {
    expect(await times('0,15-20/5,59 12 * * *', 3)).toEqual(['12:00', '12:15', '12:59'])
    for (const each of ['60 * * * *', '-1 * * * *', 'A * * * *']) await hint(each)
  })

  it('hour is 0 to 23 with the same characters [A-20]', async () => {
    expect(await times('0 0,8-12/2,23 * * *', 4)).toEqual(['08:00', '10:00', '12:00', '23:00'])
    expect(await times('0 */6 * * *', 4)).toEqual(['06:00', '12:00', '18:00', '00:00'])
    await hint('0 24 * * *')
  })

  it('day of month is 1 to 31 with the same characters [A-21]', async () => {
    expect(await runs('0 0 1-10/4,31 * *', 4)).toEqual([
      '2026-12-01 00:00',
      '2026-12-05 00:00',
      '2026-12-09 00:00',
      '2026-12-31 00:00',
    ])
    await hint('0 0 0 * *')
    await hint('0 0 32 * *')
    expect(await hint('0 0 30 2 *')).toContain('never fires')
  })

  it('month is 1 to 12 or JAN to DEC with the same characters [A-22]', async () => {
    const expected = ['2027-01-01 00:00', '2027-03-01 00:00', '2027-12-01 00:00']
    expect(await runs('0 0 1 1-3/2,12 *')).toEqual(['2026-12-01 00:00', ...expected.slice(0, 2)])
    expect(await runs('0 0 1 JAN,MAR,DEC *')).toEqual(['2026-12-01 00:00', ...expected.slice(0, 2)])
    await hint('0 0 * 13 *')
    await hint('0 0 * MON *')
  })

  it('day of week is 1 to 7 or MON to SUN with the same characters [A-23]', async () => {
    const days = ['2026-11-23 00:00', '2026-11-25 00:00', '2026-11-27 00:00']
    expect(await runs('0 0 * * 1-5/2')).toEqual(days)
    expect(await runs('0 0 * * MON,WED,FRI')).toEqual(days)
    await hint('0 0 * * 8')
    await hint('0 0 * * JAN')
  })

  it('day of week counts from 1, Monday, to 7, Sunday, and refuses 0 with a hint [A-24]', async () => {
    expect(await runs('0 0 * * 1', 1)).toEqual(['2026-11-23 00:00'])
    expect(await runs('0 0 * * 7', 1)).toEqual(['2026-11-22 00:00'])
    expect(await runs('0 0 * * 6', 1)).toEqual(['2026-11-28 00:00'])
    expect(await hint('0 0 * * 0')).toContain('use 7 or SUN')
  })

  it('take * for every value [A-27]', async () => {
    expect(await times('0 * * * *', 24)).toEqual(
      [...Array.from({ length: 23 }, (_, n) => n + 1), 0].map(
        (hour) => `${String(hour).padStart(2, '0')}:00`,
      ),
    )
  })

  it('take , for a list [A-28]', async () => {
    expect(await times('5,20 0 * * *', 3)).toEqual(['00:05', '00:20', '00:05'])
  })

  it('take - for a range with both ends [A-29]', async () => {
    expect(await times('5 5-8 * * *', 5)).toEqual(['05:05', '06:05', '07:05', '08:05', '05:05'])
    const every = await preview({ cron: '5-20 0 * * *' })
    expect(every.body).toMatchObject({ floored: true, meaning: 'at 00:05 and 00:15 UTC' })
  })

  it('take / for start and step, the start being a number [A-30]', async () => {
    expect(await times('0/15 1 * * *', 5)).toEqual(['01:00', '01:15', '01:30', '01:45', '01:00'])
    expect(await times('3/20 0 * * *', 4)).toEqual(['00:03', '00:23', '00:43', '00:03'])
    expect(await times('0 1/8 * * *', 4)).toEqual(['01:00', '09:00', '17:00', '01:00'])
    expect(await hint('/20 * * * *')).toContain('write 0/20')
  })

  it('mean either one when both days are set [A-31]', async () => {
    expect(await runs('0 12 1 * 5', 5)).toEqual([
      '2026-11-27 12:00',
      '2026-12-01 12:00',
      '2026-12-04 12:00',
      '2026-12-11 12:00',
      '2026-12-18 12:00',
    ])
  })

  it('do not take ?, and say to use * [A-32]', async () => {
    expect(await hint('0 0 ? * MON')).toContain('use *')
    expect(await hint('0 0 1 * ?')).toContain('use *')
    for (const cron of ['0 0 L * *', '0 0 15W * *', '0 0 * * 1#2'])
      expect(await hint(cron)).toContain('not supported')
  })

  it('are edited one by one: each change shows its meaning and its runs, each mistake its field [A-17]', async () => {
    const edited = ['0 10 * * *', '30 10 * * *', '30 10 * * MON-FRI', '30 10 * DEC MON-FRI']
    const meanings = await Promise.all(edited.map(async (cron) => (await preview({ cron })).body.meaning))
    expect(meanings).toEqual([
      'at 10:00 UTC',
      'at 10:30 UTC',
      'at 10:30 UTC, on Mondays, Tuesdays, Wednesdays, Thursdays and Fridays',
      'at 10:30 UTC, on Mondays, Tuesdays, Wednesdays, Thursdays and Fridays, in December',
    ])
    expect(await hint('30 25 * DEC MON-FRI')).toMatch(/^hour: 25 is not from 0 to 23/)
    expect((await put('orders', { cron: '30 10 * DEC MON-FRI' })).cron).toBe('30 10 * DEC MON-FRI')
  })

  it('behave as in the worked examples [A-33]', async () => {
    const tens = (hour: number) => [0, 1, 2, 3, 4, 5].map((n) => `${hour}:${n}0`)
    const halves = Array.from(
      { length: 18 },
      (_, n) => `${String(9 + Math.floor(n / 2)).padStart(2, '0')}:${n % 2}0`,
    )
    const examples: [cron: string, times: string[]][] = [
      ['15 10 * * *', ['10:15', '10:15']],
      ['0 12 * * *', ['12:00', '12:00']],
      ['0 10,14,16 * * *', ['10:00', '14:00', '16:00', '10:00']],
      ['0/30 9-17 * * *', [...halves.map((at) => at.replace(':1', ':3')), '09:00']],
      ['* 14 * * *', [...tens(14), '14:00']],
      ['0-5 14 * * *', ['14:00', '14:00']],
      ['0/5 14 * * *', [...tens(14), '14:00']],
      ['0/5 14,18 * * *', [...tens(14), ...tens(18), '14:00']],
    ]
    for (const [cron, expected] of examples)
      expect(await times(cron, expected.length), cron).toEqual(expected)
    expect(await runs('0 12 * * WED', 2)).toEqual(['2026-11-25 12:00', '2026-12-02 12:00'])
    expect(await runs('15 10 15 * *', 2)).toEqual(['2026-12-15 10:15', '2027-01-15 10:15'])
    expect(await runs('10,44 14 * 3 WED', 3)).toEqual([
      '2027-03-03 14:10',
      '2027-03-03 14:44',
      '2027-03-10 14:10',
    ])
    expect(await runs('0 12 1 * 5', 3)).toEqual(['2026-11-27 12:00', '2026-12-01 12:00', '2026-12-04 12:00'])
  })
})

describe('the interval', () => {
  it('is ten minutes at least [A-25]', async () => {
    for (const every of [{ seconds: 599 }, { minutes: 9 }]) {
      const { status, body } = await preview({ every })
      expect([status, body.code]).toEqual([400, 'VALIDATION_FAILED'])
      expect(JSON.stringify(body.errors)).toContain('ten minutes')
    }
    expect((await preview({ every: { minutes: 10 } })).body.effectiveIntervalSeconds).toBe(600)
    expect((await preview({ cron: '* * * * *' })).body.effectiveIntervalSeconds).toBe(600)
  })

  it('of a tighter expression becomes ten minutes, and the answer says so [A-26]', async () => {
    const schedule = await put('orders', { cron: '0/5 14 * * *', format: 'NATIVE' })
    expect(schedule).toMatchObject({
      cron: '0/5 14 * * *',
      floored: true,
      effectiveIntervalSeconds: 600,
      meaning: 'every 10 minutes from 14:00 to 14:50 UTC',
    })
    expect(schedule.warnings).toEqual([
      { code: 'FLOORED', message: expect.stringContaining('ten minutes apart') },
    ])
  })

  it('is picked as a period, in place of an expression [A-16]', async () => {
    for (const [every, meaning] of [
      [{ minutes: 30 }, 'every 30 minutes from 00:00 Europe/Berlin'],
      [{ hours: 6 }, 'every 6 hours from 00:00 Europe/Berlin'],
      [{ days: 1 }, 'at 00:00 Europe/Berlin'],
    ] as const) {
      const schedule = await put('orders', { every, timeZone: 'Europe/Berlin' })
      expect(schedule).toMatchObject({ every, cron: null, meaning })
    }
    const both = await system.api.call<Problem>('PUT', '/v1/jobs/orders/schedule', {
      body: { every: { hours: 6 }, cron: '0 0 * * *' },
    })
    expect([both.status, both.body.code]).toEqual([400, 'VALIDATION_FAILED'])
  })
})

describe('a schedule', () => {
  it('is tried out before it is kept, in its time zone and across a change of the clocks [N-07]', async () => {
    expect(await runs('30 2 * * *', 3, { timeZone: 'Europe/Berlin', from: '2026-03-28T00:00:00Z' })).toEqual([
      '2026-03-28 01:30',
      '2026-03-29 01:00',
      '2026-03-30 00:30',
    ])
    expect((await preview({ cron: '0 0 * * *', timeZone: 'Mars/Olympus' })).body.errors?.[0]?.pointer).toBe(
      '/body/timeZone',
    )
    expect((await system.api.call('GET', '/v1/jobs/ledgers/schedule')).status).toBe(404)
  })

  it('is created, read, replaced under its version, and deleted', async () => {
    const path = '/v1/jobs/ledgers/schedule'
    const first = await system.api.call<Schedule>('PUT', path, { body: { every: { hours: 6 } } })
    expect(first.status).toBe(201)
    expect(first.headers['location']).toBe(`/v1/jobs/${first.body.job.id}/schedule`)
    expect(first.body.warnings.map(({ code }) => code)).toEqual(['STATE_BACKEND_UNKNOWN'])
    const same = await system.api.call<Schedule>('PUT', path, { body: { every: { hours: 6 } } })
    expect([same.status, same.body.nextRunAt]).toEqual([200, first.body.nextRunAt])
    const stale = await system.api.call<Problem>('PUT', path, {
      body: { every: { hours: 7 } },
      headers: { 'if-match': String(first.headers['etag']) },
    })
    expect([stale.status, stale.body.code]).toEqual([412, 'PRECONDITION_FAILED'])
    for (const body of [
      {},
      { cron: '0 0 * * *', jitterSeconds: 43_201 },
      { cron: 1 },
      { every: {} },
      { cron: '0 0 * * *', source: 'SCHEDULE' },
    ]) {
      expect((await system.api.call('PUT', path, { body })).status, JSON.stringify(body)).toBe(400)
    }
    expect((await system.other.call('GET', path)).status).toBe(404)
    const etag = String(same.headers['etag'])
    expect((await system.api.call('DELETE', path, { headers: { 'if-match': '"99"' } })).status).toBe(412)
    expect((await system.api.call('DELETE', path, { headers: { 'if-match': etag } })).status).toBe(204)
    expect((await system.api.call('DELETE', path)).status).toBe(404)
  })

  it('is switched on and off per job [A-14]', async () => {
    expect((await put('orders', { every: { hours: 1 }, enabled: false })).nextRunAt).toBeNull()
    const on = await put('orders', { every: { hours: 1 }, enabled: true })
    expect(Date.parse(on.nextRunAt ?? '')).toBeGreaterThan(Date.now())
    await comeDue('orders')
    const firing = await untilFired('orders')
    const savepoint = await untilStatus(firing.snapshot, 'Present')
    expect(savepoint).toMatchObject({ source: 'SCHEDULE', restorable: true })

    expect((await put('orders', { every: { hours: 1 }, enabled: false })).nextRunAt).toBeNull()
    await comeDue('orders')
    // Another job that is on is fired: a worker has looked since.
    await put('payments', { every: { hours: 1 } })
    await comeDue('payments')
    await untilFired('payments')
    expect(await firings('orders')).toHaveLength(1)
  })

  it('acts from its next run on and only while the job runs [A-15]', async () => {
    const schedule = await put('refunds', { every: { hours: 1 } })
    expect(Date.parse(schedule.nextRunAt ?? '')).toBeGreaterThan(Date.now())
    expect(await savepoints('refunds')).toEqual([])
    await comeDue('refunds')
    const fired = await untilFired('refunds')
    expect(fired.outcome).toBe('FIRED')
    await untilStatus(fired.snapshot, 'Present')

    const stop = await system.api.call<{ status: string }>('POST', '/v1/jobs/refunds/stop', {
      body: {},
      headers: { prefer: 'wait=30' },
    })
    expect(stop.body.status).toBe('SUCCEEDED')
    const known = await firings('refunds')
    await comeDue('refunds')
    expect(await untilFired('refunds', known)).toMatchObject({
      outcome: 'SKIPPED',
      code: 'JOB_NOT_RUNNING',
      snapshot: null,
    })
    expect(await savepoints('refunds', '&source=SCHEDULE')).toHaveLength(1)
  })

  it('takes savepoints on its own, one per run, with a description of its own [M-06]', async () => {
    await put('shipments', { cron: '0/10 * * * *' })
    for (const count of [1, 2, 3]) {
      const known = await firings('shipments')
      await comeDue('shipments', `${count * 20} ms`)
      const fired = await untilFired('shipments', known)
      await untilStatus(fired.snapshot, 'Present')
    }
    const taken = await savepoints('shipments')
    expect(taken).toHaveLength(3)
    for (const each of taken) {
      expect(each).toMatchObject({
        source: 'SCHEDULE',
        description: 'Savepoint of shipments on schedule (0/10 * * * *)',
        createdBy: expect.stringMatching(/^schedule:/),
      })
    }
  })

  it('stands beside savepoints by hand and at the end of the job, each under its source [A-56]', async () => {
    const byHand = await system.api.call<Snapshot>('POST', '/v1/jobs/returns/savepoints', {
      body: {},
      headers: { prefer: 'wait=30' },
    })
    expect(byHand.body.status).toBe('Present')
    await put('returns', { every: { days: 1 } })
    await comeDue('returns')
    await untilStatus((await untilFired('returns')).snapshot, 'Present')
    await system.api.call('POST', '/v1/jobs/returns/stop', { body: {}, headers: { prefer: 'wait=30' } })
    const sources = (await savepoints('returns')).map(({ source, status }) => `${source} ${status}`)
    expect(sources.sort()).toEqual(['MANUAL Present', 'SCHEDULE Present', 'STOP Present'])
    const asIf = await system.api.call('POST', '/v1/jobs/returns/savepoints', {
      body: { source: 'SCHEDULE' },
    })
    expect(asIf.status).toBe(400)
  })

  it('skips a run while a savepoint is in progress, and says which rule kept it', async () => {
    const held = scripted.faults.holdSnapshot({ kind: 'savepoint', jobName: 'invoices' })
    await put('invoices', { every: { hours: 1 } })
    const manual = await system.api.call<Snapshot>('POST', '/v1/jobs/invoices/savepoints', { body: {} })
    await comeDue('invoices')
    expect(await untilFired('invoices')).toMatchObject({ outcome: 'SKIPPED', code: 'SAVEPOINT_IN_PROGRESS' })
    held.release()
    await untilStatus(manual.body.id, 'Present')
  })

  it('makes up for one run after an outage of all workers, in its time, and spreads runs by its jitter [N-07]', async () => {
    const schedule = await put('parcels', { every: { minutes: 10 }, jitterSeconds: 300 })
    expect(schedule.jitterSeconds).toBe(300)
    await comeDue('parcels', '2 hours')
    const known = [await untilFired('parcels')]
    const all = await until('both firings are there', async () => {
      const items = await firings('parcels')
      return items.length === 2 && items.every(({ outcome }) => outcome !== 'PENDING') && items
    })
    expect(known).toHaveLength(1)
    expect(all.map(({ outcome, catchUp, code }) => ({ outcome, catchUp, code }))).toEqual([
      { outcome: 'FIRED', catchUp: true, code: null },
      { outcome: 'SKIPPED', catchUp: false, code: 'MISSED' },
    ])
    expect(all[1]?.message).toMatch(/slots from here on/)
    expect(await savepoints('parcels')).toHaveLength(1)
  })

  it('pauses itself after two savepoints that failed, and goes on when resumed [N-07]', async () => {
    await put('payments', { every: { hours: 1 } })
    scripted.faults.snapshot({ jobName: 'payments', times: 2 }, { failure: { kind: 'expired' } })
    for (const failures of [1, 2]) {
      const known = await firings('payments')
      await comeDue('payments', `${failures * 20} ms`)
      const fired = await untilFired('payments', known)
      await untilStatus(fired.snapshot, 'Failed')
      await until('the failure is counted', async () => (await read('payments')).failures === failures)
    }
    expect(await read('payments')).toMatchObject({ paused: { reason: 'SAVEPOINTS_FAILED' }, nextRunAt: null })
    const resumed = await act('payments', 'resume')
    expect(resumed.body).toMatchObject({ paused: null, failures: 0 })
    expect(Date.parse(resumed.body.nextRunAt ?? '')).toBeGreaterThan(Date.now())
    expect((await act('payments', 'pause')).body.paused).toMatchObject({ reason: 'REQUESTED' })
    expect((await act('payments', 'pause')).body.etag).toBe((await read('payments')).etag)
  })

  it('pauses itself after one savepoint that restarted its job [N-07]', async () => {
    await put('ledgers', { every: { hours: 1 } })
    scripted.faults.failTask({ jobName: 'ledgers', kind: 'savepoint' }, 'full')
    await comeDue('ledgers')
    await untilStatus((await untilFired('ledgers')).snapshot, 'Failed')
    const paused = await until('it is paused', async () => {
      const schedule = await read('ledgers')
      return schedule.paused !== null && schedule
    })
    expect(paused).toMatchObject({ paused: { reason: 'SAVEPOINT_RESTARTED_JOB' }, nextRunAt: null })
  })

  it('is refused when savepoints of the job take more than a quarter of its interval', async () => {
    await database.query(
      `update snapshot set duration_ms = 200000 where kind = 'SAVEPOINT' and job_id = (select id from job where name = 'shipments')`,
    )
    const answer = await system.api.call<Problem>('PUT', '/v1/jobs/shipments/schedule', {
      body: { every: { minutes: 10 } },
    })
    expect([answer.status, answer.body.code]).toEqual([409, 'SCHEDULE_TOO_TIGHT'])
  })
})

describe('a worker that is killed while it fires', () => {
  it('leaves a run that another one carries on, with one savepoint, wherever it died', async () => {
    const points = await findScheduleCrashPoints()
    expect(points).toHaveLength(2)
    for (const { name: crashPoint } of points) {
      await put('orders', { every: { hours: 1 } })
      await Promise.all(system.workers.splice(0).map((worker) => worker.kill()))
      const [before, known] = [await savepoints('orders'), await firings('orders')]
      await comeDue('orders')
      const doomed = await system.startWorker({ TIDEMARK_CRASH_AT: crashPoint })
      await doomed.ended
      expect((await firings('orders'))[0]?.outcome).toBe('PENDING')
      await Promise.all([system.startWorker(), system.startWorker()])
      const fired = await untilFired('orders', known)
      const savepoint = await untilStatus(fired.snapshot, 'Present')
      expect((await savepoints('orders')).map(({ id }) => id)).toEqual([
        savepoint.id,
        ...before.map(({ id }) => id),
      ])
    }
  })
})
