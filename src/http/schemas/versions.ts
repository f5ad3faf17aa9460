import { type TSchema, Type } from 'typebox'
import { CLOSED, Moment, named, nullable, ref } from './base.ts'
import { CheckpointingSettings, EffectiveSettings, StateSettings, Warnings } from './checkpointing.ts'
import { PATTERNS } from './formats.ts'
import { Labels, LabelsInput } from './labels.ts'

const line = (maxLength: number, description: string) =>
  Type.String({ minLength: 1, maxLength, pattern: PATTERNS.singleLine, description })
const parallelism = (description: string) => Type.Integer({ minimum: 1, maximum: 32_768, description })

const optional = <Schema extends TSchema>(schema: Schema) => Type.Optional(schema)

const SPEC = {
  artifact: optional(
    line(
      2048,
      'The jar: `sha256:…` as `POST /v1/artifacts` answers it (looked for in the storage of the job), or a location inside a storage of the namespace. Of a managed job it must be there.',
    ),
  ),
  entryClass: optional(line(512, 'The class with the main method.')),
  programArgs: optional(
    Type.Array(Type.String({ maxLength: 8192 }), {
      maxItems: 1000,
      description: 'At most 1000 arguments of at most 8192 characters.',
    }),
  ),
  parallelism: optional(parallelism('1 to 32768.')),
  maxParallelism: optional(parallelism('1 to 32768; cannot change without losing the state.')),
  checkpointing: optional(ref(CheckpointingSettings)),
  state: optional(ref(StateSettings)),
  flinkConfiguration: optional(
    Type.Unsafe<Record<string, string>>({
      type: 'object',
      maxProperties: 1000,
      propertyNames: { minLength: 1, maxLength: 255, pattern: PATTERNS.visibleAscii },
      additionalProperties: { type: 'string', maxLength: 8192 },
      description:
        'Any further Flink setting; at most 1000, values of at most 8192 characters. A key that has a setting of its own may stand here under its old or its new name, but not beside the setting.',
    }),
  ),
}

export const CreateJobVersion = named(
  'CreateJobVersion',
  Type.Object({ ...SPEC, labels: Type.Optional(LabelsInput) }, { ...CLOSED }),
)

const free = Type.Unsafe<Record<string, unknown>>({ type: 'object', additionalProperties: true })

export const JobVersion = named(
  'JobVersion',
  Type.Object(
    {
      number: Type.Integer({ description: '1, 2, 3 … within the job.' }),
      artifact: Type.Optional(Type.String()),
      entryClass: Type.Optional(Type.String()),
      programArgs: Type.Optional(Type.Array(Type.String())),
      parallelism: Type.Optional(Type.Integer()),
      maxParallelism: Type.Optional(Type.Integer()),
      checkpointing: Type.Optional(free),
      state: Type.Optional(free),
      flinkConfiguration: Type.Optional(
        Type.Unsafe<Record<string, string>>({ type: 'object', additionalProperties: { type: 'string' } }),
      ),
      labels: Labels,
      createdAt: Moment('When it was registered.'),
      createdBy: Type.String({ description: 'Who registered it.' }),
      effective: ref(EffectiveSettings),
      warnings: Warnings,
    },
    {
      additionalProperties: true,
      description:
        'An immutable, numbered configuration of a job: as given, and `effective` with its defaults.',
    },
  ),
)

export const JobVersionPage = named(
  'JobVersionPage',
  Type.Object({ items: Type.Array(ref(JobVersion)), nextPageToken: nullable(Type.String()) }),
)
