import { describe, expect, it } from 'vitest'
import { canMove, SNAPSHOT_STATUSES, statusesBefore } from '../../src/domain/snapshot-status.ts'

describe('the status table', () => {
  it('lets a savepoint that completed after its deadline become Present [N-03]', () => {
    expect(canMove('Timeout', 'Present')).toBe(true)
  })

  it('never lets a final status be overwritten', () => {
    expect(canMove('Present', 'Failed')).toBe(false)
    expect(canMove('Failed', 'Present')).toBe(false)
    expect(SNAPSHOT_STATUSES.filter((to) => canMove('Cleared', to))).toEqual([])
  })

  it('names the statuses that may become another', () => {
    expect(statusesBefore('Clearing')).toEqual(['Present', 'Timeout', 'Failed'])
    expect(statusesBefore('Creating')).toEqual([])
  })

  it('enters every status at most once on any path', () => {
    const follow = (path: string[]): void => {
      expect(new Set(path).size).toBe(path.length)
      for (const to of SNAPSHOT_STATUSES) {
        const last = SNAPSHOT_STATUSES.find((status) => status === path.at(-1))
        if (last && canMove(last, to)) follow([...path, to])
      }
    }
    for (const status of SNAPSHOT_STATUSES) follow([status])
  })
})
