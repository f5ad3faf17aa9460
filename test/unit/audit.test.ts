import { describe, expect, test } from 'vitest'
import {
  addToUnit,
  judgeUnit,
  type Unit,
  type UnitFacts,
  type UnitRow,
  unitOf,
} from '../../src/domain/audit.ts'

const ID = '01890000-0000-7000-8000-000000000001'
const JOB = '0123456789abcdef0123456789abcdef'
const CHILD = 'savepoint-abcdef-0123456789ab'
const NOW = new Date('2026-11-21T12:00:00.000Z')
const OLD = '2026-11-20T11:59:59.999Z'

describe('the shape of a key', () => {
  test.each([
    [`ours/orders/savepoints/${ID}/1/${CHILD}/_metadata`, 'ATTEMPT', 6],
    [`ours/orders/savepoints/${ID}/12/x/y`, 'ATTEMPT', 5],
    [`ours/orders/savepoints/${ID}/1/_metadata`, 'ATTEMPT', 5],
    [`ours/orders/savepoints/${ID}/1/${CHILD}`, 'ATTEMPT', 5],
    [`theirs/orders/savepoints/${ID}/1/${CHILD}/x`, 'SAVEPOINT', 6],
    [`ours/orders/savepoints/${ID}/x`, 'OTHER', 4],
    [`ours/orders/savepoints/not-an-id/1/x`, 'OTHER', 5],
    [`ours/orders/savepoints/${ID}/0/x`, 'OTHER', 5],
    [`ours/orders/savepoints/${ID}/1`, 'OTHER', 4],
    [`cp/${JOB}/chk-7/_metadata`, 'CHECKPOINT', 3],
    [`${JOB}/chk-7/deep/file`, 'CHECKPOINT', 2],
    [`${JOB}/chk-x/file`, 'OTHER', 2],
    [`${JOB}/shared/a`, 'SHARED', 2],
    [`${JOB}/taskowned/a/b`, 'SHARED', 2],
    [`${JOB}/shared`, 'OTHER', 1],
    [`any/${CHILD}/x`, 'SAVEPOINT', 2],
    ['_artifacts/abc', 'ARTIFACT', 1],
    ['file', 'OTHER', 0],
    ['a/b/c', 'OTHER', 2],
  ] as const)('%s is of %s', (key, shape, length) => {
    const segments = key.split('/')
    expect(unitOf(segments, 'ours')).toMatchObject({ shape, segments: segments.slice(0, length) })
  })
})

describe('a directory of an attempt', () => {
  const segments = `ours/orders/savepoints/${ID}/1/${CHILD}`.split('/')
  const unit = (changes: Partial<Unit> = {}): Unit => ({
    shape: 'ATTEMPT',
    segments,
    snapshotId: ID,
    flinkJobId: null,
    objects: 1,
    bytes: 1,
    newestAt: OLD,
    ageless: false,
    hasMetadata: false,
    ...changes,
  })
  const row = (changes: Partial<UnitRow> = {}): UnitRow => ({
    id: ID,
    status: 'Present',
    job: 'j',
    version: 1,
    isHere: false,
    settled: true,
    runIsOver: false,
    ...changes,
  })
  const judge = (given: Partial<UnitFacts> = {}, changes: Partial<Unit> = {}) =>
    judgeUnit(
      unit(changes),
      { row: null, beingCopied: false, needed: false, builtOn: false, run: null, ...given },
      NOW,
    )

  test('without a row, older than a day and without _metadata is an orphan', () => {
    expect(judge()).toMatchObject({ kind: 'ORPHAN', finding: { kind: 'ORPHAN' } })
    expect(judge({ row: row({ status: 'Cleared' }) })).toMatchObject({ kind: 'ORPHAN' })
    expect(judge({ row: row() })).toMatchObject({ kind: 'ORPHAN', job: 'j', version: 1 })
  })

  test('is none while anything speaks for it, whatever else does not', () => {
    const spared: [Partial<UnitFacts>, Partial<Unit>][] = [
      [{}, { hasMetadata: true }],
      [{}, { newestAt: '2026-11-20T12:00:00.001Z' }],
      [{}, { newestAt: null }],
      [{}, { ageless: true }],
      [{ needed: true }, {}],
      [{ builtOn: true }, {}],
      [{ beingCopied: true }, {}],
      [{ row: row({ isHere: true }) }, {}],
      [{ row: row({ settled: false }) }, {}],
      ...(['Creating', 'Timeout', 'Failed', 'Clearing'] as const).map(
        (status): [Partial<UnitFacts>, Partial<Unit>] => [{ row: row({ status }) }, {}],
      ),
    ]
    const all: UnitRow['status'][] = ['Creating', 'Present', 'Timeout', 'Failed', 'Clearing', 'Cleared']
    for (const [facts, changes] of spared) {
      expect(judge(facts, changes).finding?.kind).not.toBe('ORPHAN')
      // one reason is enough, with any row
      if (facts.row) continue
      for (const status of all) {
        expect(judge({ row: row({ status }), ...facts }, changes).finding?.kind).not.toBe('ORPHAN')
      }
    }
  })

  test('of a savepoint that a run has subsumed is none while that run, or an heir of it, may use its files', () => {
    const subsumed = { row: row({ status: 'Cleared' }) }
    expect(judge({ ...subsumed, builtOn: true })).toMatchObject({ kind: 'SAVEPOINT', finding: null })
    expect(judge(subsumed)).toMatchObject({ kind: 'ORPHAN' })
  })

  test('that holds _metadata is offered for registration', () => {
    expect(judge({}, { hasMetadata: true })).toMatchObject({
      kind: 'UNREGISTERED',
      finding: { kind: 'UNREGISTERED' },
    })
    expect(judge({ row: row({ status: 'Cleared' }) }, { hasMetadata: true })).toMatchObject({
      kind: 'UNREGISTERED',
    })
  })

  test('of a failed savepoint is its own, to be cleared with it', () => {
    expect(judge({ row: row({ status: 'Failed' }) })).toMatchObject({ kind: 'FAILED', finding: null })
  })

  test('is as young as its newest object, in whichever order they come', () => {
    const place = unitOf([...segments, 'x'], 'ours')
    const at = (modifiedAt: Date | null) => ({ segments: [...segments, 'x'], sizeBytes: 2, modifiedAt })
    const [older, newer] = [new Date('2026-01-01T00:00:00.000Z'), new Date('2026-02-01T00:00:00.000Z')]
    for (const order of [
      [older, newer],
      [newer, older],
    ]) {
      const made = order.reduce<Unit | null>((sum, date) => addToUnit(sum, place, at(date)), null)
      expect(made).toMatchObject({ objects: 2, bytes: 4, newestAt: newer.toISOString(), ageless: false })
    }
    expect(addToUnit(addToUnit(null, place, at(older)), place, at(null))).toMatchObject({ ageless: true })
    expect(addToUnit(unit(), unitOf(['else', 'x'], 'ours'), at(older))).toBeNull()
  })
})
