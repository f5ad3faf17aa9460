import type { ByteCursor } from './byte-cursor.ts'
import type { MetadataVersion, RunningSubtask, SubtaskState } from './model.ts'
import { readChannelHandles } from './read-channel-handles.ts'
import { readOptionalKeyedHandle } from './read-keyed-handle.ts'
import { readOptionalOperatorHandle } from './read-operator-handle.ts'

export function readSubtaskV2(cursor: ByteCursor): RunningSubtask {
  const index = cursor.i32('index')
  if (index < 0) cursor.fail('bad-value', 'index', `negative subtask index ${index}`, cursor.offset - 4)
  cursor.i64('duration') // not used by any Flink that reads it
  const legacyStates = cursor.i32('legacyStates')
  if (legacyStates !== 0)
    cursor.fail('legacy-state', 'legacyStates', 'state of Flink 1.1 or older', cursor.offset - 4)
  return readRunning(cursor, index, 2)
}

/** From version 3 on a negative number is a finished subtask, of which nothing follows. */
export function readSubtaskV3(cursor: ByteCursor, version: MetadataVersion): SubtaskState {
  const index = cursor.i32('index')
  return index < 0 ? { index: -index - 1, finished: true } : readRunning(cursor, index, version)
}

function readRunning(cursor: ByteCursor, index: number, version: MetadataVersion): RunningSubtask {
  const hasChannels = version >= 3
  return {
    index,
    finished: false,
    managedOperator: readOptionalOperatorHandle(cursor, 'managedOperator'),
    rawOperator: readOptionalOperatorHandle(cursor, 'rawOperator'),
    managedKeyed: readOptionalKeyedHandle(cursor, 'managedKeyed'),
    rawKeyed: readOptionalKeyedHandle(cursor, 'rawKeyed'),
    inputChannels: hasChannels ? readChannelHandles(cursor, 'inputChannels', version) : [],
    resultSubpartitions: hasChannels ? readChannelHandles(cursor, 'resultSubpartitions', version) : [],
  }
}
