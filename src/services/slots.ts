/** Work that takes much memory: so many at once, so many waiting for their turn, and whoever comes then is to come again. */
import { DomainError } from '../domain/errors.ts'

export type Slots = <Result>(work: () => Promise<Result>) => Promise<Result>

/** In the order they come; throws OVERLOADED when `mostWaiting` wait already. */
export function createSlots(atOnce: number, mostWaiting: number): Slots {
  const waiting: (() => void)[] = []
  let taken = 0
  return async (work) => {
    if (taken < atOnce) taken += 1
    else {
      if (waiting.length >= mostWaiting)
        throw new DomainError('OVERLOADED', 'Many are waiting for this; try again.')
      await new Promise<void>((resolve) => waiting.push(resolve))
    }
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next)
        next() // takes over the slot
      else taken -= 1
    }
  }
}
