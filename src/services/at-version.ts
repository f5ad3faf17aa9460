import { DomainError } from '../domain/errors.ts'

const TRIES = 5

/**
 * Writes to the row that was read. With `ifMatch` only that version may be written; without it the newest counts, so a
 * write that came too late reads again and repeats.
 */
export async function atVersion<Row extends { etag: string }, Result>(
  ifMatch: string | undefined,
  find: () => Promise<Row>,
  write: (row: Row) => Promise<Result | 'stale'>,
): Promise<Result> {
  for (let tries = 1; tries <= TRIES; tries++) {
    const row = await find()
    if (ifMatch !== undefined && ifMatch !== '*' && ifMatch !== row.etag) {
      throw new DomainError(
        'PRECONDITION_FAILED',
        `If-Match names another version; the current one is ${row.etag}.`,
      )
    }
    const result = await write(row)
    if (result !== 'stale') return result
  }
  throw new DomainError('OVERLOADED', `Others changed it ${TRIES} times in between; try again.`)
}

/** What a repository's `remove` answered, as the caller hears it. */
export function refuseInUse(
  what: string,
  removed: 'deleted' | 'stale' | { usedBy: string },
): 'deleted' | 'stale' {
  if (typeof removed === 'string') return removed
  throw new DomainError('IN_USE', `The ${what} cannot be deleted: ${removed.usedBy}.`)
}
