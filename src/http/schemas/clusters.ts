import { Type } from 'typebox'
import { CLUSTER_FEATURES } from '../../domain/capabilities.ts'
import { CLUSTER_MODES, type ClusterAuth as DomainClusterAuth } from '../../domain/resources.ts'
import { CLOSED, Moment, named, nullable, oneOf, openWord, ref } from './base.ts'
import { PATTERNS } from './formats.ts'
import { SecretReference } from './secrets.ts'

const authOf = (
  type: DomainClusterAuth['type'],
  secrets: Record<string, unknown>,
  required: readonly string[],
) => ({
  type: 'object',
  properties: { type: { type: 'string', const: type }, ...secrets },
  required: ['type', ...required],
  additionalProperties: false,
})

const USERNAME = { type: 'string', minLength: 1, maxLength: 255, pattern: PATTERNS.singleLine }
const SECRET = ref(SecretReference)

export const CLUSTER_AUTH_FORMS = [
  named('NoAuth', Type.Unsafe<unknown>(authOf('none', {}, []))),
  named(
    'BasicAuth',
    Type.Unsafe<unknown>(authOf('basic', { username: USERNAME, password: SECRET }, ['username', 'password'])),
  ),
  named('BearerAuth', Type.Unsafe<unknown>(authOf('bearer', { token: SECRET }, ['token']))),
  named(
    'ClientCertificateAuth',
    Type.Unsafe<unknown>(
      authOf('clientCertificate', { certificate: SECRET, key: SECRET, ca: SECRET }, ['certificate', 'key']),
    ),
  ),
] as const

const auth = Type.Unsafe<DomainClusterAuth>({
  oneOf: CLUSTER_AUTH_FORMS.map(ref),
  description: 'How the JobManager asks who we are. Secrets are named, never sent.',
})

/** Answers repeat what was given; no branch to find, so no union. */
const ClusterAuthAnswer = Type.Unsafe<DomainClusterAuth>({
  type: 'object',
  required: ['type'],
  properties: { type: { type: 'string', enum: ['none', 'basic', 'bearer', 'clientCertificate'] } },
  additionalProperties: true,
  description: 'How we authenticate, with the secrets by reference.',
})

const url = Type.String({
  format: 'service-url',
  maxLength: 2048,
  description: 'The JobManager REST address: http or https, without user, query and fragment.',
})
const mode = oneOf(CLUSTER_MODES, {
  description: '`OBSERVE_ONLY` lets nothing be triggered or cleared. Default: MANAGE.',
})
const followIdentity = Type.Boolean({
  description: 'Keep triggering when another cluster answers at this address. Default: false.',
})

export const CreateCluster = named(
  'CreateCluster',
  Type.Object(
    {
      name: Type.String({ pattern: PATTERNS.name, maxLength: 63, description: 'Unique and immutable.' }),
      url,
      auth: Type.Optional(auth),
      mode: Type.Optional(mode),
      followIdentity: Type.Optional(followIdentity),
    },
    { ...CLOSED },
  ),
)

export const UpdateCluster = named(
  'UpdateCluster',
  Type.Object(
    {
      url: Type.Optional(url),
      auth: Type.Optional(auth),
      mode: Type.Optional(mode),
      followIdentity: Type.Optional(followIdentity),
    },
    { minProperties: 1, ...CLOSED },
  ),
)

const Capabilities = Type.Object({
  idempotentTriggers: Type.Boolean({
    description: 'Flink 1.15: takes our trigger ids. Without it we trigger nothing.',
  }),
  triggerCheckpoint: Type.Boolean({ description: 'Flink 1.17.' }),
  jarSubmission: Type.Boolean({ description: 'The jar endpoints answer.' }),
  claimMode: Type.Boolean({ description: 'Flink 1.20.' }),
})

const identity = Type.String({ maxLength: 1024, pattern: PATTERNS.singleLine })

const Fingerprint = Type.Object({
  haClusterId: nullable(Type.String()),
  kubernetesClusterId: nullable(Type.String()),
})

const Unsupported = Type.Object({
  feature: openWord(CLUSTER_FEATURES, 'What it cannot do.'),
  since: nullable(
    Type.String({ description: 'The first Flink version that can; null when it is switched off.' }),
  ),
  because: Type.String({ description: 'Why, and what to do about it, for a person.' }),
})

export const ConfirmIdentity = named(
  'ConfirmIdentity',
  Type.Object(
    {
      fingerprint: Type.Optional(
        Type.Object(
          { haClusterId: nullable(identity), kubernetesClusterId: nullable(identity) },
          {
            ...CLOSED,
            description:
              'The `changedTo` that was read and is meant. Without it whatever answers now is adopted.',
          },
        ),
      ),
    },
    { ...CLOSED },
  ),
)

export const Cluster = named(
  'Cluster',
  Type.Object(
    {
      id: Type.String({ description: 'UUIDv7.' }),
      name: Type.String(),
      url: Type.String(),
      auth: ClusterAuthAnswer,
      mode: openWord(CLUSTER_MODES, 'What we may do there.'),
      followIdentity: Type.Boolean(),
      flinkVersion: nullable(Type.String({ description: 'null until the cluster has been reached once.' })),
      capabilities: nullable(Capabilities),
      fingerprint: nullable(Fingerprint),
      changedTo: nullable(
        Type.Object(Fingerprint.properties, {
          description:
            'Another cluster that answers at this address; until it is confirmed nothing is lost or cleared there, and nothing triggered unless `followIdentity`.',
        }),
      ),
      recoveryPath: nullable(
        Type.String({
          description:
            'What its own configuration restores at every restart (`execution.state-recovery.path`): that snapshot is in use.',
        }),
      ),
      unsupported: Type.Array(Unsupported, {
        description: 'What it cannot do and the way out; empty until it has been reached once.',
      }),
      reachable: nullable(Type.Boolean({ description: 'null until we have tried.' })),
      observedAt: nullable(Moment('When what we know last changed.')),
      lastError: nullable(Type.String()),
      createdAt: Moment('When it was created.'),
      updatedAt: Moment('When it was last changed.'),
      etag: Type.String({ description: 'The same as in the `ETag` header.' }),
    },
    { description: 'One Flink JobManager REST address.' },
  ),
)

export const ClusterPage = named(
  'ClusterPage',
  Type.Object({ items: Type.Array(ref(Cluster)), nextPageToken: nullable(Type.String()) }),
)

export const ProbeResult = named(
  'ProbeResult',
  Type.Object(
    {
      reachable: Type.Boolean(),
      flinkVersion: nullable(Type.String()),
      cluster: ref(Cluster),
      latencyMs: Type.Number({ description: 'How long Flink took to answer, in milliseconds.' }),
      error: nullable(Type.Object({ code: Type.String(), message: Type.String() })),
    },
    { description: 'What the cluster answered just now.' },
  ),
)
