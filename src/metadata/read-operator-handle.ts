import type { ByteCursor } from './byte-cursor.ts'
import { LEAST_BYTES } from './limits.ts'
import type { FileMergingHandle, NamedState, OperatorHandle, PartitionableHandle } from './model.ts'
import { readList } from './read-list.ts'
import { readStreamHandle } from './read-stream-handle.ts'
import { MODES, NULL_TAG, OPERATOR_TAGS } from './tags.ts'

/** A flag of four bytes, then the handle when it is set; Flink accepts a null handle behind a set flag. */
export function readOptionalOperatorHandle(cursor: ByteCursor, field: string): OperatorHandle | null {
  if (cursor.i32(field) === 0) return null
  cursor.enter(field)
  const handle = readTagged(cursor)
  cursor.leave()
  return handle
}

function readTagged(cursor: ByteCursor): OperatorHandle | null {
  const tag = cursor.u8('tag')
  switch (tag) {
    case NULL_TAG:
      return null
    case OPERATOR_TAGS.partitionable:
      return readPartitionable(cursor)
    case OPERATOR_TAGS.fileMerging:
      return readFileMerging(cursor)
    default:
      return cursor.fail('bad-tag', 'tag', `no operator state handle has tag ${tag}`, cursor.offset - 1)
  }
}

function readPartitionable(cursor: ByteCursor): PartitionableHandle {
  const states = readList(cursor, LEAST_BYTES.stateMeta, 'states', readState)
  return { kind: 'partitionable', states, delegate: readStreamHandle(cursor, 'delegate') }
}

function readState(cursor: ByteCursor): NamedState {
  const name = cursor.text('name')
  const ordinal = cursor.u8('mode')
  const mode = MODES[ordinal] ?? cursor.fail('bad-value', 'mode', `no mode ${ordinal}`, cursor.offset - 1)
  return { name, mode, offsets: readOffsets(cursor) }
}

export function readOffsets(cursor: ByteCursor): BigInt64Array {
  return cursor.i64List(cursor.count(LEAST_BYTES.offset, 'offsets'), 'offsets')
}

function readFileMerging(cursor: ByteCursor): FileMergingHandle {
  const states = readList(cursor, LEAST_BYTES.stateMeta, 'states', readState)
  const taskOwnedDirectory = cursor.text('taskOwnedDirectory')
  const sharedDirectory = cursor.text('sharedDirectory')
  const isEmpty = cursor.u8('isEmpty') !== 0
  const start = cursor.offset
  const delegate = readStreamHandle(cursor, 'delegate')
  if (delegate.kind !== 'segment' && delegate.kind !== 'emptySegment')
    return cursor.fail('bad-tag', 'delegate', `${delegate.kind} where only a segment may stand`, start)
  return { kind: 'fileMerging', states, taskOwnedDirectory, sharedDirectory, isEmpty, delegate }
}
