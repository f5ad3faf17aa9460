/**
 * What every end-to-end test of managed jobs stands on: a Flink, an installation of ours that reaches it through a watched
 * address, and jobs that only we start. What a job really began with is read from its own output (`readCounters`).
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { type Counters, obeyNothing, readCounters } from '../../dev/flink/control-dir.ts'
import { getJson } from '../../dev/flink/rest.ts'
import { cancelJob, sampleJobArguments } from '../../dev/flink/submit.ts'
import type { LifecycleOperation } from '../../src/domain/operation.ts'
import type { Run } from '../../src/domain/run.ts'
import type { Snapshot } from '../../src/domain/snapshot.ts'
import { type ApiAnswer, until } from '../support/api.ts'
import { type FlinkJobUnderTest, handleJob } from '../support/flink-job-under-test.ts'
import { type FlinkUnderTest, type OpenFlink, SAMPLE_CLASS } from '../support/flink-under-test.ts'
import type { StorageKind } from '../support/savepoint-storage.ts'
import { startSystem, type TestSystem } from '../support/system.ts'
import { startWatchedAddress, type WatchedAddress } from '../support/watched-address.ts'
import { create, type Problem } from './scene.ts'

/** Of the sample job: so many events per second, over so many keys. */
export const RATE = 500
export const KEYS = 100
/** More than Flink keeps inside `_metadata` (20 kB a subtask), so that a savepoint under way can be seen by its files. */
const BYTES_PER_KEY = 1_000

export const RUN_JAR = { method: 'POST', path: /^\/jars\/[^/]+\/run$/ }
export const UPLOAD_JAR = { method: 'POST', path: /^\/jars\/upload$/ }
export const STOP = { method: 'POST', path: /^\/jobs\/[^/]+\/stop$/ }
export const SAVEPOINT = { method: 'POST', path: /^\/jobs\/[^/]+\/savepoints$/ }
export const CANCEL = { method: 'PATCH', path: /^\/jobs\/[^/]+$/ }

/** Of a version; what is left out has what `newJob` gives it. */
export type VersionInput = {
  parallelism?: number
  maxParallelism?: number
  checkpointing?: Record<string, unknown>
  extraOperator?: boolean
  /** Appended to those of the sample job. */
  programArgs?: readonly string[]
  artifact?: string | null
  /** Taken over as it is. */
  more?: Record<string, unknown>
}

type CallOptions = { key?: string; waitSeconds?: number }

export type ManagedJob = {
  readonly name: string
  readonly controlDir: string
  readonly checkpointDir: string
  /** Answers the number. */
  addVersion(version?: VersionInput): Promise<number>
  start(body?: object, options?: CallOptions): Promise<ApiAnswer<LifecycleOperation>>
  stop(body?: object, options?: CallOptions): Promise<ApiAnswer<LifecycleOperation>>
  refusedStart(body?: object): Promise<ApiAnswer<Problem & Record<string, unknown>>>
  refusedStop(body?: object): Promise<ApiAnswer<Problem & Record<string, unknown>>>
  /** Must succeed. Answers once the operation has ended. */
  started(body?: object): Promise<LifecycleOperation>
  stopped(body?: object): Promise<LifecycleOperation>
  /** The newest first. */
  runs(): Promise<Run[]>
  run(): Promise<Run>
  untilRun(wanted: (run: Run) => boolean, withinMs?: number): Promise<Run>
  /** The newest run as Flink has it. */
  inFlink(): Promise<FlinkJobUnderTest>
  /** How many jobs of its name Flink lists, ended ones included. */
  countInFlink(): Promise<number>
  list(query?: string): Promise<Snapshot[]>
  /** A checkpoint of the newest run that we know of. */
  untilCheckpoint(): Promise<Snapshot>
  counters(): Promise<Counters>
  untilCounted(events: number): Promise<Counters>
  get<Body>(path: string): Promise<ApiAnswer<Body>>
}

export type ManagedScene = {
  readonly flink: FlinkUnderTest
  readonly system: TestSystem
  readonly address: WatchedAddress
  /** Of the sample job's jar. */
  readonly artifact: string
  /** With version 1, not started. */
  newJob(version?: VersionInput): Promise<ManagedJob>
  /** Without any version. */
  newJobWithoutVersion(): Promise<ManagedJob>
  /** Until it has ended, however; the steps it shows are then final. */
  ended(operationId: string, withinMs?: number): Promise<LifecycleOperation>
  read(snapshotId: string): Promise<Snapshot>
  /** Ends what a test has left running. */
  endJobs(): Promise<void>
  close(): Promise<void>
}

let names = 0

export async function openManagedScene(
  name: string,
  openFlink: OpenFlink,
  { storage, env = {} }: { storage: StorageKind; env?: Record<string, string> },
): Promise<ManagedScene> {
  const closes: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (const one of closes.splice(0).reverse()) await one()
  }
  try {
    const flink = await openFlink(storage)
    closes.push(() => flink.stop())
    const address = await startWatchedAddress(flink.url)
    closes.push(() => address.stop())
    const system = await startSystem({ name, env: { ...flink.storage.env, ...env } })
    closes.push(() => system.stop())
    return await prepare({ flink, address, system, close })
  } catch (error) {
    await close()
    throw error
  }
}

type Opened = Pick<ManagedScene, 'flink' | 'address' | 'system' | 'close'>

async function prepare(opened: Opened): Promise<ManagedScene> {
  const { flink, address, system } = opened
  await create(system, 'clusters', { name: 'flink', url: address.url })
  await create(system, 'storages', { name: 'state', ...flink.storage.input })
  const { body } = await uploadArtifact(system, await flink.readJar())
  const artifact = String(body['artifact'])
  const controlDirs: string[] = []
  const newJobWithoutVersion = async () => {
    names += 1
    const controlDir = await mkdtemp(join(tmpdir(), 'tidemark-control-'))
    controlDirs.push(controlDir)
    const job = { name: `managed-${names}`, cluster: 'flink', savepointStorage: 'state' }
    await create(system, 'jobs', job)
    return handleManaged({ ...opened, artifact, name: job.name, controlDir })
  }
  return {
    ...opened,
    artifact,
    newJobWithoutVersion,
    async newJob(version) {
      const job = await newJobWithoutVersion()
      await job.addVersion(version)
      return job
    },
    ended: (id, withinMs) => untilEnded(system, id, withinMs),
    read: async (id) => (await system.api.call<Snapshot>('GET', `/v1/snapshots/${id}`)).body,
    async endJobs() {
      await Promise.all(controlDirs.map(obeyNothing))
      const live = (await listFlinkJobs(flink.url)).filter(({ state }) => !ENDED.includes(state))
      await Promise.all(live.map(({ jid }) => cancelJob(flink.url, jid).catch(() => undefined)))
      await Promise.all(controlDirs.splice(0).map((dir) => rm(dir, { recursive: true, force: true })))
      address.check()
    },
  }
}

/** The body is the jar itself, so this is no call of `Api`. */
export async function uploadArtifact(
  { api, env }: TestSystem,
  jar: Uint8Array,
  type = 'application/java-archive',
): Promise<{ status: number; body: Record<string, unknown> }> {
  const token = /(?:^|,)default:([^,]+)/.exec(env['TIDEMARK_TOKENS'] ?? '')?.[1]
  const answer = await fetch(`${api.url}/v1/artifacts?storage=state`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': type },
    body: jar,
  })
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
}

// ---------------------------------------------------------------------------------------------------- one job

type Given = Opened & { artifact: string; name: string; controlDir: string }

function handleManaged(given: Given): ManagedJob {
  const { flink, system, name, controlDir } = given
  const path = `/v1/jobs/${name}`
  const checkpointDir = `${String(flink.storage.input['uri'])}/checkpoints/${name}`
  const call = (verb: 'start' | 'stop') => (body: object, options: CallOptions) =>
    system.api.call<LifecycleOperation>('POST', `${path}/${verb}`, { body, headers: headersOf(options) })
  const [start, stop] = [call('start'), call('stop')]
  const refused = (verb: 'start' | 'stop', body: object) =>
    system.api.call<Problem & Record<string, unknown>>('POST', `${path}/${verb}`, { body })
  const succeeded = async (accepted: Promise<ApiAnswer<LifecycleOperation>>) => {
    const { status, body } = await accepted
    expect(status, JSON.stringify(body)).toBe(202)
    const operation = await untilEnded(system, body.id)
    expect(operation.status, JSON.stringify(operation, null, 1)).toBe('SUCCEEDED')
    return operation
  }
  const runs = async () => (await system.api.call<{ items: Run[] }>('GET', `${path}/runs`)).body.items
  const run = async () => {
    const [newest] = await runs()
    if (newest === undefined) throw new Error(`${name} has no run`)
    return newest
  }
  const list = async (query = 'kind=SAVEPOINT') =>
    (await system.api.call<{ items: Snapshot[] }>('GET', `${path}/snapshots?pageSize=200&${query}`)).body
      .items
  return {
    name,
    controlDir,
    checkpointDir,
    async addVersion(version = {}) {
      const body = versionBody(given, checkpointDir, version)
      return (await create<{ number: number }>(system, `jobs/${name}/versions`, body)).number
    },
    start: (body = {}, options = {}) => start(body, options),
    stop: (body = {}, options = {}) => stop(body, options),
    refusedStart: (body = {}) => refused('start', body),
    refusedStop: (body = {}) => refused('stop', body),
    started: (body = {}) => succeeded(start(body, {})),
    stopped: (body = {}) => succeeded(stop(body, {})),
    runs,
    run,
    untilRun: (wanted, withinMs = 60_000) =>
      until(
        `the run of ${name} is as awaited`,
        async () => {
          const [newest] = await runs()
          return newest && wanted(newest) && newest
        },
        withinMs,
      ),
    async inFlink() {
      const { flinkJobId: id } = await run()
      return handleJob({ url: flink.url, id, name, controlDir, storage: flink.storage })
    },
    countInFlink: async () => (await listFlinkJobs(flink.url)).filter((job) => job.name === name).length,
    list,
    async untilCheckpoint() {
      const { id } = await run()
      return until(
        `a checkpoint of ${name}`,
        async () => (await list('kind=CHECKPOINT&status=Present')).find((snapshot) => snapshot.run === id),
        60_000,
      )
    },
    counters: () => readCounters(controlDir),
    untilCounted: (events) =>
      until(
        `${name} has counted ${events} events`,
        async () => {
          const counters = await readCounters(controlDir)
          return (counters.total ?? 0) >= events && counters
        },
        60_000,
      ),
    get: (below) => system.api.call('GET', `${path}${below}`),
  }
}

const headersOf = ({ key, waitSeconds }: CallOptions): Record<string, string> => ({
  ...(key !== undefined && { 'idempotency-key': key }),
  ...(waitSeconds !== undefined && { prefer: `wait=${waitSeconds}` }),
})

/** Checkpoints lie below the root of the storage, so that we can look for them. */
function versionBody(
  { artifact, name, controlDir }: Given,
  checkpointDir: string,
  version: VersionInput,
): Record<string, unknown> {
  const { parallelism = 2, maxParallelism, checkpointing, extraOperator = false, programArgs = [] } = version
  const sample = { name, rate: RATE, keys: KEYS, bytesPerKey: BYTES_PER_KEY, controlDir, extraOperator }
  return {
    ...(version.artifact !== null && { artifact: version.artifact ?? artifact }),
    entryClass: SAMPLE_CLASS,
    programArgs: [...sampleJobArguments(sample), ...programArgs],
    parallelism,
    ...(maxParallelism !== undefined && { maxParallelism }),
    checkpointing: {
      intervalMs: 2_000,
      // Read from the cluster's configuration alone, where the suite says the same.
      numRetained: NUM_RETAINED,
      storage: { type: 'filesystem', dir: checkpointDir },
      ...checkpointing,
    },
    ...version.more,
  }
}

export const NUM_RETAINED = 2

/** Nothing may be stuck: every operation ends, at the latest a little after its deadline. */
const untilEnded = (system: TestSystem, id: string, withinMs = 90_000): Promise<LifecycleOperation> =>
  until(
    `operation ${id} has ended`,
    async () => {
      const { body } = await system.api.call<LifecycleOperation>('GET', `/v1/operations/${id}`)
      return body.status !== 'RUNNING' && body
    },
    withinMs,
  )

const ENDED = ['FINISHED', 'CANCELED', 'FAILED']

const listFlinkJobs = async (url: string): Promise<{ jid: string; name: string; state: string }[]> =>
  (await getJson<{ jobs: { jid: string; name: string; state: string }[] }>(url, '/jobs/overview')).jobs
