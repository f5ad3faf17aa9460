import type { KeyedHandle, MetadataVersion, SnapshotMetadata, SnapshotProperties } from './model.ts'
import { isPlainRelativePath, type ReferencedFile } from './referenced-files.ts'
import { walkHandles } from './walk-handles.ts'

/** What kind of snapshot this is, as far as the file tells: null where it does not. */
export type SnapshotTraits = {
  kind: SnapshotProperties['kind'] | null
  /** Canonical state can be read by every state backend, native state only by the one that wrote it. */
  format: 'canonical' | 'native' | null
  incremental: boolean
  unaligned: boolean
  changelog: boolean
  fileMerging: boolean
  /** Nothing lies outside the snapshot's own folder: it may be moved, and deleting the folder frees all of it. */
  selfContained: boolean
  /** Directories that file merging claims for the job; they are outside the folder. */
  directories: string[]
}

export function classifySnapshot(
  metadata: SnapshotMetadata,
  files: readonly ReferencedFile[],
): SnapshotTraits {
  const seen = survey(metadata)
  const has = (...kinds: KeyedHandle['kind'][]) => kinds.some((kind) => seen.keyed.has(kind))
  const format = formatOf(metadata, seen.managedKeyed)
  const isInFolder = (file: ReferencedFile) => file.kind === 'relative' && isPlainRelativePath(file.path)
  return {
    kind: metadata.properties?.kind ?? (format === 'canonical' ? 'savepoint' : null),
    format,
    incremental: has('incremental', 'incrementalV2'),
    unaligned: seen.unaligned,
    changelog: has('changelog', 'changelogV2'),
    fileMerging: seen.fileMerging,
    selfContained: seen.directories.size === 0 && files.every(isInFolder),
    directories: [...seen.directories].sort(),
  }
}

/** Flink releases that write this version. */
export const FLINK_VERSIONS: Record<MetadataVersion, { from: string; to: string | null }> = {
  2: { from: '1.3', to: '1.10' },
  3: { from: '1.11', to: '1.15' },
  4: { from: '1.16', to: '1.20' },
  5: { from: '2.0', to: '2.0' },
  6: { from: '2.1', to: null },
}

function survey(metadata: SnapshotMetadata) {
  const seen = {
    keyed: new Set<KeyedHandle['kind']>(),
    managedKeyed: new Set<KeyedHandle['kind']>(),
    directories: new Set<string>(),
    unaligned: false,
    fileMerging: false,
  }
  walkHandles(metadata, {
    keyed: (handle, { role }) => {
      seen.keyed.add(handle.kind)
      if (role === 'managedKeyed') seen.managedKeyed.add(handle.kind)
    },
    operator: (handle) => {
      if (handle.kind !== 'fileMerging') return
      seen.fileMerging = true
      seen.directories.add(handle.taskOwnedDirectory).add(handle.sharedDirectory)
    },
    stream: (handle) => {
      if (handle.kind === 'segment' || handle.kind === 'emptySegment') seen.fileMerging = true
    },
    channel: () => {
      seen.unaligned = true
    },
  })
  return seen
}

/** Before version 4 only the handles tell: canonical keyed state has a tag of its own, and the oldest tag says nothing. */
function formatOf(metadata: SnapshotMetadata, kinds: Set<KeyedHandle['kind']>): SnapshotTraits['format'] {
  const declared = metadata.properties?.formatType
  if (declared === 'CANONICAL') return 'canonical'
  if (declared === 'NATIVE' || metadata.properties?.kind === 'checkpoint') return 'native'
  if (kinds.size === 0 || kinds.has('keyGroups')) return null
  if (!kinds.has('savepointKeyGroups')) return 'native'
  return kinds.size === 1 ? 'canonical' : null
}
