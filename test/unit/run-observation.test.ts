import { describe, expect, it } from 'vitest'
import type { FlinkJob } from '../../src/domain/flink.ts'
import {
  compareJob,
  continuedRun,
  type FollowedJob,
  indexListing,
  isDoubtful,
  type KnownRun,
  undecidedRun,
} from '../../src/domain/run-observation.ts'

const LOST_AFTER_MS = 300_000
const job = (changes: Partial<FlinkJob> = {}): FlinkJob => ({
  flinkJobId: 'a',
  name: 'orders',
  state: 'RUNNING',
  startTime: 100,
  endTime: null,
  jobManagerNow: null,
  allTasksRunning: true,
  ...changes,
})
const run = (changes: Partial<KnownRun> = {}): KnownRun => ({
  id: 'run-1',
  flinkJobId: 'a',
  state: 'RUNNING',
  flinkState: 'RUNNING',
  flinkStartTime: 100,
  allTasksRunning: true,
  missingForMs: null,
  endConfirmed: false,
  declaredVersion: null,
  completedCheckpoints: 0,
  configured: false,
  startedByUs: false,
  restoredKey: null,
  ...changes,
})
const byName = (runs: KnownRun[], changes: Partial<FollowedJob> = {}): FollowedJob => ({
  id: 'job-1',
  attach: { flinkJobName: 'orders' },
  ambiguous: null,
  currentRunId: runs.at(-1)?.id ?? null,
  runs,
  ...changes,
})
const compareAll = (followed: FollowedJob, ...jobs: FlinkJob[]) =>
  compareJob(followed, indexListing(jobs), LOST_AFTER_MS)
const compare = (followed: FollowedJob, ...jobs: FlinkJob[]) => compareAll(followed, ...jobs).changes

describe('what a poll means for a followed job', () => {
  it('writes nothing when nothing has changed', () => {
    expect(compare(byName([run()]), job())).toEqual([])
    expect(
      compare(byName([run({ state: 'FINISHED', flinkState: 'FINISHED' })]), job({ state: 'FINISHED' })),
    ).toEqual([])
  })

  it('begins a run when the job is first seen', () => {
    expect(compare(byName([]), job())).toMatchObject([{ kind: 'new-run', flinkJobId: 'a', state: 'RUNNING' }])
    expect(compare(byName([]), job({ state: 'CANCELED' }))).toMatchObject([
      { kind: 'new-run', state: 'CANCELED' },
    ])
  })

  it('follows a job by name to its new Flink job id', () => {
    const changes = compare(
      byName([run()]),
      job({ state: 'FINISHED' }),
      job({ flinkJobId: 'b', startTime: 200 }),
    )
    expect(changes).toMatchObject([
      { kind: 'run-changed', runId: 'run-1', state: 'FINISHED' },
      { kind: 'new-run', flinkJobId: 'b' },
    ])
  })

  it('calls two live jobs of one name ambiguous, and says so once', () => {
    const two = [job(), job({ flinkJobId: 'b' })]
    expect(compare(byName([run()]), ...two)).toEqual([
      { kind: 'ambiguous', jobId: 'job-1', flinkJobIds: ['a', 'b'] },
    ])
    expect(compare(byName([run()], { ambiguous: ['a', 'b'] }), ...two)).toEqual([])
    expect(compare(byName([run()], { ambiguous: ['a', 'b'] }), job())).toEqual([
      { kind: 'ambiguous', jobId: 'job-1', flinkJobIds: null },
    ])
  })

  it('does not call a run ended because it is not listed', () => {
    expect(compare(byName([run()]))).toMatchObject([{ kind: 'run-changed', state: 'RUNNING', missing: true }])
    expect(compare(byName([run({ missingForMs: 299_999 })]))).toEqual([])
  })

  it('calls a run LOST once a reachable leader has not listed it for long enough', () => {
    expect(compare(byName([run({ missingForMs: 300_000 })]))).toMatchObject([
      { state: 'LOST', missing: true },
    ])
  })

  it('goes on with the same run when it is listed again', () => {
    const back = compare(byName([run({ missingForMs: 10_000, allTasksRunning: false })]), job())
    expect(back).toMatchObject([{ kind: 'run-changed', runId: 'run-1', missing: false, flinkStartTime: 100 }])
  })

  it('takes a LOST run back when it is listed again, unless its end was confirmed', () => {
    const lost = run({ state: 'LOST', missingForMs: 400_000 })
    expect(compare(byName([lost]), job())).toMatchObject([{ runId: 'run-1', state: 'RUNNING' }])
    const over = compareAll(byName([{ ...lost, endConfirmed: true }]), job({ startTime: 300 }))
    expect(over).toMatchObject({ changes: [{ kind: 'new-run' }], restarts: [] })
  })

  it('leaves open which run it is when the start-time has changed', () => {
    const comparison = compareAll(byName([run()]), job({ startTime: 200, allTasksRunning: false }))
    expect(comparison).toMatchObject({ changes: [], restarts: [{ jobId: 'job-1', run: { id: 'run-1' } }] })
    const [restart] = comparison.restarts
    if (!restart) throw new Error('no restart')
    expect(undecidedRun(restart)).toMatchObject([
      { runId: 'run-1', flinkStartTime: 100, allTasksRunning: false },
    ])
    expect(continuedRun(restart)).toMatchObject({ runId: 'run-1', flinkStartTime: 200, state: 'RUNNING' })
  })

  it('doubts the cluster when jobs are gone, begun or restarted, and not otherwise', () => {
    expect(isDoubtful(compareAll(byName([run()])))).toBe(true)
    expect(isDoubtful(compareAll(byName([]), job()))).toBe(true)
    expect(isDoubtful(compareAll(byName([run()]), job({ startTime: 200 })))).toBe(true)
    expect(isDoubtful(compareAll(byName([run()]), job({ state: 'RESTARTING' })))).toBe(false)
  })

  it('begins a new run when an ended Flink job id lives again', () => {
    const ended = run({ state: 'CANCELED', flinkState: 'CANCELED' })
    expect(compare(byName([ended]), job({ startTime: 300 }))).toMatchObject([
      { kind: 'new-run', flinkJobId: 'a' },
    ])
  })

  it('leaves ended runs alone when Flink has forgotten them', () => {
    expect(compare(byName([run({ state: 'FINISHED' })]))).toEqual([])
  })

  it('follows nothing for a managed job', () => {
    expect(compare(byName([], { attach: null }), job())).toEqual([])
  })

  it('keeps a run STOPPING until Flink shows its end', () => {
    expect(compare(byName([run({ state: 'STOPPING' })]), job({ allTasksRunning: false }))).toMatchObject([
      { state: 'STOPPING' },
    ])
    expect(compare(byName([run({ state: 'STOPPING' })]), job({ state: 'FINISHED' }))).toMatchObject([
      { state: 'FINISHED' },
    ])
  })
})

describe('a run that we have submitted', () => {
  const submitted = (changes: Partial<KnownRun> = {}) =>
    byName(
      [
        run({
          state: 'SUBMITTING',
          flinkState: 'SUBMITTING',
          flinkStartTime: 0,
          allTasksRunning: false,
          startedByUs: true,
          ...changes,
        }),
      ],
      { attach: null },
    )

  it('becomes RUNNING with the start-time of the job when Flink lists it, which is no restart', () => {
    const { changes, restarts } = compareAll(submitted(), job({ startTime: 700, allTasksRunning: false }))
    expect(restarts).toEqual([])
    expect(changes).toMatchObject([
      { kind: 'run-changed', runId: 'run-1', state: 'RUNNING', flinkStartTime: 700, missing: false },
    ])
    expect(isDoubtful({ changes, restarts })).toBe(false)
  })

  it('ends at once when the job is first listed as ended', () => {
    expect(compare(submitted(), job({ state: 'FAILED', startTime: 700 }))).toMatchObject([
      { state: 'FAILED', flinkStartTime: 700 },
    ])
  })

  it('is missing while it is not listed, LOST after a long time, and found again even then', () => {
    expect(compare(submitted())).toMatchObject([{ state: 'SUBMITTING', missing: true }])
    expect(compare(submitted({ missingForMs: LOST_AFTER_MS - 1 }))).toEqual([])
    expect(compare(submitted({ missingForMs: LOST_AFTER_MS }))).toMatchObject([{ state: 'LOST' }])
    const lost = submitted({ state: 'LOST', missingForMs: LOST_AFTER_MS })
    expect(compareAll(lost, job({ startTime: 700 })).changes).toMatchObject([
      { state: 'RUNNING', flinkStartTime: 700, missing: false },
    ])
  })

  it('is the only job a managed job follows: another one of the same name is nobody', () => {
    expect(compare(submitted(), job({ flinkJobId: 'b' }))).toMatchObject([{ runId: 'run-1', missing: true }])
  })
})
