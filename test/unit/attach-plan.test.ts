import { describe, expect, it } from 'vitest'
import { planAttach } from '../../src/domain/attach-plan.ts'
import { flinkJob } from '../support/fakes.ts'

const nobody = { byId: new Map(), byName: new Map() }
const job = { id: 'job-1', name: 'orders' }
const all = () => true
const named = (name: string, flinkJobId = name) => flinkJob({ name, flinkJobId })

describe('an attach by pattern', () => {
  it('takes each live name once, in the order of the names', () => {
    const flinkJobs = [
      named('b'),
      named('A b'),
      flinkJob({ name: 'ended', state: 'FINISHED' }),
      named('not-wanted'),
      flinkJob({ name: 'restarting', state: 'RESTARTING' }),
    ]
    const plan = planAttach(flinkJobs, (name) => name !== 'not-wanted', nobody)
    expect(plan).toEqual({
      attach: [
        { flinkJobName: 'A b', name: 'a-b' },
        { flinkJobName: 'b', name: 'b' },
        { flinkJobName: 'restarting', name: 'restarting' },
      ],
      skipped: [],
    })
  })

  it('leaves what somebody follows, by name or by id, and says who', () => {
    const followers = { byId: new Map([['id-2', job]]), byName: new Map([['one', job]]) }
    const plan = planAttach([named('one'), named('one', 'other'), named('two', 'id-2')], all, followers)
    expect(plan).toEqual({
      attach: [],
      skipped: [
        { flinkJobName: 'one', reason: 'ALREADY_ATTACHED', job },
        { flinkJobName: 'two', reason: 'ALREADY_ATTACHED', job },
      ],
    })
  })

  it('leaves a name that two live jobs have, but not for the sake of an ended one', () => {
    const ended = flinkJob({ name: 'twice', flinkJobId: 'ended', state: 'CANCELED' })
    expect(planAttach([named('twice', '1'), named('twice', '2')], all, nobody).skipped).toEqual([
      { flinkJobName: 'twice', reason: 'AMBIGUOUS', job: null },
    ])
    expect(planAttach([named('twice', '1'), ended], all, nobody).attach).toHaveLength(1)
  })

  it.each(['日本', '', 'a'.repeat(256), 'two\nlines', 'x\0y', 'half\ud800'])(
    'cannot use the name %j',
    (name) => {
      expect(planAttach([named(name, 'id')], all, nobody)).toEqual({
        attach: [],
        skipped: [{ flinkJobName: name, reason: 'NAME_UNUSABLE', job: null }],
      })
    },
  )
})
