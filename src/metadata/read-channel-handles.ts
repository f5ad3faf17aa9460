import type { ByteCursor } from './byte-cursor.ts'
import { LEAST_BYTES } from './limits.ts'
import type {
  ChannelHandle,
  ChannelPosition,
  MergedChannelHandle,
  MetadataVersion,
  PlainChannelHandle,
} from './model.ts'
import { readList } from './read-list.ts'
import { readOffsets } from './read-operator-handle.ts'
import { readStreamHandle } from './read-stream-handle.ts'
import { CHANNEL_TAGS, type ChannelSide } from './tags.ts'

export function readChannelHandles(
  cursor: ByteCursor,
  side: ChannelSide,
  version: MetadataVersion,
): ChannelHandle[] {
  if (version < 6) return readList(cursor, LEAST_BYTES.channelV3, side, readPlain)
  return readList(cursor, LEAST_BYTES.channelV6, side, (bytes) => readTagged(bytes, side))
}

function readTagged(cursor: ByteCursor, side: ChannelSide): ChannelHandle {
  const tag = cursor.u8('tag')
  if (tag === CHANNEL_TAGS[side].plain) return readPlain(cursor)
  if (tag === CHANNEL_TAGS[side].merged) return readMerged(cursor)
  return cursor.fail('bad-tag', 'tag', `no channel handle here has tag ${tag}`, cursor.offset - 1)
}

function readPlain(cursor: ByteCursor): PlainChannelHandle {
  return {
    kind: 'plain',
    subtaskIndex: cursor.i32('subtaskIndex'),
    gateOrPartition: cursor.i32('gateOrPartition'),
    channel: cursor.i32('channel'),
    offsets: readOffsets(cursor), // before the size, unlike inside a merged handle
    stateSize: cursor.i64('stateSize'),
    delegate: readStreamHandle(cursor, 'delegate'),
  }
}

function readMerged(cursor: ByteCursor): MergedChannelHandle {
  return {
    kind: 'merged',
    subtaskIndex: cursor.i32('subtaskIndex'),
    stateSize: cursor.i64('stateSize'),
    delegate: readStreamHandle(cursor, 'delegate'),
    channels: readMergedPositions(cursor),
  }
}

/** Flink keeps these bytes closed until it restores; they must hold the positions and nothing else. */
function readMergedPositions(cursor: ByteCursor): ChannelPosition[] {
  const length = cursor.count(1, 'channels')
  const start = cursor.offset
  const channels = readList(cursor, LEAST_BYTES.mergedChannel, 'channels', readPosition)
  const used = cursor.offset - start
  if (used !== length)
    cursor.fail('bad-value', 'channels', `positions take ${used} bytes, not the ${length} announced`, start)
  return channels
}

function readPosition(cursor: ByteCursor): ChannelPosition {
  return {
    gateOrPartition: cursor.i32('gateOrPartition'),
    channel: cursor.i32('channel'),
    stateSize: cursor.i64('stateSize'),
    offsets: readOffsets(cursor),
  }
}
