/**
 * The rules between the settings of a version (`flink-rest-api.md` §11). What Flink refuses, we refuse at creation; what
 * Flink quietly ignores or changes becomes a warning. Every finding names all the settings it is about.
 */
import {
  effectiveIntervalMs,
  type Finding,
  fillDefaults,
  flagOf,
  type GivenSettings,
  isPeriodic,
  numberOf,
  pointerToKey,
  readSettings,
  textOf,
} from './checkpoint-settings.ts'
import { canonicalKey, definitionOf, type SettingName } from './flink-settings.ts'
import type { JobVersionSpec } from './job-version.ts'

type Rule = {
  code: string
  settings: readonly [SettingName, ...SettingName[]]
  broken: (given: GivenSettings) => boolean
  because: string | ((given: GivenSettings) => string)
}

const has = ({ settings }: GivenSettings, name: SettingName) => settings.has(name)
const interval = (given: GivenSettings) => numberOf(given, 'intervalMs') ?? 0
const isUnaligned = (given: GivenSettings) => flagOf(given, 'unaligned') === true
const isExactlyOnce = (given: GivenSettings) => given.settings.get('mode')?.value !== 'AT_LEAST_ONCE'
const concurrency = (given: GivenSettings) => numberOf(given, 'maxConcurrent') ?? 1
const minPause = (given: GivenSettings) => numberOf(given, 'minPauseMs') ?? 0
const backend = (given: GivenSettings) => textOf(given, 'backend')
/** Matter only to checkpoints that Flink starts by itself. */
const PERIODIC_ONLY: readonly SettingName[] = [
  'minPauseMs',
  'maxConcurrent',
  'tolerableFailures',
  'failOnErrors',
  'retention',
  'unaligned',
  'alignedTimeoutMs',
  'forceUnaligned',
  'mode',
  'timeoutMs',
  'numRetained',
  'intervalDuringBacklogMs',
]

const ERRORS: readonly Rule[] = [
  {
    code: 'ENABLED_WITHOUT_INTERVAL',
    settings: ['enabled', 'intervalMs'],
    broken: (given) => flagOf(given, 'enabled') === true && interval(given) === 0,
    because: 'checkpointing is enabled by an interval of at least 10 ms, and there is none',
  },
  {
    code: 'UNALIGNED_WITH_CONCURRENCY', // `CheckpointCoordinatorConfiguration`; not reached when it counts as off
    settings: ['unaligned', 'maxConcurrent'],
    broken: (given) => isUnaligned(given) && isExactlyOnce(given) && concurrency(given) > 1,
    because: 'Flink takes unaligned checkpoints only one at a time: maxConcurrent must be 1',
  },
  {
    code: 'FAILURES_CONTRADICT',
    settings: ['failOnErrors', 'tolerableFailures'],
    broken: (given) => {
      const [flag, number] = [flagOf(given, 'failOnErrors'), numberOf(given, 'tolerableFailures')]
      return flag !== undefined && number !== undefined && flag !== (number === 0)
    },
    because:
      'failOnErrors true is the same as 0 tolerable failures, false as any other number; these two contradict each other',
  },
  {
    code: 'BACKLOG_SHORTER_THAN_INTERVAL', // `CheckpointConfig.getCheckpointIntervalDuringBacklog`
    settings: ['intervalDuringBacklogMs', 'intervalMs'],
    broken: (given) => {
      const backlog = numberOf(given, 'intervalDuringBacklogMs') ?? 0
      return isPeriodic(given) && backlog > 0 && backlog < interval(given)
    },
    because:
      'the interval during backlog is 0 (no checkpoints then) or at least as long as the usual interval',
  },
  {
    code: 'STORAGE_WITHOUT_DIRECTORY',
    settings: ['storageType', 'storageDir'],
    broken: (given) => textOf(given, 'storageType') === 'filesystem' && !has(given, 'storageDir'),
    because: 'checkpoints in a file system need a directory',
  },
]

const WARNINGS: readonly Rule[] = [
  {
    code: 'INTERVAL_NOT_USED',
    settings: ['enabled', 'intervalMs'],
    broken: (given) => flagOf(given, 'enabled') === false && interval(given) > 0,
    because: 'checkpointing is switched off, so the interval is not sent',
  },
  {
    code: 'INTERVAL_RAISED_TO_MIN_PAUSE',
    settings: ['intervalMs', 'minPauseMs'],
    broken: (given) => isPeriodic(given) && interval(given) < minPause(given),
    because: (given) =>
      `the minimum pause overrides the shorter interval: checkpoints start at least ${effectiveIntervalMs({ intervalMs: interval(given), minPauseMs: minPause(given) })} ms apart`,
  },
  {
    code: 'MIN_PAUSE_WITH_CONCURRENCY', // `CheckpointRequestDecider`: only the last completion counts, nothing is clamped
    settings: ['minPauseMs', 'maxConcurrent'],
    broken: (given) => minPause(given) > 0 && concurrency(given) > 1,
    because:
      'the two are not meant to be combined: Flink takes both, but then counts the pause from the last completed checkpoint while others may still be running, so no time without a checkpoint is guaranteed. Set maxConcurrent to 1, or the pause to 0',
  },
  {
    code: 'UNALIGNED_NEEDS_EXACTLY_ONCE',
    settings: ['unaligned', 'mode'],
    broken: (given) => isUnaligned(given) && !isExactlyOnce(given),
    because:
      'unaligned checkpoints exist in EXACTLY_ONCE mode only: Flink takes aligned ones without saying so',
  },
  {
    code: 'ALIGNED_TIMEOUT_WITHOUT_UNALIGNED',
    settings: ['alignedTimeoutMs', 'unaligned'],
    broken: (given) => (numberOf(given, 'alignedTimeoutMs') ?? 0) > 0 && !isUnaligned(given),
    because: 'the aligned timeout says when a checkpoint turns unaligned; without unaligned it has no effect',
  },
  {
    code: 'FORCE_WITHOUT_UNALIGNED',
    settings: ['forceUnaligned', 'unaligned'],
    broken: (given) => flagOf(given, 'forceUnaligned') === true && !isUnaligned(given),
    because: 'nothing is forced while unaligned checkpoints are off',
  },
  {
    code: 'RETAINED_IN_JOBMANAGER',
    settings: ['storageType', 'retention'],
    broken: (given) =>
      textOf(given, 'storageType') === 'jobmanager' &&
      !has(given, 'storageDir') &&
      fillDefaults(given).checkpointing.retention === 'RETAIN_ON_CANCELLATION',
    because:
      'checkpoints in the memory of the JobManager are gone with it: nothing is retained that another job could start from',
  },
  {
    code: 'INCREMENTAL_WITHOUT_EFFECT',
    settings: ['incremental', 'backend'],
    broken: (given) =>
      flagOf(given, 'incremental') === true && [undefined, 'hashmap'].includes(backend(given)),
    because: (given) =>
      backend(given) === undefined
        ? 'only rocksdb and forst take incremental checkpoints; no state backend is named here, and the default of Flink is hashmap'
        : 'only rocksdb and forst take incremental checkpoints: with hashmap it has no effect',
  },
  {
    code: 'FORST_NOT_INCREMENTAL',
    settings: ['backend', 'incremental'],
    broken: (given) => backend(given) === 'forst' && flagOf(given, 'incremental') === false,
    because:
      'ForSt is made for large remote state: without incremental checkpoints each one copies all of it',
  },
]

type CheckedSettings = { given: GivenSettings; errors: Finding[]; warnings: Finding[] }

export function checkSettings(spec: JobVersionSpec): CheckedSettings {
  const given = readSettings(spec)
  return {
    given,
    errors: [...given.problems, ...findStorageForm(spec), ...apply(ERRORS, given)],
    warnings: [...findPeriodicOff(given), ...apply(WARNINGS, given), ...findLocalRecovery(given)],
  }
}

const apply = (rules: readonly Rule[], given: GivenSettings): Finding[] =>
  rules
    .filter(({ broken }) => broken(given))
    .map(({ code, settings, because }) =>
      describe(given, code, settings, typeof because === 'string' ? because : because(given)),
    )

/** A setting that is not given is named where it would stand. */
const pointerOf = ({ settings }: GivenSettings, name: SettingName): string =>
  settings.get(name)?.pointer ?? definitionOf(name).pointer

function describe(
  given: GivenSettings,
  code: string,
  names: readonly SettingName[],
  because: string,
): Finding {
  const pointers = names.map((name) => pointerOf(given, name))
  return { code, message: `${pointers.join(' and ')}: ${because}`, pointers }
}

/** Without an interval Flink starts none; those that somebody asks for still heed most of the settings. */
function findPeriodicOff(given: GivenSettings): Finding[] {
  const idle = PERIODIC_ONLY.filter((name) => has(given, name))
  if (isPeriodic(given) || idle.length === 0) return []
  return [
    describe(
      given,
      'PERIODIC_CHECKPOINTS_OFF',
      ['intervalMs', ...idle],
      'no interval is sent, so Flink takes no checkpoints by itself unless the configuration of the cluster sets one',
    ),
  ]
}

/** Its own keys, where they are said apart, and where the copies lie. */
const LOCAL_RECOVERY_KEYS = [
  'execution.checkpointing.local-backup.enabled',
  'execution.state-recovery.from-local',
  'execution.checkpointing.local-backup.dirs',
]

/**
 * `TaskManagerServicesConfiguration.fromConfiguration`, and for the choice of slots `DefaultSlotPoolServiceSchedulerFactory`,
 * are given the configuration of their process alone (1.20.4, 2.3.0). False is not obeyed either.
 */
function findLocalRecovery({ settings, flinkConfiguration }: GivenSettings): Finding[] {
  const own = settings.get('localRecovery')
  const parts = Object.keys(flinkConfiguration).filter((key) =>
    LOCAL_RECOVERY_KEYS.includes(canonicalKey(key)),
  )
  const pointers = [...(own === undefined ? [] : [own.pointer]), ...parts.map(pointerToKey)]
  if (pointers.length === 0) return []
  const because =
    'Flink reads local recovery from the configuration of its TaskManagers and of the JobManager: what a job says has no effect on a session cluster. Set execution.checkpointing.local-backup.enabled and execution.state-recovery.from-local there (before 1.20 state.backend.local-recovery); both are off by default'
  const message = `${pointers.join(' and ')}: ${because}`
  return [{ code: 'LOCAL_RECOVERY_IS_OF_THE_CLUSTER', message, pointers }]
}

/** The three forms of `storage` have different members. */
function findStorageForm({ checkpointing }: JobVersionSpec): Finding[] {
  const storage = checkpointing?.['storage']
  if (typeof storage !== 'object' || storage === null || !('type' in storage)) return []
  const isCustom = storage.type === 'custom'
  if (isCustom === 'className' in storage) return []
  const pointers = ['/checkpointing/storage/type', '/checkpointing/storage/className']
  const because = isCustom ? 'a custom storage needs its class' : 'only a custom storage has a class'
  return [{ code: 'STORAGE_CLASS', message: `${pointers.join(' and ')}: ${because}`, pointers }]
}
