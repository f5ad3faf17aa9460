import type { ByteWriter } from './byte-writer.ts'
import type { ChannelHandle, MergedChannelHandle, MetadataVersion, PlainChannelHandle } from './model.ts'
import { CHANNEL_TAGS, type ChannelSide } from './tags.ts'
import { writeStreamHandle } from './write-stream-handle.ts'

/** Version 6 put a type byte in front and brought merged handles. */
export function writeChannelHandles(
  out: ByteWriter,
  handles: ChannelHandle[],
  side: ChannelSide,
  version: MetadataVersion,
): void {
  out.list(handles, side, (handle) => {
    if (version >= 6) out.u8(CHANNEL_TAGS[side][handle.kind])
    else if (handle.kind === 'merged') out.fail('kind', `version ${version} has no merged channel handles`)
    if (handle.kind === 'plain') writePlain(out, handle)
    else writeMerged(out, handle)
  })
}

function writePlain(out: ByteWriter, handle: PlainChannelHandle): void {
  out.i32(handle.subtaskIndex, 'subtaskIndex')
  out.i32(handle.gateOrPartition, 'gateOrPartition')
  out.i32(handle.channel, 'channel')
  out.i64List(handle.offsets, 'offsets')
  out.i64(handle.stateSize, 'stateSize')
  writeStreamHandle(out, handle.delegate, 'delegate')
}

function writeMerged(out: ByteWriter, handle: MergedChannelHandle): void {
  out.i32(handle.subtaskIndex, 'subtaskIndex')
  out.i64(handle.stateSize, 'stateSize')
  writeStreamHandle(out, handle.delegate, 'delegate')
  out.lengthPrefixed('channels', () => {
    out.list(handle.channels, 'channels', ({ gateOrPartition, channel, stateSize, offsets }) => {
      out.i32(gateOrPartition, 'gateOrPartition')
      out.i32(channel, 'channel')
      out.i64(stateSize, 'stateSize')
      out.i64List(offsets, 'offsets')
    })
  })
}
