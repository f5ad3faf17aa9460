/**
 * The deletions of one store share its requests: what is asked for while others are under way goes with the next one, up to
 * the size the store takes. A store that cannot finish one in time, or asks us to slow down, gets smaller ones until
 * nothing waits any more. What fails for several callers is sent once more caller by caller: nobody fails for another.
 */
import { StorageError } from '../domain/errors.ts'
import { isOverload } from './s3-errors.ts'

export type ItemFailure = { name: string; code: string; message: string }

export type DeleteQueueOptions<Item> = {
  /** Most items of one request. */
  largest: number
  nameOf: (item: Item) => string
  /** Answers what was not deleted. */
  send: (items: readonly Item[]) => Promise<ItemFailure[]>
}

/** Requests of one store under way at once. */
const AT_ONCE = 4
/** A store that cannot delete this many keys at once is not answering at all. */
const SMALLEST_BATCH = 50

type Call = {
  /** Parts that wait or are under way. */
  open: number
  failures: ItemFailure[]
  broken: { error: unknown } | null
  mayStart: () => boolean
  settle: () => void
}
type Part<Item> = { call: Call; items: readonly Item[]; alone: boolean }

/**
 * The call ends when nothing of it is under way any more; no two of its items may have one name. `mayStart` is asked right before
 * a request: whoever has waited too long sends nothing.
 */
export function createDeleteQueue<Item>({
  largest,
  nameOf,
  send,
}: DeleteQueueOptions<Item>): (items: readonly Item[], mayStart?: () => boolean) => Promise<ItemFailure[]> {
  let waiting: Part<Item>[] = []
  let underWay = 0
  let scheduled = false
  let size = largest

  const schedule = (): void => {
    if (scheduled || waiting.length === 0 || underWay >= AT_ONCE) return
    scheduled = true
    setImmediate(begin) // what else arrived in this turn of the loop comes along
  }

  const begin = (): void => {
    scheduled = false
    const parts = take()
    if (parts.length === 0) return
    underWay += 1
    void deleteParts(parts).finally(() => {
      underWay -= 1
      if (underWay === 0 && waiting.length === 0) size = largest
      schedule()
    })
    schedule()
  }

  const take = (): Part<Item>[] => {
    for (const call of new Set(waiting.map((part) => part.call))) {
      if (!call.mayStart()) drop(call, new StorageError('unreachable', 'Deleting: it waited too long'))
    }
    const parts: Part<Item>[] = []
    const names = new Set<string>()
    for (let room = size; room > 0; ) {
      const [first, ...others] = waiting
      if (!first || (first.alone && parts.length > 0)) break
      const items = first.items.slice(0, room)
      // asked for twice at once: the second time goes with another request
      if (items.some((item) => names.has(nameOf(item)))) break
      for (const item of items) names.add(nameOf(item))
      parts.push({ ...first, items })
      const rest = first.items.slice(room)
      if (rest.length > 0) first.call.open += 1
      waiting = rest.length > 0 ? [{ ...first, items: rest }, ...others] : others
      if (first.alone) break
      room -= items.length
    }
    return parts
  }

  const deleteParts = async (parts: readonly Part<Item>[]): Promise<void> => {
    const items = parts.flatMap((part) => part.items)
    try {
      const failures = new Map((await send(items)).map((failure) => [failure.name, failure]))
      for (const { call, items: own } of parts) {
        call.failures.push(...own.flatMap((item) => failures.get(nameOf(item)) ?? []))
        end(call)
      }
    } catch (error) {
      if (isOverload(error) && items.length > SMALLEST_BATCH) {
        size = Math.min(size, Math.ceil(items.length / 2))
        giveBack(parts)
      } else if (parts.length > 1) {
        giveBack(parts.map((part) => ({ ...part, alone: true })))
      } else {
        for (const { call } of parts) {
          drop(call, error)
          end(call)
        }
      }
    }
  }

  /** Before all others, unless its call has failed meanwhile. */
  const giveBack = (parts: readonly Part<Item>[]): void => {
    waiting = [...parts.filter(({ call }) => call.broken === null), ...waiting]
    for (const { call } of parts) if (call.broken !== null) end(call)
  }

  /** Nothing more of it is sent. */
  const drop = (call: Call, error: unknown): void => {
    call.broken ??= { error }
    const dropped = waiting.filter((part) => part.call === call)
    waiting = waiting.filter((part) => part.call !== call)
    for (const part of dropped) end(part.call)
  }

  const end = (call: Call): void => {
    call.open -= 1
    if (call.open === 0) call.settle()
  }

  return (items, mayStart = () => true) =>
    new Promise((resolve, reject) => {
      if (items.length === 0) {
        resolve([])
        return
      }
      const call: Call = {
        open: 1,
        failures: [],
        broken: null,
        mayStart,
        settle: () => (call.broken ? reject(call.broken.error) : resolve(call.failures)),
      }
      waiting.push({ call, items, alone: false })
      schedule()
    })
}
