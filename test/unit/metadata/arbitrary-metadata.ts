import fc from 'fast-check'
import type {
  ChannelHandle,
  ChannelPosition,
  InlineBytes,
  KeyedHandle,
  NamedState,
  OperatorHandle,
  OperatorState,
  RunningSubtask,
  SegmentHandle,
  SnapshotMetadata,
  SnapshotProperties,
  StreamHandle,
  SubtaskState,
} from '../../../src/metadata/model.ts'

/** Models of any version with every kind of handle it can hold. */
export const arbitraryMetadata: fc.Arbitrary<SnapshotMetadata> = fc
  .constantFrom(2 as const, 3 as const, 4 as const, 5 as const, 6 as const)
  .chain((version) => {
    const properties = version < 4 ? fc.constant(undefined) : fc.option(anyProperties)
    return fc
      .record({
        version: fc.constant(version),
        checkpointId: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
        masterStates: listOf(fc.record({ name: text, version: i32, payload: inline })),
        operatorStates: listOf(operatorOf(version)),
        properties,
      })
      .map(({ properties, ...body }) => (properties === undefined ? body : { ...body, properties }))
  })

const listOf = <T>(item: fc.Arbitrary<T>) => fc.array(item, { maxLength: 3 })
const text = fc.string({ unit: 'binary', maxLength: 12 })
const i32 = fc.integer()
const i64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
const offsets = listOf(i64).map((values) => BigInt64Array.from(values))
const firstKeyGroup = fc.nat(32_767)
const range = { firstKeyGroup, keyGroupCount: fc.nat(32_768) }

const inline: fc.Arbitrary<InlineBytes> = fc.uint8Array({ maxLength: 300 }).map((bytes) => {
  return { length: bytes.length, bytes: new Uint8Array(bytes) }
})

const byteStream = fc.record({ kind: fc.constant('byteStream' as const), name: text, inline })
const emptySegment = fc.constant({ kind: 'emptySegment' as const })
const segment: fc.Arbitrary<SegmentHandle> = fc.record({
  kind: fc.constant('segment' as const),
  startPosition: i64,
  size: i64,
  scope: fc.constantFrom('EXCLUSIVE' as const, 'SHARED' as const),
  path: text,
  logicalFileId: text,
})
const plainStream: fc.Arbitrary<StreamHandle> = fc.oneof(
  byteStream,
  fc.record({ kind: fc.constant('file' as const), path: text, size: i64 }),
  fc.record({ kind: fc.constant('relativeFile' as const), path: text, size: i64 }),
  segment,
  emptySegment,
)
const stream: fc.Arbitrary<StreamHandle> = fc.oneof(
  { weight: 5, arbitrary: plainStream },
  fc.record({ kind: fc.constant('keyGroups' as const), firstKeyGroup, offsets, delegate: plainStream }),
)

const states: fc.Arbitrary<NamedState[]> = listOf(
  fc.record({
    name: text,
    mode: fc.constantFrom('SPLIT_DISTRIBUTE' as const, 'UNION' as const, 'BROADCAST' as const),
    offsets,
  }),
)
const operatorHandle: fc.Arbitrary<OperatorHandle> = fc.oneof(
  fc.record({ kind: fc.constant('partitionable' as const), states, delegate: stream }),
  fc.record({
    kind: fc.constant('fileMerging' as const),
    states,
    taskOwnedDirectory: text,
    sharedDirectory: text,
    isEmpty: fc.boolean(),
    delegate: fc.oneof(segment, emptySegment),
  }),
)

const files = listOf(fc.record({ localPath: text, handle: stream }))
const incremental = {
  checkpointId: i64,
  backendId: text,
  ...range,
  meta: stream,
  shared: files,
  private: files,
}
const keyGroups = { firstKeyGroup, offsets, delegate: stream }
const absent = fc.constant(null)
const state: fc.Arbitrary<KeyedHandle> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('keyGroups' as const, 'savepointKeyGroups' as const),
    ...keyGroups,
    stateHandleId: absent,
  }),
  fc.record({ kind: fc.constant('keyGroupsV2' as const), ...keyGroups, stateHandleId: text }),
  fc.record({
    kind: fc.constant('incremental' as const),
    ...incremental,
    checkpointedSize: absent,
    stateHandleId: absent,
  }),
  fc.record({
    kind: fc.constant('incrementalV2' as const),
    ...incremental,
    checkpointedSize: i64,
    stateHandleId: text,
  }),
)
const changesInFile = {
  ...range,
  streams: listOf(fc.record({ offset: i64, handle: stream })),
  stateSize: i64,
  checkpointedSize: i64,
  stateHandleId: text,
}
const changes: fc.Arbitrary<KeyedHandle> = fc.oneof(
  fc.record({
    kind: fc.constant('changelogInMemory' as const),
    ...range,
    fromSequenceNumber: i64,
    toSequenceNumber: i64,
    changes: listOf(fc.record({ keyGroup: i32, inline })),
    stateHandleId: text,
  }),
  fc.record({ kind: fc.constant('changelogFile' as const), ...changesInFile, storageIdentifier: absent }),
  fc.record({ kind: fc.constant('changelogFileV2' as const), ...changesInFile, storageIdentifier: text }),
)
const changelog = {
  ...range,
  checkpointedSize: i64,
  materialized: listOf(state),
  nonMaterialized: listOf(changes),
  materializationId: i64,
  stateHandleId: text,
}
const keyedHandle: fc.Arbitrary<KeyedHandle> = fc.oneof(
  state,
  changes,
  fc.record({ kind: fc.constant('changelog' as const), ...changelog, checkpointId: absent }),
  fc.record({ kind: fc.constant('changelogV2' as const), ...changelog, checkpointId: i64 }),
)

const position: fc.Arbitrary<ChannelPosition> = fc.record({
  gateOrPartition: i32,
  channel: i32,
  stateSize: i64,
  offsets,
})
const plainChannel: fc.Arbitrary<ChannelHandle> = fc
  .tuple(position, i32, stream)
  .map(([at, subtaskIndex, delegate]) => ({ kind: 'plain', ...at, subtaskIndex, delegate }))
const mergedChannel: fc.Arbitrary<ChannelHandle> = fc.record({
  kind: fc.constant('merged' as const),
  subtaskIndex: i32,
  stateSize: i64,
  delegate: stream,
  channels: listOf(position),
})

function channelsOf(version: number): fc.Arbitrary<ChannelHandle[]> {
  if (version < 3) return fc.constant([])
  return listOf(version < 6 ? plainChannel : fc.oneof(plainChannel, mergedChannel))
}

function subtaskOf(version: number): fc.Arbitrary<SubtaskState> {
  const index = fc.nat()
  const running: fc.Arbitrary<RunningSubtask> = fc.record({
    index,
    finished: fc.constant(false as const),
    managedOperator: fc.option(operatorHandle),
    rawOperator: fc.option(operatorHandle),
    managedKeyed: fc.option(keyedHandle),
    rawKeyed: fc.option(keyedHandle),
    inputChannels: channelsOf(version),
    resultSubpartitions: channelsOf(version),
  })
  const finished = fc.record({ index, finished: fc.constant(true as const) })
  return version < 3 ? running : fc.oneof({ weight: 4, arbitrary: running }, finished)
}

function operatorOf(version: number): fc.Arbitrary<OperatorState> {
  const label = version < 5 ? absent : fc.option(text.filter((name) => name !== ''))
  const identity = {
    id: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString('hex')),
    name: label,
    uid: label,
    parallelism: i32,
    maxParallelism: i32,
  }
  const active: fc.Arbitrary<OperatorState> = fc.record({
    ...identity,
    coordinatorState: version < 3 ? absent : fc.option(byteStream),
    fullyFinished: fc.constant(false),
    subtasks: listOf(subtaskOf(version)),
  })
  const finished: fc.Arbitrary<OperatorState> = fc.record({
    ...identity,
    coordinatorState: absent,
    fullyFinished: fc.constant(true),
    subtasks: fc.constant([]),
  })
  return version < 3 ? active : fc.oneof({ weight: 4, arbitrary: active }, finished)
}

const flags = {
  typeName: text,
  forced: fc.boolean(),
  discardSubsumed: fc.boolean(),
  discardFinished: fc.boolean(),
  discardCancelled: fc.boolean(),
  discardFailed: fc.boolean(),
  discardSuspended: fc.boolean(),
  unclaimed: fc.boolean(),
}
const anyProperties: fc.Arbitrary<SnapshotProperties> = fc.oneof(
  fc.record({
    kind: fc.constant('savepoint' as const),
    formatType: fc.constantFrom('CANONICAL', 'NATIVE'),
    postCheckpointAction: fc.constantFrom('NONE', 'SUSPEND', 'TERMINATE'),
    sharingFilesStrategy: absent,
    ...flags,
  }),
  fc.record({
    kind: fc.constant('checkpoint' as const),
    formatType: absent,
    postCheckpointAction: absent,
    sharingFilesStrategy: fc.constantFrom('FORWARD_BACKWARD', 'FORWARD', 'NO_SHARING'),
    ...flags,
  }),
)
