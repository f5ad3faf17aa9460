/**
 * Waits for rows to be decided. All waiters of a process share one statement per tick, so a thousand waiting pipelines cost
 * what one does, and nothing is lost when Postgres restarts in between.
 */
const TICK_MS = 150

export type Waiters = {
  /** Resolves when the row is decided, after `ms`, or when `signal` aborts; whichever comes first. */
  wait(id: string, ms: number, signal: AbortSignal): Promise<void>
  close(): void
}

export function createWaiters(findDecided: (ids: readonly string[]) => Promise<string[]>): Waiters {
  const waiting = new Map<string, Set<() => void>>()
  let timer: NodeJS.Timeout | null = null
  let closed = false

  const tick = async () => {
    // A database that does not answer only makes the waiters wait: each has its own time limit.
    const decided = await findDecided([...waiting.keys()]).catch(() => [])
    for (const id of decided) for (const wake of waiting.get(id) ?? []) wake()
    timer = null
    schedule()
  }
  const schedule = () => {
    if (timer === null && waiting.size > 0 && !closed) timer = setTimeout(tick, TICK_MS)
  }

  return {
    wait: (id, ms, signal) =>
      new Promise<void>((resolve) => {
        if (signal.aborted || closed) return resolve()
        const wakers = waiting.get(id) ?? new Set()
        const wake = () => {
          clearTimeout(limit)
          signal.removeEventListener('abort', wake)
          wakers.delete(wake)
          if (wakers.size === 0) waiting.delete(id)
          resolve()
        }
        const limit = setTimeout(wake, ms)
        signal.addEventListener('abort', wake, { once: true })
        waiting.set(id, wakers.add(wake))
        schedule()
      }),
    close: () => {
      closed = true
      if (timer) clearTimeout(timer)
      for (const wakers of waiting.values()) for (const wake of wakers) wake()
    },
  }
}
