import { describe, expect, test } from 'vitest'
import {
  listProtections,
  type ProtectionCandidate,
  type ProtectionFacts,
} from '../../src/domain/protection.ts'

const DAY = 86_400
const run = (n: number) => ({ id: `r${n}`, startedAt: `2026-11-0${n}T00:00:00.000Z`, epoch: 1 })
const candidate = (snapshot: string, changes: Partial<ProtectionCandidate> = {}): ProtectionCandidate => ({
  snapshot,
  kind: 'SAVEPOINT',
  source: 'SCHEDULE',
  jobVersion: 1,
  completedAt: '2026-11-01T01:00:00.000Z',
  run: run(1),
  flinkCheckpointId: 1,
  ...changes,
})
const protect = (candidates: ProtectionCandidate[], changes: Partial<ProtectionFacts> = {}) =>
  Object.fromEntries(
    [
      ...listProtections({
        candidates,
        versions: [],
        rollbackWindowSeconds: 7 * DAY,
        now: '2026-11-21T00:00:00.000Z',
        ...changes,
      }),
    ].map(([id, reasons]) => [id, reasons.map(({ code }) => code)]),
  )

describe('the newest', () => {
  test('is protected as savepoint and as snapshot', () => {
    expect(protect([candidate('a'), candidate('b', { flinkCheckpointId: 2 })])).toEqual({
      b: ['NEWEST_RESTORABLE_SNAPSHOT', 'NEWEST_RESTORABLE_SAVEPOINT'],
    })
  })

  test('is that of the order of runs and of Flink, not the one that completed last', () => {
    const late = candidate('late', { completedAt: '2026-11-20T00:00:00.000Z', flinkCheckpointId: 5 })
    const newer = candidate('newer', { run: run(2), flinkCheckpointId: 2 })
    expect(protect([late, newer])).toEqual({
      newer: ['NEWEST_RESTORABLE_SNAPSHOT', 'NEWEST_RESTORABLE_SAVEPOINT'],
    })
  })

  test('may be a checkpoint, and then the newest savepoint is spared beside it', () => {
    const checkpoint = candidate('c', { kind: 'CHECKPOINT', source: 'SYSTEM', flinkCheckpointId: 9 })
    expect(protect([candidate('a'), checkpoint])).toEqual({
      c: ['NEWEST_RESTORABLE_SNAPSHOT'],
      a: ['NEWEST_RESTORABLE_SAVEPOINT'],
    })
  })

  test('is never an import, and a source before its copy', () => {
    const copy = candidate('z-copy', { source: 'COPY' })
    expect(protect([copy, candidate('a'), candidate('i', { source: 'IMPORT', run: run(3) })])).toEqual({
      a: ['NEWEST_RESTORABLE_SNAPSHOT', 'NEWEST_RESTORABLE_SAVEPOINT'],
    })
  })

  test('without any rank is the one that completed last', () => {
    const unranked = { run: null, flinkCheckpointId: null }
    const last = candidate('a', { ...unranked, completedAt: '2026-11-03T00:00:00.000Z' })
    expect(Object.keys(protect([candidate('b', unranked), last]))).toEqual(['a'])
  })

  test('may be one without a rank: it is spared beside the best ranked one when it completed after it', () => {
    const unranked = { run: null, flinkCheckpointId: null }
    const later = candidate('later', { ...unranked, completedAt: '2026-11-09T00:00:00.000Z' })
    const earlier = candidate('earlier', { ...unranked, completedAt: '2026-10-09T00:00:00.000Z' })
    const ranked = ['NEWEST_RESTORABLE_SNAPSHOT', 'NEWEST_RESTORABLE_SAVEPOINT']
    expect(protect([later, candidate('a'), earlier])).toEqual({
      a: ranked,
      later: ['NEWEST_RESTORABLE_SAVEPOINT'],
    })
    expect(protect([candidate('a'), earlier])).toEqual({ a: ranked })
  })

  test('is nothing where nothing can be restored', () => {
    expect(protect([])).toEqual({})
  })
})

describe('the way back', () => {
  const savepoints = [1, 2, 3].map((n) =>
    candidate(`v${n}`, { jobVersion: n, run: run(n), flinkCheckpointId: 1 }),
  )
  const versions = [
    { version: 3, lastRanAt: null },
    { version: 2, lastRanAt: '2026-11-20T00:00:00.000Z' },
    { version: 1, lastRanAt: '2026-11-13T23:59:59.000Z' },
  ]

  test('is kept while its version runs, and for the window after its last run', () => {
    expect(protect(savepoints, { versions })).toEqual({
      v3: ['NEWEST_RESTORABLE_SNAPSHOT', 'NEWEST_RESTORABLE_SAVEPOINT', 'ROLLBACK_POINT'],
      v2: ['ROLLBACK_POINT'],
    })
  })

  test('ends with its window: a window of nothing keeps nothing', () => {
    expect(protect(savepoints, { versions, rollbackWindowSeconds: 0 })).not.toHaveProperty('v2')
    expect(protect(savepoints, { versions, rollbackWindowSeconds: 30 * DAY })).toHaveProperty('v1')
  })

  test('says until when', () => {
    const found = listProtections({
      candidates: savepoints,
      versions,
      rollbackWindowSeconds: 7 * DAY,
      now: '2026-11-21T00:00:00.000Z',
    })
    expect(found.get('v2')).toEqual([
      {
        code: 'ROLLBACK_POINT',
        message:
          'It is the newest savepoint of version 2: the way back to it is kept until 2026-11-27T00:00:00.000Z.',
        until: '2026-11-27T00:00:00.000Z',
      },
    ])
  })
})
