/**
 * Writes that come together share one statement. A row that somebody else has locked, or a write that the database refuses,
 * is left out of it and done alone: it holds up nobody. Two writes to one row never share one: a worker that was overtaken by
 * a deadline, or slept past its lease, may write the same row twice at once, and the second must see what the first has done.
 */
import { DomainError } from '../domain/errors.ts'
import { inBatches } from './batches.ts'

/** How a row that somebody else has locked is met: waited for alone, or left out of the statement that many share. */
export type Locking = '' | ' skip locked'

/** `write` answers one result per item; what is not `done` with the others is done once more, alone. `rowOf`: which row it writes. */
export function together<Item, Result>(
  write: (items: readonly Item[], locking: Locking) => Promise<Result[]>,
  done: (result: Result) => boolean,
  rowOf: (item: Item) => string,
): (item: Item) => Promise<Result> {
  const many = inBatches<Item, Result | null>(
    async (items) => {
      const firsts = firstOfEachRow(items, rowOf)
      try {
        const results = await write(firsts, ' skip locked')
        const resultOf = new Map(firsts.map((item, index) => [item, results[index] ?? null]))
        return items.map((item) => resultOf.get(item) ?? null)
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

function firstOfEachRow<Item>(items: readonly Item[], rowOf: (item: Item) => string): Item[] {
  const rows = new Set<string>()
  return items.filter((item) => !rows.has(rowOf(item)) && rows.add(rowOf(item)))
}
