import type { SnapshotMetadata, StreamHandle } from './model.ts'
import { type HandlePlace, walkHandles } from './walk-handles.ts'

export type ReferencedFileKind = 'relative' | 'absolute' | 'segment'

/** A file outside `_metadata` that holds state of the snapshot. Each path once, however many handles share it. */
export type ReferencedFile = {
  path: string
  /** A segment is a part of a physical file, which always has an absolute path. */
  kind: ReferencedFileKind
  /** Like `managedKeyed` or `managedKeyed/incrementalShared`. */
  roles: string[]
  references: number
  /** Bytes the file must have at least, when every handle knows; null else. */
  size: bigint | null
  /** Lies where Flink keeps what several checkpoints of a job use. */
  mayBeShared: boolean
}

export function listReferencedFiles(metadata: SnapshotMetadata): ReferencedFile[] {
  const files = {
    relative: new Map<string, ReferencedFile>(),
    absolute: new Map<string, ReferencedFile>(),
    segment: new Map<string, ReferencedFile>(),
  }
  walkHandles(metadata, {
    stream: (handle, place) => {
      const reference = referenceOf(handle)
      if (reference) addReference(files[reference.kind], reference, roleOf(place))
    },
  })
  return Object.values(files).flatMap((byPath) => [...byPath.values()])
}

/** Flink resolves these against the folder of `_metadata`; only such a path stays inside it. */
export function isPlainRelativePath(path: string): boolean {
  const hasScheme = /^[a-z][a-z0-9+.-]*:/i.test(path)
  return !hasScheme && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
}

type Reference = { kind: ReferencedFileKind; path: string; size: bigint | null }

const knownOrNull = (size: bigint) => (size < 0n ? null : size)

function referenceOf(handle: StreamHandle): Reference | null {
  switch (handle.kind) {
    case 'relativeFile':
      return { kind: 'relative', path: handle.path, size: knownOrNull(handle.size) }
    case 'file':
      return { kind: 'absolute', path: handle.path, size: knownOrNull(handle.size) }
    case 'segment': {
      const size = knownOrNull(handle.size)
      return { kind: 'segment', path: handle.path, size: size === null ? null : handle.startPosition + size }
    }
    default:
      return null
  }
}

const roleOf = ({ role, part }: HandlePlace) => (part === 'whole' ? role : `${role}/${part}`)

function addReference(
  files: Map<string, ReferencedFile>,
  { kind, path, size }: Reference,
  role: string,
): void {
  const file = files.get(path)
  if (file === undefined) {
    const mayBeShared = kind !== 'relative' && /\/(shared|taskowned)\//.test(path)
    files.set(path, { path, kind, roles: [role], references: 1, size, mayBeShared })
    return
  }
  file.references += 1
  if (!file.roles.includes(role)) file.roles.push(role)
  if (size === null || file.size === null) file.size = null
  else if (size > file.size) file.size = size
}
