import type { ByteWriter } from './byte-writer.ts'
import type { SegmentHandle, StreamHandle } from './model.ts'
import { NULL_TAG, SCOPES, STREAM_TAGS } from './tags.ts'

export function writeStreamHandle(out: ByteWriter, handle: StreamHandle | null, field: string): void {
  if (handle === null) out.u8(NULL_TAG)
  else out.within(field, () => writeTagged(out, handle))
}

function writeTagged(out: ByteWriter, handle: StreamHandle): void {
  out.u8(STREAM_TAGS[handle.kind])
  switch (handle.kind) {
    case 'byteStream':
      out.text(handle.name, 'name')
      out.inline(handle.inline, 'bytes')
      break
    case 'file': // size first
      out.i64(handle.size, 'size')
      out.text(handle.path, 'path')
      break
    case 'relativeFile': // path first
      out.text(handle.path, 'path')
      out.i64(handle.size, 'size')
      break
    case 'keyGroups':
      out.i32(handle.firstKeyGroup, 'firstKeyGroup')
      out.i64List(handle.offsets, 'offsets')
      writeStreamHandle(out, handle.delegate, 'delegate')
      break
    case 'segment':
      writeSegment(out, handle)
      break
    case 'emptySegment':
      break
  }
}

function writeSegment(out: ByteWriter, handle: SegmentHandle): void {
  out.i64(handle.startPosition, 'startPosition')
  out.i64(handle.size, 'size')
  out.i32(SCOPES.indexOf(handle.scope), 'scope')
  out.text(handle.path, 'path')
  out.text(handle.logicalFileId, 'logicalFileId')
}
