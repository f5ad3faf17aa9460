import type { ByteCursor } from './byte-cursor.ts'
import { LEAST_BYTES } from './limits.ts'
import type { MasterState } from './model.ts'
import { readUnits } from './read-list.ts'
import { MASTER_STATE_MAGIC } from './tags.ts'

/** States of master hooks. */
export async function readMasterStates(cursor: ByteCursor): Promise<MasterState[]> {
  const count = await cursor.unit((bytes) => bytes.count(LEAST_BYTES.masterState, 'masterStates'))
  return readUnits(cursor, count, 'masterStates', readMasterState)
}

function readMasterState(cursor: ByteCursor): MasterState {
  if (cursor.i32('magic') !== MASTER_STATE_MAGIC)
    cursor.fail('bad-magic', 'magic', 'not the magic number of a master state', cursor.offset - 4)
  const total = cursor.count(1, 'length')
  const start = cursor.offset
  const version = cursor.i32('version')
  const name = cursor.text('name')
  const length = cursor.count(1, 'payload')
  const used = cursor.offset - start + length
  if (used !== total)
    cursor.fail('bad-value', 'length', `the master state takes ${used} bytes, not the ${total} announced`)
  return { name, version, payload: cursor.inline(length, 'payload') }
}
