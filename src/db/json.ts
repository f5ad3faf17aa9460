/** What our jsonb columns hold. They are written by us alone, so a value that does not fit is a bug and says so. */
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { ClusterCapabilities } from '../domain/capabilities.ts'
import type { InspectionSummary } from '../domain/inspection.ts'
import type { JobVersionSpec } from '../domain/job-version.ts'
import type { ClusterAuth, ClusterFingerprint, StorageCredentials } from '../domain/resources.ts'
import type { Labels } from '../domain/snapshot.ts'

const secret = Type.Union([Type.Object({ env: Type.String() }), Type.Object({ file: Type.String() })])
const nullableString = Type.Union([Type.String(), Type.Null()])
const strings = Type.Record(Type.String(), Type.String())
const anything = Type.Record(Type.String(), Type.Unknown())

const COLUMNS = {
  labels: strings,
  ambiguous: Type.Array(Type.String()),
  auth: Type.Union([
    Type.Object({ type: Type.Literal('none') }),
    Type.Object({ type: Type.Literal('basic'), username: Type.String(), password: secret }),
    Type.Object({ type: Type.Literal('bearer'), token: secret }),
    Type.Object({
      type: Type.Literal('clientCertificate'),
      certificate: secret,
      key: secret,
      ca: Type.Optional(secret),
    }),
  ]),
  capabilities: Type.Object({
    idempotentTriggers: Type.Boolean(),
    triggerCheckpoint: Type.Boolean(),
    jarSubmission: Type.Boolean(),
    claimMode: Type.Boolean(),
  }),
  fingerprint: Type.Object({ haClusterId: nullableString, kubernetesClusterId: nullableString }),
  credentials: Type.Object({
    accessKeyId: Type.Optional(secret),
    secretAccessKey: Type.Optional(secret),
    sessionToken: Type.Optional(secret),
    roleArn: Type.Optional(Type.String()),
  }),
  spec: Type.Object({
    artifact: Type.Optional(Type.String()),
    entryClass: Type.Optional(Type.String()),
    programArgs: Type.Optional(Type.Array(Type.String())),
    parallelism: Type.Optional(Type.Integer()),
    maxParallelism: Type.Optional(Type.Integer()),
    checkpointing: Type.Optional(anything),
    state: Type.Optional(anything),
    flinkConfiguration: Type.Optional(strings),
  }),
  // What the metadata says; only its frame is looked at, for an operator with 30,000 subtasks is not a rare one.
  summary: Type.Object({
    version: Type.Integer(),
    checkpointId: Type.String(),
    operators: Type.Array(anything),
    warnings: Type.Array(anything),
  }),
}

type Columns = {
  labels: Labels
  ambiguous: string[]
  auth: ClusterAuth
  capabilities: ClusterCapabilities
  fingerprint: ClusterFingerprint
  credentials: StorageCredentials
  spec: JobVersionSpec
  summary: InspectionSummary
}

const isColumn = <Name extends keyof Columns>(name: Name, value: unknown): value is Columns[Name] =>
  Value.Check(COLUMNS[name], value)

export function readJson<Name extends keyof Columns>(name: Name, value: unknown): Columns[Name] {
  if (isColumn(name, value)) return value
  throw new TypeError(`a column ${name} holds something else: ${JSON.stringify(value)?.slice(0, 200)}`)
}

export const readOptionalJson = <Name extends keyof Columns>(
  name: Name,
  value: unknown,
): Columns[Name] | null => (value === null ? null : readJson(name, value))
