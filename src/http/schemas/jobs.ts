import { Type } from 'typebox'
import { type JobAttachment, RUN_STATES } from '../../domain/resources.ts'
import { CLOSED, Moment, named, nullable, openWord, ref } from './base.ts'
import { PATTERNS } from './formats.ts'
import { Labels, LabelsInput, Reference } from './labels.ts'
import { idOrNameFilter, labelFilter, PAGING } from './parameters.ts'

const reference = (what: string) =>
  Type.String({
    pattern: PATTERNS.idOrName,
    maxLength: 63,
    description: `The name or the id of the ${what}.`,
  })
const only = (name: string, schema: Record<string, unknown>) => ({
  type: 'object',
  properties: { [name]: schema },
  required: [name],
  additionalProperties: false,
})

const attach = Type.Unsafe<JobAttachment>({
  oneOf: [
    only('flinkJobId', { type: 'string', pattern: PATTERNS.flinkJobId }),
    only('flinkJobName', { type: 'string', minLength: 1, maxLength: 255, pattern: PATTERNS.singleLine }),
  ],
  description:
    'Someone else starts this job; we follow it by Flink job id or by Flink job name. Without it the job is managed by us.',
})
const timeoutSeconds = Type.Integer({
  minimum: 1,
  maximum: 86_400,
  description: 'How long a savepoint of this job may take, in seconds. Default: 1800.',
})
const changeable = {
  attach: Type.Optional(attach),
  allowStop: Type.Optional(
    Type.Boolean({ description: 'Whether we may stop an attached job. Default: false.' }),
  ),
  savepointTimeoutSeconds: Type.Optional(timeoutSeconds),
  labels: Type.Optional(LabelsInput),
}

export const CreateJob = named(
  'CreateJob',
  Type.Object(
    {
      name: Type.String({ pattern: PATTERNS.name, maxLength: 63, description: 'Unique and immutable.' }),
      cluster: reference('cluster'),
      savepointStorage: reference('storage for savepoints'),
      ...changeable,
    },
    { ...CLOSED },
  ),
)

export const UpdateJob = named(
  'UpdateJob',
  Type.Object(
    {
      cluster: Type.Optional(reference('cluster')),
      savepointStorage: Type.Optional(reference('storage for savepoints')),
      ...changeable,
    },
    { minProperties: 1, ...CLOSED },
  ),
)

const Run = Type.Object({
  id: Type.String({ description: 'UUIDv7.' }),
  flinkJobId: Type.String(),
  epoch: Type.Integer({ description: 'A Flink job id is not unique in time: with the id this makes a run.' }),
  state: openWord(RUN_STATES, 'The state of the run.'),
  flinkState: Type.String({ description: "Flink's own word, e.g. RESTARTING." }),
  startedAt: Moment('When it started.'),
  endedAt: nullable(Moment('When it ended.')),
})

export const Job = named(
  'Job',
  Type.Object(
    {
      id: Type.String({ description: 'UUIDv7.' }),
      name: Type.String(),
      cluster: Reference,
      savepointStorage: Reference,
      attach: Type.Unsafe<JobAttachment | null>({
        type: 'object',
        nullable: true,
        properties: { flinkJobId: { type: 'string' }, flinkJobName: { type: 'string' } },
        description: 'How an attached job is followed; null for a managed one.',
      }),
      allowStop: Type.Boolean(),
      savepointTimeoutSeconds: Type.Integer({ description: 'Seconds.' }),
      labels: Labels,
      latestVersion: nullable(Type.Integer({ description: 'The number of the newest version.' })),
      run: nullable(Run),
      ambiguous: nullable(
        Type.Array(Type.String(), {
          description:
            'The Flink job ids that match the name when more than one lives; nothing is triggered then.',
        }),
      ),
      createdAt: Moment('When it was created.'),
      updatedAt: Moment('When it was last changed.'),
      etag: Type.String({ description: 'The same as in the `ETag` header.' }),
    },
    { description: 'What the user calls a job.' },
  ),
)

export const JobPage = named(
  'JobPage',
  Type.Object({ items: Type.Array(ref(Job)), nextPageToken: nullable(Type.String()) }),
)

export const JobQuery = Type.Object(
  { ...PAGING, label: labelFilter, cluster: idOrNameFilter('cluster') },
  CLOSED,
)
