import { Type } from 'typebox'
import {
  COMPATIBILITY_CODES,
  COMPATIBILITY_SEVERITIES,
  COMPATIBILITY_VERDICTS,
} from '../../domain/compatibility.ts'
import { CLOSED, Moment, named, nullable, oneOf, openWord } from './base.ts'
import { PATTERNS } from './formats.ts'
import { Reference } from './labels.ts'

export const CheckCompatibility = named(
  'CheckCompatibility',
  Type.Object(
    {
      snapshot: Type.Optional(
        Type.String({
          pattern: PATTERNS.uuid,
          description: 'The id of a snapshot, of this job or another one of the namespace.',
        }),
      ),
      location: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 4096,
          description:
            'Instead of `snapshot`: a folder inside a storage of the namespace, or the `_metadata` file in it. Without both: the newest that the job could be restored from.',
        }),
      ),
      version: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 2_147_483_647,
          description: 'The job version that is to run; the latest by default.',
        }),
      ),
      allowNonRestoredState: Type.Optional(
        Type.Boolean({
          description: 'Whether the start would allow to drop state that finds no operator. Default: false.',
        }),
      ),
    },
    { ...CLOSED, description: 'Which snapshot, and which version.' },
  ),
)

const OPERATOR = Type.Object(
  {
    id: Type.String({ description: "Flink's operator id, 32 hex digits." }),
    name: nullable(Type.String()),
    uid: nullable(Type.String()),
  },
  { description: 'Name and uid are in `_metadata` since Flink 2.0.' },
)

const FINDING = Type.Object({
  code: openWord(COMPATIBILITY_CODES, 'What was found.'),
  severity: oneOf(COMPATIBILITY_SEVERITIES, {
    description:
      'BLOCKS: Flink refuses. UNKNOWN: it may, and nothing here can tell. DROPS_STATE: it refuses unless state may be dropped. WARNS: it starts, but mind this. NOTE: what will happen.',
  }),
  operator: nullable(OPERATOR),
  message: Type.String({ description: 'The same for a person, with whatever it was concluded from.' }),
  act: nullable(Type.String({ description: 'What to do about it.' })),
})

const JUDGED_SNAPSHOT = Type.Object({
  metadataVersion: Type.Integer(),
  flinkVersion: nullable(Type.String({ description: 'That wrote it, where it is known exactly.' })),
  flinkVersions: Type.Object(
    { from: Type.String(), to: nullable(Type.String()) },
    { description: 'Those that write this version of `_metadata`.' },
  ),
  format: nullable(oneOf(['canonical', 'native'])),
  incremental: Type.Boolean(),
  unaligned: Type.Boolean(),
  changelog: Type.Boolean(),
  operators: Type.Integer({ description: 'With and without state.' }),
  job: nullable(Reference),
  jobVersion: nullable(Type.Integer({ description: 'The version whose run wrote it.' })),
})

const JUDGED_OPERATORS = Type.Object({
  basis: openWord(
    ['OWN', 'SAME_PROGRAM'],
    'OWN: a snapshot of a run of the version. SAME_PROGRAM: of another version with the same jar, class, arguments and pipeline settings.',
  ),
  snapshot: nullable(Type.String({ description: 'The id of that snapshot.' })),
  version: Type.Integer({ description: 'The version whose run wrote it.' }),
  kept: Type.Integer(),
  added: Type.Integer(),
  removed: Type.Integer({ description: 'With and without state.' }),
})

export const CompatibilityCheck = named(
  'CompatibilityCheck',
  Type.Object(
    {
      job: Reference,
      version: Type.Integer({ description: 'The version that is to run.' }),
      snapshot: nullable(
        Type.String({ description: 'The id of the snapshot; null for a location that is none of ours.' }),
      ),
      location: nullable(Type.String()),
      allowNonRestoredState: Type.Boolean(),
      verdict: openWord(
        COMPATIBILITY_VERDICTS,
        'COMPATIBLE: nothing known stands against it. PARTLY: only with `allowNonRestoredState`, which drops state. INCOMPATIBLE: Flink refuses it. UNKNOWN: what could stop it is not known.',
      ),
      starts: nullable(
        Type.Boolean({
          description: 'Whether Flink would take it with this `allowNonRestoredState`; null when not known.',
        }),
      ),
      findings: Type.Array(FINDING, {
        description: 'The most severe first; of one code at most 20, and then how many more.',
      }),
      judgedBy: Type.Object(
        {
          flinkVersion: nullable(
            Type.String({ description: "What the job's cluster was last seen to run." }),
          ),
          snapshot: nullable(JUDGED_SNAPSHOT),
          operators: nullable(JUDGED_OPERATORS),
        },
        { description: 'What the verdict stands on.' },
      ),
      decidedAt: Moment('When this was true.'),
    },
    { description: 'Whether a version could be started from a snapshot, and why.' },
  ),
)
