import { Type } from 'typebox'
import {
  AUDIT_FAILED_CODES,
  COPY_FAILED_CODES,
  START_FAILED_CODES,
  STOP_FAILED_CODES,
  STOP_WARNING_CODES,
} from '../../domain/failure-codes.ts'
import {
  type AuditRequest,
  type BulkSavepointRequest,
  type CopyRequest,
  ITEM_STATUSES,
  OPERATION_KINDS,
  OPERATION_STATUSES,
  STEP_STATUSES,
  STOP_MODES,
  type StartRequest,
  type StopRequest,
} from '../../domain/operation.ts'
import { CLAIM_MODES, DECISION_CODES } from '../../domain/restore-point.ts'
import { SAVEPOINT_FORMATS } from '../../domain/snapshot.ts'
import { SNAPSHOT_STATUSES } from '../../domain/snapshot-status.ts'
import { START_FAILURE_CODES } from '../../domain/start-failure.ts'
import { CLOSED, Instant, Moment, named, nullable, oneOf, openWord, ref } from './base.ts'
import { PATTERNS } from './formats.ts'
import { DescriptionInput, LabelsInput, Reference } from './labels.ts'
import { CreateHeaders, PAGING } from './parameters.ts'
import { RestorePointQuery } from './restore-points.ts'

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

const list = (codes: readonly string[]): string => [...new Set(codes)].map((code) => `\`${code}\``).join(', ')
const failure = (description: string) =>
  nullable(
    Type.Object({
      code: Type.String({ description: `${description} Clients must tolerate values added later.` }),
      message: Type.String(),
    }),
  )

const MEMBERS = {
  id: Type.String({ description: 'UUIDv7.' }),
  kind: openWord(OPERATION_KINDS, 'What it does.'),
  status: openWord(
    OPERATION_STATUSES,
    '`SUCCEEDED`: it did what was asked (all items are DONE). `PARTIAL`: some items are. `FAILED`: it did not, or no item is DONE.',
  ),
  request: Type.Unsafe<BulkSavepointRequest | StartRequest | StopRequest | CopyRequest | AuditRequest>({
    type: 'object',
    additionalProperties: true,
    description: 'What was asked for, with what was filled in.',
  }),
  createdAt: Moment('When it was accepted.'),
  createdBy: Type.String(),
  endedAt: nullable(Moment('When it had ended.')),
  counts: Type.Optional(
    Type.Object(
      {
        waiting: Type.Integer(),
        running: Type.Integer(),
        done: Type.Integer(),
        failed: Type.Integer(),
        skipped: Type.Integer(),
      },
      { description: 'BULK_SAVEPOINT: items by status.' },
    ),
  ),
  job: Type.Optional(Reference),
  deadlineAt: Type.Optional(Moment('START, STOP, COPY: when it is given up; until then it is tried again.')),
  run: Type.Optional(
    nullable(Type.String({ description: 'START, STOP: the run that is started or stopped.' })),
  ),
  flinkJobId: Type.Optional(
    nullable(Type.String({ description: 'START, STOP: the Flink job id of that run.' })),
  ),
  snapshot: Type.Optional(
    nullable(
      Type.String({ description: 'STOP: the savepoint it takes. COPY: the copy, once it is complete.' }),
    ),
  ),
  failure: Type.Optional(
    failure(
      `Why it FAILED. Of a START: ${list([...START_FAILED_CODES, ...START_FAILURE_CODES, ...DECISION_CODES])}. Of a STOP: ${list(STOP_FAILED_CODES)}, or the failure code of its savepoint. Of a COPY: ${list(COPY_FAILED_CODES)}. Of an AUDIT: ${list(AUDIT_FAILED_CODES)}.`,
    ),
  ),
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

export const OperationStep = named(
  'OperationStep',
  Type.Object(
    {
      name: Type.String({
        description:
          'START: upload, choose, submit, run. STOP: wait, savepoint, end; with CANCEL cancel, end. COPY: read, plan, copy, metadata, verify, record. AUDIT: list, rows, record.',
      }),
      status: openWord(STEP_STATUSES, 'Where it stands.'),
      startedAt: nullable(Moment('When it was taken up.')),
      endedAt: nullable(Moment('When it ended.')),
      message: nullable(Type.String({ description: 'What came out, or what is waited for.' })),
    },
    { description: 'One step of a start, a stop or a copy, in the order of the work.' },
  ),
)

const foundTotal = Type.Object({ count: Type.Integer(), objects: Type.Integer(), bytes: Type.Integer() })

const finding = Type.Object({ code: Type.String(), message: Type.String() })

export const Operation = named(
  'Operation',
  Type.Object(
    {
      ...MEMBERS,
      steps: Type.Optional(Type.Array(ref(OperationStep), { description: 'START, STOP, COPY.' })),
      result: Type.Optional(
        Type.Object(
          {
            restorePoint: Type.Optional(
              Type.Object(
                {
                  decision: Type.String({ description: '`restore`, `start-empty` or `refuse`.' }),
                  because: finding,
                  snapshot: nullable(Type.String()),
                  location: nullable(Type.String()),
                  claimMode: Type.String(),
                  findings: Type.Array(finding),
                  rejected: Type.Array(
                    Type.Object({
                      snapshot: nullable(Type.String()),
                      location: nullable(Type.String()),
                      code: Type.String(),
                      message: Type.String(),
                    }),
                  ),
                },
                { description: 'START: from what, why, and why not from others (the newest 20).' },
              ),
            ),
            progress: Type.Optional(
              Type.Object(
                {
                  files: Type.Integer(),
                  filesDone: Type.Integer(),
                  filesInside: Type.Integer({
                    description: 'Copied by the store itself: their bytes did not pass through us.',
                  }),
                  bytes: Type.Integer(),
                  bytesDone: Type.Integer(),
                },
                { description: 'COPY: how far it has come, once it is planned.' },
              ),
            ),
            relocatable: Type.Optional(
              Type.Boolean({
                description:
                  'COPY: its metadata names every file relatively, so the folder may be moved again. false of a changelog, and of metadata version 2: self-contained, but where it is.',
              }),
            ),
            findings: Type.Optional(
              Type.Array(finding, { description: 'COPY: why it cannot be made (`COPY_NOT_POSSIBLE`).' }),
            ),
            listed: Type.Optional(
              Type.Object(
                { objects: Type.Integer(), bytes: Type.Integer() },
                { description: 'AUDIT: how much was listed so far.' },
              ),
            ),
            found: Type.Optional(
              Type.Object(
                { ORPHAN: foundTotal, UNREGISTERED: foundTotal, MISSING: foundTotal },
                { description: 'AUDIT: totals per kind of finding.' },
              ),
            ),
            foreign: Type.Optional(
              Type.Object(
                { objects: Type.Integer(), bytes: Type.Integer() },
                { description: 'AUDIT: what has no known shape; only counted.' },
              ),
            ),
            warnings: Type.Optional(
              Type.Array(finding, {
                description: `STOP: ${list(STOP_WARNING_CODES)}. START: those of its version.`,
              }),
            ),
          },
          { description: 'START, STOP, COPY: what came out so far.' },
        ),
      ),
      items: Type.Optional(
        Type.Array(ref(OperationItem), { description: 'BULK_SAVEPOINT: by position, at most 200.' }),
      ),
      nextPageToken: Type.Optional(
        nullable(
          Type.String({
            description: 'BULK_SAVEPOINT: for `pageToken`: the items that follow; null on the last page.',
          }),
        ),
      ),
    },
    { description: 'Work that is recorded at once and done by workers, with its report.' },
  ),
)

const timeoutSeconds = (description: string) =>
  Type.Optional(Type.Integer({ minimum: 1, maximum: 86_400, description }))

const { version: _version, ...RESTORE } = RestorePointQuery.properties

export const StartJob = named(
  'StartJob',
  Type.Object(
    {
      version: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 2_147_483_647,
          description: 'The job version to run; the latest by default.',
        }),
      ),
      restore: Type.Optional(
        Type.Object(
          {
            ...RESTORE,
            claimMode: Type.Optional(
              oneOf(CLAIM_MODES, {
                description:
                  "NO_CLAIM (the default): the snapshot stays yours. CLAIM: it is Flink's from the moment the start is committed, right before Flink is asked: never offered again, and deleted by Flink once newer checkpoints exist.",
              }),
            ),
            allowNonRestoredState: Type.Optional(
              Type.Boolean({
                description:
                  'Drop the state of operators that the version no longer has, instead of failing. Default: false.',
              }),
            ),
          },
          {
            ...CLOSED,
            description: 'From what the job begins. Default: LATEST_STATE, and FAIL without one.',
          },
        ),
      ),
      timeoutSeconds: timeoutSeconds('Seconds after which the start is given up. Default: 600.'),
    },
    { ...CLOSED },
  ),
)

export const CopySnapshot = named(
  'CopySnapshot',
  Type.Object(
    {
      storage: Type.String({
        pattern: PATTERNS.idOrName,
        maxLength: 63,
        description: 'Where the copy goes: a storage that we reach ourselves, by its name or id.',
      }),
      description: Type.Optional(DescriptionInput),
      labels: Type.Optional(LabelsInput),
      timeoutSeconds: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 604_800,
          description: 'Seconds after which the copy is given up. Default: 86400.',
        }),
      ),
    },
    { ...CLOSED },
  ),
)

export const StopJob = named(
  'StopJob',
  Type.Object(
    {
      mode: Type.Optional(
        oneOf(STOP_MODES, {
          description:
            'SAVEPOINT (the default): with a savepoint. DRAIN: with a savepoint after all timers have fired; only for a job that is over for good. CANCEL: at once, without a savepoint.',
        }),
      ),
      description: Type.Optional(DescriptionInput),
      format: Type.Optional(oneOf(SAVEPOINT_FORMATS, { description: 'Default: CANONICAL.' })),
      timeoutSeconds: timeoutSeconds(
        'Seconds its savepoint may take (default: that of the job), or the cancellation (default: 300).',
      ),
    },
    { ...CLOSED },
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
