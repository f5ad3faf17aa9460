import { describe, expect, test } from 'vitest'
import { CLEARING_METHODS, CLEARING_PHASES } from '../../src/domain/clearing.ts'
import {
  type ClearingPosition,
  clearingBackoffMs,
  nextClearingStep,
  readDisposalFailure,
} from '../../src/domain/clearing-plan.ts'

const at = (changes: Partial<ClearingPosition>): ClearingPosition => ({
  method: 'OBJECTS',
  phase: 'LISTING',
  foundEmpty: 0,
  askedAt: null,
  triggerId: null,
  blocked: null,
  ...changes,
})

describe('the next step of a clearing', () => {
  test.each([
    [{ phase: 'LISTING' }, 'list'],
    [{ phase: 'DELETING_METADATA' }, 'delete-metadata'],
    [{ phase: 'DELETING' }, 'delete'],
    [{ phase: 'VERIFYING' }, 'verify'],
    [{ phase: 'VERIFYING', foundEmpty: 1 }, 'verify'],
    [{ phase: 'VERIFYING', foundEmpty: 2 }, 'end'],
    [{ method: 'FORGET' }, 'forget'],
    [{ method: 'FLINK' }, 'ask-flink'],
    [{ method: 'FLINK', phase: 'DELETING', triggerId: 't' }, 'read-flink'],
    [{ method: 'FLINK', phase: 'DELETING' }, 'ask-flink'],
    [{ method: 'FLINK', phase: 'VERIFYING', triggerId: 't' }, 'end'],
  ] as const)('of %j is %s', (changes, step) => {
    expect(nextClearingStep(at(changes))).toBe(step)
  })

  test('deletes nothing at all through or for a cluster that forbids it, and goes on once _metadata is gone', () => {
    for (const blocked of ['OBSERVE_ONLY', 'CLUSTER_IDENTITY_CHANGED'] as const) {
      expect(nextClearingStep(at({ blocked }))).toBe('refuse')
      expect(nextClearingStep(at({ blocked, phase: 'DELETING_METADATA' }))).toBe('refuse')
      expect(nextClearingStep(at({ blocked, phase: 'DELETING' }))).toBe('delete')
      for (const phase of ['LISTING', 'DELETING'] as const) {
        expect(nextClearingStep(at({ blocked, method: 'FLINK', phase }))).toBe('refuse')
      }
    }
  })

  test('never ends before the place was found empty twice, unless nothing of ours was to go or Flink has answered', () => {
    for (const method of CLEARING_METHODS)
      for (const phase of CLEARING_PHASES)
        for (const foundEmpty of [0, 1, 2]) {
          if (nextClearingStep(at({ method, phase, foundEmpty })) !== 'end') continue
          const proven =
            phase === 'DONE' || (phase === 'VERIFYING' && (method === 'FLINK' || foundEmpty === 2))
          expect(proven, `${method} ${phase} ${foundEmpty}`).toBe(true)
        }
  })
})

test('a failing one is tried after a second, and every five minutes in the end', () => {
  expect([0, 1, 2, 8, 9, 100].map(clearingBackoffMs)).toEqual([
    1_000, 2_000, 4_000, 256_000, 300_000, 300_000,
  ])
})

test.each([
  ["Cannot find checkpoint or savepoint file/directory 's3://b/x' on file system 's3'.", 'gone'],
  ["Cannot find meta data file '_metadata' in directory 's3://b/x'.", 'metadata-gone'],
  ['Permission denied', 'failed'],
  ['', 'failed'],
])('Flink says %j: %s', (text, found) => {
  expect(readDisposalFailure(`java.io.FileNotFoundException: ${text}\n\tat org.apache.flink`)).toBe(found)
})
