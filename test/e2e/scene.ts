/** What every end-to-end test of savepoints stands on: a Flink, an installation of ours, and jobs that both know. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { Snapshot, Transition } from '../../src/domain/snapshot.ts'
import { type ApiAnswer, until } from '../support/api.ts'
import type {
  FlinkJobUnderTest,
  FlinkUnderTest,
  OpenFlink,
  StartOptions,
} from '../support/flink-under-test.ts'
import type { StorageKind } from '../support/savepoint-storage.ts'
import { startSystem, type TestSystem } from '../support/system.ts'

export type Problem = {
  code: string
  status: number
  detail: string
  savepoint?: string
  errors?: { pointer: string; detail: string }[]
}

export type Scene = {
  readonly flink: FlinkUnderTest
  readonly system: TestSystem
  newJob(options?: NewJob): Promise<SceneJob>
  read(snapshotId: string): Promise<Snapshot>
  transitions(snapshotId: string): Promise<Transition[]>
  untilStatus(snapshotId: string, status: Snapshot['status'], withinMs?: number): Promise<Snapshot>
  /** Kills every worker; the next one has `env`, say a crash point. */
  replaceWorkers(env?: Record<string, string>): Promise<void>
  /** SIGSTOP: what a worker holds it keeps, and it does not know that time passes. */
  freezeWorkers(): void
  thawWorkers(): void
  /** Cancels the jobs of one test. */
  endJobs(): Promise<void>
  close(): Promise<void>
}

export type NewJob = Omit<StartOptions, 'name'> & { attachBy?: 'id' | 'name' }

export type SceneJob = {
  /** Our name of it, and Flink's. */
  readonly name: string
  readonly flink: FlinkJobUnderTest
  /** Waits for the end when `waitSeconds` is given. */
  savepoint(
    body?: Record<string, unknown>,
    options?: { waitSeconds?: number; key?: string },
  ): Promise<ApiAnswer<Snapshot>>
  refusedSavepoint(body?: Record<string, unknown>): Promise<ApiAnswer<Problem>>
  /** The newest 200 savepoints; `query` asks for others, as in `kind=CHECKPOINT&status=Present`. */
  list(query?: string): Promise<Snapshot[]>
  /** Anything below the job's own path. */
  get<Body>(path: string): Promise<ApiAnswer<Body>>
  /** Until the savepoint that was asked for is really under way in Flink. */
  untilTaken(count?: number): Promise<void>
  /** Until Flink says that it has completed a savepoint, whatever we know. */
  untilCompletedInFlink(): Promise<void>
}

let names = 0

export async function openScene(
  name: string,
  openFlink: OpenFlink,
  storageKind: StorageKind,
  env: Record<string, string> = {},
): Promise<Scene> {
  const flink = await openFlink(storageKind)
  try {
    return await openSystem(name, flink, env)
  } catch (error) {
    await flink.stop()
    throw error
  }
}

async function openSystem(name: string, flink: FlinkUnderTest, env: Record<string, string>): Promise<Scene> {
  const system = await startSystem({
    name,
    env: { ...flink.storage.env, TIDEMARK_RESCALE_SETTLE_MS: '500', ...env },
  })
  await create(system, 'clusters', { name: 'flink', url: flink.url })
  await create(system, 'storages', { name: 'savepoints', ...flink.storage.input })
  const jobs: SceneJob[] = []
  const read = async (id: string) => (await system.api.call<Snapshot>('GET', `/v1/snapshots/${id}`)).body
  return {
    flink,
    system,
    async newJob({ attachBy = 'name', ...options } = {}) {
      names += 1
      const job = await startJob(
        system,
        await flink.startJob({ name: `orders-${names}`, ...options }),
        attachBy,
      )
      jobs.push(job)
      return job
    },
    read,
    transitions: async (id) =>
      (await system.api.call<{ items: Transition[] }>('GET', `/v1/snapshots/${id}/transitions`)).body.items,
    untilStatus: (id, status, withinMs = 60_000) =>
      until(
        `snapshot ${id} is ${status}`,
        async () => {
          const snapshot = await read(id)
          return snapshot.status === status && snapshot
        },
        withinMs,
      ),
    async replaceWorkers(env) {
      await Promise.all(system.workers.splice(0).map((worker) => worker.kill()))
      await system.startWorker(env)
    },
    freezeWorkers: () => system.workers.forEach((worker) => void worker.child.kill('SIGSTOP')),
    thawWorkers: () => system.workers.forEach((worker) => void worker.child.kill('SIGCONT')),
    async endJobs() {
      await Promise.all(jobs.splice(0).map((job) => job.flink.cancel().catch(() => undefined)))
    },
    async close() {
      await system.stop()
      await flink.stop()
    },
  }
}

export async function create<Body = { id: string }>(
  system: TestSystem,
  what: string,
  body: Record<string, unknown>,
): Promise<Body> {
  const answer = await system.api.call<Body>('POST', `/v1/${what}`, { body })
  expect(answer.status, JSON.stringify(answer.body)).toBe(201)
  return answer.body
}

async function startJob(
  system: TestSystem,
  flink: FlinkJobUnderTest,
  attachBy: 'id' | 'name',
): Promise<SceneJob> {
  const { name } = flink
  const attach = attachBy === 'id' ? { flinkJobId: flink.id } : { flinkJobName: name }
  await create(system, 'jobs', { name, cluster: 'flink', savepointStorage: 'savepoints', attach })
  const path = `/v1/jobs/${name}`
  await until(`${name} is observed`, async () => {
    const { body } = await system.api.call<{ run: { state: string } | null }>('GET', path)
    return body.run?.state === 'RUNNING'
  })
  return {
    name,
    flink,
    savepoint: (body = {}, { waitSeconds, key } = {}) =>
      system.api.call<Snapshot>('POST', `${path}/savepoints`, {
        body,
        headers: {
          ...(waitSeconds !== undefined && { prefer: `wait=${waitSeconds}` }),
          ...(key !== undefined && { 'idempotency-key': key }),
        },
      }),
    refusedSavepoint: (body = {}) => system.api.call<Problem>('POST', `${path}/savepoints`, { body }),
    list: async (query = 'kind=SAVEPOINT') =>
      (await system.api.call<{ items: Snapshot[] }>('GET', `${path}/snapshots?pageSize=200&${query}`)).body
        .items,
    get: (below) => system.api.call('GET', `${path}${below}`),
    untilTaken: (count = 1) =>
      until('Flink takes the savepoint', async () => {
        const { history } = await flink.statistics()
        return history.filter((entry) => entry.is_savepoint).length >= count
      }).then(() => undefined),
    untilCompletedInFlink: () =>
      until(
        'Flink has completed the savepoint',
        async () => (await flink.statistics()).latest.savepoint !== null,
      ).then(() => undefined),
  }
}

/** Ended in Flink, and seen as ended by us. */
export async function cancelAndObserve(scene: Scene, job: SceneJob): Promise<void> {
  await job.flink.cancel()
  await until(`the end of ${job.name} is observed`, async () => {
    const { body } = await scene.system.api.call<{ run: { state: string } }>('GET', `/v1/jobs/${job.name}`)
    return body.run.state === 'CANCELED'
  })
}

/** Flink's own count of the savepoints that this execution of the job began, whatever became of them. */
export async function countSavepoints(job: SceneJob): Promise<number> {
  await sleep(200)
  const { history } = await job.flink.statistics()
  return history.filter((entry) => entry.is_savepoint).length
}
