import { Type } from 'typebox'
import { USE_REASONS } from '../../domain/references.ts'
import { named, nullable, openWord } from './base.ts'
import { Reference } from './labels.ts'

export const SnapshotReferences = named(
  'SnapshotReferences',
  Type.Object(
    {
      inUseBy: Type.Array(
        Type.Object({
          reason: openWord(
            USE_REASONS,
            'A cluster restores it at every restart, a run was restored from it, or a run has claimed it.',
          ),
          message: Type.String({ description: 'The same for a person.' }),
          cluster: nullable(Reference),
          job: nullable(Reference),
          run: nullable(Type.String({ description: 'The id of the run.' })),
        }),
        { description: 'Why it must not go; empty when nobody we know of needs it.' },
      ),
    },
    { description: 'Who needs a snapshot.' },
  ),
)
