/**
 * What a version says about checkpoints and state, brought into one form: every setting found by its own name or in
 * `flinkConfiguration`, the defaults filled in. Pure; the rules between settings are in `checkpoint-rules.ts`.
 */
import {
  CHECKPOINTING_MODES,
  type CheckpointingMode,
  canonicalKey,
  checkValue,
  expectedOf,
  parseValue,
  RETENTIONS,
  type Retention,
  SETTINGS,
  type Setting,
  type SettingName,
  type SettingValue,
  settingOfKey,
} from './flink-settings.ts'
import type { JobVersion, JobVersionSpec } from './job-version.ts'

/** Kept when nobody says how many: T-32. Flink's own default is 1. */
const DEFAULT_NUM_RETAINED = 5
const DEFAULT_TIMEOUT_MS = 600_000
const DEFAULT_RETENTION: Retention = 'RETAIN_ON_CANCELLATION'
/** PyFlink's `fail_on_checkpointing_errors(False)`: `CheckpointConfig` then tolerates Integer.MAX_VALUE failures. */
const UNLIMITED_FAILURES = 2_147_483_647

type CheckpointStorage =
  | { type: 'jobmanager'; dir: string | null }
  | { type: 'filesystem'; dir: string | null }
  | { type: 'custom'; className: string; dir: string | null }

/** With defaults filled in. `null`: the version says nothing, the configuration of the cluster decides. */
type EffectiveCheckpointing = {
  /** Whether Flink takes checkpoints by itself. */
  enabled: boolean
  mode: CheckpointingMode
  intervalMs: number | null
  /** From start to start at least: the interval, or the longer minimum pause. Null when none are taken. */
  effectiveIntervalMs: number | null
  timeoutMs: number
  minPauseMs: number
  maxConcurrent: number
  tolerableFailures: number
  failOnErrors: boolean
  retention: Retention
  /** Whether a checkpoint outlives its job at all. */
  externalized: boolean
  unaligned: boolean
  alignedTimeoutMs: number
  forceUnaligned: boolean
  storage: CheckpointStorage | null
  numRetained: number
  intervalDuringBacklogMs: number | null
}

type EffectiveState = {
  backend: string | null
  incremental: boolean
  /** Of SQL state; 0 = never expires. */
  ttlMs: number
  localRecovery: boolean
  changelog: boolean
}

export type EffectiveSettings = {
  checkpointing: EffectiveCheckpointing
  state: EffectiveState
  /** What has no setting of its own, as given. */
  flinkConfiguration: Record<string, string>
}

/** A place of the version, e.g. `/checkpointing/unaligned`; a message names every one it is about. */
export type Finding = { code: string; message: string; pointers: string[] }

type Given = { value: SettingValue; pointer: string }
export type GivenSettings = {
  settings: ReadonlyMap<SettingName, Given>
  flinkConfiguration: Readonly<Record<string, string>>
  /** What could not be taken: a creation is refused for it, an old version only says so. */
  problems: Finding[]
}

/** Where a key of `flinkConfiguration` stands, as an RFC 6901 pointer. */
export const pointerToKey = (key: string): string =>
  `/flinkConfiguration/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`

export function readSettings(spec: JobVersionSpec): GivenSettings {
  const problems: Finding[] = []
  const settings = new Map<SettingName, Given>()
  for (const setting of SETTINGS) readOwnName(setting, spec, settings, problems)
  const rest: Record<string, string> = {}
  const seen = new Map<string, string>()
  for (const [key, text] of Object.entries(spec.flinkConfiguration ?? {})) {
    const setting = settingOfKey(key)
    const pointer = pointerToKey(key)
    const before = seen.get(canonicalKey(key))
    if (before !== undefined) problems.push(saysTwice(pointerToKey(before), pointer))
    seen.set(canonicalKey(key), key)
    if (setting === undefined) rest[key] = text
    else if (before === undefined) readKey(setting, text, pointer, settings, problems)
  }
  problems.push(...findParts(spec, settings), ...findUnknown(spec))
  return { settings, flinkConfiguration: rest, problems }
}

function readOwnName(
  setting: Setting,
  spec: JobVersionSpec,
  settings: Map<SettingName, Given>,
  problems: Finding[],
): void {
  const given = valueAt(spec, setting)
  if (given === undefined) return
  const value = checkValue(setting.kind, given)
  if (value === null) problems.push(unreadable(setting.pointer, expectedOf(setting.kind)))
  else settings.set(setting.name, { value, pointer: setting.pointer })
}

function readKey(
  { name, kind }: Setting,
  text: string,
  pointer: string,
  settings: Map<SettingName, Given>,
  problems: Finding[],
): void {
  const other = settings.get(name)
  const value = parseValue(kind, text)
  if (other !== undefined) problems.push(saysTwice(other.pointer, pointer))
  else if (value === null) problems.push(unreadable(pointer, expectedOf(kind)))
  else settings.set(name, { value, pointer })
}

/** A key that is only a part of a setting says less than the setting: beside it, it is not clear which one counts. */
function findParts(spec: JobVersionSpec, settings: ReadonlyMap<SettingName, Given>): Finding[] {
  const free = spec.flinkConfiguration ?? {}
  return SETTINGS.flatMap(({ name, key, twins }) => {
    const given = settings.get(name)
    if (given === undefined || twins === undefined) return []
    const parts = [key, ...twins].filter((part) => part !== undefined && Object.hasOwn(free, part))
    return parts.map((part) => saysTwice(given.pointer, pointerToKey(part ?? '')))
  })
}

/** Only versions from before the settings were checked can have any. */
function findUnknown(spec: JobVersionSpec): Finding[] {
  const known = new Set(SETTINGS.map(({ pointer }) => pointer.split('/').slice(0, 3).join('/')))
  return [
    ...Object.keys(spec.checkpointing ?? {}).map((name) => `/checkpointing/${name}`),
    ...Object.keys(spec.state ?? {}).map((name) => `/state/${name}`),
  ]
    .filter((pointer) => !known.has(pointer))
    .map((pointer) => ({
      code: 'SETTING_UNKNOWN',
      message: `${pointer} is not known here and is not sent`,
      pointers: [pointer],
    }))
}

const saysTwice = (first: string, second: string): Finding => ({
  code: 'SETTING_GIVEN_TWICE',
  message: `${first} and ${second} are two names of the same Flink setting: keep one`,
  pointers: [first, second],
})
const unreadable = (pointer: string, expected: string): Finding => ({
  code: 'SETTING_INVALID',
  message: `${pointer} ${expected}`,
  pointers: [pointer],
})

/** A class as checkpoint storage is said as `{type: custom, className}`, and is one word to Flink. */
function valueAt(spec: JobVersionSpec, { name, pointer }: Setting): unknown {
  const storage = spec.checkpointing?.['storage']
  if (name === 'storageType' && isObject(storage) && storage['type'] === 'custom') return storage['className']
  const [, ...path] = pointer.split('/')
  return path.reduce<unknown>((value, step) => (isObject(value) ? value[step] : undefined), spec)
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const numberOf = ({ settings }: GivenSettings, name: SettingName): number | undefined => {
  const value = settings.get(name)?.value
  return typeof value === 'number' ? value : undefined
}
export const flagOf = ({ settings }: GivenSettings, name: SettingName): boolean | undefined => {
  const value = settings.get(name)?.value
  return typeof value === 'boolean' ? value : undefined
}
const wordOf = <Word extends string>(
  { settings }: GivenSettings,
  name: SettingName,
  words: readonly Word[],
): Word | undefined => words.find((word) => word === settings.get(name)?.value)
export const textOf = ({ settings }: GivenSettings, name: SettingName): string | undefined => {
  const value = settings.get(name)?.value
  return typeof value === 'string' ? value : undefined
}

export const isPeriodic = (given: GivenSettings): boolean =>
  (numberOf(given, 'intervalMs') ?? 0) > 0 && flagOf(given, 'enabled') !== false

export function fillDefaults(given: GivenSettings): EffectiveSettings {
  return {
    checkpointing: fillCheckpointing(given),
    state: {
      backend: textOf(given, 'backend') ?? null,
      incremental: flagOf(given, 'incremental') ?? false,
      ttlMs: numberOf(given, 'ttlMs') ?? 0,
      localRecovery: flagOf(given, 'localRecovery') ?? false,
      changelog: flagOf(given, 'changelog') ?? false,
    },
    flinkConfiguration: { ...given.flinkConfiguration },
  }
}

function fillCheckpointing(given: GivenSettings): EffectiveCheckpointing {
  const enabled = isPeriodic(given)
  const intervalMs = numberOf(given, 'intervalMs') ?? null
  const minPauseMs = numberOf(given, 'minPauseMs') ?? 0
  const tolerableFailures = tolerableFailuresOf(given) ?? 0
  const retention = wordOf(given, 'retention', RETENTIONS) ?? DEFAULT_RETENTION
  return {
    enabled,
    mode: wordOf(given, 'mode', CHECKPOINTING_MODES) ?? 'EXACTLY_ONCE',
    intervalMs,
    effectiveIntervalMs:
      enabled && intervalMs !== null ? effectiveIntervalMs({ intervalMs, minPauseMs }) : null,
    timeoutMs: numberOf(given, 'timeoutMs') ?? DEFAULT_TIMEOUT_MS,
    minPauseMs,
    maxConcurrent: numberOf(given, 'maxConcurrent') ?? 1,
    tolerableFailures,
    failOnErrors: tolerableFailures === 0,
    retention,
    externalized: retention !== 'NO_EXTERNALIZED_CHECKPOINTS',
    unaligned: flagOf(given, 'unaligned') ?? false,
    alignedTimeoutMs: numberOf(given, 'alignedTimeoutMs') ?? 0,
    forceUnaligned: flagOf(given, 'forceUnaligned') ?? false,
    storage: readStorage(given),
    numRetained: numberOf(given, 'numRetained') ?? DEFAULT_NUM_RETAINED,
    intervalDuringBacklogMs: numberOf(given, 'intervalDuringBacklogMs') ?? null,
  }
}

function readStorage(given: GivenSettings): CheckpointStorage | null {
  const dir = textOf(given, 'storageDir') ?? null
  const type = textOf(given, 'storageType') ?? (dir === null ? null : 'filesystem') // as `CheckpointStorageLoader`
  if (type === null) return null
  return type === 'jobmanager' || type === 'filesystem'
    ? { type, dir }
    : { type: 'custom', className: type, dir }
}

/** The number counts; PyFlink's flag only where no number is given. */
export function tolerableFailuresOf(given: GivenSettings): number | undefined {
  const flag = flagOf(given, 'failOnErrors')
  const ofFlag = flag === undefined ? undefined : flag ? 0 : UNLIMITED_FAILURES
  return numberOf(given, 'tolerableFailures') ?? ofFlag
}

/** `CheckpointCoordinator`: the pause overrides a shorter interval. */
export const effectiveIntervalMs = (settings: { intervalMs: number; minPauseMs: number }): number =>
  Math.max(settings.intervalMs, settings.minPauseMs)

/**
 * How far apart checkpoints start when each takes `durationMs`. The interval counts from start to start, the pause from
 * the end of one to the start of the next: 10 s of checkpoint and 5 s of pause start 15 s apart. With more than one at a
 * time it is what Flink reaches on average at best (`CheckpointRequestDecider`).
 */
export function startToStartMs(
  settings: { intervalMs: number; minPauseMs: number; maxConcurrent: number },
  durationMs: number,
): number {
  const { minPauseMs, maxConcurrent } = settings
  const busyMs = maxConcurrent === 1 ? durationMs + minPauseMs : Math.ceil(durationMs / maxConcurrent)
  return Math.max(effectiveIntervalMs(settings), busyMs)
}

/** How a version reads to whoever asks: as given, with its defaults filled in and what Flink would ignore in silence. */
export type JobVersionView = JobVersion & { effective: EffectiveSettings; warnings: Finding[] }
