import { Type } from 'typebox'
import { STORAGE_PROVIDERS, type StorageCredentials } from '../../domain/resources.ts'
import { CLOSED, Moment, named, nullable, oneOf, openWord, ref } from './base.ts'
import { PATTERNS } from './formats.ts'
import { SecretReference } from './secrets.ts'

const uri = Type.String({
  pattern: PATTERNS.storageUri,
  maxLength: 1024,
  description: 'The root as Flink writes it, e.g. `s3://bucket/savepoints`. Immutable while in use.',
})
const provider = oneOf(STORAGE_PROVIDERS, {
  description: 'Decides addressing, checksums and batch sizes. Default: from the URI.',
})
const endpoint = Type.String({
  format: 'service-url',
  maxLength: 2048,
  description: 'The address of the S3 API when it is not the default of the provider.',
})
const region = Type.String({ minLength: 1, maxLength: 63, pattern: PATTERNS.visibleAscii })
const pathStyle = Type.Boolean({
  description: 'Bucket in the path instead of the host name. Default: by provider.',
})
const credentials = Type.Object(
  {
    accessKeyId: Type.Optional(ref(SecretReference)),
    secretAccessKey: Type.Optional(ref(SecretReference)),
    sessionToken: Type.Optional(ref(SecretReference)),
    roleArn: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 2048,
        pattern: PATTERNS.visibleAscii,
        description: 'A role to assume.',
      }),
    ),
  },
  { ...CLOSED, description: 'Secrets by reference; without them the default chain of the AWS SDK is used.' },
)
const clearCheckpoints = Type.Boolean({
  description:
    'Clear retained checkpoints of ended runs and orphans, instead of only reporting them. Default: false.',
})

const changeable = {
  provider: Type.Optional(provider),
  endpoint: Type.Optional(endpoint),
  region: Type.Optional(region),
  pathStyle: Type.Optional(pathStyle),
  credentials: Type.Optional(credentials),
  clearCheckpoints: Type.Optional(clearCheckpoints),
}

export const CreateStorage = named(
  'CreateStorage',
  Type.Object(
    {
      name: Type.String({ pattern: PATTERNS.name, maxLength: 63, description: 'Unique and immutable.' }),
      uri,
      ...changeable,
    },
    { ...CLOSED },
  ),
)

export const UpdateStorage = named(
  'UpdateStorage',
  Type.Object({ uri: Type.Optional(uri), ...changeable }, { minProperties: 1, ...CLOSED }),
)

export const Storage = named(
  'Storage',
  Type.Object(
    {
      id: Type.String({ description: 'UUIDv7.' }),
      name: Type.String(),
      uri: Type.String(),
      provider: openWord(STORAGE_PROVIDERS, 'What kind of storage it is.'),
      endpoint: nullable(Type.String()),
      region: nullable(Type.String()),
      pathStyle: nullable(Type.Boolean()),
      credentials: Type.Unsafe<StorageCredentials | null>({
        type: 'object',
        nullable: true,
        additionalProperties: true,
        description: 'References to secrets, as given.',
      }),
      clearCheckpoints: Type.Boolean(),
      createdAt: Moment('When it was created.'),
      updatedAt: Moment('When it was last changed.'),
      etag: Type.String({ description: 'The same as in the `ETag` header.' }),
    },
    { description: 'Where snapshots lie, and how we reach it.' },
  ),
)

export const StoragePage = named(
  'StoragePage',
  Type.Object({ items: Type.Array(ref(Storage)), nextPageToken: nullable(Type.String()) }),
)

export const StorageCheck = named(
  'StorageCheck',
  Type.Object(
    {
      ok: Type.Boolean({ description: 'Every step succeeded.' }),
      steps: Type.Array(
        Type.Object({
          step: openWord(['write', 'list', 'read', 'delete'], 'What was tried.'),
          ok: Type.Boolean(),
          code: nullable(Type.String()),
          message: nullable(Type.String()),
          durationMs: Type.Number({ description: 'Milliseconds.' }),
        }),
      ),
      rules: nullable(
        Type.Array(
          Type.Object({
            name: nullable(Type.String()),
            prefix: Type.String({ description: 'Of keys; a string, not a folder.' }),
            does: openWord(['DELETE', 'ARCHIVE'], 'An archived file cannot be read by anybody.'),
            afterDays: nullable(Type.Integer({ description: 'Null: on a fixed date.' })),
            storageClass: nullable(Type.String({ description: 'Of ARCHIVE.' })),
            onlySome: Type.Boolean({ description: 'Only objects with certain tags or sizes.' }),
          }),
          {
            description:
              'Lifecycle rules of the bucket that delete or archive what lies below the root: state of Flink must never be touched by one. Null when the store does not tell, or a step failed.',
          },
        ),
      ),
    },
    { description: 'What happened to a probe object written just now, and what the store does by itself.' },
  ),
)
