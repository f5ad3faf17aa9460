import { Type } from 'typebox'
import { USE_REASONS } from '../../domain/references.ts'
import { SNAPSHOT_KINDS } from '../../domain/snapshot.ts'
import { named, nullable, openWord } from './base.ts'
import { Reference } from './labels.ts'

const Sharer = Type.Object({
  id: Type.String({ description: 'The id of the snapshot.' }),
  job: Reference,
  kind: openWord(SNAPSHOT_KINDS, 'Who owns it.'),
  files: Type.Integer({ description: 'How many of the files.' }),
})

const MORE = Type.Boolean({ description: 'There are more than the 50 shown.' })

export const SnapshotReferences = named(
  'SnapshotReferences',
  Type.Object(
    {
      inUseBy: Type.Array(
        Type.Object({
          reason: openWord(
            USE_REASONS,
            'A cluster restores it at every restart, a run was restored from it, a run has claimed it, or it is being copied.',
          ),
          message: Type.String({ description: 'The same for a person.' }),
          cluster: nullable(Reference),
          job: nullable(Reference),
          run: nullable(Type.String({ description: 'The id of the run.' })),
        }),
        { description: 'Why it must not go; empty when nobody we know of needs it.' },
      ),
      filesKnown: Type.Boolean({
        description: 'It was inspected or verified; else `needs` and `sharesWith` are null.',
      }),
      needs: nullable(
        Type.Object({
          files: Type.Integer({ description: 'Files it needs beside its `_metadata`.' }),
          outsideFolder: Type.Integer({ description: 'Of these, outside its own folder.' }),
          unplaced: Type.Integer({ description: 'Of these, where the metadata names no location.' }),
          selfContained: Type.Boolean({ description: 'Nothing lies outside its own folder.' }),
        }),
      ),
      sharesWith: nullable(
        Type.Array(Sharer, { description: 'Who needs files that it needs, too; most files first.' }),
      ),
      sharesWithMore: MORE,
      neededBy: Type.Array(Sharer, { description: 'Who needs files below its folder; most files first.' }),
      neededByMore: MORE,
      uninspected: Type.Integer({
        description:
          'Other Present snapshots of its job, among the newest 1,000, whose files are not known: they may share and need more.',
      }),
    },
    { description: 'Who needs a snapshot.' },
  ),
)
