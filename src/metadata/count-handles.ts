import type { ChannelHandle, KeyedHandle, OperatorHandle, SnapshotMetadata, StreamHandle } from './model.ts'
import { CHANNEL_TAGS, KEYED_TAGS, OPERATOR_TAGS, STREAM_TAGS } from './tags.ts'
import { type HandlePlace, walkHandles } from './walk-handles.ts'

/** How often each kind of handle occurs, by names like `keyed:11-incrementalV2`. */
export function countHandles(metadata: SnapshotMetadata): Record<string, number> {
  const counts = new Map<string, number>()
  const count = (name: string) => {
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  walkHandles(metadata, {
    stream: (handle) => count(STREAM_NAMES[handle.kind]),
    keyed: (handle) => count(KEYED_NAMES[handle.kind]),
    operator: (handle) => count(OPERATOR_NAMES[handle.kind]),
    channel: (handle, place) => count(nameOfChannel(handle, place)),
  })
  return Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Key groups have the same tag and layout as keyed state and as a stream. */
const KEY_GROUPS = `keyGroups:${KEYED_TAGS.keyGroups}`

const STREAM_NAMES: Record<StreamHandle['kind'], string> = {
  ...nameAll('stream', STREAM_TAGS),
  keyGroups: KEY_GROUPS,
}
const KEYED_NAMES: Record<KeyedHandle['kind'], string> = {
  ...nameAll('keyed', KEYED_TAGS),
  keyGroups: KEY_GROUPS,
}
const OPERATOR_NAMES: Record<OperatorHandle['kind'], string> = {
  partitionable: `operator:${OPERATOR_TAGS.partitionable}`,
  fileMerging: `operator:${OPERATOR_TAGS.fileMerging}-fileMerging`,
}

function nameOfChannel(handle: ChannelHandle, { role }: HandlePlace): string {
  if (handle.kind === 'plain') return 'channel:plain'
  return role === 'inputChannel'
    ? `channelV2:${CHANNEL_TAGS.inputChannels.merged}-mergedInput`
    : `channelV2:${CHANNEL_TAGS.resultSubpartitions.merged}-mergedResult`
}

function nameAll<K extends string>(prefix: string, tags: Record<K, number>): Record<K, string> {
  const names = Object.entries<number>(tags).map(([kind, tag]) => [kind, `${prefix}:${tag}-${kind}`])
  return Object.fromEntries(names) as Record<K, string>
}
