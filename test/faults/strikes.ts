/** The faults of a random run. Each draws its numbers when it is planned, so that a seed repeats them; it ends by itself. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { ProxyFault } from '../../dev/services/tcp-proxy.ts'
import { JOB_OPTIONS } from '../../src/queue/catalog.ts'
import { openProducer } from '../../src/queue/connection.ts'
import type { ScriptedFlink } from '../support/simulated-flink.ts'
import { orderSavepoint } from './clients.ts'
import type { Random } from './random.ts'
import type { StoreFault } from './store.ts'
import { clearSome } from './wishing-clients.ts'
import { type Cluster, type FlinkJob, killBackends, LIMITS, type Seat, type World } from './world.ts'

export type Strike = (world: World) => Promise<unknown>
/** Draws everything random now; the strike itself draws nothing. */
type Plan = (random: Random) => Strike

const seatOf = (random: Random) => {
  const index = random.int(0, 1)
  return (world: World): Seat => choose(world.workers, index)
}

/** One cluster and one of its jobs, whatever their number. */
const targetOf = (random: Random) => {
  const [first, second] = [random.int(0, 99), random.int(0, 99)]
  return (world: World): { cluster: Cluster; job: FlinkJob } => {
    const cluster = choose(world.clusters, first)
    return { cluster, job: choose(cluster.jobs, second) }
  }
}

function choose<Item>(items: readonly Item[], number: number): Item {
  const item = items[number % items.length]
  if (item === undefined) throw new Error('nothing to choose from')
  return item
}

const network =
  (what: string, draw: (random: Random) => ProxyFault): Plan =>
  (random) => {
    const [target, fault, ms] = [targetOf(random), draw(random), random.int(300, 1_500)]
    return (world) =>
      world.disturb(what, async () => {
        const { proxy } = target(world).cluster
        proxy.set(fault)
        if (random.chance(0.5)) proxy.breakAll('reset')
        await sleep(ms)
        proxy.clear()
      })
  }

const CLEARED_MEANWHILE = 4

/** Something is being cleared meanwhile: most of what a store does wrong matters to nobody else. */
const store =
  (
    what: string,
    draw: (random: Random) => StoreFault,
    [shortest, longest]: readonly [number, number] = [400, 1_500],
  ): Plan =>
  (random) => {
    const [fault, ms] = [draw(random), random.int(shortest, longest)]
    return (world) =>
      world.disturb(what, async () => {
        world.store.set(fault)
        const clearing = clearSome(world.system.api, world, CLEARED_MEANWHILE)
        await sleep(ms)
        world.store.clear()
        await clearing
      })
  }

const TRANSIENT = 'The maximum number of queued checkpoint requests exceeded.'

export const STRIKES = {
  'worker killed': (random) => {
    const seat = seatOf(random)
    return async (world) => seat(world).current.child.kill('SIGKILL')
  },
  'API killed': () => async (world) => world.server.current.child.kill('SIGKILL'),
  'worker frozen past its lease': (random) => {
    const [seat, ms] = [seatOf(random), LIMITS.leaseMs + random.int(100, 900)]
    return (world) =>
      world.disturb('worker frozen', async () => {
        const chosen = seat(world)
        const { child } = chosen.current
        chosen.frozen = true
        child.kill('SIGSTOP')
        await sleep(ms)
        child.kill('SIGCONT')
        chosen.frozen = false
      })
  },
  'Redis flushed': (random) => {
    const times = random.int(1, 4)
    return async ({ redis }) => {
      for (let done = 0; done < times; done++) {
        await withRedis(redis.url, (client) => client.flushall())
        await sleep(300)
      }
    }
  },
  'Redis restarted empty': (random) => {
    const downMs = random.int(0, 1_500)
    return async ({ redis }) => {
      await redis.kill()
      await sleep(downMs)
      await redis.restart({ empty: true })
    }
  },
  'Redis clients killed': () => async (world) =>
    withRedis(world.redis.url, (client) => client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')),
  'Postgres backends killed': (random) => {
    const times = random.int(1, 3)
    return (world) =>
      world.disturb('Postgres backends killed', async () => {
        for (let done = 0; done < times; done++) {
          await killBackends(world.system.databaseUrl)
          await sleep(200)
        }
      })
  },
  'queue jobs twice': () => async (world) => {
    const { REDIS_URL = '', TIDEMARK_QUEUE_PREFIX = '' } = world.system.env
    const backend = { kind: 'redis', url: REDIS_URL, prefix: TIDEMARK_QUEUE_PREFIX } as const
    const producer = await openProducer(backend, { onError: () => undefined })
    try {
      await producer.ping().catch(() => sleep(300))
      for (let nudges = 0; nudges < 60; nudges++) {
        await producer.add('savepoints-due', {}, JOB_OPTIONS).catch(() => undefined)
        await sleep(10)
      }
    } finally {
      await producer.close()
    }
  },
  'network slow': network('network slow', (random) => ({ kind: 'latency', ms: random.int(50, 700) })),
  'network cut': network('network cut', () => ({ kind: 'refuse' })),
  'network silent': network('network silent', () => ({ kind: 'blackhole' })),
  'half a body': network('half a body', (random) => ({
    kind: 'break-answer',
    afterBytes: random.int(1, 400),
    ending: random.pick(['cut', 'reset', 'hang']),
  })),
  'answers lost': network('answers lost', () => ({ kind: 'break-answer', afterBytes: 0, ending: 'reset' })),
  'store slows down': store('store slows down', () => ({ kind: 'slow-down' })),
  'store refuses keys': store('store refuses keys', () => ({ kind: 'refuses-keys' }), [1_500, 2_500]),
  'store silent after effect': store('store silent', () => ({ kind: 'silent-after-effect' })),
  'store answers half': store('store answers half', () => ({ kind: 'half-an-answer' })),
  'store lists what is deleted': store(
    'store lists what is deleted',
    (random) => ({ kind: 'lists-deleted', forMs: random.int(1_500, 3_000) }),
    [400, 3_500],
  ),
  'store cut off': (random) => {
    const ms = random.int(300, 1_500)
    return ({ disturb, store: { proxy } }) =>
      disturb('store cut off', async () => {
        proxy.set({ kind: 'refuse' })
        proxy.breakAll('reset')
        await sleep(ms)
        proxy.clear()
      })
  },
  'answer to a trigger lost': (random) => {
    const [target, kind] = [targetOf(random), random.pick(['reply-lost', 'half-body', 'refused'] as const)]
    return async (world) => {
      target(world).cluster.faults.reply({ route: 'triggerSavepoint', times: 2 }, { kind })
    }
  },
  'slow savepoints': (random) => {
    const [target, durationMs] = [targetOf(random), random.int(700, 2_500)]
    return async (world) => {
      const { cluster, job } = target(world)
      cluster.faults.snapshot({ jobName: job.name, times: 2 }, { durationMs })
    }
  },
  'completion after the deadline': (random) => {
    // Longer than any deadline a client gives, from the moment that Flink has begun.
    const [target, ms] = [targetOf(random), random.int(4_200, 4_800)]
    return async (world) => {
      const { cluster, job } = target(world)
      const held = cluster.faults.holdSnapshot({ jobName: job.name, times: 2 })
      world.cleanUps.push(held.release)
      const order = { job: job.name, key: null, body: { timeoutSeconds: 1 } }
      // Another client's savepoint may be in the way; the hold then catches that one first.
      for (let tries = 0; tries < 8; tries++) {
        const call = await orderSavepoint(world.system.api, order)
        world.calls.push(call)
        if (call.status === 202) break
        await sleep(200)
      }
      await sleep(ms)
      held.release()
    }
  },
  'COMPLETED with a failure, for once': (random) => {
    const target = targetOf(random)
    return async (world) => {
      const { cluster, job } = target(world)
      const failure = { kind: 'coordinator', text: TRANSIENT } as const
      cluster.faults.snapshot({ jobName: job.name, times: 2 }, { failure, durationMs: 100 })
    }
  },
  'COMPLETED with a failure, for good': (random) => {
    const [target, kind] = [targetOf(random), random.pick(['expired', 'task'] as const)]
    return async (world) => {
      const { cluster, job } = target(world)
      if (kind === 'task') cluster.faults.failTask({ jobName: job.name }, 'the ledger is closed')
      else cluster.faults.snapshot({ jobName: job.name }, { failure: { kind }, durationMs: 200 })
    }
  },
  'JobManager replaced': (random) => {
    const [target, downMs, electionMs] = [targetOf(random), random.int(50, 800), random.int(50, 400)]
    return (world) =>
      world.disturb('JobManager replaced', () =>
        target(world).cluster.flink.restartJobManager({ ha: true, downMs, electionMs }),
      )
  },
  'TaskManager lost': (random) => {
    const target = targetOf(random)
    return async (world) => {
      const { cluster, job } = target(world)
      cluster.flink.loseTaskManager(job.id)
    }
  },
  rescaled: (random) => {
    const target = targetOf(random)
    return async (world) => {
      const { cluster, job } = target(world)
      cluster.flink.rescaleJob(job.id)
    }
  },
  'tasks not running': (random) => {
    const [target, ms] = [targetOf(random), random.int(300, 1_200)]
    return async (world) => {
      const { cluster, job } = target(world)
      cluster.flink.setTasksRunning(job.id, false)
      await sleep(ms)
      if (cluster.flink.findJob(job.id)) cluster.flink.setTasksRunning(job.id, true)
    }
  },
  'job cancelled': (random) => {
    const target = targetOf(random)
    return async (world) => {
      const { cluster, job } = target(world)
      world.endedFlinkJobs.push(job.id)
      cluster.flink.cancelJob(job.id)
      await sleep(600)
      const { id } = cluster.flink.addJob({ name: job.name, parallelism: 2 })
      job.id = id
    }
  },
  'job under another id': (random) => {
    const target = targetOf(random)
    return async (world) => {
      const { cluster, job } = target(world)
      world.endedFlinkJobs.push(job.id)
      job.id = cluster.flink.redeployJob(job.id).id
      world.cleanUps.push(() => checkpointForAWhile(cluster.flink, job))
    }
  },
} as const satisfies Record<string, Plan>

export type StrikeName = keyof typeof STRIKES
export const STRIKE_NAMES = Object.keys(STRIKES) as StrikeName[]

/**
 * A savepoint of a run that nobody lists is not given up before its job has moved on: a later run has completed a checkpoint
 * (`product.md` §2). These jobs take none by themselves.
 */
function checkpointForAWhile(flink: ScriptedFlink['flink'], job: { id: string }): void {
  for (const ms of [100, 1_000, 2_000, 4_000, 8_000]) {
    setTimeout(() => {
      try {
        flink.triggerCheckpoint(job.id)
      } catch {
        // stopped, or its tasks do not run just now
      }
    }, ms).unref()
  }
}

async function withRedis(url: string, work: (client: Redis) => Promise<unknown>): Promise<void> {
  const client = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 0, retryStrategy: () => null })
  client.on('error', () => undefined)
  try {
    await client.connect()
    await work(client)
  } catch {
    // another fault has it down right now
  } finally {
    client.disconnect()
  }
}
