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

export type StoredObject = {
  location: Location
  sizeBytes: number
  modifiedAt: Date | null
  /**
   * Its storage class cannot be read at once. A listing cannot tell of a copy that was brought back, nor of an archive tier
   * within a class: where it says true, `head` decides.
   */
  archived: boolean
}
export type ObjectPage = { objects: StoredObject[]; nextPageToken: string | null }
/** `read` may be called again: it begins at the beginning. */
export type ObjectContent = { sizeBytes: number; read: () => AsyncIterable<Uint8Array> }
/** `mayStart` is asked right before each request: when it says no, nothing more is sent and the call fails. */
export type DeleteOptions = { mayStart?: () => boolean }
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
  deleteMany(locations: readonly Location[], options?: DeleteOptions): Promise<DeleteFailure[]>
  /** Where a deletion may only hide an object; undefined where there are no versions. */
  versions?: VersionedObjects
  /**
   * Where folders are things of their own: removes the empty ones below and including `folder`, never a file and never
   * what a link points to. Answers whether nothing of it is left; undefined where a folder is nothing but a prefix.
   */
  removeEmptyFolders?(folder: Location): Promise<boolean>
  /** Rules of the store that delete or archive what lies below the root; null when it does not tell. Undefined: it has none. */
  findRules?(): Promise<StorageRule[] | null>
}

/** What a store does by itself to objects below a prefix. */
export type StorageRule = {
  name: string | null
  /** Of keys, as the store compares it: a string. */
  prefix: string
  does: 'DELETE' | 'ARCHIVE'
  /** null: on a fixed date. */
  afterDays: number | null
  /** Of ARCHIVE. */
  storageClass: string | null
  /** Only objects with certain tags or sizes. */
  onlySome: boolean
}

/** Of an object in a bucket that keeps versions: one of its versions, or a marker that it was deleted. */
export type ObjectVersion = { location: Location; sizeBytes: number; versionId: string }
export interface VersionedObjects {
  /** Whether this bucket keeps versions, or once did. Throws StorageError when it does not say. */
  areKept(): Promise<boolean>
  /** Every version and marker below `prefix`, in key order, one page of at most 1000. */
  list(
    prefix: Location,
    options?: { pageToken?: string },
  ): Promise<{ objects: ObjectVersion[]; nextPageToken: string | null }>
  /** As `deleteMany`, for good. */
  deleteMany(
    versions: readonly { location: Location; versionId: string }[],
    options?: DeleteOptions,
  ): Promise<(DeleteFailure & { versionId: string })[]>
}

/** An object of a storage; with `piece` only these bytes of it. */
export type CopySource = {
  storage: StorageAddress
  location: Location
  /** Of what is copied; what has another size is refused. */
  sizeBytes: number
  piece: { offset: number } | null
}
/** `INSIDE`: the store copied it itself, no byte came to us. */
export type CopiedBy = 'INSIDE' | 'STREAMED'

export interface ObjectStores {
  /** The store of a storage; throws DomainError STORAGE_NOT_ADDRESSABLE for provider `flink-only`. */
  of(storage: StorageAddress): ObjectStore
  close(): Promise<void>
}

export interface ObjectCopier {
  /**
   * Copies an object within a namespace: inside the store where both storages are one store to us (the same provider,
   * endpoint, region and credentials, or both on this machine), else through this process. All of it stands there
   * afterwards, or what stood there before; repeating it is harmless. Throws StorageError, `not-found` when the source
   * does not exist.
   */
  copy(source: CopySource, target: { storage: StorageAddress; location: Location }): Promise<CopiedBy>
}

/** Reads a secret by reference; throws DomainError SECRET_REFERENCE_INVALID or SECRET_MISSING. Values are never logged. */
export interface Secrets {
  read(namespace: string, reference: { env: string } | { file: string }): Promise<string>
}
