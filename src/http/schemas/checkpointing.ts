/** The settings of a version for checkpoints and state, as sent and with their defaults. Bounds come from the domain. */
import { type TSchema, Type } from 'typebox'
import {
  BACKEND_PATTERN,
  CHECKPOINTING_MODES,
  CLASS_PATTERN,
  definitionOf,
  RETENTIONS,
  type SettingName,
  STORAGE_TYPES,
} from '../../domain/flink-settings.ts'
import { CLOSED, named, nullable, oneOf, ref } from './base.ts'
import { PATTERNS } from './formats.ts'

const optional = <Schema extends TSchema>(schema: Schema) => Type.Optional(schema)
const flag = (description: string) => optional(Type.Boolean({ description }))

/** A whole number within the bounds of the setting; where 0 means off it stands beside them, which the service checks. */
const amount = (name: SettingName, description: string) => {
  const { kind } = definitionOf(name)
  if (kind.type !== 'duration' && kind.type !== 'count') throw new TypeError(`${name} is no number`)
  const orZero = kind.type === 'duration' && kind.orZero === true
  return optional(Type.Integer({ minimum: orZero ? 0 : kind.min, maximum: kind.max, description }))
}

const Storage = Type.Object(
  {
    type: oneOf(STORAGE_TYPES, {
      description:
        '`jobmanager`: in the memory of the JobManager, for small state and local testing; lost with it, and savepoints still go to a file system. `filesystem`: HDFS, NFS, S3, GCS and the like, for state up to terabytes; the one for production. `custom`: a class of yours.',
    }),
    dir: optional(
      Type.String({
        pattern: PATTERNS.storageUri,
        maxLength: 2048,
        description: 'Where checkpoints lie, as Flink writes it; `filesystem` needs it.',
      }),
    ),
    className: optional(
      Type.String({
        pattern: CLASS_PATTERN,
        maxLength: 512,
        description: '`custom` only: the `CheckpointStorageFactory` with its package.',
      }),
    ),
  },
  { ...CLOSED, description: 'Where the persisted copies lie. Not given: the cluster decides.' },
)

export const CheckpointingSettings = named(
  'CheckpointingSettings',
  Type.Object(
    {
      enabled: flag(
        'False switches periodic checkpoints off though an interval is given; true needs an interval.',
      ),
      mode: optional(
        oneOf(CHECKPOINTING_MODES, {
          description: '`EXACTLY_ONCE` (default), or `AT_LEAST_ONCE` for very low latency.',
        }),
      ),
      intervalMs: amount(
        'intervalMs',
        'Milliseconds from the start of one checkpoint to the start of the next, at least 10; 0 or not given: none are taken periodically.',
      ),
      timeoutMs: amount(
        'timeoutMs',
        'Milliseconds after which an attempt counts as timed out and is discarded, at least 10; 600000 by default. Holds for savepoints too.',
      ),
      minPauseMs: amount(
        'minPauseMs',
        'Milliseconds from the end of one checkpoint to the start of the next; 0 by default. Overrides a shorter interval.',
      ),
      maxConcurrent: amount('maxConcurrent', 'How many attempts may be in progress at once; 1 by default.'),
      tolerableFailures: amount(
        'tolerableFailures',
        'How many checkpoints in a row may fail before the whole job fails over; 0 by default.',
      ),
      failOnErrors: optional(
        Type.Boolean({
          deprecated: true,
          description:
            "PyFlink's old flag: true is `tolerableFailures` 0, false tolerates any number. Use `tolerableFailures`.",
        }),
      ),
      retention: optional(
        oneOf(RETENTIONS, {
          description:
            'What happens to checkpoints when the job is cancelled. `RETAIN_ON_CANCELLATION` (default): kept, never removed by Flink, to be cleaned up by hand. `DELETE_ON_CANCELLATION`: removed on cancel, kept on failure. `NO_EXTERNALIZED_CHECKPOINTS`: never outlive the job.',
        }),
      ),
      unaligned: flag(
        'Unaligned checkpoints: much shorter under back-pressure. Needs `EXACTLY_ONCE` and `maxConcurrent` 1. False by default.',
      ),
      alignedTimeoutMs: amount(
        'alignedTimeoutMs',
        'Milliseconds a checkpoint stays aligned before it turns unaligned; 0 (default): unaligned from the start. Only with `unaligned`.',
      ),
      forceUnaligned: flag(
        'Unaligned even with iteration feedback or custom partitioners. Only with `unaligned`.',
      ),
      storage: optional(Storage),
      numRetained: amount('numRetained', 'How many finished checkpoints Flink keeps; 5 by default.'),
      intervalDuringBacklogMs: amount(
        'intervalDuringBacklogMs',
        'The interval while a source works off a backlog, in milliseconds: 0 (none) or at least `intervalMs`. Flink 1.19 and newer.',
      ),
    },
    {
      ...CLOSED,
      description: 'How checkpoints are taken. For each setting: docs/versions.md.',
    },
  ),
)

export const StateSettings = named(
  'StateSettings',
  Type.Object(
    {
      backend: optional(
        Type.String({
          pattern: BACKEND_PATTERN,
          maxLength: 512,
          description:
            'How live state is held: `hashmap`, `rocksdb`, `forst` (Flink 2.0), or a `StateBackendFactory` with its package. Not given: the cluster decides.',
        }),
      ),
      incremental: flag('Copy only what changed since the checkpoint before; rocksdb and forst only.'),
      ttlMs: amount(
        'ttlMs',
        'How long SQL state lives after its last use, in milliseconds; 0 (default): for ever.',
      ),
      localRecovery: flag(
        'Keep a second copy on the local disk of the TaskManager and recover from it. A session cluster does as its own configuration says, whatever is given here. False by default.',
      ),
      changelog: flag(
        'The changelog backend: continuous small uploads, short checkpoints. False by default.',
      ),
    },
    { ...CLOSED, description: 'How live state is held, which is not where its copies lie.' },
  ),
)

const whole = (description: string) => Type.Integer({ description })

export const EffectiveSettings = named(
  'EffectiveSettings',
  Type.Object(
    {
      checkpointing: Type.Object({
        enabled: Type.Boolean({ description: 'Whether Flink takes checkpoints by itself.' }),
        mode: Type.String(),
        intervalMs: nullable(whole('As given; null when not.')),
        effectiveIntervalMs: nullable(
          whole('From start to start at least: the longer of interval and minimum pause. Null when off.'),
        ),
        timeoutMs: Type.Integer(),
        minPauseMs: Type.Integer(),
        maxConcurrent: Type.Integer(),
        tolerableFailures: Type.Integer(),
        failOnErrors: Type.Boolean({
          description: 'Whether the first failed checkpoint fails the job over.',
        }),
        retention: Type.String(),
        externalized: Type.Boolean({ description: 'Whether a checkpoint can outlive its job.' }),
        unaligned: Type.Boolean(),
        alignedTimeoutMs: Type.Integer(),
        forceUnaligned: Type.Boolean(),
        storage: nullable(
          Type.Object(
            {
              type: Type.String(),
              dir: nullable(Type.String()),
              className: Type.Optional(Type.String()),
            },
            { description: 'Null: the configuration of the cluster decides.' },
          ),
        ),
        numRetained: Type.Integer(),
        intervalDuringBacklogMs: nullable(Type.Integer()),
      }),
      state: Type.Object({
        backend: nullable(Type.String({ description: 'Null: the configuration of the cluster decides.' })),
        incremental: Type.Boolean(),
        ttlMs: Type.Integer(),
        localRecovery: Type.Boolean(),
        changelog: Type.Boolean(),
      }),
      flinkConfiguration: Type.Unsafe<Record<string, string>>({
        type: 'object',
        additionalProperties: { type: 'string' },
        description: 'What has no setting of its own.',
      }),
    },
    {
      description:
        "Every setting, whether it was given by name or as a key of `flinkConfiguration`, with Flink's defaults and ours (retention, numRetained) filled in. What the configuration of a cluster or the program sets instead is not known here; GET /v1/jobs/{job}/state says what a running job has.",
    },
  ),
)

export const SettingFinding = named(
  'SettingFinding',
  Type.Object(
    {
      code: Type.String({ description: 'For a program. Clients must tolerate values added later.' }),
      message: Type.String({ description: 'For a person; names every setting it is about.' }),
      pointers: Type.Array(Type.String(), {
        description: 'RFC 6901 pointers into the version, e.g. `/checkpointing/unaligned`.',
      }),
    },
    { description: 'Something Flink ignores or changes without saying so.' },
  ),
)

export const Warnings = Type.Array(ref(SettingFinding), {
  description: 'What Flink ignores or changes without saying so.',
})

export const FlinkConfiguration = named(
  'FlinkConfiguration',
  Type.Object({
    flinkVersion: Type.String({ description: 'Whose names these are.' }),
    configuration: Type.Unsafe<Record<string, string>>({
      type: 'object',
      additionalProperties: { type: 'string' },
      description: 'The keys and values exactly as sent, by key.',
    }),
    warnings: Warnings,
    effectiveIntervalMs: nullable(
      whole('From start to start at least; null when no checkpoints are taken periodically.'),
    ),
    startToStartMs: nullable(
      whole(
        'How far apart checkpoints start when each takes `checkpointDurationMs`; null when that is not given.',
      ),
    ),
  }),
)

const anything = (description: string) => Type.Unsafe<unknown>({ description })

export const JobVersionDiff = named(
  'JobVersionDiff',
  Type.Object({
    flinkVersion: nullable(
      Type.String({ description: 'Whose names the keys are; null: those of Flink 1.20 and newer.' }),
    ),
    changes: Type.Array(
      Type.Object({
        pointer: Type.String({ description: 'Into the version with its defaults filled in.' }),
        before: anything('Null when it was not there.'),
        after: anything('Null when it is gone.'),
      }),
      { description: 'What changed, setting by setting.' },
    ),
    configuration: Type.Array(
      Type.Object({
        key: Type.String(),
        before: nullable(Type.String()),
        after: nullable(Type.String()),
      }),
      { description: 'What changed in what is sent to Flink, key by key.' },
    ),
  }),
)
