import { describe, expect, it } from 'vitest'
import {
  endOfRefusal,
  endStatus,
  type ItemSnapshot,
  itemsToSee,
  type OpenItem,
  planBulkStep,
} from '../../src/domain/bulk-savepoint.ts'

const snapshot = (changes: Partial<ItemSnapshot> = {}): ItemSnapshot => ({
  id: 's-1',
  status: 'Creating',
  reason: 'REQUESTED',
  completed: false,
  verdict: null,
  failure: null,
  ...changes,
})
const item = (position: number, changes: Partial<OpenItem> = {}): OpenItem => ({
  position,
  job: { id: `job-${position}`, name: `job-${position}` },
  status: 'WAITING',
  snapshot: null,
  ...changes,
})
const running = (position: number, changes: Partial<ItemSnapshot> = {}) =>
  item(position, { status: 'RUNNING', snapshot: snapshot(changes) })
const present = { status: 'Present', completed: true } as const
const positions = (items: readonly { position: number }[]) => items.map(({ position }) => position)

describe('what to do next with a bulk savepoint', () => {
  it('takes up as many as may be in flight', () => {
    const step = planBulkStep(
      [1, 2, 3, 4].map((position) => item(position)),
      3,
    )
    expect([positions(step.takeUp), step.finish, step.askAgain]).toEqual([[1, 2, 3], [], []])
  })

  it('takes up none while all places are held, whether their savepoints are known yet or not', () => {
    const step = planBulkStep([running(1), item(2, { status: 'RUNNING' }), item(3)], 2)
    expect([positions(step.takeUp), positions(step.askAgain)]).toEqual([[], [2]])
  })

  it('gives the place of an ended one to the next', () => {
    const step = planBulkStep([running(1), running(2, present), item(3), item(4)], 2)
    expect([step.finish, positions(step.takeUp)]).toEqual([
      [{ position: 2, end: { status: 'DONE', failure: null } }],
      [3],
    ])
  })

  it('sees enough to end all in flight and to take up as many', () => {
    const open = Array.from({ length: itemsToSee(5) }, (_, index) =>
      index < 5 ? running(index + 1, present) : item(index + 1),
    )
    const step = planBulkStep(open, 5)
    expect([step.finish.length, positions(step.takeUp)]).toEqual([5, [6, 7, 8, 9, 10]])
  })

  it('does nothing while everything is on its way', () => {
    expect(planBulkStep([running(1)], 5)).toEqual({ finish: [], takeUp: [], askAgain: [] })
  })

  const why = { code: 'TASK_FAILED_SNAPSHOT', message: 'boom' }
  it.each<[Partial<ItemSnapshot>, string, string | null]>([
    [present, 'DONE', null],
    [{ status: 'Cleared', completed: true }, 'DONE', null],
    [{ ...present, verdict: 'METADATA_MISSING' }, 'FAILED', 'METADATA_MISSING'],
    [{ status: 'Failed', failure: why }, 'FAILED', 'TASK_FAILED_SNAPSHOT'],
    [{ status: 'Clearing', reason: 'ASKED' }, 'FAILED', 'ASKED'],
    [{ status: 'Failed', failure: { ...why, code: 'JOB_NOT_RUNNING' } }, 'SKIPPED', 'JOB_NOT_RUNNING'],
    [{ status: 'Timeout', reason: 'DEADLINE_PASSED' }, 'FAILED', 'DEADLINE_PASSED'],
  ])('an item whose savepoint is %j ends %s with %s', (changes, status, code) => {
    const [finished] = planBulkStep([running(1, changes)], 1).finish
    expect([finished?.end.status, finished?.end.failure?.code ?? null]).toEqual([status, code])
  })
})

describe('a refused savepoint', () => {
  it.each(['JOB_NOT_RUNNING', 'NOT_FOUND'] as const)('skips its item when it is %s', (code) => {
    expect(endOfRefusal(code, 'why')).toEqual({ status: 'SKIPPED', failure: { code, message: 'why' } })
  })
  it.each(['OBSERVE_ONLY', 'JOB_AMBIGUOUS', 'CLUSTER_UNSUPPORTED', 'CLUSTER_IDENTITY_CHANGED'] as const)(
    'fails its item when it is %s',
    (code) => {
      expect(endOfRefusal(code, 'why')).toEqual({ status: 'FAILED', failure: { code, message: 'why' } })
    },
  )
  it.each(['DATABASE_UNAVAILABLE', 'OVERLOADED', 'INTERNAL'] as const)('is no end when it is %s', (code) => {
    expect(endOfRefusal(code, 'why')).toBeNull()
  })
})

describe('a bulk savepoint ends', () => {
  it.each([
    [{ done: 3, failed: 0, skipped: 0 }, 'SUCCEEDED'],
    [{ done: 2, failed: 1, skipped: 0 }, 'PARTIAL'],
    [{ done: 2, failed: 0, skipped: 1 }, 'PARTIAL'],
    [{ done: 0, failed: 3, skipped: 0 }, 'FAILED'],
    [{ done: 0, failed: 0, skipped: 3 }, 'FAILED'],
  ] as const)('%j as %s', (counts, status) => {
    expect(endStatus(counts)).toBe(status)
  })
})
