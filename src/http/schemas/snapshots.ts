import { Type } from 'typebox'
import { FAILURE_CODES } from '../../domain/failure-codes.ts'
import {
  ATTEMPT_OUTCOMES,
  SAVEPOINT_FORMATS,
  SNAPSHOT_KINDS,
  SNAPSHOT_SOURCES,
} from '../../domain/snapshot.ts'
import { SNAPSHOT_STATUSES } from '../../domain/snapshot-status.ts'
import { CLOSED, Instant, Moment, named, nullable, oneOf, openWord, ref } from './base.ts'
import { DescriptionInput, Labels, LabelsInput, Reference } from './labels.ts'
import { labelFilter, PAGING } from './parameters.ts'

export const CreateSavepoint = named(
  'CreateSavepoint',
  Type.Object(
    {
      description: Type.Optional(DescriptionInput),
      source: Type.Optional(
        oneOf(['MANUAL', 'DEPLOY'], {
          description: 'Why it is taken. Default: MANUAL, which no rule ever clears.',
        }),
      ),
      format: Type.Optional(
        oneOf(SAVEPOINT_FORMATS, {
          description: 'NATIVE is faster, CANONICAL survives a change of state backend. Default: CANONICAL.',
        }),
      ),
      timeoutSeconds: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 86_400,
          description: 'Seconds after which it becomes Timeout. Default: that of the job.',
        }),
      ),
      expiresAt: Type.Optional(Instant('When it may be cleared by itself.')),
      labels: Type.Optional(LabelsInput),
      ifRunning: Type.Optional(
        oneOf(['REJECT', 'JOIN'], {
          description:
            'When a savepoint of the job is in progress: answer 409 `SAVEPOINT_IN_PROGRESS`, or answer that one. Default: REJECT.',
        }),
      ),
      reuseWithinSeconds: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 604_800,
          description:
            'Accept a Present savepoint of the same version not older than this many seconds instead.',
        }),
      ),
    },
    { ...CLOSED },
  ),
)

export const RegisterSnapshot = named(
  'RegisterSnapshot',
  Type.Object(
    {
      location: Type.String({
        minLength: 1,
        maxLength: 4096,
        description: 'The folder of the savepoint as Flink writes it, or the `_metadata` file in it.',
      }),
      description: Type.Optional(DescriptionInput),
      labels: Type.Optional(LabelsInput),
      owned: Type.Optional(
        Type.Boolean({
          description:
            'Whether clearing the snapshot may delete its data. Its folder must then hold nothing else. Default: false, clearing only forgets it.',
        }),
      ),
    },
    { ...CLOSED },
  ),
)

export const UpdateSnapshot = named(
  'UpdateSnapshot',
  Type.Object(
    {
      description: Type.Optional(DescriptionInput),
      labels: Type.Optional(LabelsInput),
      pinned: Type.Optional(Type.Boolean({ description: 'Never cleared by a rule while pinned.' })),
      expiresAt: Type.Optional(
        nullable(
          Instant('When it may be cleared by itself, in the future; null for never. Savepoints only.'),
        ),
      ),
    },
    { minProperties: 1, ...CLOSED },
  ),
)

const Failure = Type.Object({
  code: Type.String({
    description: `Why, for a program: ${FAILURE_CODES.join(', ')}. Clients must tolerate values added later.`,
  }),
  message: Type.String({ description: 'Why, for a person, down to the root cause.' }),
  at: Moment('When it failed.'),
})

export const Attempt = named(
  'Attempt',
  Type.Object(
    {
      number: Type.Integer({ description: '1, 2, 3 …' }),
      triggerId: Type.String({ description: 'The trigger id we gave Flink.' }),
      flinkJobId: nullable(Type.String()),
      directory: Type.String({ description: 'The target directory of this attempt alone.' }),
      createdAt: Moment('When it was planned.'),
      askedAt: nullable(Moment('When Flink was asked.')),
      outcome: nullable(openWord(ATTEMPT_OUTCOMES, 'How it ended; null while open.')),
      settledAt: nullable(Moment('When its outcome was final.')),
      failure: nullable(Failure),
      orphanLocation: nullable(
        Type.String({ description: 'What it left behind that is not the savepoint.' }),
      ),
    },
    { description: 'One request to Flink.' },
  ),
)

export const Snapshot = named(
  'Snapshot',
  Type.Object(
    {
      id: Type.String({ description: 'UUIDv7.' }),
      kind: openWord(SNAPSHOT_KINDS, 'Who owns it: the user, or Flink.'),
      status: openWord(SNAPSHOT_STATUSES, 'Where it stands.'),
      reason: Type.String({ description: 'Why it stands there. Clients must tolerate values added later.' }),
      message: nullable(Type.String()),
      source: openWord(SNAPSHOT_SOURCES, 'What caused it.'),
      description: Type.String(),
      labels: Labels,
      job: Reference,
      jobVersion: nullable(Type.Integer()),
      run: nullable(Type.String({ description: 'The id of the run.' })),
      format: nullable(openWord(SAVEPOINT_FORMATS, 'The format of a savepoint.')),
      checkpointType: nullable(Type.String({ description: "Flink's word, e.g. UNALIGNED_CHECKPOINT." })),
      incremental: nullable(Type.Boolean()),
      flinkCheckpointId: nullable(Type.Integer({ description: 'Comparable only within a run.' })),
      triggerId: nullable(Type.String()),
      attempt: nullable(Type.Integer({ description: 'The number of the attempt that counts.' })),
      attempts: Type.Array(ref(Attempt)),
      createdAt: Moment('When it was accepted.'),
      triggeredAt: nullable(Moment('When Flink began.')),
      completedAt: nullable(Moment('When Flink was done.')),
      settledAt: nullable(Moment('When nothing more can come of it.')),
      durationMs: nullable(Type.Integer({ description: 'From trigger to completion, in milliseconds.' })),
      deadlineAt: nullable(Moment('When it becomes Timeout.')),
      storage: nullable(Reference),
      ownedPrefix: nullable(Type.String({ description: 'Below this we may delete.' })),
      location: nullable(Type.String({ description: 'What to restore from.' })),
      sizeBytes: nullable(Type.Integer({ description: 'The full state, in bytes.' })),
      uploadedBytes: nullable(Type.Integer({ description: 'What this snapshot uploaded, in bytes.' })),
      flinkVersion: nullable(Type.String()),
      failure: nullable(Failure),
      pinned: Type.Boolean(),
      expiresAt: nullable(Moment('When it may be cleared by itself.')),
      verifiedAt: nullable(Moment('When its files were last verified.')),
      verdict: nullable(Type.String({ description: 'What the verification found.' })),
      restorable: Type.Boolean({ description: 'Whether a job can be started from it.' }),
      notRestorableBecause: nullable(Type.String()),
      supersedes: nullable(Type.String()),
      copyOf: nullable(
        Type.String({
          description: 'Of a COPY the id of the snapshot it was made from; it ranks as that one.',
        }),
      ),
      restoredBy: Type.Array(Type.String(), { description: 'The runs that were restored from it.' }),
      createdBy: Type.String(),
      updatedAt: Moment('When it was last changed.'),
      etag: Type.String({ description: 'The same as in the `ETag` header.' }),
    },
    { description: 'A savepoint or a checkpoint.' },
  ),
)

export const SnapshotPage = named(
  'SnapshotPage',
  Type.Object({ items: Type.Array(ref(Snapshot)), nextPageToken: nullable(Type.String()) }),
)

export const Transition = named(
  'Transition',
  Type.Object(
    {
      from: nullable(openWord(SNAPSHOT_STATUSES, 'null for the first one.')),
      to: openWord(SNAPSHOT_STATUSES, 'The status it moved to.'),
      reason: Type.String(),
      message: nullable(Type.String()),
      at: Moment('When.'),
      by: Type.String({ description: 'Who or what moved it.' }),
    },
    { description: 'One change of status.' },
  ),
)

export const TransitionList = named(
  'TransitionList',
  Type.Object({ items: Type.Array(ref(Transition), { description: 'Oldest first.' }) }),
)

const FILTERS = {
  kind: Type.Optional(oneOf(SNAPSHOT_KINDS)),
  status: Type.Optional(
    Type.Array(oneOf(SNAPSHOT_STATUSES), { maxItems: 16, description: 'May be repeated: any of them.' }),
  ),
  source: Type.Optional(
    Type.Array(oneOf(SNAPSHOT_SOURCES), { maxItems: 16, description: 'May be repeated: any of them.' }),
  ),
  version: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 2_147_483_647, description: 'The number of the job version.' }),
  ),
  label: labelFilter,
  createdAfter: Type.Optional(Instant('Only those created after it.')),
  createdBefore: Type.Optional(Instant('Only those created before it.')),
  orderBy: Type.Optional(
    Type.Unsafe<'createdAt' | 'completedAt'>({
      type: 'string',
      enum: ['createdAt', 'completedAt'],
      default: 'createdAt',
      description: 'What to sort by.',
    }),
  ),
  order: Type.Optional(
    Type.Unsafe<'asc' | 'desc'>({
      type: 'string',
      enum: ['asc', 'desc'],
      default: 'desc',
      description: 'Newest first by default.',
    }),
  ),
}

export const JobSnapshotQuery = Type.Object({ ...FILTERS, ...PAGING }, CLOSED)
