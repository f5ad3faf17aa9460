/**
 * The files that a `_metadata` names, as places: what two snapshots share is decided by these. The metadata is somebody
 * else's text, so a path that is no location becomes no place, and never a request.
 */
import { isPlainRelativePath, type ReferencedFileKind } from '../metadata/referenced-files.ts'
import type { MetadataSummary } from '../metadata/summarize.ts'
import { DomainError } from './errors.ts'
import type { InspectionSummary, StoredFile } from './inspection.ts'
import { joinLocation, type Location, locationKey, parseLocation } from './location.ts'

/**
 * Where a file lies that the `_metadata` in `directory` names; null when that is no location. Flink resolves a relative path
 * against the directory and takes several slashes for one (RelativeFileStateHandle, Path.normalizePath); a relative one
 * that leaves the directory is nothing that Flink writes.
 */
export function locateFile(
  directory: Location,
  { kind, path }: { kind: ReferencedFileKind; path: string },
): Location | null {
  try {
    if (kind !== 'relative') return parseLocation(path.replace(/([^:/])\/{2,}/g, '$1/'))
    return isPlainRelativePath(path) ? joinLocation(directory, ...path.split('/')) : null
  } catch (error) {
    if (error instanceof DomainError && error.code === 'LOCATION_INVALID') return null
    throw error
  }
}

/** The key of everything strictly below a directory: the keys of its files begin with it. */
export const folderKey = (directory: Location): string => `${locationKey(directory).replace(/\/$/, '')}/`

/** In the order of the metadata, with the key of the place each is at. */
export const toStoredFiles = (files: MetadataSummary['files'], directory: Location): StoredFile[] =>
  files.map((file, position) => {
    const place = locateFile(directory, file)
    return {
      position,
      key: place && locationKey(place),
      path: storableText(file.path),
      kind: file.kind,
      roles: file.roles,
      sizeBytes: file.size === null ? null : clampBytes(BigInt(file.size)),
      references: file.references,
      mayBeShared: file.mayBeShared,
    }
  })

/** Of the files whose size is known. */
export const sumBytes = (files: readonly StoredFile[]): number =>
  clampBytes(files.reduce((total, { sizeBytes }) => total + BigInt(sizeBytes ?? 0), 0n))

/** What is kept of a summary: all but its lists of files. */
export function toInspectionSummary(summary: MetadataSummary): InspectionSummary {
  const { files: _files, relativeFiles: _relative, absoluteFiles: _absolute, ...kept } = summary
  return storable(kept)
}

/** Sizes are numbers here, and no file has 2^53 bytes: one that claims more is shown, and found, to be wrong. */
const clampBytes = (bytes: bigint): number =>
  bytes > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(bytes)

/** Names and paths in the metadata may hold what neither a text nor a jsonb of Postgres can: NUL and half a surrogate pair. */
const storableText = (text: string): string => text.replace(/[\0\p{Cs}]/gu, '\ufffd')

const storable = <Value>(value: Value): Value =>
  JSON.parse(
    JSON.stringify(value, (_, part: unknown) => (typeof part === 'string' ? storableText(part) : part)),
  )
