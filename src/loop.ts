/** Runs `work` again and again with a pause in between, until stopped; never two at once, and never ends by an error. */

export type Loop = {
  /** Ends the pause now; while `work` is under way, the one after it. */
  wake(): void
  stop(): Promise<void>
}

export type LoopOptions = {
  pauseMs: number
  /** Pause after an error: grows to this. */
  maxPauseMs: number
  onError: (error: unknown) => void
}

/** `work` answers true when there is more to do right away. */
export function startLoop(work: () => Promise<boolean>, options: LoopOptions): Loop {
  let stopped = false
  let woken = false
  let endPause: () => void = () => undefined
  const running = run()
  return {
    wake: () => {
      woken = true
      endPause()
    },
    stop: async () => {
      stopped = true
      endPause()
      await running
    },
  }

  async function run(): Promise<void> {
    let failures = 0
    while (!stopped) {
      woken = false
      let more = false
      try {
        more = await work()
        failures = 0
      } catch (error) {
        failures += 1
        options.onError(error)
      }
      if (!more) await pause(failures)
    }
  }

  /** After an error a nudge does not shorten the pause: what failed has its reason. */
  async function pause(failures: number): Promise<void> {
    if (stopped || (woken && failures === 0)) return
    const ms =
      failures === 0 ? options.pauseMs : Math.min(options.maxPauseMs, options.pauseMs * 2 ** failures)
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      endPause = () => {
        if (failures > 0 && !stopped) return
        clearTimeout(timer)
        resolve()
      }
    })
    endPause = () => undefined
  }
}
