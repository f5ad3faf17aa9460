import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startFauxqs } from 'fauxqs'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { readMetadata } from '../../src/metadata/read-metadata.ts'
import type { SimulatedFlinkOptions } from '../../src/simulated-flink/start.ts'
import { makeJar } from '../support/jars.ts'
import { type ScriptedFlink, startScriptedFlink } from '../support/simulated-flink.ts'

const UNKNOWN = 'f'.repeat(32)
const JOB = 'abcdef'.padEnd(32, '0')
const COPY = 'fedcba'.padEnd(32, '1')
const SUSPENDING = 'Checkpoint Coordinator is suspending.'
const trigger = (n: number): string => n.toString(16).padStart(32, '0')

let directory: string
let scripted: ScriptedFlink | null = null

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'simulated-flink-'))
})
afterEach(async () => {
  await scripted?.flink.stop()
  scripted = null
  await rm(directory, { recursive: true, force: true, maxRetries: 5 })
})

/** A cluster with one running job, `orders`. */
async function start(options: SimulatedFlinkOptions = {}) {
  scripted = await startScriptedFlink({
    savepointDurationMs: 5,
    restartDelayMs: 20,
    seedJobs: [{ name: 'orders', id: JOB, parallelism: 2 }],
    ...options,
  })
  const { flink, faults } = scripted
  return { flink, faults, ...clientOf(flink.url) }
}

type Answer = { status: number; body: unknown }

function clientOf(url: string) {
  const call = async (method: string, path: string, body?: unknown): Promise<Answer> => {
    const sent = body instanceof FormData ? body : body === undefined ? null : JSON.stringify(body)
    const response = await fetch(url + path, { method, body: sent, redirect: 'manual' })
    const answer: unknown = await response.json()
    return { status: response.status, body: answer }
  }
  const get = (path: string) => call('GET', path)
  const post = (path: string, body?: unknown) => call('POST', path, body)
  const settled = (path: string) =>
    vi.waitFor(async () => {
      const answer = await get(path)
      expect(answer).toMatchObject({ body: { status: { id: 'COMPLETED' } } })
      return answer.body
    })
  const savepoint = async (n: number, body: Record<string, unknown>, job = JOB) => {
    await post(`/jobs/${job}/savepoints`, { triggerId: trigger(n), ...body })
    return settled(`/jobs/${job}/savepoints/${trigger(n)}`)
  }
  const upload = async () => {
    const form = new FormData()
    form.append('jarfile', new Blob(['PK'], { type: 'application/x-java-archive' }), 'sample.jar')
    const { body } = await post('/jars/upload', form)
    return text(body, 'filename').split('/').at(-1) ?? ''
  }
  return { call, get, post, settled, savepoint, upload }
}

const dig = (value: unknown, ...path: string[]): unknown =>
  path.reduce((at: unknown, key) => (at instanceof Object ? Reflect.get(at, key) : undefined), value)
const text = (value: unknown, ...path: string[]): string => String(dig(value, ...path))
const location = (result: unknown): string => text(result, 'operation', 'location')
const cause = (result: unknown): string => text(result, 'operation', 'failure-cause', 'stack-trace')
const toPath = (place: string): string => place.replace(/^file:/, '')
const inTarget = () => ({ 'target-directory': `file://${directory}/target` })

describe('cluster', () => {
  it.each(['1.14.6', '1.16.3', '1.20.4', '2.3.0'])('reports version %s', async (version) => {
    const { get } = await start({ version })
    expect(await get('/config')).toMatchObject({ status: 200, body: { 'flink-version': version } })
    expect(await get('/v1/overview')).toMatchObject({
      status: 200,
      body: { taskmanagers: 1, 'jobs-running': 1, 'jobs-cancelled': 0, 'flink-version': version },
    })
  })

  it('shows its own configuration as that of every job, known or not', async () => {
    const { get } = await start({
      savepointDir: 's3://b/sp',
      configuration: { 'kubernetes.cluster-id': 'k' },
    })
    const { body } = await get('/jobmanager/config')
    expect(body).toContainEqual({ key: 'execution.checkpointing.savepoint-dir', value: 's3://b/sp' })
    expect(body).toContainEqual({ key: 'kubernetes.cluster-id', value: 'k' })
    expect(await get(`/jobs/${UNKNOWN}/jobmanager/config`)).toEqual({ status: 200, body })
  })

  it('answers 404 without a trace where there is no route', async () => {
    const { get, post } = await start()
    expect(await get('/nope')).toEqual({
      status: 404,
      body: { errors: ['Unable to load requested file /nope.'] },
    })
    expect(await post('/nope', {})).toEqual({ status: 404, body: { errors: ['Not found: /nope'] } })
  })

  it('lacks the endpoints that came with later versions', async () => {
    const { get, post } = await start({ version: '1.14.6' })
    expect((await get(`/jobs/${JOB}/status`)).status).toBe(404)
    expect((await get(`/jobs/${JOB}/jobmanager/config`)).status).toBe(404)
    expect(await post(`/jobs/${JOB}/checkpoints`, {})).toEqual({
      status: 404,
      body: { errors: [`Not found: /jobs/${JOB}/checkpoints`] },
    })
  })
})

describe('jobs', () => {
  it('lists jobs with their tasks', async () => {
    const { get } = await start()
    expect((await get('/jobs')).body).toEqual({ jobs: [{ id: JOB, status: 'RUNNING' }] })
    expect((await get('/jobs/overview')).body).toMatchObject({
      jobs: [
        {
          jid: JOB,
          name: 'orders',
          state: 'RUNNING',
          'end-time': -1,
          jobType: 'STREAMING',
          schedulerType: 'Default',
          tasks: { total: 5, running: 5, initializing: 0 },
        },
      ],
    })
  })

  it('leaves out what 1.20 does not know', async () => {
    const { get } = await start({ version: '1.20.4' })
    const { body } = await get(`/jobs/${JOB}`)
    expect(body).toMatchObject({ 'job-type': 'STREAMING', state: 'RUNNING' })
    expect(body).not.toHaveProperty('schedulerType')
    expect(body).not.toHaveProperty('application-id')
    expect((await get(`/jobs/${JOB}/config`)).body).toHaveProperty(['execution-config', 'execution-mode'])
    expect((await get(`/jobs/${JOB}/exceptions`)).body).toMatchObject({ 'root-exception': null })
  })

  it('answers 404 with a trace for an unknown job, but 500 for its status', async () => {
    const { get } = await start()
    for (const path of ['', '/config', '/exceptions', '/checkpoints', '/checkpoints/config']) {
      const { status, body } = await get(`/jobs/${UNKNOWN}${path}`)
      expect(status).toBe(404)
      expect(text(body, 'errors', '0')).toContain(`NotFoundException: Job ${UNKNOWN} not found\n\tat `)
    }
    const { status, body } = await get(`/jobs/${UNKNOWN}/status`)
    expect(status).toBe(500)
    expect(text(body, 'errors', '1')).toContain(`Could not find Flink job (${UNKNOWN})`)
  })

  it('refuses an id that is none', async () => {
    const { get } = await start()
    const { status, body } = await get('/jobs/xyz')
    expect(status).toBe(400)
    expect(text(body, 'errors', '0')).toContain('Cannot resolve path parameter (jobid) from value "xyz".')
  })

  it('cancels a job, any number of times, but none that ended otherwise', async () => {
    const { call, get, flink } = await start()
    expect(await call('PATCH', `/jobs/${JOB}?mode=cancel`)).toEqual({ status: 202, body: {} })
    await vi.waitFor(async () => {
      expect((await get(`/jobs/${JOB}/status`)).body).toEqual({ status: 'CANCELED' })
    })
    expect((await call('PATCH', `/jobs/${JOB}`)).status).toBe(202)
    expect((await call('PATCH', `/jobs/${UNKNOWN}`)).status).toBe(404)
    const failed = flink.addJob({ name: 'broken' })
    flink.failJob(failed.id, 'broken')
    const { status, body } = await call('PATCH', `/jobs/${failed.id}`)
    expect(status).toBe(409)
    expect(text(body, 'errors', '0')).toContain('another terminal state (FAILED)')
    expect((await call('PATCH', `/jobs/${JOB}?mode=stop`)).status).toBe(308)
  })
})

describe('savepoints', () => {
  it('writes a savepoint that Flink could read', async () => {
    const { flink, savepoint, get } = await start()
    const result = await savepoint(1, inTarget())
    expect(location(result)).toMatch(
      new RegExp(`^file:/[^/].*/target/savepoint-${JOB.slice(0, 6)}-[0-9a-f]{12}$`),
    )
    const bytes = await readFile(`${toPath(location(result))}/_metadata`)
    expect(bytes.readBigInt64BE(8)).toBe(1n)
    const metadata = await readMetadata(bytes)
    expect(metadata.version).toBe(6)
    expect(metadata.operatorStates.map((operator) => operator.uid)).toContain('keyed-counter')
    expect((await readdir(toPath(location(result)))).length).toBe(3)
    expect((await get(`/jobs/${JOB}/checkpoints`)).body).toMatchObject({
      counts: { total: 1, completed: 1, in_progress: 0, failed: 0 },
      latest: {
        completed: null,
        savepoint: { id: 1, external_path: location(result), savepointFormat: 'CANONICAL', discarded: false },
      },
    })
    expect(flink.acceptLog).toMatchObject([
      { kind: 'savepoint', outcome: 'completed', checkpointId: 1, repeats: 0 },
    ])
  })

  it('writes through the S3 API, under the scheme that was asked', async () => {
    const s3 = await startFauxqs({ port: 0, logger: false, init: { buckets: ['state'] } })
    const credentials = { accessKeyId: 'test', secretAccessKey: 'test' }
    const { savepoint, post, settled, upload } = await start({ s3: { endpoint: s3.address, ...credentials } })
    const place = location(await savepoint(1, { 'target-directory': 's3a://state/savepoints/' }))
    expect(place).toMatch(/^s3a:\/\/state\/savepoints\/savepoint-abcdef-[0-9a-f]{12}$/)
    const run = await post(`/jars/${await upload()}/run`, { jobId: COPY, savepointPath: place })
    expect(run.status).toBe(200)
    const { body } = await post('/savepoint-disposal', { 'savepoint-path': place })
    const disposal = await settled(`/savepoint-disposal/${text(body, 'request-id')}`)
    expect(disposal).toMatchObject({ operation: {} })
    const gone = await post(`/jars/${await upload()}/run`, { savepointPath: place })
    expect(text(gone.body, 'errors', '0')).toContain("on file system 's3a'")
    await s3.stop()
  })

  it.each([
    ['1.16.3', 4],
    ['1.20.4', 4],
    ['2.3.0', 6],
  ])('writes the metadata version of Flink %s', async (version, expected) => {
    const { savepoint } = await start({ version })
    const bytes = await readFile(`${toPath(location(await savepoint(1, inTarget())))}/_metadata`)
    expect((await readMetadata(bytes)).version).toBe(expected)
  })

  it('takes a repeated trigger id for the first operation, whatever the body says', async () => {
    const { post, savepoint, settled, flink } = await start()
    const first = await savepoint(1, inTarget())
    const again = await post(`/jobs/${JOB}/savepoints`, {
      triggerId: trigger(1),
      'target-directory': '/tmp/other',
    })
    expect(again).toEqual({ status: 202, body: { 'request-id': trigger(1) } })
    expect(await settled(`/jobs/${JOB}/savepoints/${trigger(1)}`)).toEqual(first)
    expect(flink.acceptLog).toMatchObject([{ repeats: 1 }])
  })

  it('accepts a savepoint of an unknown or finished job and fails it afterwards', async () => {
    const { savepoint } = await start()
    const result = await savepoint(1, inTarget(), UNKNOWN)
    expect(cause(result)).toContain(`Could not find Flink job (${UNKNOWN})`)
    expect(text(result, 'operation', 'failure-cause', 'class')).toBe(
      'java.util.concurrent.CompletionException',
    )
    expect(dig(result, 'operation', 'failure-cause', 'serialized-throwable')).toBeTypeOf('string')
  })

  it('is IN_PROGRESS with a null operation until it is done', async () => {
    const { post, get, settled, faults } = await start()
    const held = faults.holdSnapshot({ kind: 'savepoint' })
    await post(`/jobs/${JOB}/savepoints`, { triggerId: trigger(1), ...inTarget() })
    const path = `/jobs/${JOB}/savepoints/${trigger(1)}`
    expect(await get(path)).toEqual({ status: 200, body: { status: { id: 'IN_PROGRESS' }, operation: null } })
    expect((await get(`/jobs/${JOB}/checkpoints`)).body).toMatchObject({
      counts: { in_progress: 1 },
      history: [{ className: 'in_progress', status: 'IN_PROGRESS', latest_ack_timestamp: -1 }],
    })
    held.release()
    expect(location(await settled(path))).toContain('savepoint-')
  })

  it('forgets a result some time after its completion', async () => {
    const { savepoint, get } = await start({ resultStoreMs: 250 })
    await savepoint(1, inTarget())
    await vi.waitFor(async () => {
      const { status, body } = await get(`/jobs/${JOB}/savepoints/${trigger(1)}`)
      expect(status).toBe(404)
      expect(text(body, 'errors', '0')).toContain(
        `There is no savepoint operation with triggerId=${trigger(1)} for job ${JOB}.`,
      )
    })
  })

  it('wants a directory, spelled differently by savepoint and stop', async () => {
    const { post } = await start()
    const savepoint = await post(`/jobs/${JOB}/savepoints`, { targetDirectory: '/tmp/x' })
    expect(savepoint.status).toBe(400)
    expect(text(savepoint.body, 'errors', '0')).toContain(
      'Config key [execution.checkpointing.savepoint-dir] is not set. Property [target-directory] must be provided.',
    )
    const stop = await post(`/jobs/${JOB}/stop`, { 'target-directory': '/tmp/x' })
    expect(text(stop.body, 'errors', '0')).toContain('Property [targetDirectory] must be provided.')
  })

  it.each([{ formatType: 'X' }, { triggerId: 'zz' }, { 'cancel-job': 'maybe' }, []])(
    'refuses the body %j',
    async (body) => {
      const { post } = await start({ savepointDir: '/tmp/x' })
      const answer = await post(`/jobs/${JOB}/savepoints`, body)
      expect(answer.status).toBe(400)
      expect(text(answer.body, 'errors', '0')).toContain(
        'Request did not match expected format SavepointTriggerRequestBody.',
      )
    },
  )

  it('makes its own trigger id before 1.15', async () => {
    const { post } = await start({ version: '1.14.6' })
    const { body } = await post(`/jobs/${JOB}/savepoints`, { triggerId: trigger(1), ...inTarget() })
    expect(text(body, 'request-id')).not.toBe(trigger(1))
  })

  it('fails while not all tasks are running, and counts that without an entry', async () => {
    const { flink, savepoint, get } = await start()
    flink.setTasksRunning(JOB, false)
    expect(cause(await savepoint(1, inTarget()))).toContain('Not all required tasks are currently running.')
    expect((await get(`/jobs/${JOB}/checkpoints`)).body).toMatchObject({
      counts: { total: 1, failed: 1 },
      history: [],
    })
  })

  it('fails where it cannot write', async () => {
    const { savepoint } = await start()
    for (const [n, target] of ['/proc/nope', 's3://bucket/x'].entries()) {
      const result = await savepoint(n, { 'target-directory': target })
      expect(cause(result)).toContain('IO-problem detected.')
    }
  })

  it('leaves the empty target directory of a failed savepoint', async () => {
    const { savepoint, faults } = await start()
    faults.snapshot({ kind: 'savepoint' }, { failure: { kind: 'expired' } })
    expect(cause(await savepoint(1, inTarget()))).toContain('Checkpoint expired before completing.')
    await vi.waitFor(async () => expect(await readdir(`${directory}/target`)).toEqual([]))
  })

  it('tells a failing task only in the exceptions of the job, which restarts', async () => {
    const { savepoint, faults, get } = await start()
    faults.failTask({ kind: 'savepoint' }, 'the disk is full')
    const result = await savepoint(1, inTarget())
    expect(cause(result)).toContain(SUSPENDING)
    expect(cause(result)).not.toContain('the disk is full')
    const { body } = await get(`/jobs/${JOB}/exceptions`)
    const trace = text(body, 'exceptionHistory', 'entries', '0', 'stacktrace')
    expect(trace).toContain('Could not complete snapshot 1 for operator')
    expect(trace).toContain('the disk is full')
    await vi.waitFor(async () =>
      expect((await get(`/jobs/${JOB}/status`)).body).toEqual({ status: 'RUNNING' }),
    )
  })

  it('cancels the job after a savepoint when asked to', async () => {
    const { savepoint, get } = await start()
    await savepoint(1, { ...inTarget(), 'cancel-job': true })
    await vi.waitFor(async () =>
      expect((await get(`/jobs/${JOB}/status`)).body).toEqual({ status: 'CANCELED' }),
    )
  })

  it('takes two savepoints of one job side by side', async () => {
    const { savepoint } = await start()
    const both = await Promise.all([savepoint(1, inTarget()), savepoint(2, inTarget())])
    expect(new Set(both.map(location)).size).toBe(2)
  })
})

describe('stop', () => {
  it('finishes the job and drops its checkpoints', async () => {
    const { flink, post, settled, get } = await start({ checkpointDir: `file://${directory}/ck` })
    flink.triggerCheckpoint(JOB)
    await vi.waitFor(() => expect(existsSync(`${directory}/ck/${JOB}/chk-1/_metadata`)).toBe(true))
    await post(`/jobs/${JOB}/stop`, { triggerId: trigger(1), targetDirectory: `${directory}/target` })
    expect(location(await settled(`/jobs/${JOB}/savepoints/${trigger(1)}`))).toContain('savepoint-')
    expect((await get(`/jobs/${JOB}/status`)).body).toEqual({ status: 'FINISHED' })
    expect((await get(`/jobs/${JOB}/checkpoints`)).body).toMatchObject({
      latest: {
        completed: { id: 1, discarded: true },
        savepoint: { id: 2, checkpoint_type: 'SYNC_SAVEPOINT' },
      },
    })
    await vi.waitFor(() => expect(existsSync(`${directory}/ck/${JOB}/chk-1`)).toBe(false))
  })

  it('breaks what is in flight, another stop too', async () => {
    const { post, settled, faults } = await start()
    const held = faults.holdSnapshot({ kind: 'stop' })
    await post(`/jobs/${JOB}/stop`, { triggerId: trigger(1), targetDirectory: `${directory}/a` })
    await post(`/jobs/${JOB}/stop`, { triggerId: trigger(2), targetDirectory: `${directory}/b` })
    expect(cause(await settled(`/jobs/${JOB}/savepoints/${trigger(1)}`))).toContain(SUSPENDING)
    expect(location(await settled(`/jobs/${JOB}/savepoints/${trigger(2)}`))).toContain('/b/')
    held.release()
  })

  it('can fail after its savepoint is complete', async () => {
    const { post, settled, faults } = await start()
    faults.snapshot({ kind: 'stop' }, { failure: { kind: 'stopping' } })
    await post(`/jobs/${JOB}/stop`, { triggerId: trigger(1), targetDirectory: `${directory}/a` })
    const result = await settled(`/jobs/${JOB}/savepoints/${trigger(1)}`)
    const [, place = ''] = /A savepoint has been created at: (\S+),/.exec(cause(result)) ?? []
    expect(existsSync(`${toPath(place)}/_metadata`)).toBe(true)
  })
})

describe('checkpoints', () => {
  it('takes them periodically, keeps the newest and marks the others discarded', async () => {
    const { get } = await start({
      checkpointDir: `file://${directory}/ck`,
      seedJobs: [
        { name: 'orders', id: JOB, checkpointIntervalMs: 15, checkpointDurationMs: 1, numRetained: 2 },
      ],
    })
    const body = await vi.waitFor(
      async () => {
        const answer = await get(`/jobs/${JOB}/checkpoints`)
        expect(Number(dig(answer.body, 'counts', 'completed'))).toBeGreaterThan(12)
        return answer.body
      },
      { timeout: 5000 },
    )
    const history = dig(body, 'history')
    expect(history).toHaveLength(10)
    expect(dig(history, '9', 'discarded')).toBe(true)
    const newest = Number(dig(body, 'latest', 'completed', 'id'))
    expect(dig(body, 'latest', 'completed')).toMatchObject({
      discarded: false,
      external_path: `file:${directory}/ck/${JOB}/chk-${newest}`,
      savepointFormat: null,
      checkpoint_type: 'CHECKPOINT',
    })
  })

  it('writes the interval of a job without periodic checkpoints as Long.MAX_VALUE', async () => {
    const { flink } = await start()
    const body = await (await fetch(`${flink.url}/jobs/${JOB}/checkpoints/config`)).text()
    expect(body).toContain('"interval":9223372036854775807,')
  })

  it('gives checkpoints and savepoints ids of one series', async () => {
    const { savepoint, post, settled, get } = await start()
    await savepoint(1, inTarget())
    await post(`/jobs/${JOB}/checkpoints`, { triggerId: trigger(2) })
    expect(await settled(`/jobs/${JOB}/checkpoints/${trigger(2)}`)).toMatchObject({
      operation: { checkpointId: 2 },
    })
    expect((await get(`/jobs/${JOB}/checkpoints/details/2`)).body).toMatchObject({
      id: 2,
      external_path: '<checkpoint-not-externally-addressable>',
      num_subtasks: 5,
    })
    expect((await get(`/jobs/${JOB}/checkpoints/details/99`)).status).toBe(404)
  })

  it('refuses to trigger an incremental one', async () => {
    const { post } = await start()
    const { status, body } = await post(`/jobs/${JOB}/checkpoints`, { checkpointType: 'INCREMENTAL' })
    expect(status).toBe(500)
    expect(text(body, 'errors', '1')).toContain('FLINK-33723')
  })
})

describe('disposal', () => {
  it('deletes a savepoint once', async () => {
    const { savepoint, post, settled } = await start()
    const place = location(await savepoint(1, inTarget()))
    const dispose = async () => {
      const { status, body } = await post('/savepoint-disposal', { 'savepoint-path': place })
      expect(status).toBe(200)
      return settled(`/savepoint-disposal/${text(body, 'request-id')}`)
    }
    expect(await dispose()).toEqual({ status: { id: 'COMPLETED' }, operation: {} })
    expect(existsSync(toPath(place))).toBe(false)
    expect(cause(await dispose())).toContain('Cannot find checkpoint or savepoint file/directory')
    expect((await post('/savepoint-disposal', {})).status).toBe(400)
  })
})

describe('jars', () => {
  it('uploads, lists, runs and deletes a jar', async () => {
    const { upload, get, post, call } = await start()
    const jar = await upload()
    expect((await get('/jars')).body).toMatchObject({ files: [{ id: jar, name: 'sample.jar' }] })
    const run = await post(`/jars/${jar}/run`, {
      jobId: COPY,
      parallelism: 2,
      programArgsList: ['--name', 'from-jar'],
      flinkConfiguration: { 'execution.checkpointing.interval': '5 s' },
    })
    expect(run).toEqual({ status: 200, body: { jobid: COPY, applicationId: COPY } })
    expect((await get(`/jobs/${COPY}`)).body).toMatchObject({ name: 'from-jar', state: 'RUNNING' })
    expect((await get(`/jobs/${COPY}/checkpoints/config`)).body).toMatchObject({ interval: 5000 })
    expect((await call('DELETE', `/jars/${jar}`)).body).toEqual({})
    expect((await call('DELETE', `/jars/${jar}`)).status).toBe(400)
    expect((await post(`/jars/${jar}/run`, {})).status).toBe(500)
  })

  it.each([
    ['2.3.0', 'Application has already been submitted.'],
    ['1.20.4', 'Job has already been submitted.'],
  ])('refuses a job id that is taken, in the words of %s', async (version, words) => {
    const { upload, post } = await start({ version })
    const { status, body } = await post(`/jars/${await upload()}/run`, { jobId: JOB })
    expect(status).toBe(400)
    expect(text(body, 'errors', '0')).toContain(words)
  })

  it('continues the checkpoint ids of the savepoint it starts from', async () => {
    const { savepoint, upload, post, get } = await start()
    const place = location(await savepoint(1, inTarget()))
    await post(`/jars/${await upload()}/run`, { jobId: COPY, savepointPath: place })
    expect((await get(`/jobs/${COPY}/checkpoints`)).body).toMatchObject({
      counts: { restored: 1 },
      latest: { restored: { id: 1, is_savepoint: true, external_path: place } },
    })
    const own = await savepoint(2, inTarget(), COPY)
    expect((await readFile(`${toPath(location(own))}/_metadata`)).readBigInt64BE(8)).toBe(2n)
  })

  it('deletes a claimed savepoint at the first own checkpoint', async () => {
    const { savepoint, upload, post, flink } = await start()
    const place = location(await savepoint(1, inTarget()))
    const claim = { jobId: COPY, savepointPath: place, claimMode: 'CLAIM' }
    await post(`/jars/${await upload()}/run`, claim)
    expect(existsSync(toPath(place))).toBe(true)
    flink.triggerCheckpoint(COPY)
    await vi.waitFor(() => expect(existsSync(toPath(place))).toBe(false))
  })

  it.each([
    ['a missing savepoint', 'Cannot find checkpoint or savepoint file/directory', []],
    ['another max parallelism', 'Max parallelism mismatch', ['--max-parallelism', '64']],
  ])('uses up the job id when it cannot restore: %s', async (what, words, programArgsList) => {
    const { savepoint, upload, post, get } = await start()
    const place = location(await savepoint(1, inTarget()))
    const savepointPath = what === 'a missing savepoint' ? `${place}x` : place
    const run = await post(`/jars/${await upload()}/run`, { jobId: COPY, savepointPath, programArgsList })
    expect(run.status).toBe(400)
    expect(text(run.body, 'errors', '0')).toContain(words)
    expect((await get(`/jobs/${COPY}/status`)).body).toEqual({ status: 'FAILED' })
    expect(
      text((await get(`/jobs/${COPY}/exceptions`)).body, 'exceptionHistory', 'entries', '0', 'stacktrace'),
    ).toContain(words)
  })
})

describe('the program of a jar', () => {
  const jarOf = (files: Record<string, string>) =>
    makeJar(Object.entries(files).map(([name, content]) => ({ name, content })))
  const uploadJar = async (url: string, files: Record<string, string>) => {
    const form = new FormData()
    form.append('jarfile', new Blob([jarOf(files)], { type: 'application/x-java-archive' }), 'program.jar')
    const answer = await fetch(`${url}/jars/upload`, { method: 'POST', body: form })
    return (
      text(await answer.json(), 'filename')
        .split('/')
        .at(-1) ?? ''
    )
  }

  it('is the class of its manifest, or the one that is asked for; another is a 500', async () => {
    const { flink, post } = await start()
    const files = { 'META-INF/MANIFEST.MF': 'Main-Class: com.acme.Main\r\n', 'com/acme/Main.class': '' }
    const jar = await uploadJar(flink.url, { ...files, 'com/acme/Other.class': '' })
    expect((await post(`/jars/${jar}/run`, {})).status).toBe(200)
    expect((await post(`/jars/${jar}/run`, { entryClass: 'com.acme.Other' })).status).toBe(200)
    const refused = await post(`/jars/${jar}/run`, { jobId: COPY, entryClass: 'com.acme.Nope' })
    expect(refused.status).toBe(500)
    expect(text(refused.body, 'errors', '1')).toContain(
      "The program's entry point class 'com.acme.Nope' was not found in the jar file.",
    )
    expect(flink.findJob(COPY)).toBeUndefined()
  })

  it('is the sample job where there are no classes at all', async () => {
    const { flink, post } = await start()
    const manifest = { 'META-INF/MANIFEST.MF': 'Main-Class: com.acme.Main\r\n' }
    const run = await post(`/jars/${await uploadJar(flink.url, manifest)}/run`, {})
    expect(run.status).toBe(200)
  })

  it('is none where no class is named', async () => {
    const { flink, post } = await start()
    const jar = await uploadJar(flink.url, { 'com/acme/Main.class': '' })
    const refused = await post(`/jars/${jar}/run`, {})
    expect(text(refused.body, 'errors', '1')).toContain("Neither a 'Main-Class'")
  })
})

describe('failures of the cluster', () => {
  /** The client's idle connections died with the JobManager: the first request may find one of them. */
  const restart = async (
    { flink, get }: Awaited<ReturnType<typeof start>>,
    options: { ha: boolean; downMs?: number },
  ) => {
    await flink.restartJobManager(options)
    await vi.waitFor(() => get('/config'))
  }
  const startTime = async (get: (path: string) => Promise<Answer>) =>
    Number(dig((await get(`/jobs/${JOB}`)).body, 'start-time'))

  it('fails what is in flight when a TaskManager is lost, and says so in the exceptions', async () => {
    const { flink, faults, post, settled, get } = await start()
    faults.holdSnapshot({ kind: 'savepoint' })
    await post(`/jobs/${JOB}/savepoints`, { triggerId: trigger(1), ...inTarget() })
    flink.loseTaskManager(JOB)
    expect((await get(`/jobs/${JOB}/status`)).body).toEqual({ status: 'RESTARTING' })
    expect(cause(await settled(`/jobs/${JOB}/savepoints/${trigger(1)}`))).toContain(SUSPENDING)
    expect(dig((await get(`/jobs/${JOB}/exceptions`)).body, 'exceptionHistory', 'entries')).toHaveLength(1)
  })

  it('fails what is in flight when the job is rescaled, and says nothing', async () => {
    const { flink, faults, post, settled, get } = await start()
    const before = await startTime(get)
    faults.holdSnapshot({ kind: 'savepoint' })
    await post(`/jobs/${JOB}/savepoints`, { triggerId: trigger(1), ...inTarget() })
    flink.rescaleJob(JOB)
    expect(cause(await settled(`/jobs/${JOB}/savepoints/${trigger(1)}`))).toContain(SUSPENDING)
    expect(dig((await get(`/jobs/${JOB}/exceptions`)).body, 'exceptionHistory', 'entries')).toEqual([])
    expect(await startTime(get)).toBe(before)
  })

  it('with high availability keeps the jobs and forgets everything else', async () => {
    const cluster = await start()
    const { flink, savepoint, get } = cluster
    const before = await startTime(get)
    const place = location(await savepoint(1, inTarget()))
    await restart(cluster, { ha: true, downMs: 5 })
    expect(await startTime(get)).toBeGreaterThan(before)
    expect((await get(`/jobs/${JOB}/savepoints/${trigger(1)}`)).status).toBe(404)
    expect((await get(`/jobs/${JOB}/checkpoints`)).body).toMatchObject({
      counts: { total: 0 },
      latest: { savepoint: null },
      history: [],
    })
    expect(existsSync(`${toPath(place)}/_metadata`)).toBe(true)
    const again = location(await savepoint(1, inTarget()))
    expect(again).not.toBe(place)
    expect(flink.acceptLog.map(({ checkpointId }) => checkpointId)).toEqual([1, 2])
  })

  it('leaves an interrupted savepoint without its metadata', async () => {
    const { flink, faults, post } = await start()
    faults.holdSnapshot({ kind: 'savepoint' })
    await post(`/jobs/${JOB}/savepoints`, { triggerId: trigger(1), ...inTarget() })
    await vi.waitFor(async () => expect(await readdir(`${directory}/target`)).toHaveLength(1))
    const [child = ''] = await readdir(`${directory}/target`)
    await vi.waitFor(async () => expect(await readdir(`${directory}/target/${child}`)).toHaveLength(2))
    await flink.restartJobManager({ ha: true })
    expect(await readdir(`${directory}/target/${child}`)).toHaveLength(2)
    expect(flink.acceptLog).toMatchObject([{ outcome: 'lost' }])
  })

  it('without high availability knows nothing any more', async () => {
    const cluster = await start()
    const { upload, get, savepoint } = cluster
    await upload()
    await restart(cluster, { ha: false })
    expect((await get('/jobs')).body).toEqual({ jobs: [] })
    expect((await get('/jars')).body).toMatchObject({ files: [] })
    expect(cause(await savepoint(1, inTarget()))).toContain('Could not find Flink job')
  })

  it('answers 503 during a leader election', async () => {
    const { flink, get } = await start()
    const back = flink.restartJobManager({ ha: true, electionMs: 50 })
    await vi.waitFor(async () => expect((await get('/jobs')).status).toBe(503), { interval: 5 })
    await back
    expect((await get('/jobs')).status).toBe(200)
  })

  it('redeploys a job under a new id and the same name', async () => {
    const { flink, get } = await start()
    const { id, name } = flink.redeployJob(JOB)
    expect(name).toBe('orders')
    expect((await get('/jobs')).body).toEqual({ jobs: [{ id, status: 'RUNNING' }] })
  })
})

describe('scripted faults', () => {
  it('has the effect although the reply is lost', async () => {
    const { faults, post, settled, flink } = await start()
    faults.reply({ route: 'triggerSavepoint' }, { kind: 'reply-lost' })
    const body = { triggerId: trigger(1), ...inTarget() }
    await expect(post(`/jobs/${JOB}/savepoints`, body)).rejects.toThrow()
    expect(location(await settled(`/jobs/${JOB}/savepoints/${trigger(1)}`))).toContain('savepoint-')
    expect((await post(`/jobs/${JOB}/savepoints`, body)).status).toBe(202)
    expect(flink.acceptLog).toHaveLength(1)
  })

  it('has no effect when the connection is refused', async () => {
    const { faults, post, flink } = await start()
    faults.reply({ route: 'triggerSavepoint' }, { kind: 'refused' })
    await expect(post(`/jobs/${JOB}/savepoints`, inTarget())).rejects.toThrow()
    expect(flink.acceptLog).toHaveLength(0)
  })

  it('strikes once, or as often as it was told', async () => {
    const { faults, get } = await start()
    faults.reply({ route: 'jobs' }, { kind: 'internal-error' })
    expect((await get('/jobs')).status).toBe(500)
    expect((await get('/jobs')).status).toBe(200)
    const remove = faults.reply({ route: 'jobs', times: 'always' }, { kind: 'leader-election' })
    expect([(await get('/jobs')).status, (await get('/jobs')).status]).toEqual([503, 503])
    remove()
    expect((await get('/jobs')).status).toBe(200)
  })

  it('breaks off in the middle of an answer', async () => {
    const { faults, get } = await start()
    faults.reply({ route: 'jobsOverview' }, { kind: 'half-body' })
    await expect(get('/jobs/overview')).rejects.toThrow()
  })

  it('hangs until the client gives up', async () => {
    const { faults, flink } = await start()
    faults.reply({ route: 'jobs' }, { kind: 'hang' })
    await expect(fetch(`${flink.url}/jobs`, { signal: AbortSignal.timeout(50) })).rejects.toThrow()
  })

  it('redirects, answers endlessly, deeply and in HTML', async () => {
    const { faults, flink } = await start()
    const ask = () => fetch(`${flink.url}/jobs`, { redirect: 'manual' })
    faults.reply({ route: 'jobs' }, { kind: 'redirect', to: 'http://127.0.0.1:1/' })
    expect((await ask()).headers.get('location')).toBe('http://127.0.0.1:1/')
    faults.reply({ route: 'jobs' }, { kind: 'huge', bytes: 3_000_000 })
    expect(await (await ask()).text()).toHaveLength(3_000_000)
    faults.reply({ route: 'jobs' }, { kind: 'deep-json', depth: 50_000 })
    expect(await (await ask()).text()).toContain('['.repeat(50_000))
    faults.reply({ route: 'jobs' }, { kind: 'not-json' })
    expect(await (await ask()).text()).toContain('<html>')
  })

  it('forgets a trigger it knew', async () => {
    const { faults, savepoint, get } = await start()
    await savepoint(1, inTarget())
    faults.reply({ route: 'readSavepoint', triggerId: trigger(1) }, { kind: 'forget-trigger' })
    expect((await get(`/jobs/${JOB}/savepoints/${trigger(1)}`)).status).toBe(404)
  })

  it('claims a failure that did not happen', async () => {
    const { faults, savepoint } = await start()
    faults.reply({ route: 'readSavepoint', times: 'always' }, { kind: 'failure-cause', text: 'scripted' })
    expect(cause(await savepoint(1, inTarget()))).toContain('scripted')
  })
})
