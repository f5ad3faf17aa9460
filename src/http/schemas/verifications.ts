import { Type } from 'typebox'
import { FINDING_CODES, VERIFICATION_VERDICTS } from '../../domain/verification.ts'
import { Moment, named, nullable, openWord } from './base.ts'

const Finding = Type.Object({
  code: openWord(
    FINDING_CODES,
    'FILE_MISSING and SIZE_DIFFERS: the file is gone, or not as long as it was written. NOT_READABLE: it is archived. OUTSIDE_STORAGES: no storage of the namespace reaches it, so nobody looked.',
  ),
  path: Type.String({ description: 'As the metadata writes it.' }),
  message: Type.String({ description: 'The same for a person.' }),
  expectedBytes: nullable(Type.Integer({ description: 'Null when the metadata does not tell.' })),
  foundBytes: nullable(Type.Integer({ description: 'Null when there is no such file.' })),
})

export const Verification = named(
  'Verification',
  Type.Object(
    {
      snapshot: Type.String({ description: 'The id of the snapshot.' }),
      verdict: openWord(
        VERIFICATION_VERDICTS,
        'WHOLE: every file it needs is there, as long as it must be, and can be read. DAMAGED: at least one is not. UNREADABLE: its `_metadata` is not one of Flink. METADATA_MISSING: its `_metadata` is gone. NOT_ASKED: the store could not be asked about everything, which proves nothing and changes nothing.',
      ),
      message: nullable(Type.String({ description: 'The same for a person; null when it is whole.' })),
      findings: Type.Array(Finding, { description: 'The first 100.' }),
      findingCount: Type.Integer({ description: 'Of all findings.' }),
      checkedFiles: Type.Integer({ description: 'Beside `_metadata`.' }),
      checkedBytes: Type.Integer({ description: 'Of the files that are as they must be.' }),
      requests: Type.Integer({ description: 'To the store.' }),
      durationMs: Type.Integer(),
      verifiedAt: Moment('When it ended.'),
      verifiedBy: Type.String({ description: 'Who asked for it; `worker` by itself.' }),
    },
    { description: 'What the last verification of a snapshot found.' },
  ),
)

export const VerificationRunning = named(
  'VerificationRunning',
  Type.Object(
    {
      snapshot: Type.String({ description: 'The id of the snapshot.' }),
      startedAt: Moment('When it began: a report that is not older is the one asked for.'),
    },
    { description: 'A verification that takes longer than one answer.' },
  ),
)
