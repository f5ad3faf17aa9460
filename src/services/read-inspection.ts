/**
 * What lies inside a snapshot: read once from its `_metadata` and kept beside its row. State inside the file is passed over
 * and never kept.
 */
import { DomainError, StorageError } from '../domain/errors.ts'
import type { SnapshotInspection, StoredFile } from '../domain/inspection.ts'
import { formatLocation, joinLocation, type Location } from '../domain/location.ts'
import type { Snapshot } from '../domain/snapshot.ts'
import { sumBytes, toInspectionSummary, toStoredFiles } from '../domain/snapshot-files.ts'
import type { MetadataSource } from '../metadata/chunk-source.ts'
import { MetadataError } from '../metadata/errors.ts'
import { type ReadSnapshotMetadata, readMetadata } from '../metadata/read-metadata.ts'
import { type MetadataSummary, summarize } from '../metadata/summarize.ts'
import type { InspectionRepository } from '../ports/inspections.ts'
import type { Scope } from '../ports/scope.ts'
import type { ObjectStore } from '../ports/storage.ts'
import type { Slots } from './slots.ts'
import { openSnapshotPlace, type SnapshotPlacePorts } from './snapshot-place.ts'
import { askStorage } from './storage-errors.ts'

export type ReadInspectionPorts = SnapshotPlacePorts & {
  inspections: Pick<InspectionRepository, 'find' | 'save'>
  /** How many may be read at once: a `_metadata` may be large, and what is read of it larger. No limit by default. */
  metadataSlots?: Slots
}
export type InspectedSnapshot = Pick<Snapshot, 'id' | 'status' | 'location' | 'storage' | 'verdict'>

export type MetadataFile = {
  metadata: ReadSnapshotMetadata
  summary: MetadataSummary
  /** In the order of the metadata. */
  files: StoredFile[]
  metadataBytes: number
}

/**
 * With one of these verdicts what was read before may not be what lies there now: a later run under the same Flink job id may
 * be writing its own checkpoint at the place.
 */
const READ_ANEW: readonly (string | null)[] = ['ENDANGERED', 'UNREADABLE', 'METADATA_MISSING']

/**
 * The kept inspection, else what its `_metadata` says, which is kept. `files` only when it was read now; else they are at
 * `InspectionRepository.listFiles`. Throws SNAPSHOT_NOT_PRESENT, METADATA_MISSING, METADATA_UNREADABLE, or STORAGE_… when
 * the store cannot be asked.
 */
export async function readInspection(
  ports: ReadInspectionPorts,
  scope: Scope,
  snapshot: InspectedSnapshot,
): Promise<{ inspection: SnapshotInspection; files?: StoredFile[] }> {
  checkReadable(snapshot)
  const kept = READ_ANEW.includes(snapshot.verdict) ? null : await ports.inspections.find(scope, snapshot.id)
  if (kept) return { inspection: kept }
  const { store, directory } = await openSnapshotPlace(ports, scope, snapshot)
  const read = await readMetadataFile(store, directory, ports.metadataSlots)
  const inspection = toInspection(read)
  // False when it was cleared meanwhile: then nothing is to be kept, and what was read was true.
  await ports.inspections.save(scope, snapshot.id, inspection, read.files)
  return { inspection, files: read.files }
}

/** Only Present data stays as it is while it is read; what is being cleared loses its `_metadata` first. */
export function checkReadable(snapshot: Pick<Snapshot, 'id' | 'status'>): void {
  if (snapshot.status === 'Present') return
  throw new DomainError(
    'SNAPSHOT_NOT_PRESENT',
    `The snapshot ${snapshot.id} is ${snapshot.status}: only a Present one can be read.`,
  )
}

/** What `InspectionRepository.save` keeps of a file just read. */
export const toInspection = ({
  summary,
  files,
  metadataBytes,
}: Omit<MetadataFile, 'metadata'>): SnapshotInspection => ({
  summary: toInspectionSummary(summary),
  metadataBytes,
  fileCount: files.length,
  fileBytes: sumBytes(files),
  inspectedAt: new Date().toISOString(),
})

/** What a smaller file becomes in memory needs no turn, and one request brings it whole. */
const SMALL_BYTES = 256 * 1024
/** What `readMetadataFile` asked the store: of a large file the beginning, the size and then all of it. */
export const requestsToRead = (metadataBytes: number): number => (metadataBytes <= SMALL_BYTES ? 1 : 3)

/**
 * Reads `_metadata` in `directory` afresh; a large one as a stream, when a slot is free. Throws METADATA_MISSING when the
 * store says that it is not there, METADATA_UNREADABLE with the byte and the field, or STORAGE_….
 */
export async function readMetadataFile(
  store: Pick<ObjectStore, 'head' | 'read' | 'readRange'>,
  directory: Location,
  slots: Slots = (work) => work(),
): Promise<MetadataFile> {
  const file = joinLocation(directory, '_metadata')
  const parse = async (content: MetadataSource, sizeBytes: number): Promise<MetadataFile> => {
    const metadata = await readMetadata(content, { size: sizeBytes })
    const summary = summarize(metadata)
    return { metadata, summary, files: toStoredFiles(summary.files, directory), metadataBytes: sizeBytes }
  }
  try {
    const beginning = await store.readRange(file, 0, SMALL_BYTES + 1)
    if (!beginning) throw missing(file)
    if (beginning.length <= SMALL_BYTES) return await parse(beginning, beginning.length)
    const found = await store.head(file)
    if (!found) throw missing(file)
    return await slots(() => parse(store.read(file), found.sizeBytes))
  } catch (error) {
    if (error instanceof MetadataError) throw unreadable(file, error)
    if (error instanceof StorageError && error.kind === 'not-found') throw missing(file)
    return askStorage(() => Promise.reject(error))
  }
}

const missing = (file: Location): DomainError =>
  new DomainError('METADATA_MISSING', `There is no ${JSON.stringify(formatLocation(file))}.`)

const unreadable = (file: Location, cause: MetadataError): DomainError =>
  new DomainError(
    'METADATA_UNREADABLE',
    `${JSON.stringify(formatLocation(file))} cannot be read: ${cause.message}.`,
    { cause, extra: { metadata: { code: cause.code, offset: cause.offset, path: cause.path } } },
  )
