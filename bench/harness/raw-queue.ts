/** The raw side of the queue: jobs added in bulk, and jobs that do nothing. */
import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'

const NAME = 'raw'
const CONCURRENCY = 100
const JOB = { attempts: 1, removeOnComplete: true, removeOnFail: true } as const

export type RawQueue = {
  /** Jobs added per second, in bulks of `size`. */
  measureAdd(count: number, size: number): Promise<number>
  /** Then handled per second. */
  measureHandle(count: number): Promise<number>
  close(): Promise<void>
}

export function openRawQueue(redisUrl: string): RawQueue {
  const connection = new Redis(redisUrl, { maxRetriesPerRequest: null })
  const queue = new Queue(NAME, { connection, prefix: 'raw' })
  return {
    async measureAdd(count, size) {
      const begun = performance.now()
      for (let from = 0; from < count; from += size) {
        const jobs = Array.from({ length: Math.min(size, count - from) }, (_, index) => ({
          name: NAME,
          data: { snapshotId: `0192f3a0-0000-7000-8000-${String(from + index).padStart(12, '0')}` },
          opts: JOB,
        }))
        await queue.addBulk(jobs)
      }
      return (count * 1000) / (performance.now() - begun)
    },
    async measureHandle(count) {
      const own = connection.duplicate()
      const begun = performance.now()
      await new Promise<void>((resolve, reject) => {
        let handled = 0
        const worker = new Worker(NAME, async () => undefined, {
          connection: own,
          prefix: 'raw',
          concurrency: CONCURRENCY,
        })
        worker.on('error', reject)
        worker.on('completed', () => {
          handled += 1
          if (handled === count) worker.close().then(resolve, reject)
        })
      })
      const perSecond = (count * 1000) / (performance.now() - begun)
      own.disconnect()
      return perSecond
    },
    async close() {
      await queue.close()
      connection.disconnect()
    },
  }
}
