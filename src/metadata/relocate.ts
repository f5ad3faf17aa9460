/**
 * The same snapshot in another folder: every file it needs gets a name of its own in one flat folder, and its metadata names
 * it there. What comes out is what a native savepoint of Flink looks like: self-contained, and the folder may be moved.
 *
 * - A file is named relatively (RelativeFileStateHandle, Flink 1.11 and newer), so Flink finds it beside `_metadata`
 *   (MetadataV2V3SerializerBase.DeserializationContext). Version 2 is read by Flinks that do not know such names: it gets
 *   absolute ones, and is self-contained but not relocatable.
 * - The files of an incremental handle all become private. Flink downloads shared and private files alike
 *   (RocksDBStateDownloader), but it goes on using the shared ones of a snapshot that it claimed, and an unfixed one
 *   (FLINK-39964) then writes their relative names into the metadata of later checkpoints, which cannot be restored.
 * - A changelog handle goes on being used as it is, in later checkpoints too (ChangelogKeyedStateBackend keeps what was
 *   materialized): everything in it is named absolutely.
 * - A segment of file merging becomes a file of its own, cut out of the physical one; its handle, which names directories of
 *   the job that wrote it (FileMergingOperatorStreamStateHandle), an ordinary one.
 *
 * The properties stay: a copied checkpoint still says that it is one, which Flink accepts in either claim mode.
 */
import type {
  ByteStreamHandle,
  ChannelHandle,
  KeyedHandle,
  LocalFile,
  OperatorHandle,
  OperatorState,
  RunningSubtask,
  SnapshotMetadata,
  StreamHandle,
} from './model.ts'

/** A file, or a piece of one, and what it is called in the new folder. */
export type RelocatedFile = {
  /** As `resolve` answered it. */
  source: string
  /** Of a segment: which bytes of the source; null: all of it. */
  piece: { offset: bigint; length: bigint } | null
  /** The name in the new folder; unique there, also where letters have no case. */
  target: string
  /** Bytes the source has at least, when a handle knows. */
  leastBytes: bigint
}

export type RelocationProblemCode = 'FILE_NOT_ADDRESSABLE' | 'SEGMENT_SIZE_UNKNOWN'
export type RelocationProblem = { code: RelocationProblemCode; path: string; message: string }

export type Relocation =
  | {
      possible: true
      metadata: SnapshotMetadata
      /** In the order of the metadata, each piece once. */
      files: RelocatedFile[]
      /** Everything is named relatively: the folder may be moved again. */
      relocatable: boolean
    }
  | { possible: false; problems: RelocationProblem[] }

export type RelocateOptions = {
  /** The same text for the same file, however it is named; null for a name that means no place. */
  resolve: (file: { kind: 'relative' | 'absolute'; path: string }) => string | null
  /** The absolute path, as Flink writes it, of a name in the new folder. */
  place: (name: string) => string
}

/** More would be of no use to anybody. */
const MAX_PROBLEMS = 20
/** What every file system and object store takes as it is. */
const PLAIN_NAME = /^[A-Za-z0-9][A-Za-z0-9._=-]{0,199}$/
/** Where Flink looks for the metadata, and where a name of ours would be in its way. */
const METADATA_NAME = '_metadata'

/** `metadata` must have been read with its inline bytes. The same for the same metadata, however often it is asked. */
export function relocate(metadata: SnapshotMetadata, options: RelocateOptions): Relocation {
  const names = collectFiles(options)
  const absolute = metadata.version === 2
  let relocatable = true

  const stream = (handle: StreamHandle, named: 'relatively' | 'absolutely'): StreamHandle => {
    const file = (target: string, size: bigint): StreamHandle => {
      if (named === 'relatively') return { kind: 'relativeFile', path: target, size }
      relocatable = false
      return { kind: 'file', path: options.place(target), size }
    }
    switch (handle.kind) {
      case 'byteStream':
        return handle
      case 'emptySegment':
        return NO_BYTES
      case 'keyGroups':
        return { ...handle, delegate: stream(handle.delegate, named) }
      case 'segment':
        return file(names.cut(handle.path, handle.startPosition, handle.size), handle.size)
      case 'file':
        return file(names.whole('absolute', handle.path, handle.size), handle.size)
      case 'relativeFile':
        return file(names.whole('relative', handle.path, handle.size), handle.size)
    }
  }
  const usual = absolute ? 'absolutely' : 'relatively'
  const rewritten: SnapshotMetadata = {
    ...metadata,
    operatorStates: metadata.operatorStates.map((operator) =>
      relocateOperator(operator, {
        stream: (handle) => stream(handle, usual),
        keyed: (handle) => relocateKeyed(handle, stream, usual),
      }),
    ),
  }
  if (names.problems.length > 0) return { possible: false, problems: names.problems }
  return { possible: true, metadata: rewritten, files: names.files, relocatable }
}

const NO_BYTES: ByteStreamHandle = {
  kind: 'byteStream',
  name: 'empty',
  inline: { length: 0, bytes: new Uint8Array(0) },
}

// ---------------------------------------------------------------------------------------------------- handles

type Rewrite = { stream: (handle: StreamHandle) => StreamHandle; keyed: (handle: KeyedHandle) => KeyedHandle }

const relocateOperator = (operator: OperatorState, rewrite: Rewrite): OperatorState => ({
  ...operator,
  subtasks: operator.subtasks.map((subtask) =>
    subtask.finished ? subtask : relocateSubtask(subtask, rewrite),
  ),
})

const relocateSubtask = (subtask: RunningSubtask, rewrite: Rewrite): RunningSubtask => ({
  ...subtask,
  managedOperator: subtask.managedOperator && relocateOperatorHandle(subtask.managedOperator, rewrite),
  rawOperator: subtask.rawOperator && relocateOperatorHandle(subtask.rawOperator, rewrite),
  managedKeyed: subtask.managedKeyed && rewrite.keyed(subtask.managedKeyed),
  rawKeyed: subtask.rawKeyed && rewrite.keyed(subtask.rawKeyed),
  inputChannels: subtask.inputChannels.map((handle) => relocateChannel(handle, rewrite)),
  resultSubpartitions: subtask.resultSubpartitions.map((handle) => relocateChannel(handle, rewrite)),
})

/** An empty handle of file merging says only whose the directories are. */
function relocateOperatorHandle(handle: OperatorHandle, { stream }: Rewrite): OperatorHandle | null {
  if (handle.kind === 'partitionable') return { ...handle, delegate: stream(handle.delegate) }
  if (handle.isEmpty) return null
  return { kind: 'partitionable', states: handle.states, delegate: stream(handle.delegate) }
}

const relocateChannel = <Handle extends ChannelHandle>(handle: Handle, { stream }: Rewrite): Handle => ({
  ...handle,
  delegate: stream(handle.delegate),
})

type Named = 'relatively' | 'absolutely'

function relocateKeyed(
  handle: KeyedHandle,
  stream: (handle: StreamHandle, named: Named) => StreamHandle,
  named: Named,
): KeyedHandle {
  switch (handle.kind) {
    case 'keyGroups':
    case 'savepointKeyGroups':
    case 'keyGroupsV2':
      return { ...handle, delegate: stream(handle.delegate, named) }
    case 'incremental':
    case 'incrementalV2': {
      const file = (each: LocalFile) => ({ ...each, handle: stream(each.handle, named) })
      const meta = stream(handle.meta, named)
      const shared = handle.shared.map(file)
      const own = handle.private.map(file)
      return named === 'relatively'
        ? { ...handle, meta, shared: [], private: [...shared, ...own] }
        : { ...handle, meta, shared, private: own }
    }
    case 'changelog':
    case 'changelogV2': {
      const inner = (each: KeyedHandle) => relocateKeyed(each, stream, 'absolutely')
      return {
        ...handle,
        materialized: handle.materialized.map(inner),
        nonMaterialized: handle.nonMaterialized.map(inner),
      }
    }
    case 'changelogFile':
    case 'changelogFileV2':
      return {
        ...handle,
        streams: handle.streams.map((each) => ({ ...each, handle: stream(each.handle, 'absolutely') })),
      }
    case 'changelogInMemory':
      return handle
  }
}

// ------------------------------------------------------------------------------------------------------ files

/** Names are given in the order of the metadata: the same metadata gives the same names. */
function collectFiles({ resolve }: RelocateOptions) {
  const byPiece = new Map<string, RelocatedFile>()
  const taken = new Set([METADATA_NAME])
  const problems: RelocationProblem[] = []

  const refuse = (code: RelocationProblemCode, path: string, message: string): string => {
    if (problems.length < MAX_PROBLEMS) problems.push({ code, path: path.slice(0, 300), message })
    return ''
  }
  const add = (
    kind: 'relative' | 'absolute',
    path: string,
    piece: RelocatedFile['piece'],
    leastBytes: bigint,
  ): string => {
    const source = resolve({ kind, path })
    if (source === null) return refuse('FILE_NOT_ADDRESSABLE', path, 'this name means no place in a storage')
    const key = piece === null ? source : `${source} ${piece.offset} ${piece.length}`
    const known = byPiece.get(key)
    if (known) {
      if (leastBytes > known.leastBytes) known.leastBytes = leastBytes
      return known.target
    }
    const target = chooseName(path, byPiece.size, taken)
    byPiece.set(key, { source, piece, target, leastBytes })
    return target
  }
  return {
    problems,
    get files() {
      return [...byPiece.values()]
    },
    whole: (kind: 'relative' | 'absolute', path: string, size: bigint) =>
      add(kind, path, null, size > 0n ? size : 0n),
    cut: (path: string, offset: bigint, length: bigint) =>
      offset < 0n || length < 0n
        ? refuse('SEGMENT_SIZE_UNKNOWN', path, 'a piece of this file has no known place or size')
        : add('absolute', path, { offset, length }, offset + length),
  }
}

/** The base name it had; where another file has it, or a store might not take it, with its number in front. */
function chooseName(path: string, number: number, taken: Set<string>): string {
  const base = path.slice(path.lastIndexOf('/') + 1)
  const plain = PLAIN_NAME.test(base) ? base : `file-${number}`
  for (let name = plain, tries = 0; ; name = `${number + tries}-${plain}`, tries++) {
    if (taken.has(name.toLowerCase())) continue
    taken.add(name.toLowerCase())
    return name
  }
}
