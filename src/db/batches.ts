/**
 * What is asked for while others are under way shares the next statement: with many callers at once a round trip to
 * Postgres costs more than what it reads or writes. Nothing begins before it was asked for, so a read sees whatever was
 * committed until then, and an idle database is asked at once.
 */
export type BatchOptions = {
  /** Statements under way at once. */
  atOnce: number
  largest: number
}

type Waiting<Key, Value> = { key: Key; resolve: (value: Value) => void; reject: (error: unknown) => void }

/** `doMany` answers one value per key, in the order of the keys. */
export function inBatches<Key, Value>(
  doMany: (keys: readonly Key[]) => Promise<readonly Value[]>,
  { atOnce, largest }: BatchOptions,
): (key: Key) => Promise<Value> {
  let waiting: Waiting<Key, Value>[] = []
  let underWay = 0
  let scheduled = false

  const schedule = (): void => {
    if (scheduled || waiting.length === 0 || underWay >= atOnce) return
    scheduled = true
    setImmediate(begin) // what else arrived in this turn of the loop comes along
  }

  const begin = (): void => {
    scheduled = false
    const batch = waiting.slice(0, largest)
    waiting = waiting.slice(largest)
    underWay += 1
    settle(batch).finally(() => {
      underWay -= 1
      schedule()
    })
    schedule()
  }

  const settle = async (batch: readonly Waiting<Key, Value>[]): Promise<void> => {
    try {
      const values = await doMany(batch.map(({ key }) => key))
      if (values.length !== batch.length) throw new Error(`${values.length} values for ${batch.length} keys`)
      values.forEach((value, index) => {
        batch[index]?.resolve(value)
      })
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }

  return (key) =>
    new Promise<Value>((resolve, reject) => {
      waiting.push({ key, resolve, reject })
      schedule()
    })
}
