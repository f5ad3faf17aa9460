/** kill -9 of the process at every named crash point, one after the other: after the restart exactly one savepoint, Present. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../support/api.ts'
import { checkHistory } from './checker.ts'
import { orderSavepoint } from './clients.ts'
import { findCrashPoints } from './crash-point-names.ts'
import type { SnapshotRecord } from './history.ts'
import { createRandom } from './random.ts'
import { LIMITS, openWorld, type World } from './world.ts'

/** In the order in which a savepoint passes them. */
const ORDER = [
  'row-committed',
  'nudge-sent',
  'asked-committed',
  'flink-asked',
  'answer-read',
  'attempt-begun',
  'status-moved',
]
const points = await findCrashPoints()

let world: World
beforeAll(async () => {
  const random = createRandom(1)
  world = await openWorld({
    name: 'crash-points',
    clusters: 1,
    jobsPerCluster: points.length,
    workers: 1,
    random,
  })
})
afterAll(() => world.close())

describe('killed right after', () => {
  it('every point that the sources name', () => {
    expect(points.map(({ name }) => name).sort()).toEqual([...ORDER].sort())
  })

  it.each(ORDER.map((name, index) => ({ name, index })))('$name', async ({ name, index }) => {
    const cluster = world.clusters[0]
    const job = cluster?.jobs[index]
    const point = points.find((each) => each.name === name)
    if (!cluster || !job || !point) throw new Error(`no crash point ${name}`)
    // Only a failure that passes leads to a second attempt.
    const failure = {
      kind: 'coordinator',
      text: 'The maximum number of queued checkpoint requests exceeded.',
    }
    if (name === 'attempt-begun')
      cluster.faults.snapshot({ jobName: job.name }, { failure: { ...failure, kind: 'coordinator' } })

    await world.crashNext(point.process, name)
    const body = { timeoutSeconds: 60 }
    const call = await orderSavepoint(world.system.api, { job: job.name, key: `key-${name}`, body })
    await until(`${point.process} died at ${name}`, async () => world.crashed(point.process))
    await world.settle()
    // The client has no answer, or it has one; with its key it may ask again in either case.
    const again = await orderSavepoint(world.system.api, { job: job.name, key: `key-${name}`, body })
    world.calls.push(call, again)
    expect(again.status).toBeLessThan(300)

    const rows = await until(`the savepoint of ${job.name} is settled`, async () => {
      const { snapshots } = await readRemains()
      const own = snapshots.filter((snapshot) => snapshot.job === job.name)
      return own.length > 0 && own.every(({ settledAt }) => settledAt !== null) && own
    })
    expect(rows.map(({ id, status }: SnapshotRecord) => [id, status])).toEqual([
      [again.snapshotId, 'Present'],
    ])
    const taken = cluster.flink.acceptLog.filter(({ jobName }) => jobName === job.name)
    expect(taken.filter(({ outcome }) => outcome === 'completed')).toHaveLength(1)
    expect(taken).toHaveLength(name === 'attempt-begun' ? 2 : 1)
  })

  it('and every invariant holds', async () => {
    const history = {
      seed: 0,
      limits: LIMITS,
      disturbances: world.disturbances,
      faultsEndedAt: Date.now(),
      openAtFaultsEnd: 0,
      drainedAt: Date.now(),
      ...(await readRemains()),
    }
    expect(checkHistory(history).violations).toEqual([])
  })
})

const readRemains = () => world.collect()
