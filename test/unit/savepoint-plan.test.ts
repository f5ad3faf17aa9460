import { describe, expect, it } from 'vitest'
import {
  backoffMs,
  lateLookInMs,
  lookAgainInMs,
  nextStep,
  type SavepointFacts,
} from '../../src/domain/savepoint-plan.ts'

const NOW = new Date('2026-11-21T12:00:00Z')
const at = (seconds: number) => new Date(NOW.getTime() + seconds * 1000)

const running = { state: 'RUNNING', allTasksRunning: true, tasksRunningSince: at(-600) } as const
const fresh = (facts: Partial<SavepointFacts> = {}): SavepointFacts => ({
  status: 'Creating',
  now: NOW,
  deadlineAt: at(60),
  attempt: { askedAt: null, createdAt: at(-1), afterRescale: false, outcome: null },
  run: running,
  observationIsFresh: true,
  cluster: { mode: 'MANAGE', identityChanged: false, supported: true },
  ambiguous: null,
  ...facts,
})
const asked = { askedAt: at(-5), createdAt: at(-6), afterRescale: false, outcome: null }
const limits = { rescaleSettleMs: 60_000 }
const step = (facts: Partial<SavepointFacts>) => nextStep(fresh(facts), limits)

describe('what to do next with a savepoint', () => {
  it('asks Flink once, and only looks from then on', () => {
    expect(step({})).toEqual({ do: 'ask' })
    expect(step({ attempt: asked })).toEqual({ do: 'look' })
  })

  it('looks at an asked attempt whatever the run looks like', () => {
    expect(step({ attempt: asked, run: { ...running, state: 'FAILED' } })).toEqual({ do: 'look' })
    expect(
      step({ attempt: asked, cluster: { mode: 'OBSERVE_ONLY', identityChanged: true, supported: true } }),
    ).toEqual({
      do: 'look',
    })
  })

  it('times out at its deadline, asked or not', () => {
    expect(step({ deadlineAt: NOW })).toEqual({ do: 'time-out', asked: false })
    expect(step({ deadlineAt: NOW, attempt: asked })).toEqual({ do: 'time-out', asked: true })
    expect(step({ deadlineAt: at(0.001), attempt: asked })).toEqual({ do: 'look' })
  })

  it('goes on watching a savepoint in Timeout until its answer is final', () => {
    expect(step({ status: 'Timeout', attempt: asked })).toEqual({ do: 'look' })
    expect(step({ status: 'Timeout', attempt: { ...asked, outcome: 'LOST' } })).toEqual({ do: 'nothing' })
    expect(step({ status: 'Timeout' })).toEqual({ do: 'nothing' })
  })

  it('does nothing with what is decided', () => {
    for (const status of ['Present', 'Failed', 'Clearing', 'Cleared'] as const) {
      expect(step({ status, attempt: asked, deadlineAt: at(-1) })).toEqual({ do: 'nothing' })
    }
  })

  it('refuses what must not be triggered, with its code', () => {
    expect(step({ cluster: { mode: 'OBSERVE_ONLY', identityChanged: false, supported: true } })).toEqual({
      do: 'fail',
      code: 'OBSERVE_ONLY',
    })
    expect(step({ cluster: { mode: 'MANAGE', identityChanged: true, supported: true } })).toEqual({
      do: 'fail',
      code: 'CLUSTER_IDENTITY_CHANGED',
    })
    expect(step({ cluster: { mode: 'MANAGE', identityChanged: false, supported: false } })).toEqual({
      do: 'fail',
      code: 'CLUSTER_UNSUPPORTED',
    })
    expect(step({ ambiguous: ['a', 'b'] })).toEqual({ do: 'fail', code: 'JOB_AMBIGUOUS' })
    expect(step({ run: { ...running, state: 'FINISHED' } })).toEqual({ do: 'fail', code: 'JOB_NOT_RUNNING' })
    expect(step({ run: { ...running, state: 'LOST' }, observationIsFresh: false })).toEqual({
      do: 'fail',
      code: 'RUN_LOST',
    })
  })

  it('believes an ended run only while the observation is fresh', () => {
    expect(step({ run: { ...running, state: 'FINISHED' }, observationIsFresh: false })).toEqual({ do: 'ask' })
  })

  it('waits while tasks are missing', () => {
    const restarting = { ...running, allTasksRunning: false, tasksRunningSince: null }
    expect(step({ run: restarting })).toMatchObject({ do: 'wait' })
    expect(step({ run: restarting, observationIsFresh: false })).toEqual({ do: 'ask' })
  })

  it('waits after a rescale until all tasks have run for the settling time', () => {
    const attempt = { ...asked, askedAt: null, afterRescale: true }
    expect(step({ attempt, run: { ...running, tasksRunningSince: at(-20) } })).toEqual({
      do: 'wait',
      inMs: 40_000,
    })
    expect(step({ attempt, run: { ...running, tasksRunningSince: at(-60) } })).toEqual({ do: 'ask' })
    expect(step({ attempt, run: null })).toMatchObject({ do: 'wait' })
  })
})

describe('how long to wait before looking again', () => {
  it('grows with age and stays within its bounds', () => {
    expect([0, 1_000, 1e9].map(lookAgainInMs)).toEqual([50, 250, 5_000])
    expect([0, 60_000, 1e9].map(lateLookInMs)).toEqual([1_000, 15_000, 60_000])
    expect([0, 1, 3, 1_000_000].map(backoffMs)).toEqual([500, 1_000, 4_000, 30_000])
  })
})
