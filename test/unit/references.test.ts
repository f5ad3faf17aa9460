import { describe, expect, it } from 'vitest'
import { listUses, type RestoredRun, stillNeeds } from '../../src/domain/references.ts'
import { RUN_STATES } from '../../src/domain/resources.ts'
import { judgeEnd } from '../../src/domain/run.ts'

const run = (changes: Partial<RestoredRun> = {}): RestoredRun => ({
  id: 'run',
  state: 'RUNNING',
  job: { id: 'j', name: 'orders' },
  cluster: { id: 'c', name: 'flink' },
  attached: true,
  endConfirmed: false,
  completedCheckpoints: 5,
  succeeded: false,
  ...changes,
})

describe('a run needs what it was restored from', () => {
  it('until it ends, when someone else starts it', () => {
    const states = RUN_STATES.filter((state) => stillNeeds(run({ state }), 'SAVEPOINT'))
    expect(states).toEqual(['SUBMITTING', 'RUNNING', 'STOPPING', 'LOST'])
  })

  it('until its first own checkpoint, when we start it', () => {
    expect(stillNeeds(run({ attached: false, completedCheckpoints: 0 }), 'SAVEPOINT')).toBe(true)
    expect(stillNeeds(run({ attached: false, completedCheckpoints: 1 }), 'SAVEPOINT')).toBe(false)
  })

  it('while it is LOST: a savepoint until a later run succeeded, a checkpoint until a person says so', () => {
    const lost = run({ state: 'LOST' })
    const replaced = { ...lost, succeeded: true }
    const confirmed = { ...lost, endConfirmed: true }
    expect([lost, replaced, confirmed].map((one) => stillNeeds(one, 'SAVEPOINT'))).toEqual([
      true,
      false,
      false,
    ])
    expect([lost, replaced, confirmed].map((one) => stillNeeds(one, 'CHECKPOINT'))).toEqual([
      true,
      true,
      false,
    ])
  })

  it('and what its checkpoints may be built on until it ends, named once', () => {
    const heirs = [run({ id: 'heir', attached: false }), run({ id: 'claimer' }), run({ id: 'restored' })]
    const runs = [run({ id: 'restored' })]
    const uses = listUses({ kind: 'SAVEPOINT', clusters: [], runs, claimedByRun: 'claimer', heirs })
    expect(uses.map(({ reason, run: id }) => [reason, id])).toEqual([
      ['RUN', 'restored'],
      ['RUN', 'heir'],
      ['CLAIMED', 'claimer'],
    ])
    const nobody = { kind: 'SAVEPOINT', clusters: [], runs: [], claimedByRun: null } as const
    expect(listUses({ ...nobody, manyHeirs: true })).toHaveLength(1)
  })

  it('and says which, beside the clusters that name it and the run that claimed it', () => {
    const uses = listUses({
      kind: 'CHECKPOINT',
      clusters: [{ id: 'c', name: 'flink' }],
      runs: [run(), run({ id: 'gone', state: 'FINISHED' }), run({ id: 'lost', state: 'LOST' })],
      claimedByRun: 'claimer',
      copies: [{ operation: 'copying', storage: 'archive' }],
    })
    expect(uses.map(({ reason, run: id }) => [reason, id])).toEqual([
      ['CLUSTER_CONFIGURATION', null],
      ['RUN', 'run'],
      ['RUN', 'lost'],
      ['CLAIMED', 'claimer'],
      ['COPYING', null],
    ])
    expect(uses[4]?.message).toContain('operation copying')
    expect(uses[2]?.message).toContain('POST /v1/runs/lost/confirm-ended')
    expect(listUses({ kind: 'SAVEPOINT', clusters: [], runs: [], claimedByRun: null })).toEqual([])
  })
})

describe("a person's word that a run has ended", () => {
  const facts = { endConfirmedAt: null, missingSince: null, clusterUnreachable: false }
  const at = '2026-11-21T08:00:00.000Z'

  it('counts when nobody lists it', () => {
    expect(judgeEnd({ ...facts, state: 'LOST' })).toBe('confirm')
    expect(judgeEnd({ ...facts, state: 'RUNNING', missingSince: at })).toBe('confirm')
    expect(judgeEnd({ ...facts, state: 'STOPPING', clusterUnreachable: true })).toBe('confirm')
  })

  it('is refused while Flink lists it, whatever was said of it before', () => {
    expect(judgeEnd({ ...facts, state: 'RUNNING' })).toBe('live')
    expect(judgeEnd({ ...facts, state: 'RUNNING', endConfirmedAt: at })).toBe('live')
    expect(judgeEnd({ ...facts, state: 'SUBMITTING' })).toBe('live')
  })

  it('changes nothing about an end that was seen or said already', () => {
    for (const state of ['FINISHED', 'CANCELED', 'FAILED'] as const) {
      expect(judgeEnd({ ...facts, state })).toBe('settled')
    }
    expect(judgeEnd({ ...facts, state: 'LOST', endConfirmedAt: at })).toBe('settled')
  })
})
