/**
 * Deletes keys in batches. A store that cannot finish a batch in time, or asks us to slow down, gets smaller ones: the
 * learned size stays for the rest of the call.
 */
import { isOverload } from './s3-errors.ts'

export type KeyFailure = { key: string; code: string; message: string }

const CONCURRENCY = 2
/** A store that cannot delete this many keys at once is not answering at all. */
const SMALLEST_BATCH = 50

export async function runInBatches(
  keys: readonly string[],
  batchSize: number,
  deleteBatch: (keys: readonly string[]) => Promise<KeyFailure[]>,
): Promise<KeyFailure[]> {
  const batches = createBatches(keys, batchSize)
  const failures: KeyFailure[] = []
  const work = async (): Promise<void> => {
    for (let batch = batches.take(); batch.length > 0; batch = batches.take()) {
      try {
        failures.push(...(await deleteBatch(batch)))
      } catch (error) {
        if (!isOverload(error) || batch.length <= SMALLEST_BATCH) {
          batches.stop()
          throw error
        }
        batches.giveBackHalved(batch)
      }
    }
  }
  // settled, not raced: nothing is deleted any more once the call has thrown
  const outcomes = await Promise.allSettled(Array.from({ length: CONCURRENCY }, work))
  const broken = outcomes.find((outcome) => outcome.status === 'rejected')
  if (broken !== undefined) throw broken.reason
  return failures
}

function createBatches(keys: readonly string[], batchSize: number) {
  const returned: (readonly string[])[] = []
  let size = batchSize
  let position = 0
  return {
    take(): readonly string[] {
      const again = returned.pop()
      if (again !== undefined) return again
      const batch = keys.slice(position, position + size)
      position += batch.length
      return batch
    },
    giveBackHalved(batch: readonly string[]): void {
      const half = Math.ceil(batch.length / 2)
      size = Math.min(size, half)
      returned.push(batch.slice(half), batch.slice(0, half))
    },
    stop(): void {
      position = keys.length
      returned.length = 0
    },
  }
}
