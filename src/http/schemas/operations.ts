import { Type } from 'typebox'
import { ITEM_STATUSES, OPERATION_KINDS, OPERATION_STATUSES } from '../../domain/operation.ts'
import { SAVEPOINT_FORMATS } from '../../domain/snapshot.ts'
import { SNAPSHOT_STATUSES } from '../../domain/snapshot-status.ts'
import { CLOSED, Instant, Moment, named, nullable, oneOf, openWord, ref } from './base.ts'
import { PATTERNS } from './formats.ts'
import { DescriptionInput, Labels, LabelsInput, Reference } from './labels.ts'
import { CreateHeaders, PAGING } from './parameters.ts'

const savepointOptions = Type.Object(
  {
    description: Type.Optional(DescriptionInput),
    format: Type.Optional(oneOf(SAVEPOINT_FORMATS, { description: 'Default: CANONICAL.' })),
    timeoutSeconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 86_400,
        description: 'Seconds after which a savepoint becomes Timeout. Default: that of its job.',
      }),
    ),
    expiresAt: Type.Optional(Instant('When the savepoints may be cleared by themselves.')),
    labels: Type.Optional(LabelsInput),
  },
  { ...CLOSED, description: 'What each savepoint is asked with, as in `POST /v1/jobs/{job}/savepoints`.' },
)

export const CreateBulkSavepoint = named(
  'CreateBulkSavepoint',
  Type.Object(
    {
      cluster: Type.Optional(
        Type.String({
          pattern: PATTERNS.idOrName,
          maxLength: 63,
          description: 'Jobs of this cluster, by its name or id.',
        }),
      ),
      labels: Type.Optional(
        Type.Unsafe<Record<string, string>>({
          ...LabelsInput,
          minProperties: 1,
          description:
            'Jobs with all of these labels. Give `cluster`, `labels`, or both (then both must match).',
        }),
      ),
      maxParallel: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 50,
          description: 'How many savepoints may be Creating at once. Default: 5.',
        }),
      ),
      savepoint: Type.Optional(savepointOptions),
    },
    { ...CLOSED },
  ),
)

const MEMBERS = {
  id: Type.String({ description: 'UUIDv7.' }),
  kind: openWord(OPERATION_KINDS, 'What it does.'),
  status: openWord(
    OPERATION_STATUSES,
    '`SUCCEEDED`: all items are DONE. `PARTIAL`: some are. `FAILED`: none is.',
  ),
  request: Type.Object(
    {
      cluster: nullable(Reference),
      labels: nullable(Labels),
      maxParallel: Type.Integer(),
      savepoint: savepointOptions,
    },
    { description: 'What was asked for.' },
  ),
  counts: Type.Object(
    {
      waiting: Type.Integer(),
      running: Type.Integer(),
      done: Type.Integer(),
      failed: Type.Integer(),
      skipped: Type.Integer(),
    },
    { description: 'Items by status.' },
  ),
  createdAt: Moment('When it was accepted.'),
  createdBy: Type.String(),
  endedAt: nullable(Moment('When its last item had ended.')),
}

export const OperationSummary = named(
  'OperationSummary',
  Type.Object(MEMBERS, { description: 'An operation without its items.' }),
)

export const OperationItem = named(
  'OperationItem',
  Type.Object(
    {
      position: Type.Integer({ description: '1, 2, 3 …: the order in which the items are taken up.' }),
      job: Reference,
      status: openWord(
        ITEM_STATUSES,
        '`DONE`: its savepoint is complete. `SKIPPED`: the job does not run, so there is nothing to save.',
      ),
      snapshot: nullable(Type.String({ description: 'The id of the savepoint.' })),
      snapshotStatus: nullable(openWord(SNAPSHOT_STATUSES, 'Where the savepoint stands now.')),
      joined: Type.Boolean({
        description: "A savepoint that was in progress already answers: it is another request's.",
      }),
      startedAt: nullable(Moment('When it was taken up.')),
      endedAt: nullable(Moment('When it ended.')),
      failure: nullable(
        Type.Object({
          code: Type.String({
            description:
              'The code a refused savepoint answers with, the failure code of the savepoint, or the reason of its Timeout. Clients must tolerate values added later.',
          }),
          message: Type.String(),
        }),
      ),
    },
    { description: 'What an operation does for one job.' },
  ),
)

export const Operation = named(
  'Operation',
  Type.Object(
    {
      ...MEMBERS,
      items: Type.Array(ref(OperationItem), { description: 'By position, at most 200.' }),
      nextPageToken: nullable(
        Type.String({ description: 'For `pageToken`: the items that follow; null on the last page.' }),
      ),
    },
    { description: 'Work over many jobs, with its report.' },
  ),
)

export const OperationPage = named(
  'OperationPage',
  Type.Object({ items: Type.Array(ref(OperationSummary)), nextPageToken: nullable(Type.String()) }),
)

export const OperationPath = Type.Object(
  { operation: Type.String({ pattern: PATTERNS.uuid, description: 'The id of the operation (UUIDv7).' }) },
  CLOSED,
)
export const OperationItemsQuery = Type.Object({ pageToken: PAGING.pageToken }, CLOSED)

const prefer = Type.Optional(
  Type.String({
    maxLength: 1024,
    description:
      '`wait=N` (RFC 7240), N in seconds from 0 to 55: answers as soon as the operation has ended, at the latest after N seconds. Other preferences are ignored.',
  }),
)
export const CreateOperationHeaders = Type.Object({ ...CreateHeaders.properties, prefer })
export const ReadOperationHeaders = Type.Object({ prefer })
