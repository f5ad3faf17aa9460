import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { advanceAll } from '../../src/services/sweep.ts'
import { type Sweeping, startSweeping } from '../../src/sweeping.ts'

let running: Sweeping | null = null
afterEach(async () => {
  await running?.stop()
})

/** So much is waiting; each is done when it is told. */
function work(waiting: number) {
  const open: (() => void)[] = []
  const rooms: number[] = []
  running = startSweeping(
    async (room) => {
      rooms.push(room)
      const due = Array.from({ length: Math.min(room, waiting) }, (_, at) => at)
      waiting -= due.length
      return advanceAll(due, () => new Promise<void>((resolve) => open.push(resolve)))
    },
    { atOnce: 8, pauseMs: 60_000, maxPauseMs: 60_000, onError: () => undefined },
  )
  return {
    rooms,
    sweeping: running,
    underWay: () => open.length,
    async end(count: number) {
      for (const done of open.splice(0, count)) done()
      await sleep(20)
    },
    add(count: number) {
      waiting += count
    },
  }
}

describe('claimed work', () => {
  it('never waits for the slowest of those it was claimed with', async () => {
    const all = work(20)
    await sleep(20)
    expect(all.underWay()).toBe(8)
    await all.end(1)
    expect(all.rooms).toEqual([8]) // one place is not worth a statement
    await all.end(1)
    expect(all.rooms).toEqual([8, 2])
    expect(all.underWay()).toBe(8)
  })

  it('is not claimed again while nobody says that there is more', async () => {
    const all = work(5)
    await sleep(20)
    await all.end(5)
    expect(all.rooms).toEqual([8])
    all.add(3)
    all.sweeping.wake()
    await sleep(20)
    expect(all.rooms).toEqual([8, 8])
    expect(all.underWay()).toBe(3)
  })

  it('is idle when the last is given back, also one that failed', async () => {
    running = startSweeping(
      async () => advanceAll([1, 2], async (at) => (at === 1 ? Promise.reject(new Error('no')) : undefined)),
      { atOnce: 8, pauseMs: 60_000, maxPauseMs: 60_000, onError: () => undefined },
    )
    await sleep(20)
    await running.idle()
  })
})
