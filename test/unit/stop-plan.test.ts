import { describe, expect, it } from 'vitest'
import { STOP_MODES } from '../../src/domain/operation.ts'
import {
  judgeEnd,
  nextStopStep,
  type SeenJob,
  STOP_FAILED_AFTER_SAVEPOINT,
  type StopFacts,
} from '../../src/domain/stop-plan.ts'

const NOW = new Date('2026-11-21T12:00:00Z')
const at = (seconds: number) => new Date(NOW.getTime() + seconds * 1000)

const RUN = { id: 'r-1', state: 'RUNNING', over: false, flinkStartTime: 100, failure: null } as const
const OVER = { ...RUN, over: true } as const
const TAKEN = {
  id: 's-1',
  status: 'Present',
  reason: 'COMPLETED',
  askedFlinkStart: 100,
  failure: null,
} as const
const CLUSTER = { name: 'main', mode: 'MANAGE', identityChanged: false, idempotentTriggers: true } as const

const stop = (facts: Partial<StopFacts> = {}): StopFacts => ({
  now: NOW,
  createdAt: at(-30),
  deadlineAt: at(60),
  askedAt: null,
  request: { mode: 'SAVEPOINT', timeoutSeconds: 20 },
  job: { name: 'orders', ambiguous: null },
  cluster: CLUSTER,
  waitedForSavepoint: false,
  run: RUN,
  snapshot: null,
  ...facts,
})
const CANCEL = { request: { mode: 'CANCEL', timeoutSeconds: 20 } } as const
const step = (facts: Partial<StopFacts>) => nextStopStep(stop(facts))
const endingOf = (facts: Partial<StopFacts>) => {
  const next = step(facts)
  return next.do === 'end' ? next.ending : next.do
}
const job = (state: Exclude<SeenJob, 'unknown'>['state'], startTime = 100): SeenJob => ({ state, startTime })
const judge = (facts: Partial<StopFacts>, seen: SeenJob) => judgeEnd(stop(facts), seen)

describe('what to do next with a stop', () => {
  it('takes a savepoint, or cancels, and from then on only looks', () => {
    expect(step({})).toEqual({ do: 'begin' })
    expect(step({ request: { mode: 'DRAIN', timeoutSeconds: 1 } })).toEqual({ do: 'begin' })
    expect(step(CANCEL)).toEqual({ do: 'cancel' })
    expect(step({ snapshot: { ...TAKEN, status: 'Creating' } })).toEqual({ do: 'watch' })
    expect(step({ snapshot: TAKEN })).toEqual({ do: 'see-end' })
    expect(step({ ...CANCEL, askedAt: at(-1) })).toEqual({ do: 'see-end' })
  })

  it.each([
    ['OBSERVE_ONLY', { cluster: { ...CLUSTER, mode: 'OBSERVE_ONLY' } }],
    ['CLUSTER_IDENTITY_CHANGED', { cluster: { ...CLUSTER, identityChanged: true } }],
    ['CLUSTER_UNSUPPORTED', { cluster: { ...CLUSTER, idempotentTriggers: false } }],
    ['JOB_AMBIGUOUS', { job: { name: 'orders', ambiguous: ['a', 'b'] } }],
    ['RUN_LOST', { run: { ...RUN, state: 'LOST' } }],
  ] as const)('asks Flink for nothing: %s, in every mode', (code, facts) => {
    for (const mode of STOP_MODES) {
      const refused = { ...facts, request: { mode, timeoutSeconds: 20 } }
      expect(endingOf(refused)).toMatchObject({ status: 'FAILED', code })
    }
    // What was asked for is followed all the same.
    expect(step({ ...facts, snapshot: { ...TAKEN, status: 'Creating' } })).toEqual({ do: 'watch' })
    expect(step({ ...facts, ...CANCEL, askedAt: at(-1) })).toEqual({ do: 'see-end' })
  })

  it('has nothing to do when the run had ended before', () => {
    for (const state of ['FINISHED', 'CANCELED', 'FAILED', 'LOST'] as const) {
      const ending = endingOf({ run: { ...OVER, state } })
      expect(ending).toMatchObject({ status: 'SUCCEEDED', warnings: [{ code: 'ALREADY_ENDED' }] })
    }
    const neverAsked = {
      ...TAKEN,
      status: 'Failed',
      reason: 'JOB_NOT_RUNNING',
      askedFlinkStart: null,
    } as const
    expect(endingOf({ run: { ...OVER, state: 'CANCELED' }, snapshot: neverAsked })).toMatchObject({
      status: 'SUCCEEDED',
      warnings: [{ code: 'ALREADY_ENDED' }],
    })
  })

  it('gives a job that nobody has observed yet ten seconds', () => {
    expect(step({ run: null, createdAt: at(-9) })).toMatchObject({ do: 'wait' })
    expect(endingOf({ run: null, createdAt: at(-10) })).toMatchObject({ code: 'JOB_NOT_RUNNING' })
  })

  it('asks for nothing any more at its deadline', () => {
    expect(endingOf({ deadlineAt: NOW })).toMatchObject({ code: 'STOP_TIMEOUT' })
    expect(endingOf({ deadlineAt: NOW, waitedForSavepoint: true })).toMatchObject({
      code: 'SAVEPOINT_IN_PROGRESS',
    })
    expect(endingOf({ ...CANCEL, deadlineAt: NOW })).toMatchObject({ code: 'STOP_TIMEOUT' })
    expect(step({ deadlineAt: at(0.001) })).toEqual({ do: 'begin' })
  })

  it('fails as its savepoint fails', () => {
    const failure = { code: 'CHECKPOINT_EXPIRED', message: 'Checkpoint expired before completing.' }
    expect(endingOf({ snapshot: { ...TAKEN, status: 'Failed', reason: failure.code, failure } })).toEqual({
      status: 'FAILED',
      code: 'CHECKPOINT_EXPIRED',
      message: 'The job was not stopped: Checkpoint expired before completing.',
    })
    const over = { ...OVER, state: 'CANCELED' } as const
    const cancelled = { ...TAKEN, status: 'Failed', reason: 'JOB_NOT_RUNNING' } as const
    expect(endingOf({ run: over, snapshot: cancelled })).toMatchObject({ code: 'JOB_NOT_RUNNING' })
  })

  it('says of a savepoint in Timeout whether Flink may still stop the job', () => {
    const asked = endingOf({ snapshot: { ...TAKEN, status: 'Timeout' } })
    expect(asked).toMatchObject({ code: 'STOP_TIMEOUT', message: expect.stringContaining('no second stop') })
    const unasked = endingOf({ snapshot: { ...TAKEN, status: 'Timeout', askedFlinkStart: null } })
    expect(unasked).toMatchObject({ code: 'STOP_TIMEOUT', message: expect.stringContaining('was not asked') })
    // Not before it is in Timeout: it might be asked for a moment later.
    expect(step({ deadlineAt: NOW, snapshot: { ...TAKEN, status: 'Creating' } })).toEqual({ do: 'watch' })
  })

  it('names the savepoint of a job that failed while stopping', () => {
    const ending = endingOf({ snapshot: { ...TAKEN, reason: STOP_FAILED_AFTER_SAVEPOINT } })
    expect(ending).toMatchObject({ code: 'STOP_FAILED', message: expect.stringContaining('savepoint s-1') })
  })
})

describe('the end of a job after its savepoint', () => {
  const taken = { snapshot: TAKEN }
  const adopted = { snapshot: { ...TAKEN, reason: 'ADOPTED_FROM_DIRECTORY' } }

  it('is seen by whoever is quicker, the observer or a look at the job', () => {
    const finished = { do: 'end', ending: { status: 'SUCCEEDED', warnings: [] } }
    expect(judge(taken, job('FINISHED'))).toMatchObject({ ...finished, seen: 'FINISHED' })
    expect(judge({ ...taken, run: { ...OVER, state: 'FINISHED' } }, 'unknown')).toMatchObject({
      ...finished,
      seen: null,
    })
    expect(judge(taken, job('RUNNING'))).toEqual({ do: 'wait' })
    expect(judge(taken, job('FAILED'))).toEqual({ do: 'wait' }) // the observer tells the cause
  })

  it('is believed of an answered stop when its JobManager has gone, of an adopted one not', () => {
    expect(judge(taken, 'unknown')).toMatchObject({ do: 'end', seen: 'FINISHED' })
    expect(judge(adopted, 'unknown')).toEqual({ do: 'wait' })
    expect(judge({ ...adopted, deadlineAt: NOW }, 'unknown')).toMatchObject({
      ending: { code: 'STOP_TIMEOUT', message: expect.stringContaining('s-1 is complete and kept') },
    })
  })

  it('is not that of another run under the same id', () => {
    expect(judge(taken, job('FINISHED', 200))).toEqual({ do: 'wait' })
    expect(judge(taken, job('RUNNING', 200))).toEqual({ do: 'wait' })
  })

  it('fails when the run goes on under another JobManager, or FAILED', () => {
    const goesOn = { ...adopted, run: { ...RUN, flinkStartTime: 200 } }
    expect(judge(goesOn, job('RUNNING', 200))).toMatchObject({ ending: { code: 'STOP_FAILED' } })
    const failure = { code: 'JOB_FAILED', message: 'out of memory' }
    expect(judge({ ...taken, run: { ...OVER, state: 'FAILED', failure } }, 'unknown')).toMatchObject({
      ending: { code: 'STOP_FAILED', message: expect.stringMatching(/out of memory.*s-1/) },
    })
  })

  it('warns when something else ended it', () => {
    expect(judge(adopted, job('CANCELED'))).toMatchObject({
      ending: { status: 'SUCCEEDED', warnings: [{ code: 'ENDED_DIFFERENTLY' }] },
      seen: 'CANCELED',
    })
  })

  it('is not waited for once its run is lost, for nothing more will be heard of it ', () => {
    const unconfirmed = { ...RUN, state: 'LOST' } as const
    expect(judge({ ...adopted, run: unconfirmed }, 'unknown')).toMatchObject({
      ending: {
        code: 'RUN_LOST',
        message: expect.stringMatching(/savepoint s-1 is complete and kept.*\/v1\/runs\/r-1\/confirm-ended/),
      },
      seen: null,
    })
    // Flink's word outranks the observer's, which may be older.
    expect(judge({ ...adopted, run: unconfirmed }, job('RUNNING'))).toEqual({ do: 'wait' })
    expect(judge({ ...taken, run: unconfirmed }, 'unknown')).toMatchObject({ seen: 'FINISHED' })
  })

  it('is told of a run that was called lost only by an answer of Flink', () => {
    const lost = { ...OVER, state: 'LOST' } as const
    expect(judge({ ...taken, run: lost }, 'unknown')).toMatchObject({ ending: { status: 'SUCCEEDED' } })
    expect(judge({ ...adopted, run: lost }, 'unknown')).toMatchObject({ ending: { code: 'STOP_FAILED' } })
  })
})

describe('the end of a job after a cancellation', () => {
  const asked = { ...CANCEL, askedAt: at(-1) }

  it('says that no savepoint was taken', () => {
    expect(judge(asked, job('CANCELED'))).toMatchObject({
      ending: { status: 'SUCCEEDED', warnings: [{ code: 'NO_SAVEPOINT' }] },
      seen: 'CANCELED',
    })
    expect(judge(asked, job('FINISHED'))).toMatchObject({
      ending: { status: 'SUCCEEDED', warnings: [{ code: 'ENDED_DIFFERENTLY' }, { code: 'NO_SAVEPOINT' }] },
    })
  })

  it('is asked for again only of the very run, where it is allowed, and while it is not under way', () => {
    expect(judge(asked, job('RUNNING'))).toEqual({ do: 'cancel' })
    expect(judge(asked, job('RESTARTING'))).toEqual({ do: 'cancel' })
    expect(judge(asked, job('CANCELLING'))).toEqual({ do: 'wait' })
    expect(judge(asked, job('RUNNING', 200))).toEqual({ do: 'wait' })
    expect(judge(asked, 'unknown')).toEqual({ do: 'wait' })
    expect(judge({ ...asked, cluster: { ...CLUSTER, mode: 'OBSERVE_ONLY' } }, job('RUNNING'))).toEqual({
      do: 'wait',
    })
  })

  it('is given up once its run is lost', () => {
    const lost = { run: { ...RUN, state: 'LOST' } } as const
    expect(judge({ ...asked, ...lost }, 'unknown')).toMatchObject({
      ending: { code: 'RUN_LOST', message: expect.stringContaining('cancellation was asked for') },
    })
    expect(judge({ ...asked, ...lost }, job('CANCELED'))).toMatchObject({ ending: { status: 'SUCCEEDED' } })
  })

  it('is given up at the deadline', () => {
    expect(judge({ ...asked, deadlineAt: NOW }, job('CANCELLING'))).toMatchObject({
      ending: { code: 'STOP_TIMEOUT' },
    })
    expect(judge({ ...asked, deadlineAt: NOW }, job('CANCELED'))).toMatchObject({
      ending: { status: 'SUCCEEDED' },
    })
  })
})
