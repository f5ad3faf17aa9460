/**
 * A loop that claims work as far as there is room and does not wait for it: whatever takes long holds up nobody but itself.
 * While more is waiting than there was room for, it claims again as soon as a part of the room is free.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Loop, type LoopOptions, startLoop } from './loop.ts'
import type { Swept } from './services/sweep.ts'

export type Sweeping = Loop & {
  /** When nothing is in hand any more: what is, gives its lease back within a third of it. */
  idle(): Promise<void>
}

/** Claimed by one statement. */
const MOST_AT_A_TIME = 100
/** Room that is worth another statement: this part of it all. */
const WORTH_IT = 1 / 4

export function startSweeping(
  sweep: (limit: number) => Promise<Pick<Swept, 'claimed' | 'each'>>,
  { atOnce, ...options }: LoopOptions & { atOnce: number },
): Sweeping {
  let busy = 0
  let freed = 0
  let moreIsWaiting = false

  const loop = startLoop(async () => {
    const room = Math.min(MOST_AT_A_TIME, atOnce - busy)
    if (room <= 0) return false
    freed = 0
    const { claimed, each } = await sweep(room)
    moreIsWaiting = claimed === room
    busy += claimed
    for (const work of each) work.then(free, free)
    return moreIsWaiting
  }, options)

  const free = (): void => {
    busy -= 1
    freed += 1
    if (moreIsWaiting && (busy === 0 || freed >= atOnce * WORTH_IT)) loop.wake()
  }

  return {
    ...loop,
    async idle() {
      while (busy > 0) await sleep(50)
    },
  }
}
