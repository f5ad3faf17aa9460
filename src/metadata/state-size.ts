import type { ChannelHandle, KeyedHandle, OperatorState, StreamHandle } from './model.ts'
import type { StateRole } from './walk-handles.ts'

/**
 * Sizes as Flink's `getStateSize` counts them: one number per handle, so a file that several handles share is counted
 * for each. An unknown size (-1) adds nothing.
 */
export type SizeByRole = Record<StateRole, bigint>

export function sizeByRole(operator: OperatorState): SizeByRole {
  const sizes: SizeByRole = {
    coordinator: BigInt(operator.coordinatorState?.inline.length ?? 0),
    managedOperator: 0n,
    rawOperator: 0n,
    managedKeyed: 0n,
    rawKeyed: 0n,
    inputChannel: 0n,
    resultSubpartition: 0n,
  }
  for (const subtask of operator.subtasks) {
    if (subtask.finished) continue
    sizes.managedOperator += subtask.managedOperator ? streamSize(subtask.managedOperator.delegate) : 0n
    sizes.rawOperator += subtask.rawOperator ? streamSize(subtask.rawOperator.delegate) : 0n
    sizes.managedKeyed += subtask.managedKeyed ? keyedSize(subtask.managedKeyed) : 0n
    sizes.rawKeyed += subtask.rawKeyed ? keyedSize(subtask.rawKeyed) : 0n
    sizes.inputChannel += sum(subtask.inputChannels, channelSize)
    sizes.resultSubpartition += sum(subtask.resultSubpartitions, channelSize)
  }
  return sizes
}

export const sum = <T>(items: readonly T[], sizeOf: (item: T) => bigint): bigint =>
  items.reduce((total, item) => total + sizeOf(item), 0n)

const known = (size: bigint) => (size < 0n ? 0n : size)

const channelSize = (handle: ChannelHandle) => known(handle.stateSize)

function streamSize(handle: StreamHandle): bigint {
  switch (handle.kind) {
    case 'byteStream':
      return BigInt(handle.inline.length)
    case 'keyGroups':
      return streamSize(handle.delegate)
    case 'emptySegment':
      return 0n
    default:
      return known(handle.size)
  }
}

function keyedSize(handle: KeyedHandle): bigint {
  switch (handle.kind) {
    case 'keyGroups':
    case 'savepointKeyGroups':
    case 'keyGroupsV2':
      return streamSize(handle.delegate)
    case 'incremental':
    case 'incrementalV2': {
      const files = [...handle.shared, ...handle.private]
      return streamSize(handle.meta) + sum(files, (file) => streamSize(file.handle))
    }
    case 'changelog':
    case 'changelogV2':
      return sum(handle.materialized, keyedSize) + sum(handle.nonMaterialized, keyedSize)
    case 'changelogInMemory':
      return sum(handle.changes, (change) => BigInt(change.inline.length))
    case 'changelogFile':
    case 'changelogFileV2':
      return known(handle.stateSize)
  }
}
