/** Path, query and header parameters that several routes share. */
import { Type } from 'typebox'
import { CLOSED } from './base.ts'
import { PATTERNS } from './formats.ts'

export const idOrName = (what: string) =>
  Type.String({
    pattern: PATTERNS.idOrName,
    maxLength: 63,
    description: `The id or the name of the ${what}.`,
  })

export const ClusterPath = Type.Object({ cluster: idOrName('cluster') }, CLOSED)
export const StoragePath = Type.Object({ storage: idOrName('storage') }, CLOSED)
export const JobPath = Type.Object({ job: idOrName('job') }, CLOSED)
const versionNumber = (description: string) =>
  Type.Integer({ minimum: 1, maximum: 2_147_483_647, description })
export const VersionPath = Type.Object(
  {
    job: idOrName('job'),
    number: versionNumber('The number of the version.'),
  },
  CLOSED,
)
export const TwoVersionsPath = Type.Object(
  {
    job: idOrName('job'),
    number: versionNumber('The version before.'),
    other: versionNumber('The version after.'),
  },
  CLOSED,
)
export const flinkVersionParameter = Type.Optional(
  Type.String({
    pattern: PATTERNS.flinkVersion,
    maxLength: 64,
    description: "Such as `1.20`; by default what the job's cluster was last seen to run.",
  }),
)
export const SnapshotPath = Type.Object(
  { snapshot: Type.String({ pattern: PATTERNS.uuid, description: 'The id of the snapshot (UUIDv7).' }) },
  CLOSED,
)

export const RunPath = Type.Object(
  { run: Type.String({ pattern: PATTERNS.uuid, description: 'The id of the run (UUIDv7).' }) },
  CLOSED,
)

export const idOrNameFilter = (what: string) => Type.Optional(idOrName(what))

/** Spread into the query of every list. */
export const PAGING = {
  pageSize: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 200, default: 50, description: 'How many items at most, 1 to 200.' }),
  ),
  pageToken: Type.Optional(
    Type.String({
      pattern: PATTERNS.visibleAscii,
      maxLength: 1024,
      description:
        'The `nextPageToken` of the page before; the other parameters must be the same. Otherwise `PAGE_TOKEN_INVALID`.',
    }),
  ),
}
export const PageQuery = Type.Object(PAGING, CLOSED)

/** A repeated parameter; all labels must match. */
export const labelFilter = Type.Optional(
  Type.Array(Type.String({ pattern: PATTERNS.labelFilter, maxLength: 320 }), {
    maxItems: 32,
    description: '`key=value`; may be repeated, then all must match.',
  }),
)

const IDEMPOTENCY = {
  'idempotency-key': Type.Optional(
    Type.String({
      pattern: PATTERNS.visibleAscii,
      minLength: 1,
      maxLength: 255,
      description:
        '1 to 255 visible ASCII characters, kept for 24 hours per namespace, principal and path. The same key and body answer the current resource with `Idempotency-Replayed: true`; another body answers 422 `IDEMPOTENCY_KEY_REUSED`.',
    }),
  ),
}
const PREFER = {
  prefer: Type.Optional(
    Type.String({
      maxLength: 1024,
      description:
        '`wait=N` (RFC 7240), N in seconds from 0 to 55: answers as soon as the snapshot is no longer Creating, at the latest after N seconds. Other preferences are ignored.',
    }),
  ),
}
const PREFER_CLEARED = {
  prefer: Type.Optional(
    Type.String({
      maxLength: 1024,
      description:
        '`wait=N` (RFC 7240), N in seconds from 0 to 55: answers as soon as the snapshot is Cleared, at the latest after N seconds. Other preferences are ignored.',
    }),
  ),
}
const IF_MATCH = {
  'if-match': Type.Optional(
    Type.String({
      pattern: PATTERNS.entityTag,
      maxLength: 255,
      description:
        'The `ETag` the change is based on, or `*`. When the resource has changed since: 412 `PRECONDITION_FAILED`.',
    }),
  ),
}
const IF_NONE_MATCH = {
  'if-none-match': Type.Optional(
    Type.String({ maxLength: 1024, description: 'An `ETag` already held: 304 while it is still current.' }),
  ),
}

export const CreateHeaders = Type.Object(IDEMPOTENCY)
export const ReadHeaders = Type.Object(IF_NONE_MATCH)
export const ChangeHeaders = Type.Object(IF_MATCH)
export const CreateSavepointHeaders = Type.Object({ ...IDEMPOTENCY, ...PREFER })
export const ClearSnapshotHeaders = Type.Object({ ...IF_MATCH, ...PREFER_CLEARED })
export const ReadSnapshotHeaders = Type.Object({ ...IF_NONE_MATCH, ...PREFER })

/** For routes that take no query parameter at all: an unknown one is refused, not ignored. */
export const NoQuery = Type.Object({}, CLOSED)
/** For a POST that needs nothing said: no body, or an empty object. */
export const EmptyBody = Type.Object({}, CLOSED)
