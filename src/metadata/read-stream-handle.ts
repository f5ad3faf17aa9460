import type { ByteCursor } from './byte-cursor.ts'
import { LEAST_BYTES, MAX_HANDLE_DEPTH, MAX_KEY_GROUPS } from './limits.ts'
import type {
  ByteStreamHandle,
  KeyGroupRange,
  KeyGroupsStream,
  SegmentHandle,
  StreamHandle,
} from './model.ts'
import { NULL_TAG, SCOPES, STREAM_TAGS } from './tags.ts'

export function readStreamHandle(cursor: ByteCursor, field: string, depth = 0): StreamHandle {
  const handle = readOptionalStreamHandle(cursor, field, depth)
  return handle ?? cursor.fail('bad-tag', field, 'a stream handle is missing here', cursor.offset - 1)
}

export function readOptionalStreamHandle(cursor: ByteCursor, field: string, depth = 0): StreamHandle | null {
  cursor.enter(field)
  const handle = readTagged(cursor, depth)
  cursor.leave()
  return handle
}

function readTagged(cursor: ByteCursor, depth: number): StreamHandle | null {
  const tag = cursor.u8('tag')
  switch (tag) {
    case NULL_TAG:
      return null
    case STREAM_TAGS.byteStream:
      return readByteStream(cursor)
    case STREAM_TAGS.file: // size first
      return { kind: 'file', size: cursor.i64('size'), path: cursor.text('path') }
    case STREAM_TAGS.relativeFile: // path first
      return { kind: 'relativeFile', path: cursor.text('path'), size: cursor.i64('size') }
    case STREAM_TAGS.keyGroups:
      return readKeyGroupsStream(cursor, depth)
    case STREAM_TAGS.segment:
      return readSegment(cursor)
    case STREAM_TAGS.emptySegment:
      return { kind: 'emptySegment' }
    default:
      return cursor.fail('bad-tag', 'tag', `no stream handle has tag ${tag}`, cursor.offset - 1)
  }
}

function readByteStream(cursor: ByteCursor): ByteStreamHandle {
  const name = cursor.text('name')
  const length = cursor.count(1, 'length')
  return { kind: 'byteStream', name, inline: cursor.inline(length, 'bytes') }
}

function readKeyGroupsStream(cursor: ByteCursor, depth: number): KeyGroupsStream {
  if (depth >= MAX_HANDLE_DEPTH) cursor.fail('too-deep', '', 'key groups nested too deeply')
  const { firstKeyGroup, offsets } = readKeyGroupOffsets(cursor)
  return {
    kind: 'keyGroups',
    firstKeyGroup,
    offsets,
    delegate: readStreamHandle(cursor, 'delegate', depth + 1),
  }
}

function readSegment(cursor: ByteCursor): SegmentHandle {
  const startPosition = cursor.i64('startPosition')
  const size = cursor.i64('size')
  const ordinal = cursor.i32('scope')
  const scope = SCOPES[ordinal] ?? cursor.fail('bad-value', 'scope', `no scope ${ordinal}`, cursor.offset - 4)
  const path = cursor.text('path')
  return { kind: 'segment', startPosition, size, scope, path, logicalFileId: cursor.text('logicalFileId') }
}

export function readKeyGroupOffsets(cursor: ByteCursor): { firstKeyGroup: number; offsets: BigInt64Array } {
  const { firstKeyGroup, keyGroupCount } = readKeyGroupRange(cursor)
  cursor.checkCount(keyGroupCount, LEAST_BYTES.offset, 'keyGroupCount')
  return { firstKeyGroup, offsets: cursor.i64List(keyGroupCount, 'offsets') }
}

export function readKeyGroupRange(cursor: ByteCursor): KeyGroupRange {
  const firstKeyGroup = cursor.i32('firstKeyGroup')
  const keyGroupCount = cursor.i32('keyGroupCount')
  if (keyGroupCount < 0 || keyGroupCount > MAX_KEY_GROUPS)
    cursor.fail('bad-count', 'keyGroupCount', `${keyGroupCount} key groups`, cursor.offset - 4)
  if (firstKeyGroup < 0 && keyGroupCount > 0)
    cursor.fail('bad-value', 'firstKeyGroup', `key group ${firstKeyGroup}`, cursor.offset - 8)
  return { firstKeyGroup, keyGroupCount }
}
