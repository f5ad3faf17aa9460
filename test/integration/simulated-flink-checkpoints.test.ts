/** What the simulated Flink tells of checkpoints and runs, as real ones (1.20.4 and 2.3.0) were seen to do it. */
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { readMetadata } from '../../src/metadata/read-metadata.ts'
import { listReferencedFiles } from '../../src/metadata/referenced-files.ts'
import type { Clock } from '../../src/simulated-flink/clock.ts'
import type { JobOptions, SimulatedFlinkOptions } from '../../src/simulated-flink/start.ts'
import type { CheckpointStatistic, Statistics } from '../support/flink-job-under-test.ts'
import { type ScriptedFlink, startScriptedFlink } from '../support/simulated-flink.ts'

const JOB = 'abcdef'.padEnd(32, '0')

let directory: string
let scripted: ScriptedFlink | null = null

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'simulated-checkpoints-'))
})
afterEach(async () => {
  await scripted?.flink.stop()
  scripted = null
  await rm(directory, { recursive: true, force: true, maxRetries: 5 })
})

/** A cluster with one running job, `orders`, whose checkpoints the test triggers. */
async function start(job: Partial<JobOptions> = {}, options: SimulatedFlinkOptions = {}) {
  scripted = await startScriptedFlink({
    checkpointDir: `file://${directory}/ck`,
    savepointDurationMs: 1,
    restartDelayMs: 10,
    jobDefaults: { checkpointDurationMs: 1 },
    seedJobs: [{ name: 'orders', id: JOB, parallelism: 2, stateBytes: 20_000, ...job }],
    ...options,
  })
  const { flink, faults } = scripted
  const get = async <T>(path: string): Promise<T> => (await (await fetch(flink.url + path)).json()) as T
  const statistics = (id = JOB) => get<Statistics>(`/jobs/${id}/checkpoints`)
  /** Until `count` more are through, one after the other. */
  const checkpoints = async (count: number, id = JOB) => {
    for (let i = 0; i < count; i++) {
      const number = flink.triggerCheckpoint(id)
      await vi.waitFor(
        async () => {
          const entry = (await statistics(id)).history.find((each) => each.id === number)
          expect(entry?.status ?? 'COMPLETED').not.toBe('IN_PROGRESS')
        },
        { interval: 2 },
      )
    }
  }
  const stored = async (id = JOB): Promise<number[]> =>
    (await readdir(`${directory}/ck/${id}`).catch(() => []))
      .flatMap((name) => /^chk-(\d+)$/.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b)
  const untilStored = (numbers: number[], id = JOB) =>
    vi.waitFor(async () => expect(await stored(id)).toEqual(numbers))
  const post = async (path: string, body: object) => {
    const response = await fetch(flink.url + path, { method: 'POST', body: JSON.stringify(body) })
    return (await response.json()) as Record<string, string>
  }
  const untilState = (state: string, id = JOB) =>
    vi.waitFor(() => expect(flink.findJob(id)?.state).toBe(state))
  return { flink, faults, get, post, statistics, checkpoints, stored, untilStored, untilState }
}

const idsOf = (entries: CheckpointStatistic[]) => entries.map(({ id }) => id)
const toPath = (place: string): string => place.replace(/^file:\/*/, '/')

describe('the history', () => {
  it('keeps exactly the newest N, discards the others and forgets all but ten', async () => {
    const { checkpoints, statistics, untilStored } = await start({ numRetained: 3 })
    await checkpoints(12)
    const { counts, latest, history } = await statistics()
    expect(counts).toEqual({ restored: 0, total: 12, in_progress: 0, completed: 12, failed: 0 })
    expect(idsOf(history)).toEqual([12, 11, 10, 9, 8, 7, 6, 5, 4, 3])
    expect(idsOf(history.filter(({ discarded }) => !discarded))).toEqual([12, 11, 10])
    expect(latest).toMatchObject({ completed: { id: 12 }, savepoint: null, failed: null, restored: null })
    await untilStored([10, 11, 12])
  })

  it('takes a number below 1 for 1', async () => {
    const { checkpoints, untilStored } = await start({ numRetained: 0 })
    await checkpoints(3)
    await untilStored([3])
  })

  it('shows a savepoint that somebody else triggered, apart from the checkpoints', async () => {
    const { checkpoints, statistics, post } = await start({ numRetained: 1 })
    await checkpoints(1)
    const answer = await post(`/jobs/${JOB}/savepoints`, { 'target-directory': `${directory}/sp` })
    expect(answer['request-id']).toMatch(/^[0-9a-f]{32}$/)
    await vi.waitFor(async () => expect((await statistics()).latest.savepoint?.id).toBe(2))
    await checkpoints(2)
    const { latest, history } = await statistics()
    expect(latest).toMatchObject({ completed: { id: 4 }, savepoint: { id: 2, discarded: false } })
    expect(history.map((entry) => [entry.id, entry.is_savepoint, entry.savepointFormat])).toEqual([
      [4, false, null],
      [3, false, null],
      [2, true, 'CANONICAL'],
      [1, false, null],
    ])
  })

  it('has no place for checkpoints in the memory of the JobManager', async () => {
    const { checkpoints, statistics, get } = await start({}, { jobDefaults: { checkpointDirectory: null } })
    await checkpoints(1)
    expect((await statistics()).latest.completed?.external_path).toBe(
      '<checkpoint-not-externally-addressable>',
    )
    expect(await get(`/jobs/${JOB}/checkpoints/config`)).toMatchObject({
      checkpoint_storage: 'JobManagerCheckpointStorage',
    })
  })
})

describe('checkpoints that fail', () => {
  it('fail as often as they are told, then complete again', async () => {
    const { faults, checkpoints, statistics, untilStored } = await start({ tolerableFailures: 9 })
    await checkpoints(1)
    faults.failCheckpoints({ times: 2 })
    await checkpoints(3)
    const { counts, latest } = await statistics()
    expect(counts).toMatchObject({ total: 4, completed: 2, failed: 2 })
    expect(latest.failed).toMatchObject({ id: 3, failure_message: 'Asynchronous task checkpoint failed.' })
    expect(latest.completed?.id).toBe(4)
    await untilStored([4])
    expect(faults.pending()).toBe(0)
  })

  it('expire', async () => {
    const { faults, checkpoints, statistics } = await start({ tolerableFailures: 9 })
    faults.expireCheckpoints({ jobName: 'orders' })
    await checkpoints(1)
    expect((await statistics()).history).toMatchObject([
      { id: 1, status: 'FAILED', failure_message: 'Checkpoint expired before completing.' },
    ])
  })

  it('fail before an id is given: only the count tells', async () => {
    const { flink, faults, checkpoints, statistics } = await start()
    faults.refuseSnapshot({ kind: 'checkpoint', times: 2 })
    expect([flink.triggerCheckpoint(JOB), flink.triggerCheckpoint(JOB)]).toEqual([null, null])
    expect(await statistics()).toMatchObject({
      counts: { total: 2, failed: 2, completed: 0 },
      latest: { failed: null },
      history: [],
    })
    await checkpoints(1)
    expect((await statistics()).latest.completed?.id).toBe(1)
  })

  it('restart the job when more fail in a row than it tolerates', async () => {
    const { flink, faults, checkpoints, untilState, get, statistics } = await start({ tolerableFailures: 1 })
    await checkpoints(1)
    faults.failCheckpoints({ times: 2 })
    await checkpoints(1)
    expect(flink.findJob(JOB)?.state).toBe('RUNNING')
    await checkpoints(1)
    await untilState('RUNNING')
    const { exceptionHistory } = await get<{ exceptionHistory: { entries: { stacktrace: string }[] } }>(
      `/jobs/${JOB}/exceptions`,
    )
    expect(exceptionHistory.entries[0]?.stacktrace).toContain(
      'Exceeded checkpoint tolerable failure threshold.',
    )
    expect((await statistics()).latest.restored).toMatchObject({ id: 1, is_savepoint: false })
  })
})

describe('what the end of a job leaves', () => {
  type Ending = 'CANCELED' | 'FAILED' | 'FINISHED'
  it.each<[NonNullable<JobOptions['retention']>, Ending, boolean]>([
    ['RETAIN_ON_CANCELLATION', 'CANCELED', true],
    ['RETAIN_ON_CANCELLATION', 'FAILED', true],
    ['RETAIN_ON_CANCELLATION', 'FINISHED', false],
    ['DELETE_ON_CANCELLATION', 'CANCELED', false],
    ['DELETE_ON_CANCELLATION', 'FAILED', true],
    ['DELETE_ON_CANCELLATION', 'FINISHED', false],
    ['NO_EXTERNALIZED_CHECKPOINTS', 'CANCELED', false],
    ['NO_EXTERNALIZED_CHECKPOINTS', 'FAILED', false],
    ['NO_EXTERNALIZED_CHECKPOINTS', 'FINISHED', false],
  ])('%s, %s: kept is %s', async (retention, ending, isKept) => {
    const { flink, post, checkpoints, statistics, untilState, untilStored } = await start({
      retention,
      numRetained: 2,
    })
    await checkpoints(3)
    if (ending === 'CANCELED') flink.cancelJob(JOB)
    else if (ending === 'FAILED') flink.failJob(JOB, 'broken')
    else await post(`/jobs/${JOB}/stop`, { targetDirectory: `${directory}/sp` })
    await untilState(ending)
    await untilStored(isKept ? [2, 3] : [])
    expect((await statistics()).latest.completed).toMatchObject({ id: 3, discarded: !isKept })
  })
})

describe('RocksDB, incremental', () => {
  const rocks = { stateBackend: 'rocksdb', incremental: true } as const
  const sharedFiles = () => readdir(`${directory}/ck/${JOB}/shared`)
  const metadataOf = async (number: number) =>
    readMetadata(await readFile(`${directory}/ck/${JOB}/chk-${number}/_metadata`))

  it('uploads less than the state, and refers to files that earlier checkpoints have uploaded', async () => {
    const { checkpoints, statistics } = await start({ ...rocks, numRetained: 2 })
    await checkpoints(3)
    const { history } = await statistics()
    const [third, second, first] = history
    expect(first?.checkpointed_size).toBe(first?.state_size)
    for (const later of [second, third]) {
      expect(later?.checkpointed_size).toBeLessThan((later?.state_size ?? 0) / 2)
      expect(later?.state_size).toBeGreaterThan(20_000)
    }
    const files = listReferencedFiles(await metadataOf(3)).filter(({ kind }) => kind === 'absolute')
    expect(files).toHaveLength(6)
    for (const { path, size } of files) {
      expect(path).toContain(`/${JOB}/shared/`)
      expect(BigInt((await stat(toPath(path))).size)).toBe(size)
    }
  })

  it('keeps every file that a retained checkpoint refers to, and no other', async () => {
    const { checkpoints } = await start({ ...rocks, numRetained: 2 })
    await checkpoints(15)
    const used = async () => {
      const all = [...listReferencedFiles(await metadataOf(14)), ...listReferencedFiles(await metadataOf(15))]
      return new Set(all.filter(({ kind }) => kind === 'absolute').map(({ path }) => path.split('/').at(-1)))
    }
    await vi.waitFor(async () => expect(new Set(await sharedFiles())).toEqual(await used()))
  })

  it('goes on with the files of a claimed checkpoint, and deletes what no checkpoint refers to any more', async () => {
    const { flink, post, checkpoints, untilState } = await start(
      {},
      { jobDefaults: { checkpointDurationMs: 1, ...rocks } },
    )
    await checkpoints(3)
    flink.cancelJob(JOB)
    await untilState('CANCELED')
    const claimed = `${directory}/ck/${JOB}/chk-3`
    const before = new Set(await sharedFiles())
    const form = new FormData()
    form.append('jarfile', new Blob(['PK'], { type: 'application/x-java-archive' }), 'sample.jar')
    const upload = await fetch(`${flink.url}/jars/upload`, { method: 'POST', body: form })
    const { filename } = (await upload.json()) as { filename: string }
    const { jobid } = await post(`/jars/${filename.split('/').at(-1)}/run`, {
      parallelism: 2,
      savepointPath: `file://${claimed}`,
      claimMode: 'CLAIM',
    })
    const isOld = ({ path }: { path: string }) => path.includes(`/${JOB}/shared/`)
    const referred = async (number: number) =>
      listReferencedFiles(
        await readMetadata(await readFile(`${directory}/ck/${jobid}/chk-${number}/_metadata`)),
      )
        .filter(isOld)
        .map(({ path }) => path.split('/').at(-1))
    await checkpoints(1, String(jobid))
    await vi.waitFor(() => expect(existsSync(claimed)).toBe(false))
    expect(new Set(await referred(4))).toEqual(before)
    // A compaction writes all of it anew.
    await checkpoints(10, String(jobid))
    expect(await referred(14)).toEqual([])
    await vi.waitFor(async () => expect(await sharedFiles()).toEqual([]))
  })

  it('leaves the empty shared directory of a stopped job', async () => {
    const { post, checkpoints, untilState } = await start(rocks)
    await checkpoints(2)
    await post(`/jobs/${JOB}/stop`, { targetDirectory: `${directory}/sp` })
    await untilState('FINISHED')
    await vi.waitFor(async () => expect(await sharedFiles()).toEqual([]))
    expect((await readdir(`${directory}/ck/${JOB}`)).sort()).toEqual(['shared', 'taskowned'])
  })

  it('takes back what a checkpoint that failed had uploaded', async () => {
    const { faults, checkpoints } = await start({ ...rocks, tolerableFailures: 9 })
    await checkpoints(1)
    const before = await sharedFiles()
    faults.failCheckpoints({})
    await checkpoints(1)
    await vi.waitFor(async () => expect(await sharedFiles()).toEqual(before))
  })
})

describe('what a cluster says of itself', () => {
  type Entries = { key: string; value: string }[]

  it('may change: another cluster answers at this address', async () => {
    const { flink, get } = await start({}, { configuration: { 'high-availability.cluster-id': '/one' } })
    const read = async () =>
      (await get<Entries>('/jobmanager/config')).filter(({ key }) => key.endsWith('cluster-id'))
    expect(await read()).toEqual([{ key: 'high-availability.cluster-id', value: '/one' }])
    flink.setConfiguration('high-availability.cluster-id', '/two')
    flink.setConfiguration('kubernetes.cluster-id', 'k8s')
    expect(await read()).toEqual([
      { key: 'high-availability.cluster-id', value: '/two' },
      { key: 'kubernetes.cluster-id', value: 'k8s' },
    ])
    flink.setConfiguration('high-availability.cluster-id', null)
    expect(await read()).toEqual([{ key: 'kubernetes.cluster-id', value: 'k8s' }])
  })

  it('shows the user configuration that a program sets', async () => {
    const { get, post, flink } = await start()
    const form = new FormData()
    form.append('jarfile', new Blob(['PK'], { type: 'application/x-java-archive' }), 'sample.jar')
    const upload = await fetch(`${flink.url}/jars/upload`, { method: 'POST', body: form })
    const { filename } = (await upload.json()) as { filename: string }
    const { jobid } = await post(`/jars/${filename.split('/').at(-1)}/run`, {
      programArgsList: ['--parameter', 'tidemark.version=7', '--parameter', 'owner=a=b'],
      flinkConfiguration: { 'pipeline.global-job-parameters': 'replaced:yes' },
    })
    expect(await get(`/jobs/${jobid}/config`)).toMatchObject({
      'execution-config': { 'user-config': { 'tidemark.version': '7', owner: 'a=b' } },
    })
  })
})

describe('a JobManager that is replaced', () => {
  it('continues with high availability: same id, new start-time, statistics from zero', async () => {
    const { flink, checkpoints, statistics } = await start({ numRetained: 2 })
    await checkpoints(4)
    const before = flink.findJob(JOB)?.startTime ?? 0
    await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(before))
    await flink.restartJobManager({ ha: true })
    expect(await vi.waitFor(() => statistics())).toMatchObject({
      counts: { restored: 1, total: 0 },
      latest: { completed: null, restored: { id: 4, is_savepoint: false } },
      history: [],
    })
    expect(flink.findJob(JOB)?.startTime).toBeGreaterThan(before)
    await checkpoints(1)
    expect((await statistics()).latest.completed?.id).toBe(5)
  })

  it('waits for a TaskManager', async () => {
    const { flink, checkpoints, statistics, untilState, get } = await start()
    await checkpoints(2)
    flink.setTaskManager('gone')
    expect(flink.findJob(JOB)?.state).toBe('RESTARTING')
    await untilState('RUNNING')
    expect(flink.triggerCheckpoint(JOB)).toBeNull()
    expect(await get('/overview')).toMatchObject({ taskmanagers: 0 })
    flink.setTaskManager('there')
    await checkpoints(1)
    expect(await statistics()).toMatchObject({
      counts: { restored: 1, failed: 1 },
      latest: { completed: { id: 3 }, restored: { id: 2 } },
    })
  })
})

describe('application mode', () => {
  const HA = '000000006e6b1332'.padEnd(32, '0')
  const PATH = 'execution.state-recovery.path'

  async function startApplication(configuration: Record<string, string> = {}, job: Partial<JobOptions> = {}) {
    const cluster = await start({}, { seedJobs: [], configuration })
    const first = await cluster.flink.startApplication({ name: 'orders', id: HA, ...job })
    return { ...cluster, first }
  }

  it('begins again at 1 under the same id, and loses the old checkpoints as it meets them', async () => {
    const { flink, checkpoints, statistics, untilStored } = await startApplication(
      {},
      { numRetained: 2, tolerableFailures: 9 },
    )
    await checkpoints(4, HA)
    await untilStored([3, 4], HA)
    const again = await flink.restartApplication({ ha: true })
    expect(again.id).toBe(HA)
    expect(await vi.waitFor(() => statistics(HA))).toMatchObject({
      counts: { restored: 0, total: 0 },
      latest: { restored: null },
    })
    await checkpoints(2, HA)
    await untilStored([1, 2, 3, 4], HA)
    await checkpoints(3, HA)
    const { history } = await statistics(HA)
    expect(history.map(({ id, status }) => [id, status])).toEqual([
      [5, 'COMPLETED'],
      [4, 'FAILED'],
      [3, 'FAILED'],
      [2, 'COMPLETED'],
      [1, 'COMPLETED'],
    ])
    expect(history[1]?.failure_message).toBe('Failure to finalize checkpoint.')
    await untilStored([2, 5], HA)
  })

  it('without high availability restores the configured path each time, under a new id', async () => {
    const { flink, post, statistics, checkpoints } = await start()
    await post(`/jobs/${JOB}/savepoints`, { 'target-directory': `${directory}/sp` })
    await vi.waitFor(async () => expect((await statistics()).latest.savepoint).not.toBeNull())
    const place = (await statistics()).latest.savepoint?.external_path ?? ''
    flink.removeJob(JOB)
    flink.setConfiguration(PATH, place)
    const first = await flink.startApplication({ name: 'orders', parallelism: 2 })
    await checkpoints(3, first.id)
    await flink.restartJobManager({ ha: false })
    const { jobs } = (await vi.waitFor(async () => (await fetch(`${flink.url}/jobs`)).json())) as {
      jobs: { id: string }[]
    }
    expect(jobs).toHaveLength(1)
    const second = jobs[0]?.id ?? ''
    expect(second).not.toBe(first.id)
    expect((await statistics(second)).latest.restored).toMatchObject({ id: 1, external_path: place })

    await rm(toPath(place), { recursive: true })
    await flink.restartJobManager({ ha: false })
    expect(flink.findJob(second)).toBeUndefined()
    await expect(fetch(`${flink.url}/jobs`)).rejects.toThrow()
  })
})

describe('the read cache', () => {
  it('answers the same for three seconds, each job and kind of answer by itself', async () => {
    let now = 1_000_000
    const clock: Clock = { now: () => now, after: (ms, callback) => steps(ms, callback) }
    const { flink, get } = await start({}, { refreshIntervalMs: 3000, clock })
    const state = async () => (await get<{ state: string }>(`/jobs/${JOB}`)).state
    const listed = async () => (await get<{ jobs: { status: string }[] }>('/jobs')).jobs[0]?.status
    const total = async () => (await get<Statistics>(`/jobs/${JOB}/checkpoints`)).counts.total
    const failures = async () =>
      (await get<{ exceptionHistory: { entries: unknown[] } }>(`/jobs/${JOB}/exceptions`)).exceptionHistory
        .entries.length

    expect([await state(), await total()]).toEqual(['RUNNING', 0])
    now += 2000
    flink.triggerCheckpoint(JOB)
    flink.failJob(JOB, 'broken')
    expect([await state(), await failures(), await total()]).toEqual(['RUNNING', 0, 0])
    expect(await listed()).toBe('FAILED')
    now += 999
    expect(await state()).toBe('RUNNING')
    now += 1
    expect([await state(), await failures(), await total()]).toEqual(['FAILED', 1, 1])
  })

  const steps = (ms: number, callback: () => void) => {
    const timer = setTimeout(callback, ms)
    return () => clearTimeout(timer)
  }
})

describe('a fleet', () => {
  it('has a thousand running jobs with a history at once, and answers for each quickly', async () => {
    const { flink, get, statistics } = await start({}, { seedJobs: [] })
    const jobs = flink.seedRunningJobs({ count: 1000, name: (index) => `fleet-${index}`, checkpoints: 25 })
    expect(jobs).toHaveLength(1000)
    expect((await get<{ jobs: unknown[] }>('/jobs/overview')).jobs).toHaveLength(1000)
    const { id = '' } = jobs[999] ?? {}
    const { counts, latest, history } = await statistics(id)
    expect(counts).toMatchObject({ total: 25, completed: 25, failed: 0 })
    expect(idsOf(history)).toEqual([25, 24, 23, 22, 21, 20, 19, 18, 17, 16])
    expect(idsOf(history.filter(({ discarded }) => !discarded))).toEqual([25])
    expect(latest.completed?.external_path).toBe(`file:${directory}/ck/${id}/chk-25`)
    expect(flink.triggerCheckpoint(id)).toBe(26)
    await vi.waitFor(async () => expect((await statistics(id)).latest.completed?.id).toBe(26))
    expect(existsSync(`${directory}/ck/${id}/chk-26/_metadata`)).toBe(true)
  })

  it('makes the answer again only when something has changed', async () => {
    const { checkpoints, statistics } = await start({ numRetained: 1 })
    await checkpoints(1)
    const once = await statistics()
    expect(await statistics()).toEqual(once)
    await checkpoints(1)
    const { latest, history } = await statistics()
    expect(latest.completed?.id).toBe(2)
    expect(history[1]).toMatchObject({ id: 1, discarded: true })
  })
})
