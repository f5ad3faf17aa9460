import { describe, expect, it } from 'vitest'
import { checkSettings } from '../../src/domain/checkpoint-rules.ts'
import { effectiveIntervalMs, fillDefaults, startToStartMs } from '../../src/domain/checkpoint-settings.ts'
import { renderFlinkConfiguration } from '../../src/domain/flink-configuration.ts'
import { readFlinkDuration } from '../../src/domain/flink-duration.ts'
import { isSince, readFlinkVersion } from '../../src/domain/flink-settings.ts'
import type { JobVersionSpec } from '../../src/domain/job-version.ts'

type Settings = Record<string, unknown>
const periodic = (settings: Settings, state: Settings = {}): JobVersionSpec => ({
  checkpointing: { intervalMs: 60_000, ...settings },
  state,
})
const found = (spec: JobVersionSpec) => {
  const { errors, warnings } = checkSettings(spec)
  return {
    errors: errors.map(({ code, pointers }) => [code, ...pointers]),
    warnings: warnings.map(({ code, pointers }) => [code, ...pointers]),
  }
}
const c = (...names: string[]) => names.map((name) => `/checkpointing/${name}`)

describe('what Flink would refuse is an error that names both settings', () => {
  it.each<[string, JobVersionSpec, string[]]>([
    ['an interval of 9 ms', { checkpointing: { intervalMs: 9 } }, ['SETTING_INVALID', ...c('intervalMs')]],
    ['a timeout of 9 ms', periodic({ timeoutMs: 9 }), ['SETTING_INVALID', ...c('timeoutMs')]],
    ['a negative pause', periodic({ minPauseMs: -1 }), ['SETTING_INVALID', ...c('minPauseMs')]],
    ['no attempt at all', periodic({ maxConcurrent: 0 }), ['SETTING_INVALID', ...c('maxConcurrent')]],
    [
      'fewer than 0 failures',
      periodic({ tolerableFailures: -1 }),
      ['SETTING_INVALID', ...c('tolerableFailures')],
    ],
    ['nothing retained', periodic({ numRetained: 0 }), ['SETTING_INVALID', ...c('numRetained')]],
    [
      'a backlog interval of 5 ms',
      periodic({ intervalDuringBacklogMs: 5 }),
      ['SETTING_INVALID', ...c('intervalDuringBacklogMs')],
    ],
    [
      'a backlog interval below the interval',
      periodic({ intervalDuringBacklogMs: 59_999 }),
      ['BACKLOG_SHORTER_THAN_INTERVAL', ...c('intervalDuringBacklogMs', 'intervalMs')],
    ],
    [
      'enabled without an interval',
      { checkpointing: { enabled: true } },
      ['ENABLED_WITHOUT_INTERVAL', ...c('enabled', 'intervalMs')],
    ],
    [
      'unaligned with two at a time',
      periodic({ unaligned: true, maxConcurrent: 2 }),
      ['UNALIGNED_WITH_CONCURRENCY', ...c('unaligned', 'maxConcurrent')],
    ],
    [
      'fail on errors, and tolerate three',
      periodic({ failOnErrors: true, tolerableFailures: 3 }),
      ['FAILURES_CONTRADICT', ...c('failOnErrors', 'tolerableFailures')],
    ],
    [
      'never fail on errors, and tolerate none',
      periodic({ failOnErrors: false, tolerableFailures: 0 }),
      ['FAILURES_CONTRADICT', ...c('failOnErrors', 'tolerableFailures')],
    ],
    [
      'a file system without a directory',
      periodic({ storage: { type: 'filesystem' } }),
      ['STORAGE_WITHOUT_DIRECTORY', ...c('storage/type', 'storage/dir')],
    ],
    [
      'a custom storage without its class',
      periodic({ storage: { type: 'custom' } }),
      ['STORAGE_CLASS', ...c('storage/type', 'storage/className')],
    ],
    [
      'a class of a file system',
      periodic({ storage: { type: 'filesystem', dir: 's3://b/c', className: 'a.B' } }),
      ['STORAGE_CLASS', ...c('storage/type', 'storage/className')],
    ],
  ])('%s', (_name, spec, error) => {
    const { errors } = checkSettings(spec)
    expect(found(spec).errors).toEqual([error])
    for (const pointer of error.slice(1)) expect(errors[0]?.message).toContain(pointer)
  })

  it.each<[string, JobVersionSpec, string, string]>([
    [
      'the setting and its old key',
      {
        checkpointing: { numRetained: 3 },
        flinkConfiguration: { 'state.checkpoints.num-retained': '3' },
      },
      '/checkpointing/numRetained',
      '/flinkConfiguration/state.checkpoints.num-retained',
    ],
    [
      'the setting and its new key',
      {
        checkpointing: { unaligned: true },
        flinkConfiguration: { 'execution.checkpointing.unaligned.enabled': 'true' },
      },
      '/checkpointing/unaligned',
      '/flinkConfiguration/execution.checkpointing.unaligned.enabled',
    ],
    [
      'the old and the new key',
      { flinkConfiguration: { 'state.backend': 'rocksdb', 'state.backend.type': 'rocksdb' } },
      '/flinkConfiguration/state.backend',
      '/flinkConfiguration/state.backend.type',
    ],
    [
      'the old and the new key of something without a setting',
      {
        flinkConfiguration: {
          'state.savepoints.dir': 's3://a',
          'execution.checkpointing.savepoint-dir': 's3://a',
        },
      },
      '/flinkConfiguration/state.savepoints.dir',
      '/flinkConfiguration/execution.checkpointing.savepoint-dir',
    ],
    [
      'local recovery and half of it',
      {
        state: { localRecovery: true },
        flinkConfiguration: { 'execution.state-recovery.from-local': 'false' },
      },
      '/state/localRecovery',
      '/flinkConfiguration/execution.state-recovery.from-local',
    ],
    [
      'a custom class and its key',
      {
        checkpointing: { storage: { type: 'custom', className: 'a.B' } },
        flinkConfiguration: { 'state.checkpoint-storage': 'filesystem' },
      },
      '/checkpointing/storage/type',
      '/flinkConfiguration/state.checkpoint-storage',
    ],
  ])('one setting said twice: %s', (_name, spec, first, second) => {
    expect(found(spec).errors).toContainEqual(['SETTING_GIVEN_TWICE', first, second])
  })

  it('a rule broken by a key points to the key', () => {
    const spec = periodic({ unaligned: true })
    const flinkConfiguration = { 'execution.checkpointing.max-concurrent-checkpoints': '2' }
    expect(found({ ...spec, flinkConfiguration }).errors).toEqual([
      [
        'UNALIGNED_WITH_CONCURRENCY',
        '/checkpointing/unaligned',
        '/flinkConfiguration/execution.checkpointing.max-concurrent-checkpoints',
      ],
    ])
  })

  it.each([
    ['execution.checkpointing.timeout', 'ten minutes'],
    ['execution.checkpointing.timeout', '5'],
    ['execution.checkpointing.interval', '-1'],
    ['execution.checkpointing.mode', 'SOMETIMES'],
    ['execution.checkpointing.num-retained', '2.5'],
    ['state.backend.incremental', 'yes'],
    ['state.backend', 'filesystem'],
    ['table.exec.state.ttl', '1 fortnight'],
  ])('%s: %s cannot be read', (key, value) => {
    expect(found({ flinkConfiguration: { [key]: value } }).errors).toEqual([
      ['SETTING_INVALID', `/flinkConfiguration/${key}`],
    ])
  })
})

describe('what Flink ignores or changes without saying so is a warning', () => {
  it.each<[string, JobVersionSpec, string[]]>([
    [
      'unaligned at least once',
      periodic({ unaligned: true, mode: 'AT_LEAST_ONCE', maxConcurrent: 2 }),
      ['UNALIGNED_NEEDS_EXACTLY_ONCE', ...c('unaligned', 'mode')],
    ],
    [
      'an aligned timeout alone',
      periodic({ alignedTimeoutMs: 1000 }),
      ['ALIGNED_TIMEOUT_WITHOUT_UNALIGNED', ...c('alignedTimeoutMs', 'unaligned')],
    ],
    [
      'forcing what is off',
      periodic({ forceUnaligned: true }),
      ['FORCE_WITHOUT_UNALIGNED', ...c('forceUnaligned', 'unaligned')],
    ],
    [
      'a pause with two at a time',
      periodic({ minPauseMs: 1, maxConcurrent: 2 }),
      ['MIN_PAUSE_WITH_CONCURRENCY', ...c('minPauseMs', 'maxConcurrent')],
    ],
    [
      'a pause longer than the interval',
      periodic({ minPauseMs: 60_001 }),
      ['INTERVAL_RAISED_TO_MIN_PAUSE', ...c('intervalMs', 'minPauseMs')],
    ],
    [
      'retained in the JobManager',
      periodic({ storage: { type: 'jobmanager' } }),
      ['RETAINED_IN_JOBMANAGER', ...c('storage/type', 'retention')],
    ],
    [
      'incremental on hashmap',
      periodic({}, { backend: 'hashmap', incremental: true }),
      ['INCREMENTAL_WITHOUT_EFFECT', '/state/incremental', '/state/backend'],
    ],
    [
      'incremental on nothing named',
      periodic({}, { incremental: true }),
      ['INCREMENTAL_WITHOUT_EFFECT', '/state/incremental', '/state/backend'],
    ],
    [
      'ForSt that is not incremental',
      periodic({}, { backend: 'forst', incremental: false }),
      ['FORST_NOT_INCREMENTAL', '/state/backend', '/state/incremental'],
    ],
    [
      'local recovery, which is of the cluster',
      periodic({}, { localRecovery: true }),
      ['LOCAL_RECOVERY_IS_OF_THE_CLUSTER', '/state/localRecovery'],
    ],
    [
      'no local recovery',
      periodic({}, { localRecovery: false }),
      ['LOCAL_RECOVERY_IS_OF_THE_CLUSTER', '/state/localRecovery'],
    ],
    [
      'half of local recovery, under the keys of Flink, and its place',
      {
        flinkConfiguration: {
          'execution.state-recovery.from-local': 'true',
          'taskmanager.state.local.root-dirs': '/data/local',
        },
      },
      [
        'LOCAL_RECOVERY_IS_OF_THE_CLUSTER',
        '/flinkConfiguration/execution.state-recovery.from-local',
        '/flinkConfiguration/taskmanager.state.local.root-dirs',
      ],
    ],
    [
      'an interval that is switched off',
      { checkpointing: { enabled: false, intervalMs: 1000 } },
      ['INTERVAL_NOT_USED', ...c('enabled', 'intervalMs')],
    ],
    [
      'settings without an interval',
      { checkpointing: { minPauseMs: 5, retention: 'RETAIN_ON_CANCELLATION' } },
      ['PERIODIC_CHECKPOINTS_OFF', ...c('intervalMs', 'minPauseMs', 'retention')],
    ],
    [
      'an interval of 0',
      { checkpointing: { intervalMs: 0, timeoutMs: 1000 } },
      ['PERIODIC_CHECKPOINTS_OFF', ...c('intervalMs', 'timeoutMs')],
    ],
  ])('%s', (_name, spec, warning) => {
    const { warnings } = checkSettings(spec)
    expect(found(spec)).toEqual({ errors: [], warnings: [warning] })
    for (const pointer of warning.slice(1)) expect(warnings[0]?.message).toContain(pointer)
  })

  it.each<[string, JobVersionSpec]>([
    ['nothing at all', {}],
    ['a plain interval', periodic({})],
    ['a timeout shorter than the interval', periodic({ timeoutMs: 10_000 })],
    ['unaligned with its options', periodic({ unaligned: true, alignedTimeoutMs: 5, forceUnaligned: true })],
    ['deleted on cancel, ten kept', periodic({ retention: 'DELETE_ON_CANCELLATION', numRetained: 10 })],
    ['no checkpoints during backlog', periodic({ intervalDuringBacklogMs: 0 })],
    ['incremental RocksDB', periodic({}, { backend: 'rocksdb', incremental: true })],
    ['incremental on a class of theirs', periodic({}, { backend: 'com.example.Backend', incremental: true })],
    ['tolerating three, as the old flag allows', periodic({ failOnErrors: false, tolerableFailures: 3 })],
    [
      'a directory from the old key',
      {
        checkpointing: { intervalMs: 10, storage: { type: 'filesystem' } },
        flinkConfiguration: { 'state.checkpoints.dir': 's3://b/c' },
      },
    ],
  ])('nothing is said about %s', (_name, spec) => {
    expect(found(spec)).toEqual({ errors: [], warnings: [] })
  })
})

describe('how far apart checkpoints start', () => {
  const settings = { intervalMs: 5000, minPauseMs: 5000, maxConcurrent: 1 }
  it('counts the pause from the end of one to the start of the next: 10 s and 5 s make 15 s', () => {
    expect(startToStartMs(settings, 10_000)).toBe(15_000)
    expect(startToStartMs({ ...settings, minPauseMs: 0 }, 10_000)).toBe(10_000)
    expect(startToStartMs({ ...settings, intervalMs: 60_000 }, 10_000)).toBe(60_000)
    expect(startToStartMs({ ...settings, minPauseMs: 0, maxConcurrent: 4 }, 10_000)).toBe(5000)
  })
  it('is never less than the pause', () => {
    expect(effectiveIntervalMs({ intervalMs: 1000, minPauseMs: 5000 })).toBe(5000)
    expect(effectiveIntervalMs({ intervalMs: 9000, minPauseMs: 5000 })).toBe(9000)
  })
})

describe('the keys of a Flink version', () => {
  const spec: JobVersionSpec = {
    checkpointing: {
      intervalMs: 60_000,
      timeoutMs: 600_000,
      unaligned: true,
      alignedTimeoutMs: 1000,
      intervalDuringBacklogMs: 120_000,
      storage: { type: 'filesystem', dir: 's3://bucket/checkpoints' },
    },
    state: { backend: 'rocksdb', incremental: true, ttlMs: 1000, localRecovery: true, changelog: false },
    flinkConfiguration: {
      'state.savepoints.dir': 's3://bucket/savepoints',
      'taskmanager.numberOfTaskSlots': '2',
    },
  }
  const same = {
    'execution.checkpointing.interval': '60000 ms',
    'execution.checkpointing.timeout': '600000 ms',
    'execution.checkpointing.externalized-checkpoint-retention': 'RETAIN_ON_CANCELLATION',
    'table.exec.state.ttl': '1000 ms',
    'taskmanager.numberOfTaskSlots': '2',
  }
  const old = {
    ...same,
    'execution.checkpointing.unaligned': 'true',
    'execution.checkpointing.alignment-timeout': '1000 ms',
    'state.checkpoint-storage': 'filesystem',
    'state.checkpoints.dir': 's3://bucket/checkpoints',
    'state.checkpoints.num-retained': '5',
    'state.backend': 'rocksdb',
    'state.backend.incremental': 'true',
    'state.backend.local-recovery': 'true',
    'state.backend.changelog.enabled': 'false',
    'state.savepoints.dir': 's3://bucket/savepoints',
  }
  const backlog = { 'execution.checkpointing.interval-during-backlog': '120000 ms' }

  it('are the new ones since 1.20', () => {
    const expected = {
      ...same,
      ...backlog,
      'execution.checkpointing.unaligned.enabled': 'true',
      'execution.checkpointing.aligned-checkpoint-timeout': '1000 ms',
      'execution.checkpointing.storage': 'filesystem',
      'execution.checkpointing.dir': 's3://bucket/checkpoints',
      'execution.checkpointing.num-retained': '5',
      'state.backend.type': 'rocksdb',
      'execution.checkpointing.incremental': 'true',
      'execution.checkpointing.local-backup.enabled': 'true',
      'execution.state-recovery.from-local': 'true',
      'state.changelog.enabled': 'false',
      'execution.checkpointing.savepoint-dir': 's3://bucket/savepoints',
    }
    for (const version of [
      [1, 20],
      [2, 3],
    ] as const) {
      expect(renderFlinkConfiguration(spec, version).configuration).toEqual(expected)
    }
  })

  it('are the old ones up to 1.19, and what a version does not know is left out', () => {
    expect(renderFlinkConfiguration(spec, [1, 19]).configuration).toEqual({ ...old, ...backlog })
    const { configuration, warnings } = renderFlinkConfiguration(spec, [1, 18])
    expect(configuration).toEqual(old)
    expect(warnings).toContainEqual(
      expect.objectContaining({
        code: 'NOT_IN_THIS_FLINK',
        pointers: ['/checkpointing/intervalDuringBacklogMs'],
      }),
    )
  })

  it('hold our two defaults and nothing else when a version says nothing', () => {
    expect(renderFlinkConfiguration({}, [2, 0]).configuration).toEqual({
      'execution.checkpointing.externalized-checkpoint-retention': 'RETAIN_ON_CANCELLATION',
      'execution.checkpointing.num-retained': '5',
    })
  })

  it('hold no interval that Flink would refuse', () => {
    for (const checkpointing of [
      { intervalMs: 0 },
      { enabled: false, intervalMs: 1000, intervalDuringBacklogMs: 2000 },
    ]) {
      const keys = Object.keys(renderFlinkConfiguration({ checkpointing }, [2, 0]).configuration)
      expect(keys.filter((key) => key.includes('interval'))).toEqual([])
    }
  })

  it('turn the PyFlink flag into its number', () => {
    const failures = (failOnErrors: boolean) =>
      renderFlinkConfiguration({ checkpointing: { failOnErrors } }, [2, 0]).configuration[
        'execution.checkpointing.tolerable-failed-checkpoints'
      ]
    expect([failures(true), failures(false)]).toEqual(['0', '2147483647'])
  })

  it('warn of a backend that this Flink does not have', () => {
    const warnings = (version: readonly [number, number]) =>
      renderFlinkConfiguration({ state: { backend: 'forst' } }, version).warnings.map(({ code }) => code)
    expect(warnings([1, 20])).toContain('NOT_IN_THIS_FLINK')
    expect(warnings([2, 0])).not.toContain('NOT_IN_THIS_FLINK')
  })
})

describe('an old version', () => {
  it('with anything in its settings is read, with what is wrong as findings', () => {
    const spec = {
      checkpointing: { interval: 60_000, mode: 7, storage: 'x' },
      state: { backend: ['rocksdb'] },
    }
    const { given } = checkSettings(spec)
    expect(found(spec).errors.map(([code]) => code)).toEqual([
      'SETTING_INVALID',
      'SETTING_INVALID',
      'SETTING_UNKNOWN',
    ])
    expect(fillDefaults(given).checkpointing).toMatchObject({ mode: 'EXACTLY_ONCE', enabled: false })
  })
})

describe('a duration of Flink', () => {
  it.each([
    ['600000', 600_000],
    ['600000 ms', 600_000],
    ['10min', 600_000],
    [' 36 h ', 129_600_000],
    ['1 D', 86_400_000],
    ['3secs', 3000],
    ['1.5 s', null],
    ['-1', null],
    ['5 ns', null],
    ['', null],
    ['ms', null],
    ['9007199254740993', null],
  ])('%j is %s ms', (text, ms) => {
    expect(readFlinkDuration(text)).toBe(ms)
  })
})

it('reads Flink versions by their first two numbers', () => {
  expect(['1.20.4', '2.1-SNAPSHOT', '2.0', 'x', '1', '1.2000'].map(readFlinkVersion)).toEqual([
    [1, 20],
    [2, 1],
    [2, 0],
    null,
    null,
    null,
  ])
  expect([isSince([2, 0], [1, 20]), isSince([1, 19], [1, 20]), isSince([1, 20], [1, 20])]).toEqual([
    true,
    false,
    true,
  ])
})
