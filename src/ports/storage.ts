/** Where snapshots lie, and the secrets that open it. */
import type { Location } from '../domain/location.ts'
import type { StorageCredentials, StorageProvider } from '../domain/resources.ts'

/** How to reach one storage; `key` changes when any of it changes. `root` is the parsed `uri`. */
export type StorageAddress = {
  key: string
  namespace: string
  root: Location
  provider: StorageProvider
  endpoint: string | null
  region: string | null
  pathStyle: boolean | null
  credentials: StorageCredentials | null
}

export type StoredObject = { location: Location; sizeBytes: number; modifiedAt: Date | null }
export type ObjectPage = { objects: StoredObject[]; nextPageToken: string | null }
/** `read` may be called again: it begins at the beginning. */
export type ObjectContent = { sizeBytes: number; read: () => AsyncIterable<Uint8Array> }
export type DeleteFailure = { location: Location; code: string; message: string }

/**
 * The objects below one storage root. Every location is compared with the root segment by segment before anything is
 * sent; outside it the call throws LOCATION_OUTSIDE_ROOT. Failures throw StorageError.
 */
export interface ObjectStore {
  /** Objects below `prefix` (a directory: its own name followed by `/`), in key order, one page of at most 1000. */
  list(prefix: Location, options?: { pageSize?: number; pageToken?: string }): Promise<ObjectPage>
  /** null when the object does not exist (proven: the store answered so). */
  head(location: Location): Promise<StoredObject | null>
  /** `length` bytes from `offset`, fewer at the end of the object; null when the object does not exist. */
  readRange(location: Location, offset: number, length: number): Promise<Uint8Array | null>
  /** The whole object as chunks; throws StorageError `not-found`. */
  read(location: Location): AsyncIterable<Uint8Array>
  put(location: Location, bytes: Uint8Array): Promise<void>
  /** A large object, streamed; either all of it stands there afterwards or what stood there before. `read` may be called again. */
  putStream(location: Location, content: ObjectContent): Promise<void>
  /** Deletes up to any number of objects in batches; a missing one counts as deleted. Answers what was not deleted. */
  deleteMany(locations: readonly Location[]): Promise<DeleteFailure[]>
}

export interface ObjectStores {
  /** The store of a storage; throws DomainError STORAGE_NOT_ADDRESSABLE for provider `flink-only`. */
  of(storage: StorageAddress): ObjectStore
  close(): Promise<void>
}

/** Reads a secret by reference; throws DomainError SECRET_REFERENCE_INVALID or SECRET_MISSING. Values are never logged. */
export interface Secrets {
  read(namespace: string, reference: { env: string } | { file: string }): Promise<string>
}
