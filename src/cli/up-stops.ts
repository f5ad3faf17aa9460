/** What `tidemark up` has started, stopped in reverse; and what tells it to stop. */

export type Stops = {
  /** Registered before the thing is up: a signal may come in the middle of its start. */
  add(stop: () => Promise<void>): void
  /** Each is tried, whatever the others do. Answers what went wrong. */
  stopAll(): Promise<unknown[]>
}

export function createStops(): Stops {
  const stops: (() => Promise<void>)[] = []
  return {
    add: (stop) => void stops.push(stop),
    async stopAll() {
      const problems: unknown[] = []
      for (let stop = stops.pop(); stop; stop = stops.pop()) {
        await stop().catch((problem: unknown) => problems.push(problem))
      }
      return problems
    },
  }
}

const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const
/** Ctrl-C reaches us from the terminal and again from each parent that passes it on: those are one. */
const SAME_SIGNAL_MS = 2_000

/** Resolves with 128 + the signal's number at the first one; a later one ends the process at once. */
export function waitForSignal(): Promise<number> {
  return new Promise((resolve) => {
    let firstAt: number | undefined
    const stop = (number: number) => {
      if (firstAt !== undefined && performance.now() - firstAt > SAME_SIGNAL_MS) process.exit(128 + number)
      firstAt ??= performance.now()
      resolve(128 + number)
    }
    for (const [name, number] of Object.entries(SIGNALS)) process.on(name, () => stop(number))
    // scripts/up.mjs holds the other end: when it is gone, killed as it may be, nobody is left to stop us.
    if (process.connected) process.once('disconnect', () => stop(SIGNALS.SIGTERM))
    process.channel?.unref()
  })
}
