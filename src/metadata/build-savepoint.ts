import type {
  KeyedHandle,
  MetadataVersion,
  NamedState,
  OperatorHandle,
  OperatorState,
  RunningSubtask,
  SnapshotMetadata,
  StreamHandle,
} from './model.ts'
import {
  type PostCheckpointAction,
  type SavepointFormat,
  savepointProperties,
} from './snapshot-properties.ts'

export type SavepointPlan = {
  version: MetadataVersion
  checkpointId: bigint
  /** Default CANONICAL. */
  format?: SavepointFormat
  /** Default NONE. */
  action?: PostCheckpointAction
  operators: readonly OperatorPlan[]
}

export type OperatorPlan = {
  /** 32 hex digits. */
  id: string
  /** Name and uid are written from version 5 on. */
  name?: string
  uid?: string
  parallelism: number
  maxParallelism: number
  coordinatorState?: Uint8Array
  /** State over the subtask's key groups; none when absent or answered by null. */
  keyedState?: (subtask: number) => StatePlace | null
  operatorState?: (subtask: number) => NamedStatePlace | null
}

/** Where bytes of state are: in `_metadata` itself, or in a file next to it. */
export type StatePlace = { inline: Uint8Array } | { relativePath: string; size: bigint }
export type NamedStatePlace = StatePlace & { stateName: string; mode?: NamedState['mode'] }

/** A savepoint as Flink would take it of these operators: each subtask has its key groups, each handle its tag. */
export function buildSavepointMetadata(plan: SavepointPlan): SnapshotMetadata {
  const { version, checkpointId, format = 'CANONICAL', action = 'NONE' } = plan
  const body: SnapshotMetadata = {
    version,
    checkpointId,
    masterStates: [],
    operatorStates: plan.operators.map((operator) => buildOperator(operator, version, format)),
  }
  return version < 4 ? body : { ...body, properties: savepointProperties(format, action) }
}

function buildOperator(plan: OperatorPlan, version: MetadataVersion, format: SavepointFormat): OperatorState {
  const { id, parallelism, maxParallelism, coordinatorState: bytes } = plan
  const subtasks = Array.from({ length: parallelism }, (_, index) =>
    buildSubtask(plan, index, version, format),
  )
  return {
    id,
    name: version < 5 ? null : (plan.name ?? null),
    uid: version < 5 ? null : (plan.uid ?? null),
    parallelism,
    maxParallelism,
    coordinatorState: bytes
      ? { kind: 'byteStream', name: `coordinator-${id}`, inline: { length: bytes.length, bytes } }
      : null,
    fullyFinished: false,
    subtasks,
  }
}

function buildSubtask(
  plan: OperatorPlan,
  index: number,
  version: MetadataVersion,
  format: SavepointFormat,
): RunningSubtask {
  const keyed = plan.keyedState?.(index) ?? null
  const operator = plan.operatorState?.(index) ?? null
  return {
    index,
    finished: false,
    managedOperator: operator && buildOperatorHandle(operator, `${plan.id}-${index}-operator`),
    rawOperator: null,
    managedKeyed: keyed && buildKeyedHandle(plan, index, keyed, version, format),
    rawKeyed: null,
    inputChannels: [],
    resultSubpartitions: [],
  }
}

function buildOperatorHandle(place: NamedStatePlace, name: string): OperatorHandle {
  const state = {
    name: place.stateName,
    mode: place.mode ?? 'SPLIT_DISTRIBUTE',
    offsets: BigInt64Array.of(0n),
  }
  return { kind: 'partitionable', states: [state], delegate: buildStream(place, name) }
}

function buildKeyedHandle(
  plan: OperatorPlan,
  index: number,
  place: StatePlace,
  version: MetadataVersion,
  format: SavepointFormat,
): KeyedHandle {
  const { firstKeyGroup, keyGroupCount } = keyGroupsOf(index, plan.parallelism, plan.maxParallelism)
  const size = 'inline' in place ? BigInt(place.inline.length) : place.size
  const offsets = BigInt64Array.from({ length: keyGroupCount }, (_, group) => {
    return (size * BigInt(group)) / BigInt(keyGroupCount)
  })
  const name = `${plan.id}-${index}-keyed`
  const kind = keyGroupsKind(version, format)
  const stateHandleId = kind === 'keyGroupsV2' ? name : null
  return { kind, firstKeyGroup, offsets, delegate: buildStream(place, name), stateHandleId }
}

/** Version 2 knows neither the canonical nor the native tag. */
function keyGroupsKind(version: MetadataVersion, format: SavepointFormat) {
  if (version === 2) return 'keyGroups'
  return format === 'NATIVE' ? 'keyGroupsV2' : 'savepointKeyGroups'
}

function buildStream(place: StatePlace, name: string): StreamHandle {
  if ('inline' in place)
    return { kind: 'byteStream', name, inline: { length: place.inline.length, bytes: place.inline } }
  return { kind: 'relativeFile', path: place.relativePath, size: place.size }
}

/** `KeyGroupRangeAssignment.computeKeyGroupRangeForOperatorIndex` */
export function keyGroupsOf(subtask: number, parallelism: number, maxParallelism: number) {
  const firstKeyGroup = Math.ceil((subtask * maxParallelism) / parallelism)
  const end = Math.ceil(((subtask + 1) * maxParallelism) / parallelism)
  return { firstKeyGroup, keyGroupCount: end - firstKeyGroup }
}
