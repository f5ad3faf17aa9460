/** `_metadata` of simulated snapshots, and what a restore makes of it. */
import { Buffer } from 'node:buffer'
import { buildSavepointMetadata, keyGroupsOf, type OperatorPlan } from '../metadata/build-savepoint.ts'
import type { IncrementalHandle, KeyedHandle, OperatorState, SnapshotMetadata } from '../metadata/model.ts'
import { readMetadata } from '../metadata/read-metadata.ts'
import { retainedCheckpointProperties } from '../metadata/snapshot-properties.ts'
import { writeMetadata } from '../metadata/write-metadata.ts'
import type { CheckRestore } from './cluster.ts'
import type { SharedFile, SimulatedJob } from './job.ts'
import type { MetadataBytes, MetadataRequest } from './metadata-bytes.ts'
import type { Operator, Vertex } from './program.ts'

export const snapshotMetadata: MetadataBytes = (request) => {
  const metadata = buildSavepointMetadata({
    version: request.version,
    checkpointId: BigInt(request.checkpointId),
    // A checkpoint's full keyed state has the same handles as a native savepoint.
    format: request.savepointFormat ?? 'NATIVE',
    action: request.action,
    operators: request.operators.map((operator) => planOf(operator, request)),
  })
  if (request.savepointFormat !== null || request.version < 4) return writeMetadata(metadata)
  const operatorStates = metadata.operatorStates.map((state) => withSharedFiles(state, request))
  return writeMetadata({ ...metadata, operatorStates, properties: retainedCheckpointProperties() })
}

/** Of an incremental checkpoint: absolute paths to tables that others refer to as well, and a private list of them. */
function withSharedFiles(state: OperatorState, request: MetadataRequest): OperatorState {
  const isHere = ({ operatorId }: { operatorId: string }) => operatorId === state.id
  if (!request.shared.some(isHere)) return state
  const lists = request.dataFiles.filter(({ operator }) => operator.id === state.id)
  const subtasks = state.subtasks.map((subtask) => {
    const list = lists[subtask.index]
    if (subtask.finished || list === undefined) return subtask
    const tables = request.shared.filter((file) => isHere(file) && file.subtask === subtask.index)
    const managedKeyed: IncrementalHandle = {
      kind: 'incrementalV2',
      ...keyGroupsOf(subtask.index, state.parallelism, state.maxParallelism),
      checkpointId: BigInt(request.checkpointId),
      backendId: backendId(state.id, subtask.index),
      checkpointedSize: BigInt(
        tables
          .filter((table) => request.uploaded.has(table))
          .reduce((sum, { bytes }) => sum + bytes, list.bytes.length),
      ),
      meta: { kind: 'relativeFile', path: list.name, size: BigInt(list.bytes.length) },
      shared: tables.map(({ location, bytes }, index) => ({
        localPath: `${String(index + 1).padStart(6, '0')}.sst`,
        handle: { kind: 'file', path: location, size: BigInt(bytes) },
      })),
      private: [],
      stateHandleId: `${state.id}-${subtask.index}-keyed`,
    }
    return { ...subtask, managedKeyed }
  })
  return { ...state, subtasks }
}

/** A UUID that follows from the subtask. */
function backendId(operatorId: string, subtask: number): string {
  const hex = `${operatorId.slice(0, 24)}${subtask.toString(16).padStart(8, '0')}`
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

function planOf(operator: Operator, { dataFiles, total }: MetadataRequest): OperatorPlan {
  const { id, uid, name, parallelism, maxParallelism } = operator
  const files = dataFiles.filter((file) => file.operator === operator)
  const plan: OperatorPlan = { id, name, uid, parallelism, maxParallelism }
  if (files.length > 0) {
    return {
      ...plan,
      keyedState: (subtask) => {
        const file = files[subtask]
        return file ? { relativePath: file.name, size: BigInt(file.bytes.length) } : null
      },
    }
  }
  const stateName = OPERATOR_STATE.get(uid)
  if (stateName === undefined) return plan
  const inline = Buffer.alloc(64)
  if (uid === TOTAL) inline.writeBigInt64BE(BigInt(total))
  return { ...plan, operatorState: () => ({ stateName, inline }) }
}

const TOTAL = 'total'

/** Operator state of the sample job, small enough to lie in `_metadata` itself. */
const OPERATOR_STATE: ReadonlyMap<string, string> = new Map([
  ['events', 'SourceReaderState'],
  [TOTAL, 'total'],
  ['extra-operator', 'seen'],
])

/**
 * `Checkpoints.loadAndValidateCheckpoint`: every operator with state must fit the program. Answers what an incremental
 * checkpoint refers to outside its directory, and what the job had counted.
 */
export const checkRestore: CheckRestore = async (bytes, job, { location, allowNonRestoredState }) => {
  const metadata = await readMetadata(bytes)
  const known = new Map(
    job.program.vertices.flatMap(({ operators }) => operators).map((each) => [each.id, each]),
  )
  for (const { id, maxParallelism } of statesOf(metadata)) {
    const operator = known.get(id)
    if (operator === undefined && !allowNonRestoredState) throw new Error(notMapped(location, id))
    if (operator !== undefined && operator.maxParallelism !== maxParallelism) {
      if (!job.program.fixesMaxParallelism) continue
      throw new Error(
        // Flink names its metadata object there, not the place.
        `Failed to rollback to checkpoint/savepoint Checkpoint Metadata. Max parallelism mismatch between checkpoint/savepoint state and new program. Cannot map operator ${id} with max parallelism ${maxParallelism} to new program with max parallelism ${operator.maxParallelism}. This indicates that the program has been changed in a non-compatible way after the checkpoint/savepoint.`,
      )
    }
  }
  if (!job.program.fixesMaxParallelism) takeOverMaxParallelism(metadata, job)
  const shared = metadata.operatorStates.flatMap(({ id, subtasks }) =>
    subtasks.flatMap((subtask) =>
      subtask.finished ? [] : sharedFilesOf(id, subtask.index, subtask.managedKeyed),
    ),
  )
  return { shared, total: readTotal(metadata, bytes, job) }
}

/** `StateAssignmentOperation.checkParallelismPreconditions`: a vertex has the one of the state that is assigned to it last. */
function takeOverMaxParallelism({ operatorStates }: SnapshotMetadata, job: SimulatedJob): void {
  for (const vertex of job.program.vertices) {
    for (const { id, maxParallelism } of operatorStates) {
      if (!vertex.operators.some((operator) => operator.id === id)) continue
      if (maxParallelism < vertex.parallelism) throw new Error(notSpread(vertex, maxParallelism))
      vertex.maxParallelism = maxParallelism
      for (const operator of vertex.operators) operator.maxParallelism = maxParallelism
    }
  }
}

const notSpread = ({ id, parallelism }: Vertex, maxParallelism: number): string =>
  `The state for task ${id} can not be restored. The maximum parallelism (${maxParallelism}) of the restored state is lower than the configured parallelism (${parallelism}). Please reduce the parallelism of the task to be lower or equal to the maximum parallelism.`

function readTotal(metadata: SnapshotMetadata, bytes: Uint8Array, job: SimulatedJob): number | null {
  const operators = job.program.vertices.flatMap((vertex) => vertex.operators)
  const id = operators.find(({ uid }) => uid === TOTAL)?.id
  const [subtask] = metadata.operatorStates.find((state) => state.id === id)?.subtasks ?? []
  const state = subtask?.finished === false ? subtask.managedOperator : null
  if (state?.kind !== 'partitionable' || state.delegate.kind !== 'byteStream') return null
  const { offset, length } = state.delegate.inline
  if (offset === undefined || length < 8) return null
  return Number(Buffer.from(bytes.buffer, bytes.byteOffset + offset, length).readBigInt64BE())
}

function sharedFilesOf(operatorId: string, subtask: number, state: KeyedHandle | null): SharedFile[] {
  if (state?.kind !== 'incrementalV2') return []
  return state.shared.flatMap(({ handle }) =>
    handle?.kind === 'file'
      ? [{ operatorId, subtask, location: handle.path, bytes: Number(handle.size) }]
      : [],
  )
}

const statesOf = (metadata: SnapshotMetadata) =>
  metadata.operatorStates.filter(({ subtasks }) =>
    subtasks.some(
      (subtask) => !subtask.finished && (subtask.managedKeyed ?? subtask.managedOperator) !== null,
    ),
  )

const notMapped = (location: string, id: string): string =>
  `Failed to rollback to checkpoint/savepoint ${location}. Cannot map checkpoint/savepoint state for operator ${id} to the new program, because the operator is not available in the new program. If you want to allow to skip this, you can set the --allowNonRestoredState option on the CLI.`
