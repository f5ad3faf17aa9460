/**
 * The settings of a version that have a name of their own: what each may be, and its key in Flink's configuration. Flink
 * renamed many keys in 1.20 (FLINK-34482); the old names are the only ones older servers know, the new ones the documented
 * ones since. Read from `CheckpointingOptions`, `StateBackendOptions` and `StateChangelogOptions` of 1.20.4 and 2.3.0.
 */
import { readFlinkDuration } from './flink-duration.ts'

export const CHECKPOINTING_MODES = ['EXACTLY_ONCE', 'AT_LEAST_ONCE'] as const
export type CheckpointingMode = (typeof CHECKPOINTING_MODES)[number]

export const RETENTIONS = [
  'RETAIN_ON_CANCELLATION',
  'DELETE_ON_CANCELLATION',
  'NO_EXTERNALIZED_CHECKPOINTS',
] as const
export type Retention = (typeof RETENTIONS)[number]

export const STORAGE_TYPES = ['jobmanager', 'filesystem', 'custom'] as const

const YEAR_MS = 365 * 24 * 3_600_000
const INT_MAX = 2_147_483_647
const CLASS_NAME = /^[A-Za-z_$][\w$]*(\.[A-Za-z_$][\w$]*)+$/
/** What a JSON schema says of a class name: at least one dot, so that a misspelt backend is none. */
export const BACKEND_PATTERN = '^(hashmap|rocksdb|forst|[A-Za-z_$][\\w$]*(\\.[A-Za-z_$][\\w$]*)+)$'
export const CLASS_PATTERN = '^[A-Za-z_$][\\w$]*(\\.[A-Za-z_$][\\w$]*)+$'

export type Kind =
  /** Milliseconds; `orZero`: 0 means off and stands beside the minimum. */
  | { type: 'duration'; min: number; max: number; orZero?: boolean }
  | { type: 'count'; min: number; max: number }
  | { type: 'flag' }
  | { type: 'word'; words: readonly string[] }
  | { type: 'class'; words: readonly string[] }
  | { type: 'text' }

type Definition = {
  pointer: string
  kind: Kind
  /** Of Flink 1.20 and newer; none when it is a setting of ours alone. */
  key?: string
  /** The name before 1.20, where it is another. */
  oldKey?: string
  /**
   * Further keys that make up the setting since 1.20: rendered together with `key`. In `flinkConfiguration` each of them
   * may differ on purpose, so only the old key is taken for the setting.
   */
  twins?: readonly string[]
  /** The first Flink version that knows the key at all. */
  since?: readonly [major: number, minor: number]
}

const checkpointing = (name: string) => `execution.checkpointing.${name}`
const flag: Kind = { type: 'flag' }

const DEFINITIONS = {
  enabled: { pointer: '/checkpointing/enabled', kind: flag },
  mode: {
    pointer: '/checkpointing/mode',
    kind: { type: 'word', words: CHECKPOINTING_MODES },
    key: checkpointing('mode'),
  },
  intervalMs: {
    pointer: '/checkpointing/intervalMs',
    kind: { type: 'duration', min: 10, max: YEAR_MS, orZero: true },
    key: checkpointing('interval'),
  },
  timeoutMs: {
    pointer: '/checkpointing/timeoutMs',
    kind: { type: 'duration', min: 10, max: YEAR_MS },
    key: checkpointing('timeout'),
  },
  minPauseMs: {
    pointer: '/checkpointing/minPauseMs',
    kind: { type: 'duration', min: 0, max: YEAR_MS }, // Flink caps a longer one in silence: `CheckpointCoordinator`
    key: checkpointing('min-pause'),
  },
  maxConcurrent: {
    pointer: '/checkpointing/maxConcurrent',
    kind: { type: 'count', min: 1, max: INT_MAX },
    key: checkpointing('max-concurrent-checkpoints'),
  },
  tolerableFailures: {
    pointer: '/checkpointing/tolerableFailures',
    kind: { type: 'count', min: 0, max: INT_MAX },
    key: checkpointing('tolerable-failed-checkpoints'),
  },
  failOnErrors: { pointer: '/checkpointing/failOnErrors', kind: flag },
  retention: {
    pointer: '/checkpointing/retention',
    kind: { type: 'word', words: RETENTIONS },
    key: checkpointing('externalized-checkpoint-retention'),
  },
  unaligned: {
    pointer: '/checkpointing/unaligned',
    kind: flag,
    key: checkpointing('unaligned.enabled'),
    oldKey: checkpointing('unaligned'),
  },
  alignedTimeoutMs: {
    pointer: '/checkpointing/alignedTimeoutMs',
    kind: { type: 'duration', min: 0, max: YEAR_MS },
    key: checkpointing('aligned-checkpoint-timeout'),
    oldKey: checkpointing('alignment-timeout'),
  },
  forceUnaligned: {
    pointer: '/checkpointing/forceUnaligned',
    kind: flag,
    key: checkpointing('unaligned.forced'),
  },
  storageType: {
    pointer: '/checkpointing/storage/type',
    kind: { type: 'class', words: ['jobmanager', 'filesystem'] },
    key: checkpointing('storage'),
    oldKey: 'state.checkpoint-storage',
  },
  storageDir: {
    pointer: '/checkpointing/storage/dir',
    kind: { type: 'text' },
    key: checkpointing('dir'),
    oldKey: 'state.checkpoints.dir',
  },
  numRetained: {
    pointer: '/checkpointing/numRetained',
    kind: { type: 'count', min: 1, max: INT_MAX },
    key: checkpointing('num-retained'),
    oldKey: 'state.checkpoints.num-retained',
  },
  intervalDuringBacklogMs: {
    pointer: '/checkpointing/intervalDuringBacklogMs',
    kind: { type: 'duration', min: 10, max: YEAR_MS, orZero: true },
    key: checkpointing('interval-during-backlog'),
    since: [1, 19],
  },
  backend: {
    pointer: '/state/backend',
    kind: { type: 'class', words: ['hashmap', 'rocksdb', 'forst'] },
    key: 'state.backend.type',
    oldKey: 'state.backend',
  },
  incremental: {
    pointer: '/state/incremental',
    kind: flag,
    key: checkpointing('incremental'),
    oldKey: 'state.backend.incremental',
  },
  ttlMs: {
    pointer: '/state/ttlMs',
    kind: { type: 'duration', min: 0, max: 100 * YEAR_MS },
    key: 'table.exec.state.ttl',
  },
  localRecovery: {
    pointer: '/state/localRecovery',
    kind: flag,
    key: checkpointing('local-backup.enabled'), // 1.20 split the old key in two: writing the copies, and using them
    oldKey: 'state.backend.local-recovery',
    twins: ['execution.state-recovery.from-local'],
  },
  changelog: {
    pointer: '/state/changelog',
    kind: flag,
    key: 'state.changelog.enabled',
    oldKey: 'state.backend.changelog.enabled',
  },
} as const satisfies Record<string, Definition>

export type SettingName = keyof typeof DEFINITIONS
export type Setting = Definition & { name: SettingName }

export const definitionOf = (name: SettingName): Definition => DEFINITIONS[name]

const isName = (name: string): name is SettingName => Object.hasOwn(DEFINITIONS, name)
export const SETTINGS: readonly Setting[] = Object.keys(DEFINITIONS)
  .filter(isName)
  .map((name) => ({ name, ...definitionOf(name) }))

/** Keys without a setting of ours that were renamed in 1.20, new name first: passed on under the name the server knows. */
const RENAMED: readonly (readonly [string, string])[] = [
  [checkpointing('savepoint-dir'), 'state.savepoints.dir'],
  [checkpointing('create-subdir'), 'state.checkpoints.create-subdir'],
  [checkpointing('cleaner.parallel-mode'), 'state.checkpoint.cleaner.parallel-mode'],
  [checkpointing('data-inline-threshold'), 'state.storage.fs.memory-threshold'],
  [checkpointing('write-buffer-size'), 'state.storage.fs.write-buffer-size'],
  [checkpointing('local-backup.dirs'), 'taskmanager.state.local.root-dirs'],
  [
    checkpointing('checkpoints-after-tasks-finish'),
    'execution.checkpointing.checkpoints-after-tasks-finish.enabled',
  ],
  ['execution.state-recovery.path', 'execution.savepoint.path'],
  ['execution.state-recovery.ignore-unclaimed-state', 'execution.savepoint.ignore-unclaimed-state'],
  ['execution.state-recovery.claim-mode', 'execution.savepoint-restore-mode'],
  [
    'execution.state-recovery.without-channel-state.checkpoint-id',
    'execution.checkpointing.recover-without-channel-state.checkpoint-id',
  ],
  ['state.changelog.storage', 'state.backend.changelog.storage'],
  ['state.changelog.max-failures-allowed', 'state.backend.changelog.max-failures-allowed'],
  ['state.changelog.periodic-materialize.enabled', 'state.backend.changelog.periodic-materialize.enabled'],
  ['state.changelog.periodic-materialize.interval', 'state.backend.changelog.periodic-materialize.interval'],
]
const OTHER_NAME: ReadonlyMap<string, { newKey: string; oldKey: string }> = new Map(
  RENAMED.flatMap(([newKey, oldKey]) => [newKey, oldKey].map((key) => [key, { newKey, oldKey }] as const)),
)

const BY_KEY: ReadonlyMap<string, Setting> = new Map(
  SETTINGS.flatMap((setting) => keysOf(setting).map((key) => [key, setting] as const)),
)

/** Every name under which `flinkConfiguration` can say the setting. */
function keysOf({ key, oldKey, twins }: Definition): string[] {
  const names = twins === undefined ? [key, oldKey] : [oldKey]
  return names.filter((name) => name !== undefined)
}

export const settingOfKey = (key: string): Setting | undefined => BY_KEY.get(key)

/** The same for every name of one key, and another for every other key. */
export const canonicalKey = (key: string): string =>
  BY_KEY.get(key)?.key ?? OTHER_NAME.get(key)?.newKey ?? key

export type FlinkVersion = readonly [major: number, minor: number]

/** `1.20.4`, `2.1-SNAPSHOT`; null when it does not begin with two numbers. */
export function readFlinkVersion(text: string): FlinkVersion | null {
  const [, major, minor] = /^(\d{1,3})\.(\d{1,3})(?![\d])/.exec(text) ?? []
  return major === undefined || minor === undefined ? null : [Number(major), Number(minor)]
}

export const isSince = ([major, minor]: FlinkVersion, [first, second]: FlinkVersion): boolean =>
  major > first || (major === first && minor >= second)

const RENAMED_IN: FlinkVersion = [1, 20]

/** The names under which this Flink knows the setting. */
export const namesFor = ({ key, oldKey, twins = [] }: Definition, version: FlinkVersion): string[] => {
  if (key === undefined) return []
  return isSince(version, RENAMED_IN) ? [key, ...twins] : [oldKey ?? key]
}

/** The name under which this Flink knows a key that is no setting of ours. */
export const nameFor = (key: string, version: FlinkVersion): string => {
  const names = OTHER_NAME.get(key)
  if (names === undefined) return key
  return isSince(version, RENAMED_IN) ? names.newKey : names.oldKey
}

export type SettingValue = string | number | boolean

const inBounds = (kind: Extract<Kind, { min: number }>, value: number): boolean =>
  Number.isSafeInteger(value) &&
  ((value >= kind.min && value <= kind.max) || (value === 0 && 'orZero' in kind && kind.orZero === true))

/** What is wrong with a value of this kind, for a person. */
export function expectedOf(kind: Kind): string {
  if (kind.type === 'flag') return 'must be true or false'
  if (kind.type === 'word') return `must be one of ${kind.words.join(', ')}`
  if (kind.type === 'class') return `must be ${kind.words.join(', ')} or a class name with its package`
  if (kind.type === 'text') return 'must be a text that is not empty'
  const zero = kind.type === 'duration' && kind.orZero === true ? '0 or ' : ''
  const unit = kind.type === 'duration' ? ' ms' : ''
  return `must be ${zero}a whole number from ${kind.min}${unit} to ${kind.max}${unit}`
}

/** The value if it is one of this kind, else null. */
export function checkValue(kind: Kind, value: unknown): SettingValue | null {
  if (kind.type === 'flag') return typeof value === 'boolean' ? value : null
  if (kind.type === 'duration' || kind.type === 'count') {
    return typeof value === 'number' && inBounds(kind, value) ? value : null
  }
  if (typeof value !== 'string' || value === '') return null
  if (kind.type === 'word') return kind.words.includes(value) ? value : null
  if (kind.type === 'class') return kind.words.includes(value) || CLASS_NAME.test(value) ? value : null
  return value
}

/** The same from the text of a Flink configuration, read as `ConfigurationUtils` does: words and booleans in any case. */
export function parseValue(kind: Kind, text: string): SettingValue | null {
  const word = text.trim()
  if (kind.type === 'flag') return /^(true|false)$/i.test(word) ? word.toLowerCase() === 'true' : null
  if (kind.type === 'duration') return checkValue(kind, readFlinkDuration(word))
  if (kind.type === 'count') return /^\+?\d{1,10}$/.test(word) ? checkValue(kind, Number(word)) : null
  if (kind.type === 'word') return checkValue(kind, word.toUpperCase())
  if (kind.type === 'class' && kind.words.includes(word.toLowerCase())) return word.toLowerCase()
  return checkValue(kind, word)
}
