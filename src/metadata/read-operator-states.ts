import type { ByteCursor } from './byte-cursor.ts'
import { LEAST_BYTES } from './limits.ts'
import type { ByteStreamHandle, MetadataVersion, OperatorState } from './model.ts'
import { readUnits } from './read-list.ts'
import { readOptionalStreamHandle } from './read-stream-handle.ts'
import { readSubtaskV2, readSubtaskV3 } from './read-subtask.ts'

export async function readOperatorStates(
  cursor: ByteCursor,
  version: MetadataVersion,
): Promise<OperatorState[]> {
  const count = await cursor.unit((bytes) => bytes.count(leastBytes(version), 'operatorStates'))
  const operators: OperatorState[] = []
  cursor.enter('operatorStates')
  cursor.enter(0)
  while (operators.length < count) {
    cursor.moveTo(operators.length)
    cursor.countPart()
    operators.push(await readOperator(cursor, version))
  }
  cursor.leave()
  cursor.leave()
  return operators
}

function leastBytes(version: MetadataVersion): number {
  if (version === 2) return LEAST_BYTES.operatorV2
  return version < 5 ? LEAST_BYTES.operatorV3 : LEAST_BYTES.operatorV5
}

async function readOperator(cursor: ByteCursor, version: MetadataVersion): Promise<OperatorState> {
  const { count, ...head } = await cursor.unit((bytes) => readHead(bytes, version))
  const readSubtask = version === 2 ? readSubtaskV2 : (bytes: ByteCursor) => readSubtaskV3(bytes, version)
  return { ...head, subtasks: await readUnits(cursor, count, 'subtasks', readSubtask) }
}

/** Everything up to and with the number of subtasks, which is negative when the operator has fully finished. */
function readHead(cursor: ByteCursor, version: MetadataVersion) {
  const name = version < 5 ? null : cursor.text('name') || null // the empty text stands for none
  const uid = version < 5 ? null : cursor.text('uid') || null
  const id = cursor.hex(16, 'id')
  const parallelism = cursor.i32('parallelism')
  const maxParallelism = cursor.i32('maxParallelism')
  if (version === 2) cursor.i32('chainLength') // always 1
  const coordinatorState = version === 2 ? null : readCoordinatorState(cursor)
  const count = cursor.i32('subtasks')
  const fullyFinished = count < 0 && version > 2
  if (!fullyFinished)
    cursor.checkCount(count, version === 2 ? LEAST_BYTES.subtaskV2 : LEAST_BYTES.subtaskV3, 'subtasks')
  else if (coordinatorState !== null)
    cursor.fail('bad-value', 'coordinatorState', 'a fully finished operator has coordinator state')
  return { id, name, uid, parallelism, maxParallelism, coordinatorState, fullyFinished, count }
}

function readCoordinatorState(cursor: ByteCursor): ByteStreamHandle | null {
  const start = cursor.offset
  const handle = readOptionalStreamHandle(cursor, 'coordinatorState')
  if (handle === null || handle.kind === 'byteStream') return handle
  return cursor.fail('bad-tag', 'coordinatorState', `${handle.kind} where only inline bytes may stand`, start)
}
