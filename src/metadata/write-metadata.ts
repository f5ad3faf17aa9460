import { ByteWriter } from './byte-writer.ts'
import type {
  MasterState,
  MetadataVersion,
  OperatorState,
  RunningSubtask,
  SnapshotMetadata,
  SubtaskState,
} from './model.ts'
import { FILE_MAGIC, MASTER_STATE_MAGIC } from './tags.ts'
import { writeChannelHandles } from './write-channel-handles.ts'
import { writeKeyedHandle } from './write-keyed-handle.ts'
import { writeOperatorHandle } from './write-operator-handle.ts'
import { writeSnapshotProperties } from './write-snapshot-properties.ts'
import { writeStreamHandle } from './write-stream-handle.ts'

/**
 * The bytes Flink would write for this model. Throws `MetadataError` with code `not-writable` when the model says
 * something that its version cannot, or was read without its inline bytes.
 */
export function writeMetadata(metadata: SnapshotMetadata): Uint8Array {
  const out = new ByteWriter()
  const { version } = metadata
  out.i32(FILE_MAGIC, 'magic')
  out.i32(version, 'version')
  out.i64(metadata.checkpointId, 'checkpointId')
  out.list(metadata.masterStates, 'masterStates', (state) => writeMasterState(out, state))
  out.list(metadata.operatorStates, 'operatorStates', (operator) => writeOperator(out, operator, version))
  if (version >= 4) writeSnapshotProperties(out, metadata.properties ?? null)
  else if (metadata.properties) out.fail('properties', `version ${version} has no properties`)
  return out.finish()
}

function writeMasterState(out: ByteWriter, state: MasterState): void {
  out.i32(MASTER_STATE_MAGIC, 'magic')
  out.lengthPrefixed('payload', () => {
    out.i32(state.version, 'version')
    out.text(state.name, 'name')
    out.inline(state.payload, 'payload')
  })
}

function writeOperator(out: ByteWriter, operator: OperatorState, version: MetadataVersion): void {
  if (version >= 5) {
    out.text(operator.name ?? '', 'name')
    out.text(operator.uid ?? '', 'uid')
  }
  out.hex(operator.id, 16, 'id')
  out.i32(operator.parallelism, 'parallelism')
  out.i32(operator.maxParallelism, 'maxParallelism')
  if (version === 2) out.i32(1, 'chainLength')
  else writeStreamHandle(out, operator.coordinatorState, 'coordinatorState')
  if (operator.fullyFinished) writeFullyFinished(out, operator, version)
  else out.list(operator.subtasks, 'subtasks', (subtask) => writeSubtask(out, subtask, version))
}

function writeFullyFinished(out: ByteWriter, operator: OperatorState, version: MetadataVersion): void {
  if (version === 2) out.fail('fullyFinished', 'version 2 has no finished operators')
  if (operator.coordinatorState !== null || operator.subtasks.length > 0)
    out.fail('fullyFinished', 'a finished operator has neither subtasks nor coordinator state')
  out.i32(-1, 'subtasks')
}

/** A finished subtask is its index alone, made negative. */
function writeSubtask(out: ByteWriter, subtask: SubtaskState, version: MetadataVersion): void {
  if (subtask.index < 0) out.fail('index', `negative subtask index ${subtask.index}`)
  if (subtask.finished && version === 2) out.fail('finished', 'version 2 has no finished subtasks')
  out.i32(subtask.finished ? -subtask.index - 1 : subtask.index, 'index')
  if (!subtask.finished) writeRunning(out, subtask, version)
}

function writeRunning(out: ByteWriter, subtask: RunningSubtask, version: MetadataVersion): void {
  if (version === 2) {
    out.i64(-1n, 'duration')
    out.i32(0, 'legacyStates')
  }
  writeOperatorHandle(out, subtask.managedOperator, 'managedOperator')
  writeOperatorHandle(out, subtask.rawOperator, 'rawOperator')
  writeKeyedHandle(out, subtask.managedKeyed, 'managedKeyed')
  writeKeyedHandle(out, subtask.rawKeyed, 'rawKeyed')
  for (const side of ['inputChannels', 'resultSubpartitions'] as const) {
    if (version > 2) writeChannelHandles(out, subtask[side], side, version)
    else if (subtask[side].length > 0) out.fail(side, 'version 2 has no channel state')
  }
}
