/** What a simulated job counts is state, as the sample job's is: it lies in its snapshots and comes back from them. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readCounters } from '../../dev/flink/control-dir.ts'
import { cancelJob, submitJob, takeSavepoint } from '../../dev/flink/submit.ts'
import { type SimulatedFlink, startSimulatedFlink } from '../../src/simulated-flink/start.ts'
import { until } from '../support/api.ts'
import { SAMPLE_CLASS, writeJar } from '../support/flink-under-test.ts'

const RATE = 1_000
const KEYS = 10

let folder: string
let flink: SimulatedFlink
let jar: Awaited<ReturnType<typeof writeJar>>
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'simulated-counter-'))
  jar = await writeJar()
  flink = await startSimulatedFlink({ checkpointDir: `file://${folder}/ck`, restartDelayMs: 10 })
})
afterEach(async () => {
  await flink.stop()
  await Promise.all([jar.remove(), rm(folder, { recursive: true, force: true, maxRetries: 5 })])
})

const controlDir = (name: string) => join(folder, name)
const start = (name: string, from?: string) =>
  submitJob(
    flink.url,
    jar.file,
    { name, rate: RATE, keys: KEYS, controlDir: controlDir(name) },
    { parallelism: 2, ...(from !== undefined && { savepointPath: from }) },
  )
const counted = (name: string, events: number) =>
  until(`${name} counts to ${events}`, async () => {
    const counters = await readCounters(controlDir(name))
    return (counters.total ?? 0) >= events && { ...counters, total: counters.total ?? 0 }
  })

describe(`the job of ${SAMPLE_CLASS}`, () => {
  it('tells what it counts, and that it began empty', async () => {
    await start('orders')
    const { total, highestKeyCount, restored } = await counted('orders', 300)
    expect(restored).toBeNull()
    expect(highestKeyCount).toBe(Math.ceil(total / KEYS))
  })

  it.each([false, true])('goes on from a savepoint, taken while it stops: %s', async (stop) => {
    const id = await start('orders')
    const before = await counted('orders', 300)
    const savepoint = await takeSavepoint(flink.url, id, { directory: `file://${folder}/sp`, stop })
    if (!stop) await cancelJob(flink.url, id)
    await start('again', savepoint)
    const after = await counted('again', before.total)
    expect(after.restored).toBeGreaterThanOrEqual(before.total)
    // Nothing is counted after the savepoint of a stop.
    if (stop)
      expect((await readCounters(controlDir('orders'))).total).toBeLessThanOrEqual(after.restored ?? 0)
    expect(after.total).toBeGreaterThanOrEqual(after.restored ?? 0)
  })

  it('goes on from its newest checkpoint when its JobManager or its TaskManager dies, else from what it began with', async () => {
    const id = await start('first')
    await counted('first', 300)
    const savepoint = await takeSavepoint(flink.url, id, { directory: `file://${folder}/sp`, stop: true })
    const again = await start('second', savepoint)
    const { restored } = await counted('second', 300)
    flink.loseTaskManager(again)
    const lost = await counted('second', (restored ?? 0) + 300)
    expect(lost.restored).toBe(restored)

    const checkpoint = flink.triggerCheckpoint(again)
    expect(checkpoint).not.toBeNull()
    await until('it is there', async () => (await storedAt(again)) >= 1)
    await flink.restartJobManager({ ha: true })
    await until('it was restored from it', async () => {
      const counters = await readCounters(controlDir('second'))
      return (counters.restored ?? 0) >= lost.total
    })
  })

  const storedAt = async (id: string): Promise<number> => {
    const answer = await fetch(`${flink.url}/jobs/${id}/checkpoints`)
    return ((await answer.json()) as { counts: { completed: number } }).counts.completed
  }
})
