import { describe, expect, it } from 'vitest'
import { RUN_STATES } from '../../src/domain/resources.ts'
import {
  judgeRun,
  judgeStarted,
  nextStartStep,
  type StartFacts,
  startConfiguration,
} from '../../src/domain/start-plan.ts'

const NOW = new Date('2026-11-21T12:00:00Z')
const at = (seconds: number) => new Date(NOW.getTime() + seconds * 1000)
const cluster = (changes: Partial<StartFacts['cluster']> = {}): StartFacts['cluster'] => ({
  name: 'main',
  mode: 'MANAGE',
  identityChanged: false,
  flinkVersion: '2.3.0',
  jarSubmission: true,
  ...changes,
})
const step = (facts: Partial<StartFacts> = {}) =>
  nextStartStep({
    now: NOW,
    deadlineAt: at(60),
    askedAt: null,
    cluster: cluster(),
    otherRun: null,
    run: null,
    ...facts,
  })
const asked = { askedAt: at(-5), run: {} }

describe('what to do next with a start', () => {
  it('submits what is not committed, and only looks once it was asked for', () => {
    expect(step()).toEqual({ do: 'submit' })
    expect(step(asked)).toEqual({ do: 'look', last: false })
    expect(step({ ...asked, now: at(60) })).toEqual({ do: 'look', last: true })
  })

  it('asks again under the same id only when its question was taken back', () => {
    expect(step({ run: {}, askedAt: null })).toEqual({ do: 'ask-again' })
  })

  it('never asks after the deadline', () => {
    expect(step({ now: at(60) })).toMatchObject({ do: 'fail', code: 'START_TIMEOUT' })
    expect(step({ now: at(61), run: {} })).toMatchObject({ do: 'fail', code: 'START_TIMEOUT' })
  })

  it.each([
    ['OBSERVE_ONLY', { cluster: cluster({ mode: 'OBSERVE_ONLY' }) }],
    ['CLUSTER_IDENTITY_CHANGED', { cluster: cluster({ identityChanged: true }) }],
    ['CLUSTER_UNSUPPORTED', { cluster: cluster({ jarSubmission: false }) }],
    ['CLUSTER_UNSUPPORTED', { cluster: cluster({ flinkVersion: '1.16.3' }) }],
    ['RUN_IS_LIVE', { otherRun: { id: 'r', state: 'RUNNING', missing: false } }],
    ['RUN_IS_LIVE', { otherRun: { id: 'r', state: 'SUBMITTING', missing: false } }],
    ['RUN_STATE_UNKNOWN', { otherRun: { id: 'r', state: 'RUNNING', missing: true } }],
    ['RUN_STATE_UNKNOWN', { otherRun: { id: 'r', state: 'LOST', missing: true } }],
  ] satisfies [string, Partial<StartFacts>][])(
    'refuses with %s before it asks, never afterwards',
    (code, facts) => {
      expect(step(facts)).toMatchObject({ do: 'fail', code })
      expect(step({ ...facts, ...asked })).toEqual({ do: 'look', last: false })
    },
  )

  it('waits for a cluster that was never reached, until the deadline', () => {
    const unknown = cluster({ flinkVersion: null, jarSubmission: null })
    expect(step({ cluster: unknown })).toMatchObject({ do: 'wait' })
    expect(step({ cluster: unknown, now: at(60) })).toMatchObject({ do: 'fail', code: 'START_TIMEOUT' })
  })
})

describe('what is seen of a job that was started', () => {
  it('runs when all its tasks do', () => {
    expect(judgeStarted({ state: 'RUNNING', allTasksRunning: true })).toBe('running')
    expect(judgeStarted({ state: 'RUNNING', allTasksRunning: false })).toBe('coming')
    expect(judgeStarted({ state: 'RESTARTING', allTasksRunning: false })).toBe('coming')
    expect(judgeStarted({ state: 'SUSPENDED', allTasksRunning: false })).toBe('coming')
    expect(judgeStarted(null)).toBe('unlisted')
  })

  it('takes from the observer what decides, and nothing from a run that is still coming', () => {
    const verdicts = RUN_STATES.map((state) => [state, judgeRun({ state, allTasksRunning: false })])
    expect(Object.fromEntries(verdicts)).toEqual({
      SUBMITTING: null,
      RUNNING: null,
      STOPPING: null,
      FINISHED: 'finished',
      CANCELED: 'canceled',
      FAILED: 'failed',
      LOST: 'lost',
    })
    expect(judgeRun({ state: 'RUNNING', allTasksRunning: true })).toBe('running')
  })
})

describe('what is sent with the jar', () => {
  const sent = (rendered: Record<string, string>, maxParallelism?: number) =>
    startConfiguration(rendered, { jobName: 'orders', version: 3, maxParallelism })

  it('names the job and its version, beside what the version says', () => {
    expect(sent({ 'execution.checkpointing.interval': '10 s' }, 64)).toEqual({
      'execution.checkpointing.interval': '10 s',
      'pipeline.name': 'orders',
      'pipeline.max-parallelism': '64',
      'pipeline.global-job-parameters': 'tidemark.version:3',
    })
  })

  it('leaves what the version says itself', () => {
    expect(sent({ 'pipeline.name': 'mine', 'pipeline.global-job-parameters': 'a:1,' })).toEqual({
      'pipeline.name': 'mine',
      'pipeline.global-job-parameters': 'a:1,tidemark.version:3',
    })
    const yaml = { 'pipeline.global-job-parameters': '{a: 1}' }
    expect(sent(yaml)).toMatchObject(yaml)
    const own = { 'pipeline.global-job-parameters': 'tidemark.version:9' }
    expect(sent(own)).toMatchObject(own)
  })
})
