/**
 * Writes that come together share one statement. A row that somebody else has locked, or a write that the database refuses,
 * is left out of it and done alone: it holds up nobody.
 */
import { DomainError } from '../domain/errors.ts'
import { inBatches } from './batches.ts'

/** How a row that somebody else has locked is met: waited for alone, or left out of the statement that many share. */
export type Locking = '' | ' skip locked'

/** `write` answers one result per item; what is not `done` with the others is done once more, alone. */
export function together<Item, Result>(
  write: (items: readonly Item[], locking: Locking) => Promise<Result[]>,
  done: (result: Result) => boolean,
): (item: Item) => Promise<Result> {
  const many = inBatches<Item, Result | null>(
    async (items) => {
      try {
        return await write(items, ' skip locked')
      } catch (error) {
        if (error instanceof DomainError) throw error // the database was there for nobody
        return items.map(() => null)
      }
    },
    { atOnce: 2, largest: 50 },
  )
  return async (item) => {
    const first = await many(item)
    if (first !== null && done(first)) return first
    const [alone] = await write([item], '')
    if (alone === undefined) throw new Error('a write answered nothing')
    return alone
  }
}
