import { Type } from 'typebox'
import { Moment, named, nullable, oneOf, openWord, ref } from './base.ts'

const Text64 = (description: string) =>
  Type.String({ description: `${description} A 64-bit number, so a text.` })

const Counts = (description: string) =>
  Type.Unsafe<Record<string, number>>({
    type: 'object',
    additionalProperties: { type: 'integer' },
    description,
  })

const Operator = Type.Object({
  id: Type.String({ description: 'Hexadecimal, as Flink prints it.' }),
  name: nullable(Type.String({ description: 'From metadata version 5 on.' })),
  uid: nullable(Type.String({ description: 'From metadata version 5 on.' })),
  parallelism: Type.Integer(),
  maxParallelism: Type.Integer(),
  fullyFinished: Type.Boolean(),
  coordinatorStateBytes: nullable(Type.Integer()),
  subtaskIndexes: Type.Array(Type.Integer()),
  finishedSubtaskIndexes: Type.Array(Type.Integer()),
  stateSize: Text64('Bytes of its state.'),
  sizes: Type.Object(
    {
      coordinator: Type.String(),
      managedOperator: Type.String(),
      rawOperator: Type.String(),
      managedKeyed: Type.String(),
      rawKeyed: Type.String(),
      inputChannel: Type.String(),
      resultSubpartition: Type.String(),
    },
    { description: 'The same by what the state is for.' },
  ),
  stateNames: Type.Array(
    Type.Object({
      name: Type.String(),
      mode: openWord(['SPLIT_DISTRIBUTE', 'UNION', 'BROADCAST'], 'How it is given to subtasks at a rescale.'),
      raw: Type.Boolean(),
    }),
    { description: 'Of operator state; names of keyed state lie inside the state itself.' },
  ),
})

const Properties = Type.Object({
  kind: oneOf(['checkpoint', 'savepoint']),
  typeName: Type.String({ description: "Flink's word, such as `Terminate Savepoint`." }),
  formatType: nullable(Type.String({ description: 'CANONICAL or NATIVE, of savepoints only.' })),
  postCheckpointAction: nullable(
    Type.String({ description: 'NONE, SUSPEND or TERMINATE, of savepoints only.' }),
  ),
  sharingFilesStrategy: nullable(
    Type.String({ description: 'FORWARD_BACKWARD, FORWARD or NO_SHARING, of checkpoints only.' }),
  ),
  forced: Type.Boolean(),
  discardSubsumed: Type.Boolean(),
  discardFinished: Type.Boolean(),
  discardCancelled: Type.Boolean(),
  discardFailed: Type.Boolean(),
  discardSuspended: Type.Boolean(),
  unclaimed: Type.Boolean(),
})

export const SnapshotInspection = named(
  'SnapshotInspection',
  Type.Object(
    {
      snapshot: Type.String({ description: 'The id of the snapshot.' }),
      location: Type.String({ description: 'Its folder, as Flink writes it.' }),
      version: Type.Integer({ description: 'Of the `_metadata` format, 2 to 6.' }),
      flinkVersions: Type.Object(
        { from: Type.String(), to: nullable(Type.String()) },
        { description: 'The releases that write this version; `to` is null for the newest.' },
      ),
      checkpointId: Text64("Flink's checkpoint id."),
      kind: nullable(
        oneOf(['checkpoint', 'savepoint'], { description: 'null where the file does not tell.' }),
      ),
      format: nullable(oneOf(['canonical', 'native'], { description: 'null where the file does not tell.' })),
      incremental: Type.Boolean(),
      unaligned: Type.Boolean(),
      changelog: Type.Boolean(),
      fileMerging: Type.Boolean(),
      selfContained: Type.Boolean({
        description:
          'Nothing lies outside its folder: it may be moved, and deleting the folder frees all of it.',
      }),
      directories: Type.Array(Type.String(), { description: 'What file merging claims outside the folder.' }),
      masterStates: Type.Array(
        Type.Object({ name: Type.String(), version: Type.Integer(), bytes: Type.Integer() }),
      ),
      operators: Type.Array(Operator),
      stateSize: Text64(
        "Bytes of all operators, by Flink's rule: files that several handles share count for each.",
      ),
      handleCounts: Counts("How many handles of each kind, by the names of Flink's tags."),
      fileCounts: Type.Unsafe<Record<string, Record<string, number>>>({
        type: 'object',
        additionalProperties: { type: 'object', additionalProperties: { type: 'integer' } },
        description: 'Number of files by role, then by kind.',
      }),
      properties: Type.Optional(nullable(Properties)),
      warnings: Type.Array(Type.Object({ code: Type.String(), message: Type.String() }), {
        description: 'What Flink would accept without a word.',
      }),
      metadataBytes: Type.Integer({ description: 'Bytes of the `_metadata` file.' }),
      fileCount: Type.Integer({ description: 'Files it names, each once.' }),
      fileBytes: Type.Integer({ description: 'Bytes of the files whose size it tells.' }),
      inspectedAt: Moment('When the file was read.'),
    },
    { description: 'What lies inside a snapshot, by its `_metadata`; names as `tidemark inspect -o json`.' },
  ),
)

export const SnapshotFile = named(
  'SnapshotFile',
  Type.Object(
    {
      position: Type.Integer({ description: 'From 0, in the order of the metadata.' }),
      key: nullable(
        Type.String({ description: 'Where it lies, normalised; null when the path is no location.' }),
      ),
      path: Type.String({
        description: 'As the metadata writes it; U+FFFD stands for what is no character of a text.',
      }),
      kind: openWord(
        ['relative', 'absolute', 'segment'],
        'Below the folder, anywhere, or part of a file that several subtasks share.',
      ),
      roles: Type.Array(Type.String(), { description: 'Such as `managedKeyed/incrementalShared`.' }),
      sizeBytes: nullable(Type.Integer({ description: 'Bytes it must have at least; null when not told.' })),
      references: Type.Integer({ description: 'How often the metadata names it.' }),
      mayBeShared: Type.Boolean({ description: 'Lies where Flink keeps what several checkpoints use.' }),
    },
    { description: 'A file that a snapshot needs, beside its `_metadata`.' },
  ),
)

export const SnapshotFilePage = named(
  'SnapshotFilePage',
  Type.Object({ items: Type.Array(ref(SnapshotFile)), nextPageToken: nullable(Type.String()) }),
)
