import { Type } from 'typebox'
import {
  DECISION_CODES,
  DECISIONS,
  FINDING_CODES,
  REJECTION_CODES,
  RESTORE_FALLBACKS,
  RESTORE_STRATEGIES,
} from '../../domain/restore-point.ts'
import { SNAPSHOT_KINDS, SNAPSHOT_SOURCES } from '../../domain/snapshot.ts'
import { SNAPSHOT_STATUSES } from '../../domain/snapshot-status.ts'
import { UNSEEN_CODES } from '../../domain/unseen-snapshots.ts'
import { CLOSED, Moment, named, nullable, oneOf, openWord } from './base.ts'
import { PATTERNS } from './formats.ts'
import { Reference } from './labels.ts'

const message = Type.String({ description: 'The same for a person.' })
const snapshotId = nullable(
  Type.String({ description: 'The id of the snapshot; null for a location that is none of ours.' }),
)

const CANDIDATE = {
  snapshot: snapshotId,
  kind: nullable(openWord(SNAPSHOT_KINDS, 'Who owns it.')),
  source: nullable(openWord(SNAPSHOT_SOURCES, 'What caused it.')),
  status: nullable(openWord(SNAPSHOT_STATUSES, 'Where it stands.')),
  verdict: nullable(Type.String({ description: 'What the last verification found.' })),
  job: nullable(Reference),
  jobVersion: nullable(Type.Integer()),
  location: nullable(Type.String()),
  completedAt: nullable(Moment('When Flink was done; it does not decide which one is newer.')),
  run: nullable(
    Type.Object(
      { id: Type.String(), startedAt: Moment('When the run began.') },
      { description: 'The first part of its rank. Of a COPY the run of its source.' },
    ),
  ),
  flinkCheckpointId: nullable(
    Type.Integer({
      description: 'The second part: higher is newer, within a run. Of a COPY that of its source.',
    }),
  ),
}

export const RestorePoint = named(
  'RestorePoint',
  Type.Object(
    {
      job: Reference,
      strategy: oneOf(RESTORE_STRATEGIES, { description: 'What was asked for.' }),
      version: nullable(Type.Integer({ description: 'The version that is to run.' })),
      decidedAt: Moment('When this was true.'),
      decision: oneOf(DECISIONS, {
        description:
          '`restore`: from `chosen`, whose `_metadata` was there a moment ago. `start-empty`: without state. `refuse`: neither, and `because` says what to do.',
      }),
      chosen: nullable(
        Type.Object({
          ...CANDIDATE,
          ageSeconds: nullable(
            Type.Integer({ description: 'What a restart from it would repeat, in seconds.' }),
          ),
        }),
      ),
      because: Type.Object({ code: openWord(DECISION_CODES, 'Why.'), message }),
      candidates: Type.Array(
        Type.Object({
          ...CANDIDATE,
          rejected: nullable(Type.Object({ code: openWord(REJECTION_CODES, 'Why not this one.'), message })),
        }),
        {
          description:
            'The newest 50 that were considered, the newest first: by run, then by checkpoint id. Those without a rank come last.',
        },
      ),
      more: Type.Boolean({ description: 'More were considered than are shown.' }),
      newerMayExist: Type.Array(
        Type.Object({
          what: openWord(UNSEEN_CODES, 'What may have left a newer one.'),
          why: message,
          run: nullable(Type.String({ description: 'The id of the run.' })),
          snapshot: nullable(Type.String({ description: 'The id of the snapshot.' })),
        }),
        {
          description:
            'Newer snapshots that may exist although nobody has seen them. While there are any, an older one is taken only with `acceptOlder`.',
        },
      ),
      findings: Type.Array(Type.Object({ code: openWord(FINDING_CODES, 'What to mind.'), message }), {
        description: 'What does not stand in the way, but should be known before a start.',
      }),
    },
    { description: 'Where a job would be restored from, why, and why from none of the others.' },
  ),
)

export const RestorePointQuery = Type.Object(
  {
    strategy: Type.Optional(
      oneOf(RESTORE_STRATEGIES, {
        description:
          'LATEST_STATE (the default): the newest snapshot. LATEST_SAVEPOINT: the newest savepoint. FROM_SNAPSHOT: the one named by `snapshot` or `location`. NONE: without state.',
      }),
    ),
    snapshot: Type.Optional(
      Type.String({
        pattern: PATTERNS.uuid,
        description: 'With FROM_SNAPSHOT: the id of a snapshot, of this job or another one of the namespace.',
      }),
    ),
    location: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 4096,
        description:
          'With FROM_SNAPSHOT instead of `snapshot`: a folder inside a storage of the namespace, or the `_metadata` file in it.',
      }),
    ),
    maxAgeSeconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 315_360_000,
        description: 'Nothing that completed longer ago is restored, in seconds.',
      }),
    ),
    fallback: Type.Optional(
      oneOf(RESTORE_FALLBACKS, {
        description:
          'When the job had state but nothing can be restored: FAIL (the default) refuses, NONE starts without state.',
      }),
    ),
    version: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 2_147_483_647,
        description: 'The job version that is to run; the latest by default.',
      }),
    ),
    preferCheckpoint: Type.Optional(
      Type.Boolean({
        description:
          'With LATEST_STATE: the newest checkpoint of the run, although a savepoint of that run is newer. Default: false.',
      }),
    ),
    acceptOlder: Type.Optional(
      Type.Boolean({
        description: 'Take the newest one known although a newer one may exist. Default: false.',
      }),
    ),
  },
  CLOSED,
)
