/** When schedules are due: the worked examples, what is refused and with which hint, time zones, and what always holds. */
import { Cron } from 'croner'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { planDue } from '../../src/domain/schedule.ts'
import { type RuleProblem, type ScheduleSlots, slotsOf } from '../../src/domain/schedule-slots.ts'
import { previewSchedule } from '../../src/services/preview-schedule.ts'

const MINUTE = 60_000
const isProblem = (slots: ScheduleSlots | RuleProblem): slots is RuleProblem => 'problem' in slots

function slots(rule: { cron?: string; every?: number; zone?: string }): ScheduleSlots {
  const found = slotsOf({
    cron: rule.cron ?? null,
    everySeconds: rule.every ?? null,
    timeZone: rule.zone ?? 'UTC',
  })
  if (isProblem(found)) throw new Error(found.problem)
  return found
}
function runs(rule: Parameters<typeof slots>[0], from: string, count: number): string[] {
  const { next } = slots(rule)
  const found: string[] = []
  for (let at = next(new Date(from)); at !== null && found.length < count; at = next(at)) {
    found.push(at.toISOString().slice(0, 16))
  }
  return found
}
const refusal = (cron: string, timeZone = 'UTC'): string => {
  const found = slotsOf({ cron, everySeconds: null, timeZone })
  return isProblem(found) ? found.problem : `accepted: ${found.meaning}`
}

/** Saturday. */
const FROM = '2026-11-21T00:00:00Z'
const day = (times: string) => times.split(' ').map((time) => `2026-11-21T${time}`)

describe('the worked examples', () => {
  const examples: [cron: string, meaning: string, interval: number, next: string[]][] = [
    ['15 10 * * *', 'at 10:15 UTC', 86_400, ['2026-11-21T10:15', '2026-11-22T10:15']],
    ['0 12 * * *', 'at 12:00 UTC', 86_400, ['2026-11-21T12:00', '2026-11-22T12:00']],
    [
      '0 10,14,16 * * *',
      'at 10:00, 14:00 and 16:00 UTC',
      7_200,
      [...day('10:00 14:00 16:00'), '2026-11-22T10:00'],
    ],
    [
      '0/30 9-17 * * *',
      'every 30 minutes from 09:00 to 17:30 UTC',
      1_800,
      [
        ...day(
          '09:00 09:30 10:00 10:30 11:00 11:30 12:00 12:30 13:00 13:30 14:00 14:30 15:00 15:30 16:00 16:30 17:00 17:30',
        ),
        '2026-11-22T09:00',
      ],
    ],
    [
      '* 14 * * *',
      'every 10 minutes from 14:00 to 14:50 UTC',
      600,
      [...day('14:00 14:10 14:20 14:30 14:40 14:50'), '2026-11-22T14:00'],
    ],
    ['0-5 14 * * *', 'at 14:00 UTC', 86_400, ['2026-11-21T14:00', '2026-11-22T14:00']],
    [
      '0/5 14 * * *',
      'every 10 minutes from 14:00 to 14:50 UTC',
      600,
      [...day('14:00 14:10 14:20 14:30 14:40 14:50'), '2026-11-22T14:00'],
    ],
    [
      '0/5 14,18 * * *',
      'every 10 minutes from 14:00 to 14:50 and from 18:00 to 18:50 UTC',
      600,
      [...day('14:00 14:10 14:20 14:30 14:40 14:50 18:00 18:10 18:20 18:30 18:40 18:50'), '2026-11-22T14:00'],
    ],
    ['0 12 * * WED', 'at 12:00 UTC, on Wednesdays', 604_800, ['2026-11-25T12:00', '2026-12-02T12:00']],
    [
      '15 10 15 * *',
      'at 10:15 UTC, on day 15 of the month',
      28 * 86_400,
      ['2026-12-15T10:15', '2027-01-15T10:15'],
    ],
    [
      '10,44 14 * 3 WED',
      'at 14:10 and 14:44 UTC, on Wednesdays, in March',
      2_040,
      ['2027-03-03T14:10', '2027-03-03T14:44', '2027-03-10T14:10'],
    ],
    [
      '0 12 1 * 5',
      'at 12:00 UTC, on day 1 of the month or on Fridays',
      86_400,
      ['2026-11-27T12:00', '2026-12-01T12:00', '2026-12-04T12:00'],
    ],
  ]
  it.each(examples)('%s runs %s', (cron, meaning, interval, next) => {
    expect(runs({ cron }, FROM, next.length)).toEqual(next)
    expect(slots({ cron })).toMatchObject({ meaning, intervalSeconds: interval })
  })

  it('says which of them are floored', () => {
    const floored = examples.map(([cron]) => cron).filter((cron) => slots({ cron }).floored)
    expect(floored).toEqual(['* 14 * * *', '0-5 14 * * *', '0/5 14 * * *', '0/5 14,18 * * *'])
  })
})

describe('the grammar', () => {
  it('begins a/n at a, in the week field up to Sunday', () => {
    expect(runs({ cron: '3/20 0 * * *' }, FROM, 3)).toEqual(day('00:03 00:23 00:43'))
    expect(slots({ cron: '0 0 * * 1/2' }).meaning).toBe(
      'at 00:00 UTC, on Mondays, Wednesdays, Fridays and Sundays',
    )
    expect(slots({ cron: '0 0 * * */3' }).meaning).toBe('at 00:00 UTC, on Mondays, Thursdays and Sundays')
    expect(runs({ cron: '0 0 * * 7/1' }, FROM, 2)).toEqual(['2026-11-22T00:00', '2026-11-29T00:00'])
  })

  it('counts the week from 1, Monday, to 7, Sunday', () => {
    expect(runs({ cron: '0 0 * * 7' }, FROM, 1)).toEqual(['2026-11-22T00:00'])
    expect(runs({ cron: '0 0 * * 1' }, FROM, 1)).toEqual(['2026-11-23T00:00'])
    expect(runs({ cron: '0 0 * * SUN' }, FROM, 1)).toEqual(runs({ cron: '0 0 * * 7' }, FROM, 1))
    expect(runs({ cron: '0 0 * * FRI-SUN' }, FROM, 3)).toEqual(runs({ cron: '0 0 * * 5-7' }, FROM, 3))
  })

  it('takes names of months and days in either case, steps in ranges, and lists of anything', () => {
    expect(slots({ cron: '5-20/5,40 3 1,15 jan-mar/2,DEC *' }).meaning).toBe(
      'at 03:05, 03:15 and 03:40 UTC, on day 1 and 15 of the month, in January, March and December',
    )
  })

  it('waits four years for 29 February', () => {
    expect(runs({ cron: '0 0 29 2 *' }, FROM, 2)).toEqual(['2028-02-29T00:00', '2032-02-29T00:00'])
  })

  it.each([
    ['? * * * *', 'use *'],
    ['* * ? * *', 'use *'],
    ['0 0 * * 0', 'use 7 or SUN'],
    ['0 0 * * 0-6', 'use 7 or SUN'],
    ['0 0 * * 8', 'is not from 1 to 7'],
    ['0 0 L * *', 'L and W'],
    ['0 0 * * 5L', 'L and W'],
    ['0 0 15W * *', 'L and W'],
    ['0 0 * * 1#2', 'the n-th weekday'],
    ['0 0 0 * * *', 'no seconds and no year'],
    ['0 0 0 * * * 2027', 'no seconds and no year'],
    ['@daily', 'write five fields'],
    ['@every 10m', 'write five fields'],
    ['0 0 * *', 'all five are needed'],
    ['', 'all five are needed'],
    ['/5 * * * *', 'write 0/5'],
    ['5/ * * * *', 'after the /'],
    ['0/0 * * * *', 'write 1 or more'],
    ['0/60 * * * *', 'below 60'],
    ['60 * * * *', 'is not from 0 to 59'],
    ['0 24 * * *', 'is not from 0 to 23'],
    ['0 0 0 * *', 'is not from 1 to 31'],
    ['0 0 32 * *', 'is not from 1 to 31'],
    ['0 0 * 13 *', 'is not from 1 to 12'],
    ['0 0 * FOO *', 'names JAN to DEC'],
    ['0 0 * * MAR', 'names MON to SUN'],
    ['0 22-2 * * *', 'write 22-23,0-2'],
    ['0 0 * * FRI-MON', 'write FRI-SUN,MON'],
    ['1,,2 * * * *', 'a value is missing'],
    ['5, * * * *', 'a value is missing'],
    ['*-5 * * * *', 'write two values'],
    ['-5 * * * *', 'is not understood'],
    ['1.5 * * * *', 'is not understood'],
    ['0x5 * * * *', 'is not understood'],
    ['１ * * * *', 'is not understood'],
    ['0 0 30 2 *', 'never fires'],
    ['0 0 31 4,6,9,11 *', 'never fires'],
    [`${'1,'.repeat(200)}1 * * * *`, 'longer than 256'],
    ['*\u00a0* * * *', 'all five are needed'],
  ])('refuses %j and says what to do', (cron, hint) => {
    expect(refusal(cron)).toContain(hint)
  })

  it('fires on weekdays also when the date never comes', () => {
    expect(runs({ cron: '0 0 30 2 MON' }, '2027-01-31T12:00:00Z', 2)).toEqual([
      '2027-02-01T00:00',
      '2027-02-08T00:00',
    ])
  })

  it('wants the name of a time zone', () => {
    for (const zone of [
      '',
      'Mars/Olympus',
      '+02:00',
      'UTC; drop table',
      'Europe/../Berlin',
      'x'.repeat(100),
    ]) {
      expect(refusal('0 0 * * *', zone)).toContain('time zone')
    }
  })
})

describe('the floor of ten minutes', () => {
  it('begins anew with each local day and drops what would follow too soon', () => {
    expect(runs({ cron: '0/7 23,0 * * *' }, '2026-11-21T22:00:00Z', 10)).toEqual([
      ...day('23:00 23:14 23:28 23:42'), // 23:56 is four minutes before 00:00
      ...['00:00', '00:14', '00:28', '00:42', '00:56'].map((time) => `2026-11-22T${time}`),
      '2026-11-22T23:00',
    ])
  })

  it('drops the last one of a day only when the next day has a first one', () => {
    expect(runs({ cron: '5,58 0,23 * * MON' }, '2026-11-23T12:00:00Z', 2)).toEqual([
      '2026-11-23T23:05',
      '2026-11-23T23:58',
    ])
    expect(runs({ cron: '5,58 0,23 * * MON,TUE' }, '2026-11-23T12:00:00Z', 3)).toEqual([
      '2026-11-23T23:05',
      '2026-11-24T00:05',
      '2026-11-24T00:58',
    ])
  })
})

describe('a last run that is dropped for the first one of the next day', () => {
  it.each([
    [
      '5,58 0,23 * * MON,TUE',
      'at 00:05, 00:58 and 23:05 UTC, on Mondays and Tuesdays, and at 23:58 when the next day has no run',
    ],
    ['5,58 0,23 * * *', 'at 00:05, 00:58 and 23:05 UTC'],
    ['5,58 0,23 * * MON', 'at 00:05, 00:58, 23:05 and 23:58 UTC, on Mondays'],
  ])('is named where it is not: %s', (cron, meaning) => {
    expect(slots({ cron }).meaning).toBe(meaning)
  })

  it('is counted where it is not', () => {
    const rule = { cron: '*/17 * * * MON-FRI' }
    const week = runs(rule, '2026-11-22T00:00:00Z', 5 * 73)
    const onDay = (date: string) => week.filter((at) => at.startsWith(date)).length
    expect([onDay('2026-11-23'), onDay('2026-11-26'), onDay('2026-11-27')]).toEqual([72, 72, 73])
    expect(week).toContain('2026-11-27T23:51')
    expect(slots(rule).meaning).toContain('and 60 more times UTC')
    expect(slots(rule).meaning).toMatch(/, and at 23:51 when the next day has no run$/)
  })
})

describe('periods', () => {
  it('that divide a day run by the clock of the time zone, also across a change of the clocks', () => {
    const zone = 'Europe/Berlin'
    expect(runs({ every: 21_600, zone }, '2026-03-28T20:00:00Z', 5)).toEqual([
      '2026-03-28T23:00', // 00:00, then 06:00, 12:00, 18:00 of the summer
      '2026-03-29T04:00',
      '2026-03-29T10:00',
      '2026-03-29T16:00',
      '2026-03-29T22:00',
    ])
    expect(runs({ every: 5_400 }, '2026-11-21T21:00:00Z', 3)).toEqual([
      '2026-11-21T22:30',
      '2026-11-22T00:00',
      '2026-11-22T01:30',
    ])
    expect(runs({ every: 960, zone: 'UTC' }, '2026-11-21T23:30:00Z', 2)).toEqual([
      '2026-11-21T23:44',
      '2026-11-22T00:00',
    ])
  })

  it('that do not are counted from 1970, whatever the time zone', () => {
    const inBerlin = runs({ every: 25_200, zone: 'Europe/Berlin' }, FROM, 5)
    expect(inBerlin).toEqual(runs({ every: 25_200 }, FROM, 5))
    for (const at of inBerlin) expect(Date.parse(`${at}Z`) % (25_200 * 1000)).toBe(0)
  })

  it.each([0, 599, 660.5, 601, -600, 366 * 86_400 + 60, Number.NaN])('of %s seconds are refused', (every) => {
    expect(isProblem(slotsOf({ cron: null, everySeconds: every, timeZone: 'UTC' }))).toBe(true)
  })
})

describe('changes of the clocks', () => {
  it.each([
    ['Europe/Berlin', '2026-03-28T12:00:00Z', ['2026-03-29T01:00', '2026-03-30T00:30']],
    ['America/New_York', '2026-03-07T12:00:00Z', ['2026-03-08T07:00', '2026-03-09T06:30']],
  ])('in %s a time that is skipped comes at the end of the gap', (zone, from, expected) => {
    expect(runs({ cron: '30 2 * * *', zone }, from, 2)).toEqual(expected)
  })

  it.each([
    ['0,30 2 * * *', ['2026-03-29T01:00', '2026-03-30T00:00', '2026-03-30T00:30']],
    ['0/30 2 * * *', ['2026-03-29T01:00', '2026-03-30T00:00', '2026-03-30T00:30']],
    ['* 2 * * *', ['2026-03-29T01:00', '2026-03-30T00:00', '2026-03-30T00:10']],
    ['0,30 2 * * SUN', ['2026-03-29T01:00', '2026-04-05T00:00', '2026-04-05T00:30']],
    ['0,30 2 29 3 *', ['2026-03-29T01:00', '2027-03-29T00:00', '2027-03-29T00:30']],
    ['0 2,14 * * *', ['2026-03-28T13:00', '2026-03-29T01:00', '2026-03-29T12:00']],
    ['30 2,3 * * *', ['2026-03-29T01:00', '2026-03-29T01:30', '2026-03-30T00:30']],
    ['0 2,3 * * *', ['2026-03-29T01:00', '2026-03-30T00:00', '2026-03-30T01:00']], // both at once: one
    ['55 1,2 * * *', ['2026-03-29T00:55', '2026-03-29T23:55', '2026-03-30T00:55']], // 03:00 is too soon
  ])('several times a day in a skipped hour come at its end, once: %s', (cron, expected) => {
    expect(runs({ cron, zone: 'Europe/Berlin' }, '2026-03-28T12:00:00Z', 3)).toEqual(expected)
  })

  it('a period by the clock has its run at the end of a skipped hour', () => {
    expect(runs({ every: 7_200, zone: 'Europe/Berlin' }, '2026-03-28T22:30:00Z', 4)).toEqual([
      '2026-03-28T23:00',
      '2026-03-29T01:00', // 02:00 is 03:00
      '2026-03-29T02:00',
      '2026-03-29T04:00',
    ])
  })

  it.each([
    ['America/Nuuk', '30 23 * * *', '2026-03-28T12:00:00Z', ['2026-03-29T01:00', '2026-03-30T00:30']],
    ['America/Scoresbysund', '30 23 * * *', '2026-03-28T12:00:00Z', ['2026-03-29T01:00', '2026-03-30T00:30']],
    // Midnight is a slot of the next day, and the only one of its ten minutes.
    ['America/Nuuk', '0,30 0,23 * * *', '2026-03-28T12:00:00Z', ['2026-03-29T01:00', '2026-03-29T01:30']],
    // Half an hour only: 02:15 is 02:30.
    ['Australia/Lord_Howe', '15 2 * * *', '2026-10-03T00:00:00Z', ['2026-10-03T15:30', '2026-10-04T15:15']],
  ])('in %s %s comes at the end of the gap, be it midnight or half past', (zone, cron, from, expected) => {
    expect(runs({ cron, zone }, from, 2)).toEqual(expected)
  })

  it.each([
    ['Europe/Berlin', '30 2 * * *', '2026-10-24T12:00:00Z', ['2026-10-25T00:30', '2026-10-26T01:30']],
    ['America/New_York', '30 1 * * *', '2026-10-31T12:00:00Z', ['2026-11-01T05:30', '2026-11-02T06:30']],
  ])('in %s one time a day comes once in a repeated hour', (zone, cron, from, expected) => {
    expect(runs({ cron, zone }, from, 2)).toEqual(expected)
  })

  it.each([
    ['Europe/Berlin', '2026-10-24T23:50:00Z'],
    ['America/New_York', '2026-11-01T04:50:00Z'],
  ])('in %s several times a day come in both passes, without a hole', (zone, from) => {
    const found = runs({ cron: '* * * * *', zone }, from, 20).map((at) => Date.parse(`${at}Z`))
    expect(found.slice(1).map((at, index) => at - (found[index] ?? 0))).toEqual(
      Array.from({ length: 19 }, () => 10 * MINUTE),
    )
  })

  it('at midnight: the day begins at the end of the gap, or the first time it is midnight', () => {
    expect(runs({ cron: '0 0 * * *', zone: 'Africa/Cairo' }, '2026-04-23T12:00:00Z', 2)).toEqual([
      '2026-04-23T22:00',
      '2026-04-24T21:00',
    ])
    const havana = runs({ cron: '0/7 0 * * *', zone: 'America/Havana' }, '2026-11-01T03:00:00Z', 12)
    const gaps = havana
      .map((at) => Date.parse(`${at}Z`))
      .map((at, index, all) => at - (all[index - 1] ?? Number.NEGATIVE_INFINITY))
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(10 * MINUTE)
  })
})

it('a preview shows the slot that workers find at the end of a gap', async () => {
  const caller = { namespaceId: '', namespace: '', principal: '' }
  const [cron, timeZone] = ['0,30 2 * * *', 'Europe/Berlin']
  const from = new Date('2026-03-28T12:00:00Z')
  const { nextRuns } = await previewSchedule()({ caller, cron, timeZone, from: from.toISOString(), count: 1 })
  const due = {
    jobId: 'job-1',
    dueAt: from,
    catchUp: false,
    nextSlotAt: from,
    now: from,
    jitterSeconds: 0,
    runState: null,
  }
  const { nextSlotAt } = planDue(due, slots({ cron, zone: timeZone }))
  expect([...nextRuns, nextSlotAt?.toISOString()]).toEqual(Array(2).fill('2026-03-29T01:00:00.000Z'))
})

/** What the wall clock shows at an instant, as if it were UTC, to the minute. */
const wallIn = (timeZone: string) => {
  const format = new Intl.DateTimeFormat('en-US', {
    ...{ timeZone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric' },
    minute: 'numeric',
  } as const)
  return (at: number) => {
    const [month, date, year, hour, minute] = (format.format(at).match(/\d+/g) ?? []).map(Number)
    return Date.UTC(year ?? 0, (month ?? 0) - 1, date, hour, minute)
  }
}
/** The gaps of all zones, from Intl alone. */
describe('in every time zone that skips time from 2024 to 2027', () => {
  const DAY = 86_400_000
  type Gap = { zone: string; end: number; from: number; wall: (at: number) => number }

  const gapsOf = (zone: string): Gap[] => {
    const wall = wallIn(zone)
    const offset = (at: number) => wall(at) - at
    const found: Gap[] = []
    for (let at = Date.UTC(2024, 0, 1); at < Date.UTC(2028, 0, 1); at += 5 * DAY) {
      if (offset(at + 5 * DAY) <= offset(at)) continue
      let [before, end] = [at, at + 5 * DAY]
      while (end - before > MINUTE) {
        const middle = before + Math.floor((end - before) / 2 / MINUTE) * MINUTE
        if (offset(middle) > offset(at)) end = middle
        else before = middle
      }
      const minutes = (offset(end) - offset(end - MINUTE)) / MINUTE
      found.push({ zone, end, from: wall(end) - minutes * MINUTE, wall })
    }
    return found
  }
  const ALL = Intl.supportedValuesOf('timeZone').flatMap(gapsOf)
  /** Of zones that skip the same time at the same instant, one. */
  const KINDS = [...new Map(ALL.map((gap) => [[gap.end, gap.from].join(' '), gap])).values()]
  const timesIn = ({ from }: Gap) => {
    const at = new Date(from)
    const [first, hour] = [at.getUTCMinutes(), at.getUTCHours()]
    return { first, second: first + 10, hour, date: `${at.getUTCDate()} ${at.getUTCMonth() + 1}` }
  }

  it('a day whose times all lie in the gap has one slot, at its end', () => {
    expect(new Set(ALL.map(({ zone }) => zone)).size).toBeGreaterThan(100)
    for (const gap of new Set([...KINDS, ...new Map(ALL.map((gap) => [gap.zone, gap])).values()])) {
      const { first, second, hour, date } = timesIn(gap)
      const { next } = slots({ cron: `${first},${second} ${hour} ${date} *`, zone: gap.zone })
      const name = `${gap.zone} at ${new Date(gap.end).toISOString()}`
      expect(next(new Date(gap.end - DAY))?.getTime(), name).toBe(gap.end)
    }
    for (const gap of KINDS) {
      const { first, second, hour, date } = timesIn(gap)
      const { next } = slots({ cron: `${first},${second} ${hour} ${date} *`, zone: gap.zone })
      expect(next(new Date(gap.end))?.getTime(), gap.zone).toBeGreaterThan(gap.end + 300 * DAY)
    }
  })

  it('the days beside it have the times that they name', () => {
    for (const gap of KINDS) {
      const { first, second, hour } = timesIn(gap)
      const { next } = slots({ cron: `${first},${second} ${hour} * * *`, zone: gap.zone })
      const found: number[] = []
      for (let slot = next(new Date(gap.end - 2 * DAY)); slot; slot = next(slot)) {
        if (slot.getTime() > gap.end + 2 * DAY) break
        if (slot.getTime() !== gap.end) found.push(gap.wall(slot.getTime()))
      }
      const day = Math.floor(gap.from / DAY) * DAY
      const named = [-2, -1, 1, 2].flatMap((days) =>
        [first, second].map((minute) => day + days * DAY + (hour * 60 + minute) * MINUTE),
      )
      expect(found.length, gap.zone).toBeGreaterThanOrEqual(6)
      for (const wall of found) expect(named, gap.zone).toContain(wall)
    }
  })

  it('slots around the gap are ten minutes apart, without a hole', () => {
    for (const { zone, end } of KINDS.filter(({ end }) => new Date(end).getUTCFullYear() === 2026)) {
      const { next } = slots({ cron: '* * * * *', zone })
      let last = next(new Date(end - 60 * MINUTE))
      while (last && last.getTime() < end + 60 * MINUTE) {
        const slot = next(last)
        const apart = ((slot?.getTime() ?? 0) - last.getTime()) / MINUTE
        expect(apart, `${zone} at ${last.toISOString()}`).toBeGreaterThanOrEqual(10)
        expect(apart, `${zone} at ${last.toISOString()}`).toBeLessThan(20)
        last = slot
      }
    }
  })
})

it('has no slots beyond the year 9999', () => {
  expect(runs({ cron: '* * * * *' }, '9999-12-31T23:50:00Z', 3)).toEqual([])
  expect(runs({ every: 366 * 86_400 }, '9999-12-31T00:00:00Z', 3)).toEqual([])
})

describe('whatever the expression is', () => {
  const field = (min: number, max: number) => {
    const value = fc.integer({ min, max })
    const range = fc.tuple(value, value).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`)
    const step = fc.tuple(value, fc.integer({ min: 1, max: max - min })).map(([a, n]) => `${a}/${n}`)
    const item = fc.oneof(value.map(String), range, step)
    return fc.oneof(
      { weight: 3, arbitrary: fc.constant('*') },
      {
        weight: 2,
        arbitrary: fc.array(item, { minLength: 1, maxLength: 3 }).map((items) => items.join(',')),
      },
    )
  }
  const expression = fc
    .tuple(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(1, 7))
    .map((fields) => fields.join(' '))
  const zone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kathmandu', 'America/Havana')
  const instant = fc
    .oneof(
      fc.integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2028, 0, 1) }),
      fc.constantFrom(
        Date.UTC(2026, 2, 28, 20),
        Date.UTC(2026, 9, 24, 20),
        Date.UTC(2026, 2, 8, 3),
        Date.UTC(2026, 10, 1, 2),
      ),
    )
    .map((at) => new Date(at))
  const following = ({ next }: ScheduleSlots, from: Date, count: number): Date[] => {
    const found: Date[] = []
    for (let at = next(from); at !== null && found.length < count; at = next(at)) found.push(at)
    return found
  }

  it('slots are ten minutes apart, each one a match or the end of a gap, and the same from wherever they are asked for', () => {
    fc.assert(
      fc.property(expression, zone, instant, (cron, timeZone, from) => {
        const rule = slots({ cron, zone: timeZone })
        const found = following(rule, from, 30)
        const gaps = found.slice(1).map((at, index) => at.getTime() - (found[index]?.getTime() ?? 0))
        for (const gap of gaps) expect(gap).toBeGreaterThanOrEqual(10 * MINUTE)
        const raw = new Cron(expandWeek(cron), { mode: '5-part', sloppyRanges: true, timezone: timeZone })
        const wall = wallIn(timeZone)
        for (const at of found) {
          if (wall(at.getTime()) - wall(at.getTime() - MINUTE) > MINUTE) continue
          expect(raw.nextRun(new Date(at.getTime() - 1000))).toEqual(at)
        }
        const middle = found[Math.floor(found.length / 2)]
        if (middle) {
          const fresh = slots({ cron, zone: timeZone })
          expect(fresh.next(new Date(middle.getTime() - 1))).toEqual(middle)
          expect(fresh.next(middle)).toEqual(rule.next(middle))
        }
      }),
      { numRuns: 60 },
    )
  })

  it('the interval is that of the closest slots, and every match is a slot unless it says floored', () => {
    fc.assert(
      fc.property(expression, instant, (cron, from) => {
        const rule = slots({ cron })
        const found = following(rule, from, 30)
        const gaps = found.slice(1).map((at, index) => at.getTime() - (found[index]?.getTime() ?? 0))
        for (const gap of gaps) expect(gap).toBeGreaterThanOrEqual(rule.intervalSeconds * 1000)
        if (rule.floored) return
        const raw = new Cron(expandWeek(cron), { mode: '5-part', sloppyRanges: true, timezone: 'UTC' })
        expect(raw.nextRuns(30, from)).toEqual(found)
      }),
      { numRuns: 60 },
    )
  })

  /** croner counts a week from 0: a step runs into the Sunday before the Monday. */
  const expandWeek = (cron: string): string => {
    const fields = cron.split(' ')
    const week = (fields[4] ?? '*')
      .split(',')
      .map((item) => item.replace(/^(\d)\/(\d)$/, '$1-7/$2'))
      .join(',')
    return [...fields.slice(0, 4), week].join(' ')
  }
})
