import { Type } from 'typebox'
import { CLEARING_METHODS, CLEARING_PHASES, CLEARING_REASONS } from '../../domain/clearing.ts'
import { CLOSED, Moment, named, nullable, oneOf, openWord } from './base.ts'

export const ClearSnapshotQuery = Type.Object(
  {
    force: Type.Optional(
      Type.Boolean({
        default: false,
        description:
          'Clear it although it is the newest restorable one, or a way back (`SNAPSHOT_PROTECTED`). It does not override a pin, nor that it is in use.',
      }),
    ),
    data: Type.Optional(
      oneOf(['delete', 'keep'], {
        description:
          '`keep` forgets the snapshot and leaves its data where it is; of one that is Clearing it gives up on what is left. Default: `delete`.',
      }),
    ),
  },
  CLOSED,
)

export const Clearing = named(
  'Clearing',
  Type.Object(
    {
      snapshot: Type.String({ description: 'The id of the snapshot.' }),
      method: openWord(
        CLEARING_METHODS,
        'OBJECTS: everything below its `ownedPrefix`; FILES: listed files; FLINK: by its disposal call; FORGET: nothing is deleted.',
      ),
      reason: openWord(CLEARING_REASONS, 'By hand, or by which rule.'),
      message: nullable(Type.String({ description: 'What the rule says of it.' })),
      forced: Type.Boolean({ description: 'A person overrode its protection.' }),
      requestedBy: Type.String(),
      requestedAt: Moment('When it was asked for.'),
      phase: openWord(
        CLEARING_PHASES,
        'The complete list is stored first, then `_metadata` goes, then everything else; then the place must be found empty twice.',
      ),
      objects: Type.Integer({
        description: 'How many objects were listed; of a bucket with versions, how many versions.',
      }),
      bytes: Type.Integer({ description: 'Their size in bytes.' }),
      deleted: Type.Integer({ description: 'How many of them the storage has confirmed as deleted.' }),
      error: nullable(
        Type.Object(
          {
            code: Type.String({
              description:
                'A code of ours, or that of the storage for one object. Clients must tolerate other values.',
            }),
            message: Type.String(),
            at: Moment('When it failed.'),
          },
          { description: 'Why the last try failed; null when it went well.' },
        ),
      ),
      nextTryAt: nullable(Moment('When it goes on; null when it has ended.')),
      endedAt: nullable(Moment('When the snapshot became Cleared.')),
    },
    {
      description:
        'How the removal of a snapshot goes on. A failing one is tried for ever, and is visible here.',
    },
  ),
)
