/** Sends nudges. Never throws and never blocks a request: a lost nudge only waits for the sweep. */
import type { Log, Nudges } from '../ports/process.ts'
import { JOB_OPTIONS } from './catalog.ts'
import type { Producer } from './connection.ts'

/** Requests within so many milliseconds share one nudge: it wakes a sweep, which finds all of them. */
const TOGETHER_MS = 15
const WARN_EVERY_MS = 5_000

export function createNudges(producer: Producer, log: Log): Nudges & { flush(): Promise<void> } {
  let pending: NodeJS.Timeout | null = null
  let lastWarning = 0

  const flush = async () => {
    if (pending === null) return
    clearTimeout(pending)
    pending = null
    try {
      await producer.add('savepoints-due', {}, JOB_OPTIONS)
    } catch (error) {
      if (Date.now() - lastWarning < WARN_EVERY_MS) return
      lastWarning = Date.now()
      log.warn({ error: error instanceof Error ? error.message : error }, 'nudge not sent, the sweep has it')
    }
  }

  return {
    savepointDue: () => {
      pending ??= setTimeout(flush, TOGETHER_MS)
    },
    flush,
  }
}
