/**
 * What a `_metadata` file says, one to one with its bytes: a model read from a file and written again gives the same
 * bytes. Handle kinds carry the names that Flink's tags have in our reports; `tags.ts` maps them.
 */
export type MetadataVersion = 2 | 3 | 4 | 5 | 6

export type SnapshotMetadata = {
  version: MetadataVersion
  checkpointId: bigint
  masterStates: MasterState[]
  operatorStates: OperatorState[]
  /** Absent before version 4; null when Flink wrote a null object. */
  properties?: SnapshotProperties | null
}

/** Bytes of state inside the file. The reader notes where they are, and copies them only when asked. */
export type InlineBytes = { length: number; offset?: number; bytes?: Uint8Array }

export type MasterState = { name: string; version: number; payload: InlineBytes }

export type OperatorState = {
  /** Hex of the 16 bytes in file order, as Flink prints it. */
  id: string
  /** Known from version 5 on. */
  name: string | null
  uid: string | null
  parallelism: number
  maxParallelism: number
  coordinatorState: ByteStreamHandle | null
  fullyFinished: boolean
  /** In file order, which is that of a hash map. */
  subtasks: SubtaskState[]
}

export type SubtaskState = FinishedSubtask | RunningSubtask
export type FinishedSubtask = { index: number; finished: true }
export type RunningSubtask = {
  index: number
  finished: false
  managedOperator: OperatorHandle | null
  rawOperator: OperatorHandle | null
  managedKeyed: KeyedHandle | null
  rawKeyed: KeyedHandle | null
  inputChannels: ChannelHandle[]
  resultSubpartitions: ChannelHandle[]
}

// Streams: where bytes of state are. A size of -1 means that the writer could not learn it.
export type StreamHandle =
  | ByteStreamHandle
  | FileHandle
  | RelativeFileHandle
  | SegmentHandle
  | EmptySegmentHandle
  | KeyGroupsStream
export type ByteStreamHandle = { kind: 'byteStream'; name: string; inline: InlineBytes }
export type FileHandle = { kind: 'file'; path: string; size: bigint }
export type RelativeFileHandle = { kind: 'relativeFile'; path: string; size: bigint }
export type SegmentHandle = {
  kind: 'segment'
  startPosition: bigint
  size: bigint
  scope: SegmentScope
  path: string
  logicalFileId: string
}
export type SegmentScope = 'EXCLUSIVE' | 'SHARED'
export type EmptySegmentHandle = { kind: 'emptySegment' }
export type KeyGroupsStream = {
  kind: 'keyGroups'
  firstKeyGroup: number
  offsets: BigInt64Array
  delegate: StreamHandle
}

// Keyed state. Fields that only the newer tag of a pair has are null under the older one.
export type KeyedHandle =
  | KeyGroupsHandle
  | IncrementalHandle
  | ChangelogHandle
  | ChangelogInMemoryHandle
  | ChangelogFileHandle
export type KeyGroupsHandle = {
  kind: 'keyGroups' | 'savepointKeyGroups' | 'keyGroupsV2'
  firstKeyGroup: number
  /** One offset into the delegate per key group. */
  offsets: BigInt64Array
  delegate: StreamHandle
  stateHandleId: string | null
}
export type KeyGroupRange = { firstKeyGroup: number; keyGroupCount: number }
export type IncrementalHandle = KeyGroupRange & {
  kind: 'incremental' | 'incrementalV2'
  checkpointId: bigint
  backendId: string
  checkpointedSize: bigint | null
  meta: StreamHandle
  shared: LocalFile[]
  private: LocalFile[]
  stateHandleId: string | null
}
export type LocalFile = { localPath: string; handle: StreamHandle }
export type ChangelogHandle = KeyGroupRange & {
  kind: 'changelog' | 'changelogV2'
  checkpointedSize: bigint
  materialized: KeyedHandle[]
  nonMaterialized: KeyedHandle[]
  materializationId: bigint
  checkpointId: bigint | null
  stateHandleId: string
}
export type ChangelogInMemoryHandle = KeyGroupRange & {
  kind: 'changelogInMemory'
  fromSequenceNumber: bigint
  toSequenceNumber: bigint
  /** Key group -1 is a change of the state's own metadata. */
  changes: { keyGroup: number; inline: InlineBytes }[]
  stateHandleId: string
}
export type ChangelogFileHandle = KeyGroupRange & {
  kind: 'changelogFile' | 'changelogFileV2'
  streams: { offset: bigint; handle: StreamHandle }[]
  stateSize: bigint
  checkpointedSize: bigint
  stateHandleId: string
  storageIdentifier: string | null
}

// Operator state.
export type OperatorHandle = PartitionableHandle | FileMergingHandle
export type DistributionMode = 'SPLIT_DISTRIBUTE' | 'UNION' | 'BROADCAST'
export type NamedState = { name: string; mode: DistributionMode; offsets: BigInt64Array }
export type PartitionableHandle = { kind: 'partitionable'; states: NamedState[]; delegate: StreamHandle }
export type FileMergingHandle = {
  kind: 'fileMerging'
  states: NamedState[]
  taskOwnedDirectory: string
  sharedDirectory: string
  isEmpty: boolean
  delegate: SegmentHandle | EmptySegmentHandle
}

/**
 * In-flight data of an unaligned checkpoint. The list a handle stands in says what the two numbers mean: gate and
 * channel among input channels, partition and subpartition among result subpartitions.
 */
export type ChannelHandle = PlainChannelHandle | MergedChannelHandle
export type ChannelPosition = {
  gateOrPartition: number
  channel: number
  stateSize: bigint
  offsets: BigInt64Array
}
export type PlainChannelHandle = ChannelPosition & {
  kind: 'plain'
  subtaskIndex: number
  delegate: StreamHandle
}
export type MergedChannelHandle = {
  kind: 'merged'
  subtaskIndex: number
  stateSize: bigint
  delegate: StreamHandle
  channels: ChannelPosition[]
}

export type SnapshotProperties = {
  kind: 'checkpoint' | 'savepoint'
  /** "Checkpoint", "Full Checkpoint", "Savepoint", "Suspend Savepoint" or "Terminate Savepoint". */
  typeName: string
  /** CANONICAL or NATIVE, of savepoints only. */
  formatType: string | null
  /** NONE, SUSPEND or TERMINATE, of savepoints only. */
  postCheckpointAction: string | null
  /** FORWARD_BACKWARD, FORWARD or NO_SHARING, of checkpoints only. */
  sharingFilesStrategy: string | null
  forced: boolean
  discardSubsumed: boolean
  discardFinished: boolean
  discardCancelled: boolean
  discardFailed: boolean
  discardSuspended: boolean
  unclaimed: boolean
}
