import type { ByteCursor } from './byte-cursor.ts'
import { LEAST_BYTES, MAX_HANDLE_DEPTH } from './limits.ts'
import type {
  ChangelogFileHandle,
  ChangelogHandle,
  ChangelogInMemoryHandle,
  IncrementalHandle,
  KeyedHandle,
  KeyGroupsHandle,
  LocalFile,
} from './model.ts'
import { readList } from './read-list.ts'
import { readKeyGroupOffsets, readKeyGroupRange, readStreamHandle } from './read-stream-handle.ts'
import { KEYED_TAGS, NULL_TAG } from './tags.ts'

export function readOptionalKeyedHandle(cursor: ByteCursor, field: string): KeyedHandle | null {
  cursor.enter(field)
  const tag = cursor.u8('tag')
  const handle = tag === NULL_TAG ? null : readTagged(cursor, tag, 0)
  cursor.leave()
  return handle
}

function readTagged(cursor: ByteCursor, tag: number, depth: number): KeyedHandle {
  switch (tag) {
    case KEYED_TAGS.keyGroups:
      return readKeyGroups(cursor, 'keyGroups')
    case KEYED_TAGS.savepointKeyGroups:
      return readKeyGroups(cursor, 'savepointKeyGroups')
    case KEYED_TAGS.keyGroupsV2:
      return readKeyGroups(cursor, 'keyGroupsV2')
    case KEYED_TAGS.incremental:
      return readIncremental(cursor, 'incremental')
    case KEYED_TAGS.incrementalV2:
      return readIncremental(cursor, 'incrementalV2')
    case KEYED_TAGS.changelog:
      return readChangelog(cursor, 'changelog', depth)
    case KEYED_TAGS.changelogV2:
      return readChangelog(cursor, 'changelogV2', depth)
    default:
      return readChanges(cursor, tag)
  }
}

/** The handles that may stand among the changes of a changelog; by themselves they do not occur. */
function readChanges(cursor: ByteCursor, tag: number): KeyedHandle {
  switch (tag) {
    case KEYED_TAGS.changelogInMemory:
      return readChangelogInMemory(cursor)
    case KEYED_TAGS.changelogFile:
      return readChangelogFile(cursor, 'changelogFile')
    case KEYED_TAGS.changelogFileV2:
      return readChangelogFile(cursor, 'changelogFileV2')
    default:
      return cursor.fail('bad-tag', 'tag', `no keyed state handle here has tag ${tag}`, cursor.offset - 1)
  }
}

function readKeyGroups(cursor: ByteCursor, kind: KeyGroupsHandle['kind']): KeyGroupsHandle {
  const { firstKeyGroup, offsets } = readKeyGroupOffsets(cursor)
  const delegate = readStreamHandle(cursor, 'delegate')
  const stateHandleId = kind === 'keyGroupsV2' ? cursor.text('stateHandleId') : null
  return { kind, firstKeyGroup, offsets, delegate, stateHandleId }
}

function readIncremental(cursor: ByteCursor, kind: IncrementalHandle['kind']): IncrementalHandle {
  const isV2 = kind === 'incrementalV2'
  return {
    kind,
    checkpointId: cursor.i64('checkpointId'),
    backendId: cursor.text('backendId'),
    ...readKeyGroupRange(cursor), // before the size
    checkpointedSize: isV2 ? cursor.i64('checkpointedSize') : null,
    meta: readStreamHandle(cursor, 'meta'),
    shared: readList(cursor, LEAST_BYTES.localFile, 'shared', readLocalFile),
    private: readList(cursor, LEAST_BYTES.localFile, 'private', readLocalFile),
    stateHandleId: isV2 ? cursor.text('stateHandleId') : null,
  }
}

const readLocalFile = (cursor: ByteCursor): LocalFile => {
  return { localPath: cursor.text('localPath'), handle: readStreamHandle(cursor, 'handle') }
}

function readChangelog(cursor: ByteCursor, kind: ChangelogHandle['kind'], depth: number): ChangelogHandle {
  if (depth >= MAX_HANDLE_DEPTH) cursor.fail('too-deep', '', 'changelogs nested too deeply')
  const least = LEAST_BYTES.keyedHandle
  return {
    kind,
    ...readKeyGroupRange(cursor),
    checkpointedSize: cursor.i64('checkpointedSize'),
    materialized: readList(cursor, least, 'materialized', (c) => readTagged(c, c.u8('tag'), depth + 1)),
    nonMaterialized: readList(cursor, least, 'nonMaterialized', (c) => readChanges(c, c.u8('tag'))),
    materializationId: cursor.i64('materializationId'),
    checkpointId: kind === 'changelogV2' ? cursor.i64('checkpointId') : null,
    stateHandleId: cursor.text('stateHandleId'),
  }
}

function readChangelogInMemory(cursor: ByteCursor): ChangelogInMemoryHandle {
  return {
    kind: 'changelogInMemory',
    ...readKeyGroupRange(cursor),
    fromSequenceNumber: cursor.i64('fromSequenceNumber'),
    toSequenceNumber: cursor.i64('toSequenceNumber'),
    changes: readList(cursor, LEAST_BYTES.change, 'changes', (bytes) => {
      const keyGroup = bytes.i32('keyGroup')
      return { keyGroup, inline: bytes.inline(bytes.count(1, 'length'), 'bytes') }
    }),
    stateHandleId: cursor.text('stateHandleId'),
  }
}

function readChangelogFile(cursor: ByteCursor, kind: ChangelogFileHandle['kind']): ChangelogFileHandle {
  return {
    kind,
    ...readKeyGroupRange(cursor),
    streams: readList(cursor, LEAST_BYTES.offsetAndStream, 'streams', (bytes) => {
      return { offset: bytes.i64('offset'), handle: readStreamHandle(bytes, 'handle') }
    }),
    stateSize: cursor.i64('stateSize'),
    checkpointedSize: cursor.i64('checkpointedSize'),
    stateHandleId: cursor.text('stateHandleId'),
    storageIdentifier: kind === 'changelogFileV2' ? cursor.text('storageIdentifier') : null,
  }
}
