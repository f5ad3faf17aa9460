import { Type } from 'typebox'
import { PROTECTIONS } from '../../domain/protection.ts'
import { LONGEST_SECONDS, MOST_KEPT, RETENTION_ORIGINS, RETENTION_RULES } from '../../domain/retention.ts'
import { SNAPSHOT_SOURCES } from '../../domain/snapshot.ts'
import { SNAPSHOT_STATUSES } from '../../domain/snapshot-status.ts'
import { CLOSED, Moment, named, nullable, oneOf, openWord } from './base.ts'
import { Reference } from './labels.ts'

const keepCount = Type.Integer({
  minimum: 1,
  maximum: MOST_KEPT,
  description: 'How many of the newest savepoints the rule owns stay.',
})
const maxAgeSeconds = Type.Integer({
  minimum: 1,
  maximum: LONGEST_SECONDS,
  description: 'How old a savepoint may become, in seconds since it completed.',
})
const rollbackWindowSeconds = Type.Integer({
  minimum: 0,
  maximum: LONGEST_SECONDS,
  description:
    'For how long after its last run the newest restorable savepoint of each of the last three versions is spared, in seconds. Default: 604800.',
})
const conditions = {
  keepCount: Type.Optional(keepCount),
  maxAgeSeconds: Type.Optional(maxAgeSeconds),
  rollbackWindowSeconds: Type.Optional(rollbackWindowSeconds),
}
const saved = {
  keepCount: nullable(keepCount),
  maxAgeSeconds: nullable(maxAgeSeconds),
  rollbackWindowSeconds: nullable(rollbackWindowSeconds),
}
const origin = openWord(
  RETENTION_ORIGINS,
  "Whose rule it is: the job's own, the default of its namespace, that of the request, or nobody's.",
)

const notice = Type.Object(
  {
    savepoints: nullable(
      Type.Integer({
        description: 'Present savepoints that no rule clears and that do not expire; null for a namespace.',
      }),
    ),
    bytes: nullable(Type.Integer({ description: 'The state in them, as far as Flink has reported it.' })),
    more: Type.Boolean({ description: 'There are others beyond the 10,000 that are counted.' }),
    message: Type.String({ description: 'The same for a person.' }),
  },
  { description: 'What is not cleared occupies storage and costs its fees.' },
)

export const SetRetention = named(
  'SetRetention',
  Type.Object(conditions, {
    minProperties: 1,
    ...CLOSED,
    description:
      'Either condition clears. A rule without `keepCount` and `maxAgeSeconds` clears nothing: so a job is exempt from the default of its namespace.',
  }),
)

export const PreviewRetention = named(
  'PreviewRetention',
  Type.Object(conditions, {
    ...CLOSED,
    description: 'A rule as it would be saved; nothing for the one that holds.',
  }),
)

export const Retention = named(
  'Retention',
  Type.Object({
    job: nullable(Reference),
    origin,
    ...saved,
    updatedAt: nullable(Moment('When the rule was saved.')),
    notice,
  }),
)

const item = Type.Object({
  snapshot: Type.String({ description: 'The id of the savepoint.' }),
  verdict: oneOf(['CLEAR', 'KEEP'], {
    description: 'What would become of it now; what another snapshot needs files of may stay all the same.',
  }),
  rule: nullable(
    openWord(
      RETENTION_RULES,
      'What asks for it to go, even when something spares it; null when nothing does.',
    ),
  ),
  because: Type.String({ description: 'Why, for a person.' }),
  protections: Type.Array(
    Type.Object({
      code: openWord(PROTECTIONS, 'What spares it although nobody uses it.'),
      message: Type.String(),
      until: nullable(Moment('When that ends, where it is known.')),
    }),
  ),
  status: openWord(SNAPSHOT_STATUSES, 'Its status.'),
  source: openWord(SNAPSHOT_SOURCES, 'Who asked for it.'),
  description: Type.String(),
  jobVersion: nullable(Type.Integer()),
  createdAt: Moment('When it was accepted.'),
  completedAt: nullable(Moment('When it completed.')),
  expiresAt: nullable(Moment('When it may be cleared by itself.')),
  pinned: Type.Boolean(),
  sizeBytes: nullable(Type.Integer()),
})

export const RetentionPreview = named(
  'RetentionPreview',
  Type.Object({
    job: Reference,
    origin,
    ...saved,
    decidedAt: Moment("The database's clock when it was decided."),
    suspended: nullable(
      Type.Object(
        {
          code: openWord(
            ['NO_RULE', 'JOB_NOT_RUNNING', 'OBSERVE_ONLY', 'CLUSTER_IDENTITY_CHANGED'],
            'Why the rule is not carried out now.',
          ),
          message: Type.String(),
        },
        {
          description:
            'Null when the rule is carried out. What has expired goes also while the job is stopped.',
        },
      ),
    ),
    items: Type.Array(item, {
      description:
        'The newest 1,000 that the rule owns and at most 1,000 others that have expired, newest first.',
    }),
    counts: Type.Object({
      clear: Type.Integer(),
      keep: Type.Integer(),
      clearBytes: Type.Integer({ description: 'The state in what would be cleared.' }),
    }),
    more: Type.Boolean({
      description: 'There are others that are not shown; the rule applies to them, too.',
    }),
    notice,
  }),
)
