/** The settings of a version over HTTP: the real services on versions in memory. */
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import type { JobVersion } from '../../../src/domain/job-version.ts'
import { compareJobVersions } from '../../../src/services/compare-job-versions.ts'
import { createJobVersion } from '../../../src/services/create-job-version.ts'
import { getFlinkConfiguration } from '../../../src/services/get-flink-configuration.ts'
import { getJobVersion } from '../../../src/services/get-job-version.ts'
import { listJobVersions } from '../../../src/services/list-job-versions.ts'
import { aCluster, aJob, shareApp } from './support.ts'

type Body = Record<string, unknown>
const { start, close } = shareApp()
afterAll(close)

let stored: JobVersion[] = []
let flinkVersion: string | null = '1.20.4'
beforeEach(() => {
  stored = []
  flinkVersion = '1.20.4'
})

const find = async (_scope: unknown, name: string) => (name === 'orders' ? aJob() : null)
const unasked = async (): Promise<never> => {
  throw new Error('no storage is asked for the versions of an attached job')
}
const ports = {
  storages: { find: unasked, findContaining: unasked },
  stores: {
    of: (): never => {
      throw new Error('no store either')
    },
  },
  jobs: {
    find,
    insertVersion: async (
      _scope: unknown,
      _job: string,
      { spec, ...rest }: { spec: Body; labels: Record<string, string>; createdBy: string },
    ) => {
      const number = stored.length + 1
      stored.push({ ...spec, ...rest, number, createdAt: '2026-11-21T08:00:00.000Z' })
      return { kind: 'inserted' as const, number }
    },
    findVersion: async (_scope: unknown, _job: string, number: number) => stored[number - 1] ?? null,
    listVersions: async () => ({ items: [...stored].reverse(), next: null }),
  },
  clusters: {
    find: async () => ({
      ...aCluster({ flinkVersion }),
      address: {
        key: 'prod',
        namespace: 'default',
        url: 'http://flink:8081',
        auth: { type: 'none' as const },
      },
    }),
  },
}
const startApp = () =>
  start({
    createJobVersion: createJobVersion(ports),
    getJobVersion: getJobVersion(ports),
    listJobVersions: listJobVersions(ports),
    getFlinkConfiguration: getFlinkConfiguration(ports),
    compareJobVersions: compareJobVersions(ports),
  })

const VERSIONS = '/v1/jobs/orders/versions'
async function post(payload: Body) {
  const answer = await (await startApp()).inject({ method: 'POST', url: VERSIONS, payload })
  return { status: answer.statusCode, body: answer.json() }
}
async function get(path: string) {
  const answer = await (await startApp()).inject({ url: `${VERSIONS}${path}` })
  return { status: answer.statusCode, body: answer.json() }
}
async function create(payload: Body) {
  const { status, body } = await post(payload)
  expect(status, JSON.stringify(body)).toBe(201)
  return body
}
async function keysOf(payload: Body, query = '') {
  const { number } = await create(payload)
  const { status, body } = await get(`/${number}/flink-configuration${query}`)
  expect(status, JSON.stringify(body)).toBe(200)
  return body
}
const codes = (findings: readonly { code: string }[]) => findings.map(({ code }) => code)

describe('a version that says nothing', () => {
  test('is exactly once, 10 minutes, no pause, one at a time [P-01] [P-02] [P-03] [P-04] [C-02]', async () => {
    const { effective, warnings } = await create({})
    expect(effective.checkpointing).toMatchObject({
      enabled: false,
      mode: 'EXACTLY_ONCE',
      timeoutMs: 600_000,
      minPauseMs: 0,
      maxConcurrent: 1,
      tolerableFailures: 0,
      failOnErrors: true,
      unaligned: false,
      alignedTimeoutMs: 0,
      forceUnaligned: false,
      storage: null,
    })
    expect(warnings).toEqual([])
  })

  test('keeps the five newest checkpoints, also after a cancel [T-31] [T-32]', async () => {
    expect((await create({})).effective.checkpointing).toMatchObject({
      numRetained: 5,
      retention: 'RETAIN_ON_CANCELLATION',
      externalized: true,
    })
    expect((await keysOf({})).configuration).toEqual({
      'execution.checkpointing.externalized-checkpoint-retention': 'RETAIN_ON_CANCELLATION',
      'execution.checkpointing.num-retained': '5',
    })
  })
})

describe('each setting of checkpoints [A-03, A-04, A-05, M-11, P-06, P-07, P-08, P-09, P-10, P-12, P-13, P-14] [C-02, C-07, C-11, C-12]', () => {
  const prefix = 'execution.checkpointing'
  const on = { intervalMs: 60_000 }
  test.each<[string, Body, string, string]>([
    ['interval', { intervalMs: 30_000 }, 'interval', '30000 ms'],
    ['timeout', { timeoutMs: 120_000 }, 'timeout', '120000 ms'],
    ['minimum pause', { minPauseMs: 5000 }, 'min-pause', '5000 ms'],
    ['mode', { mode: 'AT_LEAST_ONCE' }, 'mode', 'AT_LEAST_ONCE'],
    ['attempts at once', { maxConcurrent: 3 }, 'max-concurrent-checkpoints', '3'],
    ['tolerable failures', { tolerableFailures: 3 }, 'tolerable-failed-checkpoints', '3'],
    ['unaligned', { unaligned: true }, 'unaligned.enabled', 'true'],
    ['number retained', { numRetained: 1 }, 'num-retained', '1'],
    [
      'RETAIN_ON_CANCELLATION',
      { retention: 'RETAIN_ON_CANCELLATION' },
      'externalized-checkpoint-retention',
      'RETAIN_ON_CANCELLATION',
    ],
    [
      'DELETE_ON_CANCELLATION',
      { retention: 'DELETE_ON_CANCELLATION' },
      'externalized-checkpoint-retention',
      'DELETE_ON_CANCELLATION',
    ],
    [
      'NO_EXTERNALIZED_CHECKPOINTS',
      { retention: 'NO_EXTERNALIZED_CHECKPOINTS' },
      'externalized-checkpoint-retention',
      'NO_EXTERNALIZED_CHECKPOINTS',
    ],
  ])('%s is kept, read again, and sent under its key', async (_name, setting, key, value) => {
    const { number } = await create({ checkpointing: { ...on, ...setting } })
    const { body } = await get(`/${number}`)
    expect(body.checkpointing).toEqual({ ...on, ...setting })
    expect(body.effective.checkpointing).toMatchObject({ enabled: true, ...setting })
    const { body: sent } = await get(`/${number}/flink-configuration`)
    expect(sent).toMatchObject({ flinkVersion: '1.20.4' })
    expect(sent.configuration[`${prefix}.${key}`]).toBe(value)
    expect((await get('')).body.items[0]).toEqual(body)
  })
})

describe('a setting', () => {
  const on = { intervalMs: 60_000 }

  test('enabled says whether Flink takes checkpoints by itself [P-05]', async () => {
    const enabled = async (checkpointing: Body) =>
      (await create({ checkpointing })).effective.checkpointing.enabled
    expect(await enabled({ intervalMs: 60_000 })).toBe(true)
    expect(await enabled({ enabled: true, intervalMs: 60_000 })).toBe(true)
    expect(await enabled({ enabled: false, intervalMs: 60_000 })).toBe(false)
    expect(await enabled({ intervalMs: 0 })).toBe(false)
    expect(await post({ checkpointing: { enabled: true } })).toMatchObject({ status: 400 })
  })

  test('fail on checkpointing errors is the old name of no tolerable failure [P-11]', async () => {
    const read = async (checkpointing: Body) => (await create({ checkpointing })).effective.checkpointing
    expect(await read({ failOnErrors: true })).toMatchObject({ failOnErrors: true, tolerableFailures: 0 })
    expect(await read({ failOnErrors: false })).toMatchObject({
      failOnErrors: false,
      tolerableFailures: 2_147_483_647,
    })
    expect(await read({ tolerableFailures: 2 })).toMatchObject({ failOnErrors: false })
    const { status, body } = await post({ checkpointing: { failOnErrors: true, tolerableFailures: 2 } })
    expect(status).toBe(400)
    expect(body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
      '/body/checkpointing/failOnErrors',
      '/body/checkpointing/tolerableFailures',
    ])
  })

  test('aligned timeout and force go with unaligned, and warn without it [P-15] [P-16]', async () => {
    const settings = { ...on, alignedTimeoutMs: 30_000, forceUnaligned: true }
    expect(codes((await create({ checkpointing: settings })).warnings)).toEqual([
      'ALIGNED_TIMEOUT_WITHOUT_UNALIGNED',
      'FORCE_WITHOUT_UNALIGNED',
    ])
    const { configuration } = await keysOf({ checkpointing: { ...settings, unaligned: true } })
    expect(configuration).toMatchObject({
      'execution.checkpointing.aligned-checkpoint-timeout': '30000 ms',
      'execution.checkpointing.unaligned.forced': 'true',
    })
  })

  describe('where checkpoints lie [P-17, P-18, P-19, P-20]', () => {
    test.each<[string, Body, Body, string[]]>([
      [
        'jobmanager',
        { type: 'jobmanager' },
        { 'execution.checkpointing.storage': 'jobmanager' },
        ['RETAINED_IN_JOBMANAGER'],
      ],
      [
        'filesystem',
        { type: 'filesystem', dir: 's3://bucket/checkpoints' },
        {
          'execution.checkpointing.storage': 'filesystem',
          'execution.checkpointing.dir': 's3://bucket/checkpoints',
        },
        [],
      ],
      [
        'custom',
        { type: 'custom', className: 'com.example.StorageFactory' },
        { 'execution.checkpointing.storage': 'com.example.StorageFactory' },
        [],
      ],
    ])('%s', async (_name, storage, keys, warnings) => {
      const version = await create({ checkpointing: { ...on, storage } })
      expect(version.effective.checkpointing.storage).toMatchObject(storage)
      expect(codes(version.warnings)).toEqual(warnings)
      expect((await get(`/${version.number}/flink-configuration`)).body.configuration).toMatchObject(keys)
    })
  })

  test('without a storage none is sent: the cluster decides [P-17]', async () => {
    const { configuration } = await keysOf({ checkpointing: on })
    expect(Object.keys(configuration).filter((key) => /storage|\.dir$/.test(key))).toEqual([])
  })

  test('of the state: backend, TTL of SQL state, a copy on local disk [A-50]', async () => {
    const state = { backend: 'rocksdb', ttlMs: 129_600_000, localRecovery: true }
    const version = await create({ state })
    expect(version.effective.state).toMatchObject(state)
    expect(codes(version.warnings)).toEqual(['LOCAL_RECOVERY_IS_OF_THE_CLUSTER'])
    const { body } = await get(`/${version.number}/flink-configuration?flinkVersion=1.18`)
    expect(body.configuration).toMatchObject({
      'state.backend': 'rocksdb',
      'table.exec.state.ttl': '129600000 ms',
      'state.backend.local-recovery': 'true',
    })
  })

  test('backend and checkpoint storage are two fields [M-15]', async () => {
    const { effective } = await create({
      checkpointing: { ...on, storage: { type: 'filesystem', dir: 'file:///data/checkpoints' } },
      state: { backend: 'hashmap' },
    })
    expect(effective.state.backend).toBe('hashmap')
    expect(effective.checkpointing.storage).toEqual({ type: 'filesystem', dir: 'file:///data/checkpoints' })
    const mixed = await post({ state: { backend: 'filesystem' } })
    expect([mixed.status, mixed.body.errors[0].pointer]).toEqual([400, '/body/state/backend'])
  })
})

describe('free Flink keys', () => {
  test('are kept as given and shown under their setting [A-51]', async () => {
    const flinkConfiguration = {
      'state.backend': 'rocksdb',
      'state.backend.incremental': 'true',
      'table.exec.state.ttl': '129600000',
      'rest.flamegraph.enabled': 'true',
    }
    const version = await create({ flinkConfiguration })
    expect(version.flinkConfiguration).toEqual(flinkConfiguration)
    expect(version.effective.state).toMatchObject({
      backend: 'rocksdb',
      incremental: true,
      ttlMs: 129_600_000,
    })
    expect(version.effective.flinkConfiguration).toEqual({ 'rest.flamegraph.enabled': 'true' })
    expect(version.warnings).toEqual([])
    const { body } = await get(`/${version.number}/flink-configuration`)
    expect(body.configuration).toMatchObject({
      'execution.checkpointing.incremental': 'true',
      'table.exec.state.ttl': '129600000 ms',
    })
  })

  test('set the number kept, under the name the cluster knows [T-33] [M-11]', async () => {
    const flinkConfiguration = { 'state.checkpoints.num-retained': '1' }
    const version = await create({ flinkConfiguration })
    expect(version.effective.checkpointing.numRetained).toBe(1)
    const sent = async (query: string) => (await get(`/${version.number}/flink-configuration${query}`)).body
    expect((await sent('')).configuration).toMatchObject({ 'execution.checkpointing.num-retained': '1' })
    const old = await sent('?flinkVersion=1.19.3')
    expect(old).toMatchObject({
      flinkVersion: '1.19.3',
      configuration: { 'state.checkpoints.num-retained': '1' },
    })
    expect(codes(old.warnings)).toEqual(['PERIODIC_CHECKPOINTS_OFF', 'NUM_RETAINED_IS_OF_THE_CLUSTER'])
  })

  test('beside the setting of the same name are refused', async () => {
    const { status, body } = await post({
      checkpointing: { numRetained: 3 },
      flinkConfiguration: { 'state.checkpoints.num-retained': '5' },
    })
    expect([status, body.code]).toEqual([400, 'VALIDATION_FAILED'])
    expect(body.errors).toEqual([
      { pointer: '/body/checkpointing/numRetained', detail: body.detail },
      { pointer: '/body/flinkConfiguration/state.checkpoints.num-retained', detail: body.detail },
    ])
    expect(stored).toEqual([])
  })
})

describe('rules between settings', () => {
  test('an interval counts start to start, a pause from the end: 10 s and 5 s make 15 s [C-04]', async () => {
    const body = await keysOf(
      { checkpointing: { intervalMs: 5000, minPauseMs: 5000 } },
      '?checkpointDurationMs=10000',
    )
    expect(body).toMatchObject({ effectiveIntervalMs: 5000, startToStartMs: 15_000 })
    const idle = await keysOf({ checkpointing: {} }, '?checkpointDurationMs=10000')
    expect(idle).toMatchObject({ effectiveIntervalMs: null, startToStartMs: null })
  })

  test('the pause overrides a shorter interval [C-05]', async () => {
    const { effective, warnings } = await create({ checkpointing: { intervalMs: 1000, minPauseMs: 5000 } })
    expect(effective.checkpointing).toMatchObject({ intervalMs: 1000, effectiveIntervalMs: 5000 })
    expect(warnings).toEqual([
      {
        code: 'INTERVAL_RAISED_TO_MIN_PAUSE',
        message: expect.stringContaining('5000 ms apart'),
        pointers: ['/checkpointing/intervalMs', '/checkpointing/minPauseMs'],
      },
    ])
  })

  test('more than one at a time beside a minimum pause is warned of [C-06]', async () => {
    const { effective, warnings } = await create({
      checkpointing: { intervalMs: 60_000, minPauseMs: 5000, maxConcurrent: 2 },
    })
    expect(effective.checkpointing.maxConcurrent).toBe(2)
    expect(codes(warnings)).toEqual(['MIN_PAUSE_WITH_CONCURRENCY'])
    expect(
      codes((await create({ checkpointing: { intervalMs: 60_000, minPauseMs: 5000 } })).warnings),
    ).toEqual([])
  })

  test('unaligned needs exactly once and one at a time [C-09]', async () => {
    const { status, body } = await post({
      checkpointing: { intervalMs: 60_000, unaligned: true, maxConcurrent: 2 },
    })
    expect([status, body.errors.map(({ pointer }: { pointer: string }) => pointer)]).toEqual([
      400,
      ['/body/checkpointing/unaligned', '/body/checkpointing/maxConcurrent'],
    ])
    const { warnings } = await create({
      checkpointing: { intervalMs: 60_000, unaligned: true, mode: 'AT_LEAST_ONCE' },
    })
    expect(codes(warnings)).toEqual(['UNALIGNED_NEEDS_EXACTLY_ONCE'])
  })

  test('retained checkpoints without any checkpointing are warned of [M-14]', async () => {
    const { warnings } = await create({ checkpointing: { retention: 'RETAIN_ON_CANCELLATION' } })
    expect(warnings).toEqual([
      {
        code: 'PERIODIC_CHECKPOINTS_OFF',
        message: expect.stringContaining('/checkpointing/intervalMs and /checkpointing/retention'),
        pointers: ['/checkpointing/intervalMs', '/checkpointing/retention'],
      },
    ])
  })

  test.each<[Body, string]>([
    [{ checkpointing: { interval: 60_000 } }, '/body/checkpointing/interval'],
    [{ state: { stateBackend: 'rocksdb' } }, '/body/state/stateBackend'],
    [
      { checkpointing: { storage: { type: 'filesystem', path: 's3://b' } } },
      '/body/checkpointing/storage/path',
    ],
    [{ checkpointing: { mode: 'exactly-once' } }, '/body/checkpointing/mode'],
    [{ checkpointing: { intervalMs: 9 } }, '/body/checkpointing/intervalMs'],
    [{ checkpointing: { intervalMs: '60 s' } }, '/body/checkpointing/intervalMs'],
    [{ checkpointing: { timeoutMs: 9 } }, '/body/checkpointing/timeoutMs'],
    [{ checkpointing: { minPauseMs: -1 } }, '/body/checkpointing/minPauseMs'],
    [{ checkpointing: { minPauseMs: 31_536_000_001 } }, '/body/checkpointing/minPauseMs'],
    [{ checkpointing: { numRetained: 0 } }, '/body/checkpointing/numRetained'],
    [{ checkpointing: { storage: { type: 'filesystem' } } }, '/body/checkpointing/storage/type'],
    [{ state: { backend: 'rockdb' } }, '/body/state/backend'],
    [{ state: { ttlMs: 0.5 } }, '/body/state/ttlMs'],
  ])('%j is refused with its place', async (payload, pointer) => {
    const { status, body } = await post(payload)
    expect([status, body.code, body.errors[0].pointer]).toEqual([400, 'VALIDATION_FAILED', pointer])
    expect(stored).toEqual([])
  })
})

describe('the keys sent', () => {
  test('need a Flink version: asked for, or the one of the cluster', async () => {
    const { number } = await create({ checkpointing: { intervalMs: 1000, unaligned: true } })
    flinkVersion = null
    const path = `/${number}/flink-configuration`
    const unknown = await get(path)
    expect([unknown.status, unknown.body.errors[0].pointer]).toEqual([400, '/query/flinkVersion'])
    const asked = await get(`${path}?flinkVersion=2.1-SNAPSHOT`)
    expect(asked.body).toMatchObject({
      flinkVersion: '2.1-SNAPSHOT',
      configuration: { 'execution.checkpointing.unaligned.enabled': 'true' },
    })
    for (const bad of ['latest', '1', '1.x', '1.20%00']) {
      expect((await get(`${path}?flinkVersion=${bad}`)).status).toBe(400)
    }
    expect((await get('/9/flink-configuration')).status).toBe(404)
  })

  test('leave out what the version does not know, and say so', async () => {
    const checkpointing = { intervalMs: 1000, intervalDuringBacklogMs: 5000 }
    const body = await keysOf({ checkpointing }, '?flinkVersion=1.18.1')
    expect(Object.keys(body.configuration)).not.toContain('execution.checkpointing.interval-during-backlog')
    expect(codes(body.warnings)).toContain('NOT_IN_THIS_FLINK')
  })
})

describe('the difference of two versions', () => {
  test('is said by setting and by key', async () => {
    await create({ parallelism: 2, checkpointing: { intervalMs: 60_000 }, programArgs: ['a'] })
    await create({
      parallelism: 4,
      checkpointing: { intervalMs: 30_000 },
      programArgs: ['a', 'b'],
      flinkConfiguration: { 'a/b': 'c' },
      labels: { git: 'abc' },
    })
    const { body } = await get('/1/diff/2')
    expect(body).toEqual({
      flinkVersion: '1.20.4',
      changes: [
        { pointer: '/checkpointing/intervalMs', before: 60_000, after: 30_000 },
        { pointer: '/flinkConfiguration/a~1b', before: null, after: 'c' },
        { pointer: '/labels/git', before: null, after: 'abc' },
        { pointer: '/parallelism', before: 2, after: 4 },
        { pointer: '/programArgs', before: ['a'], after: ['a', 'b'] },
      ],
      configuration: [
        { key: 'a/b', before: null, after: 'c' },
        { key: 'execution.checkpointing.interval', before: '60000 ms', after: '30000 ms' },
      ],
    })
    expect((await get('/1/diff/1')).body).toMatchObject({ changes: [], configuration: [] })
    expect((await get('/1/diff/3')).status).toBe(404)
  })

  test('is none between a setting and its key, and needs no known cluster', async () => {
    flinkVersion = null
    await create({ checkpointing: { intervalMs: 60_000 }, state: { backend: 'rocksdb' } })
    await create({
      checkpointing: { intervalMs: 60_000, timeoutMs: 600_000 },
      flinkConfiguration: { 'state.backend': 'rocksdb', constructor: 'x' },
    })
    expect((await get('/1/diff/2')).body).toEqual({
      flinkVersion: null,
      changes: [{ pointer: '/flinkConfiguration/constructor', before: null, after: 'x' }],
      configuration: [
        { key: 'constructor', before: null, after: 'x' },
        { key: 'execution.checkpointing.timeout', before: null, after: '600000 ms' },
      ],
    })
  })
})

test('a version from before the settings were checked is still read', async () => {
  stored.push({
    number: 1,
    checkpointing: { interval: 60_000, nested: { deep: true } },
    state: { backend: 7 },
    labels: {},
    createdAt: '2026-01-01T00:00:00.000Z',
    createdBy: 'tester',
  })
  const { status, body } = await get('/1')
  expect(status).toBe(200)
  expect(body.checkpointing).toEqual({ interval: 60_000, nested: { deep: true } })
  expect(codes(body.warnings)).toEqual(['SETTING_INVALID', 'SETTING_UNKNOWN', 'SETTING_UNKNOWN'])
  expect((await get('/1/flink-configuration')).status).toBe(200)
})
