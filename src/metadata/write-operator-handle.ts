import type { ByteWriter } from './byte-writer.ts'
import type { OperatorHandle } from './model.ts'
import { MODES, OPERATOR_TAGS } from './tags.ts'
import { writeStreamHandle } from './write-stream-handle.ts'

/** A flag of four bytes, then the handle when there is one. */
export function writeOperatorHandle(out: ByteWriter, handle: OperatorHandle | null, field: string): void {
  out.i32(handle === null ? 0 : 1, field)
  if (handle !== null) out.within(field, () => writeTagged(out, handle))
}

function writeTagged(out: ByteWriter, handle: OperatorHandle): void {
  out.u8(OPERATOR_TAGS[handle.kind])
  out.list(handle.states, 'states', ({ name, mode, offsets }) => {
    out.text(name, 'name')
    out.u8(MODES.indexOf(mode))
    out.i64List(offsets, 'offsets')
  })
  if (handle.kind === 'fileMerging') {
    out.text(handle.taskOwnedDirectory, 'taskOwnedDirectory')
    out.text(handle.sharedDirectory, 'sharedDirectory')
    out.u8(handle.isEmpty ? 1 : 0)
  }
  writeStreamHandle(out, handle.delegate, 'delegate')
}
