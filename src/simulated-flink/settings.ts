/** Flink configuration keys, old and new, as settings of a job. */
import type { JobSettings, Retention } from './job.ts'

export const DEFAULT_SETTINGS: JobSettings = {
  checkpointIntervalMs: null,
  checkpointTimeoutMs: 600_000,
  minPauseMs: 0,
  maxConcurrent: 1,
  tolerableFailures: 0,
  numRetained: 1,
  mode: 'exactly_once',
  retention: 'RETAIN_ON_CANCELLATION',
  unaligned: false,
  alignedTimeoutMs: 0,
  stateBackend: 'hashmap',
  incremental: false,
  checkpointDirectory: null,
  savepointDurationMs: 50,
  checkpointDurationMs: 10,
}

export function settingsFrom(
  configuration: Readonly<Record<string, string>>,
  base: JobSettings,
): JobSettings {
  const read = (...keys: string[]): string | undefined =>
    keys.map((key) => configuration[key]).find((value) => value !== undefined)
  const checkpointing = (name: string, ...old: string[]) => read(`execution.checkpointing.${name}`, ...old)
  const ms = (text: string | undefined, otherwise: number) =>
    text === undefined ? otherwise : parseDurationMs(text)
  const interval = checkpointing('interval')
  return {
    ...base,
    checkpointIntervalMs: interval === undefined ? base.checkpointIntervalMs : parseDurationMs(interval),
    checkpointTimeoutMs: ms(checkpointing('timeout'), base.checkpointTimeoutMs),
    minPauseMs: ms(checkpointing('min-pause'), base.minPauseMs),
    maxConcurrent: Number(checkpointing('max-concurrent-checkpoints') ?? base.maxConcurrent),
    tolerableFailures: Number(checkpointing('tolerable-failed-checkpoints') ?? base.tolerableFailures),
    // Flink reads it from its own configuration only, whatever the job says (seen on 1.20.4 and 2.3.0).
    numRetained: base.numRetained,
    mode: toMode(checkpointing('mode')) ?? base.mode,
    retention: toRetention(checkpointing('externalized-checkpoint-retention')) ?? base.retention,
    unaligned:
      toBoolean(checkpointing('unaligned.enabled', 'execution.checkpointing.unaligned')) ?? base.unaligned,
    alignedTimeoutMs: ms(checkpointing('aligned-checkpoint-timeout'), base.alignedTimeoutMs),
    stateBackend: toBackend(read('state.backend.type', 'state.backend')) ?? base.stateBackend,
    incremental: toBoolean(checkpointing('incremental', 'state.backend.incremental')) ?? base.incremental,
    checkpointDirectory: checkpointing('dir', 'state.checkpoints.dir') ?? base.checkpointDirectory,
  }
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  ms: 1,
  s: 1000,
  sec: 1000,
  min: 60_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** Flink's TimeUtils, the units people use; without one the number is milliseconds. */
function parseDurationMs(text: string): number {
  const [, amount, unit = ''] = /^\s*(\d+)\s*([a-z]*)\s*$/i.exec(text) ?? []
  const factor = UNITS[unit.toLowerCase()]
  if (amount === undefined || factor === undefined) throw new Error(`Could not parse duration '${text}'`)
  return Number(amount) * factor
}

const RETENTIONS: readonly Retention[] = [
  'RETAIN_ON_CANCELLATION',
  'DELETE_ON_CANCELLATION',
  'NO_EXTERNALIZED_CHECKPOINTS',
]
const toRetention = (text: string | undefined): Retention | undefined =>
  RETENTIONS.find((retention) => retention === text?.toUpperCase())

const toBoolean = (text: string | undefined): boolean | undefined =>
  text === undefined ? undefined : text.toLowerCase() === 'true'

const toBackend = (text: string | undefined): 'hashmap' | 'rocksdb' | undefined => {
  if (text === 'rocksdb') return 'rocksdb'
  return text === undefined ? undefined : 'hashmap'
}

const toMode = (text: string | undefined): JobSettings['mode'] | undefined => {
  if (text === undefined) return undefined
  return text.toUpperCase().replaceAll('-', '_') === 'AT_LEAST_ONCE' ? 'at_least_once' : 'exactly_once'
}
