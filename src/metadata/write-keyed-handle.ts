import type { ByteWriter } from './byte-writer.ts'
import type {
  ChangelogFileHandle,
  ChangelogHandle,
  ChangelogInMemoryHandle,
  IncrementalHandle,
  KeyedHandle,
  KeyGroupRange,
  KeyGroupsHandle,
  LocalFile,
} from './model.ts'
import { KEYED_TAGS, NULL_TAG } from './tags.ts'
import { writeStreamHandle } from './write-stream-handle.ts'

export function writeKeyedHandle(out: ByteWriter, handle: KeyedHandle | null, field: string): void {
  if (handle === null) out.u8(NULL_TAG)
  else out.within(field, () => writeTagged(out, handle))
}

function writeTagged(out: ByteWriter, handle: KeyedHandle): void {
  out.u8(KEYED_TAGS[handle.kind])
  switch (handle.kind) {
    case 'keyGroups':
    case 'savepointKeyGroups':
    case 'keyGroupsV2':
      writeKeyGroups(out, handle)
      break
    case 'incremental':
    case 'incrementalV2':
      writeIncremental(out, handle)
      break
    case 'changelog':
    case 'changelogV2':
      writeChangelog(out, handle)
      break
    case 'changelogInMemory':
      writeChangelogInMemory(out, handle)
      break
    case 'changelogFile':
    case 'changelogFileV2':
      writeChangelogFile(out, handle)
      break
  }
}

/** A field that the newer tag of a pair has and the older one has not. */
function need<T>(out: ByteWriter, value: T | null, field: string): T {
  return value ?? out.fail(field, 'this kind of handle cannot be written without it')
}

function writeRange(out: ByteWriter, range: KeyGroupRange): void {
  out.i32(range.firstKeyGroup, 'firstKeyGroup')
  out.i32(range.keyGroupCount, 'keyGroupCount')
}

function writeKeyGroups(out: ByteWriter, handle: KeyGroupsHandle): void {
  out.i32(handle.firstKeyGroup, 'firstKeyGroup')
  out.i64List(handle.offsets, 'offsets')
  writeStreamHandle(out, handle.delegate, 'delegate')
  if (handle.kind === 'keyGroupsV2')
    out.text(need(out, handle.stateHandleId, 'stateHandleId'), 'stateHandleId')
}

function writeIncremental(out: ByteWriter, handle: IncrementalHandle): void {
  const isV2 = handle.kind === 'incrementalV2'
  const writeFile = (file: LocalFile) => {
    out.text(file.localPath, 'localPath')
    writeStreamHandle(out, file.handle, 'handle')
  }
  out.i64(handle.checkpointId, 'checkpointId')
  out.text(handle.backendId, 'backendId')
  writeRange(out, handle)
  if (isV2) out.i64(need(out, handle.checkpointedSize, 'checkpointedSize'), 'checkpointedSize')
  writeStreamHandle(out, handle.meta, 'meta')
  out.list(handle.shared, 'shared', writeFile)
  out.list(handle.private, 'private', writeFile)
  if (isV2) out.text(need(out, handle.stateHandleId, 'stateHandleId'), 'stateHandleId')
}

function writeChangelog(out: ByteWriter, handle: ChangelogHandle): void {
  writeRange(out, handle)
  out.i64(handle.checkpointedSize, 'checkpointedSize')
  out.list(handle.materialized, 'materialized', (part) => writeTagged(out, part))
  out.list(handle.nonMaterialized, 'nonMaterialized', (part) => writeTagged(out, part))
  out.i64(handle.materializationId, 'materializationId')
  if (handle.kind === 'changelogV2') out.i64(need(out, handle.checkpointId, 'checkpointId'), 'checkpointId')
  out.text(handle.stateHandleId, 'stateHandleId')
}

function writeChangelogInMemory(out: ByteWriter, handle: ChangelogInMemoryHandle): void {
  writeRange(out, handle)
  out.i64(handle.fromSequenceNumber, 'fromSequenceNumber')
  out.i64(handle.toSequenceNumber, 'toSequenceNumber')
  out.list(handle.changes, 'changes', ({ keyGroup, inline }) => {
    out.i32(keyGroup, 'keyGroup')
    out.inline(inline, 'bytes')
  })
  out.text(handle.stateHandleId, 'stateHandleId')
}

function writeChangelogFile(out: ByteWriter, handle: ChangelogFileHandle): void {
  writeRange(out, handle)
  out.list(handle.streams, 'streams', (stream) => {
    out.i64(stream.offset, 'offset')
    writeStreamHandle(out, stream.handle, 'handle')
  })
  out.i64(handle.stateSize, 'stateSize')
  out.i64(handle.checkpointedSize, 'checkpointedSize')
  out.text(handle.stateHandleId, 'stateHandleId')
  if (handle.kind === 'changelogFileV2')
    out.text(need(out, handle.storageIdentifier, 'storageIdentifier'), 'storageIdentifier')
}
