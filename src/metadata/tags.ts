import type { ChannelHandle, KeyedHandle, OperatorHandle, StreamHandle } from './model.ts'

/** The three places number their tags together, but each accepts only its own. */
export const NULL_TAG = 0

export const STREAM_TAGS = {
  byteStream: 1,
  file: 2,
  keyGroups: 3,
  relativeFile: 6,
  segment: 15,
  emptySegment: 16,
} as const satisfies Record<StreamHandle['kind'], number>

export const KEYED_TAGS = {
  keyGroups: 3,
  incremental: 5,
  savepointKeyGroups: 7,
  changelog: 8,
  changelogInMemory: 9,
  changelogFile: 10,
  incrementalV2: 11,
  keyGroupsV2: 12,
  changelogFileV2: 13,
  changelogV2: 14,
} as const satisfies Record<KeyedHandle['kind'], number>

export const OPERATOR_TAGS = {
  partitionable: 4,
  fileMerging: 17,
} as const satisfies Record<OperatorHandle['kind'], number>

/** Version 6 only: channel handles had no tag before. */
export const CHANNEL_TAGS = {
  inputChannels: { plain: 1, merged: 3 },
  resultSubpartitions: { plain: 2, merged: 4 },
} as const satisfies Record<string, Record<ChannelHandle['kind'], number>>
export type ChannelSide = keyof typeof CHANNEL_TAGS

export const MODES = ['SPLIT_DISTRIBUTE', 'UNION', 'BROADCAST'] as const
export const SCOPES = ['EXCLUSIVE', 'SHARED'] as const

export const FILE_MAGIC = 0x4960672d
export const MASTER_STATE_MAGIC = 0xc96b1696 | 0
