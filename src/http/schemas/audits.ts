import { Type } from 'typebox'
import { FINDING_KINDS, USAGE_KINDS } from '../../domain/audit.ts'
import { CLEARING_PHASES } from '../../domain/clearing.ts'
import { CLOSED, Moment, named, nullable, oneOf, openWord, ref } from './base.ts'
import { PATTERNS } from './formats.ts'
import { Reference } from './labels.ts'
import { PAGING } from './parameters.ts'

export const AuditStorage = named(
  'AuditStorage',
  Type.Object(
    {
      timeoutSeconds: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 604_800,
          description: 'Seconds after which the audit is given up. Default: 86400.',
        }),
      ),
    },
    { ...CLOSED },
  ),
)

const objects = Type.Integer({ description: 'How many objects.' })
const bytes = Type.Integer({ description: 'Their size in bytes.' })

export const AuditFinding = named(
  'AuditFinding',
  Type.Object(
    {
      number: Type.Integer({ description: 'Among the findings of its audit.' }),
      kind: openWord(
        FINDING_KINDS,
        'ORPHAN: a directory made for a savepoint that nobody needs, without `_metadata` and older than 24 hours. UNREGISTERED: it holds `_metadata`, and no snapshot is registered there. MISSING: a Present snapshot whose `_metadata` is gone.',
      ),
      location: Type.String(),
      objects,
      bytes,
      newestAt: nullable(Moment('When the newest object in it was written.')),
      snapshot: nullable(
        Type.String({ description: 'MISSING: the snapshot. ORPHAN: what it was made for.' }),
      ),
      message: Type.String(),
      clearing: nullable(
        Type.Object(
          {
            id: Type.String(),
            phase: openWord(CLEARING_PHASES, 'Where it stands.'),
            deleted: Type.Integer({ description: 'How many objects the storage has confirmed as deleted.' }),
            error: nullable(Type.Object({ code: Type.String(), message: Type.String() })),
            endedAt: nullable(Moment('When it was proven gone.')),
          },
          { description: 'Of an ORPHAN that somebody has asked to clear.' },
        ),
      ),
    },
    { description: 'One thing an audit found.' },
  ),
)

export const AuditFindingPage = named(
  'AuditFindingPage',
  Type.Object({ items: Type.Array(ref(AuditFinding)), nextPageToken: nullable(Type.String()) }),
)

export const AuditFindingsQuery = Type.Object(
  { kind: Type.Optional(oneOf(FINDING_KINDS, { description: 'Only of this kind.' })), ...PAGING },
  CLOSED,
)

const kind = openWord(
  USAGE_KINDS,
  'SAVEPOINT and CHECKPOINT: of a snapshot or a live run. RETAINED_CHECKPOINT: of a run that has ended. SHARED_STATE: in `shared` and `taskowned`. FAILED: what a failed savepoint left. ORPHAN, UNREGISTERED: as found. ARTIFACT: jars. FOREIGN: of no known shape.',
)

export const StorageUsage = named(
  'StorageUsage',
  Type.Object(
    {
      storage: Reference,
      measuredAt: nullable(Moment('When the audit that measured it ended; null before the first one.')),
      operation: nullable(Type.String({ description: 'That audit.' })),
      total: Type.Object({ objects, bytes }),
      kinds: Type.Array(Type.Object({ kind, objects, bytes })),
      reclaimable: Type.Array(Type.Object({ kind, objects, bytes }), {
        description: 'Those of `kinds` that somebody could clear by hand.',
      }),
      jobs: Type.Array(
        Type.Object({
          job: nullable(Reference),
          version: nullable(Type.Integer({ description: 'The job version.' })),
          kind,
          objects,
          bytes,
        }),
        { description: 'The largest first, at most 1,000.' },
      ),
      jobsLeftOut: Type.Integer({ description: 'How many entries of `jobs` are not shown.' }),
    },
    { description: 'What lies in a storage, as measured there.' },
  ),
)

export const ClearOrphans = named(
  'ClearOrphans',
  Type.Object(
    {
      operation: Type.String({ pattern: PATTERNS.uuid, description: 'The audit that found them.' }),
      findings: Type.Array(Type.Integer({ minimum: 0, maximum: 2_147_483_647 }), {
        minItems: 1,
        maxItems: 1_000,
        description: 'Numbers of ORPHAN findings.',
      }),
    },
    { ...CLOSED },
  ),
)

export const OrphanClearings = named(
  'OrphanClearings',
  Type.Object({
    items: Type.Array(
      Type.Object({
        finding: Type.Integer(),
        clearing: nullable(
          Type.String({ description: 'The clearing; its progress stands with the finding.' }),
        ),
        location: nullable(Type.String()),
        refusal: nullable(Type.Object({ code: Type.String(), message: Type.String() })),
      }),
    ),
  }),
)
