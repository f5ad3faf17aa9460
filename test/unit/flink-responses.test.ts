import { describe, expect, it } from 'vitest'
import { readAnswer } from '../../src/flink/answers.ts'
import { readCheckpointStatistics, readConfig } from '../../src/flink/checkpoint-responses.ts'
import { parseJson } from '../../src/flink/json.ts'
import {
  readClusterInfo,
  readClusterSettings,
  readDeclaredVersion,
  readExceptions,
  readJob,
  readJobs,
  readSavepointStatus,
  readTriggered,
} from '../../src/flink/responses.ts'

const JOB = '0123456789abcdef0123456789abcdef'
const NEVER = '9223372036854775807'

describe('the cluster', () => {
  const config = (version: string, features: object) => ({
    'refresh-interval': 3000,
    'timezone-name': 'Coordinated Universal Time',
    'timezone-offset': 0,
    'flink-version': version,
    'flink-revision': '9f2d3b8 @ 2026-01-01T00:00:00Z',
    features,
  })

  it.each([
    ['1.14.6', false, false, false],
    ['1.16.3', true, false, false],
    ['1.17.0-csa1', true, true, false],
    ['1.20.4', true, true, true],
    ['2.3-SNAPSHOT', true, true, true],
  ])('%s can do what its version says', (flinkVersion, idempotentTriggers, triggerCheckpoint, claimMode) => {
    expect(readClusterInfo(config(flinkVersion, { 'web-submit': true, 'web-cancel': true }))).toEqual({
      flinkVersion,
      capabilities: { idempotentTriggers, triggerCheckpoint, jarSubmission: true, claimMode },
    })
  })

  it('takes no jars where web.submit.enable is false or nothing is said', () => {
    expect(readClusterInfo(config('1.20.4', { 'web-submit': false }))?.capabilities.jarSubmission).toBe(false)
    expect(readClusterInfo({ 'flink-version': '1.20.4' })?.capabilities.jarSubmission).toBe(false)
  })

  it('is not Flink without a version', () => {
    for (const body of [{}, [], null, 'x', { 'flink-version': 'unknown' }, { 'flink-version': 2 }]) {
      expect(readClusterInfo(body)).toBeUndefined()
    }
  })

  it('is known by its HA and Kubernetes cluster ids where it reports them', () => {
    const entries = [
      { key: 'rest.port', value: '8081' },
      { key: 'high-availability.cluster-id', value: '/orders' },
    ]
    expect(readClusterSettings(entries)).toEqual({
      fingerprint: { haClusterId: '/orders', kubernetesClusterId: null },
      recoveryPath: null,
    })
    expect(readClusterSettings([])?.fingerprint).toEqual({ haClusterId: null, kubernetesClusterId: null })
  })

  it('names the snapshot its configuration restores at every start, the new key before the old one', () => {
    const old = { key: 'execution.savepoint.path', value: 's3://b/old' }
    expect(readClusterSettings([old])?.recoveryPath).toBe('s3://b/old')
    const both = [old, { key: 'execution.state-recovery.path', value: 's3://b/new' }]
    expect(readClusterSettings(both)?.recoveryPath).toBe('s3://b/new')
  })

  it('shows the version a job declares, and none that is not a number of ours', () => {
    const declared = (value: unknown) =>
      readDeclaredVersion({ 'execution-config': { 'user-config': { 'tidemark.version': value } } })?.version
    expect(declared('7')).toBe(7)
    expect(declared(' 12 ')).toBe(12)
    for (const value of ['0', '-1', '1.5', 'v7', '', null, {}, '99999999999'])
      expect(declared(value)).toBeNull()
    expect(readDeclaredVersion({})).toEqual({ version: null })
  })
})

describe('jobs', () => {
  const overview = (tasks: object | undefined, more: object = {}) => ({
    jobs: [
      {
        jid: JOB,
        name: 'orders',
        state: 'RUNNING',
        'start-time': 1_700_000_000_000,
        'end-time': -1,
        duration: 5,
        'last-modification': 1_700_000_000_500,
        ...(tasks === undefined ? {} : { tasks }),
        ...more,
      },
    ],
  })
  const TASKS = {
    total: 4,
    created: 0,
    scheduled: 0,
    deploying: 0,
    running: 4,
    finished: 0,
    canceling: 0,
    canceled: 0,
    failed: 0,
    reconciling: 0,
    initializing: 0,
  }

  it('are read from 1.16 and from 2.3', () => {
    const expected = [
      {
        flinkJobId: JOB,
        name: 'orders',
        state: 'RUNNING',
        startTime: 1_700_000_000_000,
        endTime: null,
        jobManagerNow: null,
        allTasksRunning: true,
      },
    ]
    expect(readJobs(overview(TASKS))).toEqual(expected)
    const head = { 'pending-operators': 0, jobType: 'STREAMING', schedulerType: 'Adaptive' }
    expect(readJobs(overview({ ...TASKS, pending: 0 }, head))).toEqual(expected)
  })

  it.each([
    ['one is still initializing', { ...TASKS, running: 3, initializing: 1 }, false],
    ['one has finished', { ...TASKS, running: 3, finished: 1 }, true],
    ['there are none yet', { ...TASKS, total: 0, running: 0 }, false],
    ['they are not told', undefined, false],
  ])('tasks: %s', (_, tasks, allTasksRunning) => {
    expect(readJobs(overview(tasks))?.[0]?.allTasksRunning).toBe(allTasksRunning)
  })

  it('with a state of a later Flink are neither ended nor running', () => {
    expect(readJobs(overview(TASKS, { state: 'WAITING_FOR_RESOURCES' }))?.[0]?.state).toBe('RECONCILING')
  })

  it('have an end once they have ended', () => {
    expect(
      readJobs(overview(TASKS, { state: 'FINISHED', 'end-time': 1_700_000_100_000 }))?.[0]?.endTime,
    ).toBe(1_700_000_100_000)
  })

  it('are not believed with an odd id, or without a name', () => {
    expect(readJobs(overview(TASKS, { jid: '../../etc' }))).toBeUndefined()
    expect(readJobs(overview(TASKS, { name: null }))).toBeUndefined()
    expect(readJobs({ jobs: 'none' })).toBeUndefined()
  })

  it('in detail count the tasks of every vertex and tell the clock of the JobManager', () => {
    const counts = { CREATED: 0, RUNNING: 2, FINISHED: 0, INITIALIZING: 0 }
    const details = (second: object) => ({
      jid: JOB,
      name: 'orders',
      isStoppable: false,
      state: 'RUNNING',
      'job-type': 'STREAMING',
      'start-time': 1,
      'end-time': -1,
      maxParallelism: -1,
      now: 1_700_000_000_123,
      vertices: [
        { id: JOB, name: 'source', tasks: counts, metrics: { 'read-bytes': 1 } },
        { id: JOB, name: 'sink', tasks: second },
      ],
      plan: { nodes: [] },
    })
    expect(readJob(details(counts))).toMatchObject({
      allTasksRunning: true,
      jobManagerNow: 1_700_000_000_123,
    })
    expect(readJob(details({ ...counts, RUNNING: 1, INITIALIZING: 1 }))?.allTasksRunning).toBe(false)
    expect(readJob(details({}))?.allTasksRunning).toBe(false)
  })
})

describe('exceptions', () => {
  it('come newest first, bounded, from 1.16 and from 2.3', () => {
    const old = {
      exceptionName: 'a.A',
      stacktrace: `a.A: ${'x'.repeat(200_000)}`,
      timestamp: 1,
      taskName: 'map (1/1)',
      location: 'tm:1',
      taskManagerId: 'tm-1',
      concurrentExceptions: [],
    }
    const recent = {
      exceptionName: 'b.B',
      stacktrace: 'b.B: two',
      timestamp: 2,
      failureLabels: {},
      concurrentExceptions: [],
    }
    const body = {
      'root-exception': 'a.A',
      'all-exceptions': [],
      truncated: false,
      exceptionHistory: { entries: [old, recent], truncated: false },
    }
    const [first, second] = readExceptions(body) ?? []
    expect(first).toEqual({
      at: 2,
      exceptionName: 'b.B',
      text: 'b.B: two',
      taskName: null,
      taskManagerId: null,
    })
    expect(second).toMatchObject({ at: 1, taskName: 'map (1/1)', taskManagerId: 'tm-1' })
    expect(second?.text.length).toBeLessThanOrEqual(8_000)
  })

  it('may be none', () => {
    expect(readExceptions({ exceptionHistory: { entries: [], truncated: false } })).toEqual([])
    expect(readExceptions({ 'root-exception': null, timestamp: null })).toEqual([])
  })
})

describe('a savepoint operation', () => {
  it('is pending, completed or failed', () => {
    expect(readSavepointStatus({ status: { id: 'IN_PROGRESS' }, operation: null })).toEqual({
      kind: 'pending',
    })
    const completed = {
      status: { id: 'COMPLETED' },
      operation: { location: 's3://b/savepoint-012345-0123456789ab' },
    }
    expect(readSavepointStatus(completed)).toEqual({
      kind: 'completed',
      location: 's3://b/savepoint-012345-0123456789ab',
    })
    const cause = {
      class: 'a.A',
      'stack-trace': `a.A: gone${'\n\tat b.B.c(B.java:1)'.repeat(5_000)}`,
      'serialized-throwable': 'rO0AB'.repeat(20_000),
    }
    const failed = readSavepointStatus({ status: { id: 'COMPLETED' }, operation: { 'failure-cause': cause } })
    expect(failed).toMatchObject({ kind: 'failed', failure: { className: 'a.A' } })
    expect(JSON.stringify(failed).length).toBeLessThan(4_000)
    expect(JSON.stringify(failed)).not.toContain('rO0AB')
  })

  it('is never completed without a location, and never both', () => {
    const bodies = [
      { status: { id: 'COMPLETED' }, operation: null },
      { status: { id: 'COMPLETED' }, operation: {} },
      { status: { id: 'COMPLETED' }, operation: { location: '' } },
      { status: { id: 'COMPLETED' }, operation: { location: 's3://b/x', 'failure-cause': { class: 'a.A' } } },
      { status: { id: 'DONE' }, operation: { location: 's3://b/x' } },
      { status: 'COMPLETED' },
      {},
    ]
    for (const body of bodies) expect(readSavepointStatus(body)).toBeUndefined()
  })

  it('is accepted with its id', () => {
    expect(readTriggered({ 'request-id': JOB })).toBe(JOB)
    expect(readTriggered({})).toBeUndefined()
  })
})

describe('checkpoint statistics', () => {
  const entry = (more: object = {}) => ({
    className: 'completed',
    id: 12,
    status: 'COMPLETED',
    is_savepoint: false,
    trigger_timestamp: 1_000,
    latest_ack_timestamp: 1_200,
    checkpointed_size: 10,
    state_size: 500,
    end_to_end_duration: 200,
    alignment_buffered: 0,
    processed_data: 0,
    persisted_data: 0,
    num_subtasks: 2,
    num_acknowledged_subtasks: 2,
    checkpoint_type: 'CHECKPOINT',
    tasks: {},
    external_path: `s3://b/cp/${JOB}/chk-12`,
    discarded: false,
    ...more,
  })
  const statistics = (history: object[], latest: object = {}) => ({
    counts: { restored: 1, total: 14, in_progress: 1, completed: 12, failed: 1 },
    summary: {},
    latest: { completed: null, savepoint: null, failed: null, restored: null, ...latest },
    history,
  })

  it('of 1.16 have no savepoint format', () => {
    expect(readCheckpointStatistics(statistics([entry()]))?.history[0]).toEqual({
      id: 12,
      status: 'COMPLETED',
      isSavepoint: false,
      format: null,
      checkpointType: 'CHECKPOINT',
      triggeredAt: 1_000,
      latestAckAt: 1_200,
      stateSizeBytes: 500,
      uploadedBytes: 10,
      durationMs: 200,
      externalPath: `s3://b/cp/${JOB}/chk-12`,
      discarded: false,
      failedAt: null,
      failureMessage: null,
    })
  })

  it('of 1.20 and 2.3 tell the format, failures and what was restored', () => {
    const savepoint = entry({ is_savepoint: true, savepointFormat: 'NATIVE', checkpoint_type: 'SAVEPOINT' })
    const failed = entry({
      id: 13,
      status: 'FAILED',
      failure_timestamp: 1_500,
      failure_message: 'Checkpoint expired before completing.',
      external_path: null,
    })
    const restored = {
      id: 7,
      restore_timestamp: 900,
      is_savepoint: true,
      external_path: 'file:/sp/savepoint-1',
    }
    const read = readCheckpointStatistics(statistics([failed, savepoint], { savepoint, failed, restored }))
    expect(read?.latest.savepoint).toMatchObject({ isSavepoint: true, format: 'NATIVE' })
    expect(read?.latest.failed).toMatchObject({
      failedAt: 1_500,
      failureMessage: 'Checkpoint expired before completing.',
      externalPath: null,
    })
    expect(read?.latest.restored).toEqual({ id: 7, restoredAt: 900, externalPath: 'file:/sp/savepoint-1' })
    expect(read?.counts).toEqual({ restored: 1, total: 14, inProgress: 1, completed: 12, failed: 1 })
  })

  it('read -1 and numbers above 2^53 as unknown, and JobManager storage as no path', () => {
    const odd = entry({
      latest_ack_timestamp: -1,
      end_to_end_duration: -1,
      state_size: Number(NEVER),
      external_path: '<checkpoint-not-externally-addressable>',
    })
    expect(readCheckpointStatistics(statistics([odd]))?.history[0]).toMatchObject({
      latestAckAt: null,
      durationMs: null,
      stateSizeBytes: null,
      externalPath: null,
    })
  })

  it('with an entry of no known status are not believed', () => {
    expect(readCheckpointStatistics(statistics([entry({ status: 'DONE' })]))).toBeUndefined()
    expect(readCheckpointStatistics(statistics([entry({ id: '12' })]))).toBeUndefined()
  })
})

describe('checkpoint settings', () => {
  const text = (interval: string) =>
    `{"mode":"exactly_once","interval":${interval},"timeout":600000,"min_pause":0,"max_concurrent":1,"externalization":{"enabled":true,"delete_on_cancellation":false},"state_backend":"EmbeddedRocksDBStateBackend","checkpoint_storage":"FileSystemCheckpointStorage","unaligned_checkpoints":false,"tolerable_failed_checkpoints":0,"aligned_checkpoint_timeout":0,"state_changelog_enabled":false}`

  it('say null for an interval that means never', () => {
    expect(readConfig(parseJson(text(NEVER)))?.intervalMs).toBeNull()
    expect(readConfig(parseJson(text('2000')))).toEqual({
      mode: 'exactly_once',
      intervalMs: 2_000,
      timeoutMs: 600_000,
      minPauseMs: 0,
      maxConcurrent: 1,
      externalized: { enabled: true, deleteOnCancellation: false },
      stateBackend: 'EmbeddedRocksDBStateBackend',
      checkpointStorage: 'FileSystemCheckpointStorage',
      unaligned: false,
      tolerableFailures: 0,
    })
  })
})

describe('JSON from a stranger', () => {
  it('is refused when it is too deep or holds too many objects, before it is built', () => {
    expect(parseJson('['.repeat(100_000) + ']'.repeat(100_000))).toBeUndefined()
    expect(parseJson(`[${'{},'.repeat(600_000)}1]`)).toBeUndefined()
    expect(parseJson('['.repeat(4_000_000))).toBeUndefined()
  })

  it('is not refused for brackets inside long texts', () => {
    const trace = '[[[{"\\'.repeat(20_000)
    expect(parseJson(JSON.stringify({ trace }))).toEqual({ trace })
  })

  it('carries no NUL, which Postgres would refuse', () => {
    expect(parseJson('{"name":"a\\u0000b"}')).toEqual({ name: 'a\ufffdb' })
  })
})

describe('error answers', () => {
  const request = { method: 'GET', path: `/jobs/${JOB}` } as const
  const answer = (status: number, body: unknown, location: string | null = null) =>
    readAnswer(request, { status, text: typeof body === 'string' ? body : JSON.stringify(body), location })

  it('tell a 404 for an id from a route that does not exist', () => {
    const unknown = `org.apache.flink.runtime.rest.handler.RestHandlerException: Job ${JOB} not found\n\tat x.Y.z(Y.java:1)`
    expect(answer(404, { errors: [unknown] }).kind).toBe('unknown')
    for (const text of [`Not found: /jobs/${JOB}/nonsense`, 'Unable to load requested file /nonsense.']) {
      expect(() => answer(404, { errors: [text] })).toThrow(expect.objectContaining({ kind: 'unreadable' }))
    }
  })

  it('do not take the 404 of a proxy for an answer about the job', () => {
    expect(() => answer(404, '<html>404 Not Found</html>')).toThrow(
      expect.objectContaining({ kind: 'unreadable' }),
    )
    expect(() => answer(404, { message: 'no such upstream' })).toThrow(
      expect.objectContaining({ kind: 'unreadable' }),
    )
    expect(() => answer(404, { errors: [] })).toThrow(expect.objectContaining({ kind: 'unreadable' }))
  })

  it('keep what Flink refused', () => {
    expect(answer(400, { errors: ['Bad request, could not parse parameters'] })).toEqual({
      kind: 'refused',
      httpStatus: 400,
      text: 'Bad request, could not parse parameters',
    })
  })

  it('show the place of a redirect without its query', () => {
    expect(() => answer(308, '', 'https://login.example/x?token=secret')).toThrow(
      /redirect to https:\/\/login\.example\/x;/,
    )
  })
})
