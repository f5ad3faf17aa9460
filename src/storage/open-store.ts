import type { Location } from '../domain/location.ts'
import type { ObjectStore, StorageRule, VersionedObjects } from '../ports/storage.ts'

/** A whole object below the root of a storage that is the same store to us. */
export type CopyInside = { root: Location; location: Location; sizeBytes: number }

/** An object store that holds connections. */
export type OpenStore = ObjectStore & {
  /** false: this store does not copy by itself. Throws StorageError as the other calls. */
  copyInside(source: CopyInside, target: Location): Promise<boolean>
  close(): void
}

/**
 * One address's store, opened when first used and again after it was closed for being idle, so that whoever keeps an
 * ObjectStore never holds a dead one.
 */
export class SharedStore implements ObjectStore {
  readonly #open: () => OpenStore
  #store: OpenStore | null = null
  #callsUnderWay = 0
  #lastUsedAt = 0

  constructor(open: () => OpenStore) {
    this.#open = open
  }

  list: ObjectStore['list'] = (prefix, options) => this.#use((store) => store.list(prefix, options))
  head: ObjectStore['head'] = (location) => this.#use((store) => store.head(location))
  readRange: ObjectStore['readRange'] = (location, offset, length) =>
    this.#use((store) => store.readRange(location, offset, length))
  put: ObjectStore['put'] = (location, bytes) => this.#use((store) => store.put(location, bytes))
  putStream: ObjectStore['putStream'] = (location, content) =>
    this.#use((store) => store.putStream(location, content))
  deleteMany: ObjectStore['deleteMany'] = (locations, options) =>
    this.#use((store) => store.deleteMany(locations, options))
  /** A store without versions keeps none, so the other two are never asked for. */
  readonly versions: VersionedObjects = {
    areKept: () => this.#use(async (store) => (await store.versions?.areKept()) ?? false),
    list: (prefix, options) => this.#use((store) => versionsOf(store).list(prefix, options)),
    deleteMany: (versions, options) => this.#use((store) => versionsOf(store).deleteMany(versions, options)),
  }
  removeEmptyFolders = (folder: Location): Promise<boolean> =>
    this.#use(async (store) => (await store.removeEmptyFolders?.(folder)) ?? true)
  findRules = (): Promise<StorageRule[] | null> =>
    this.#use(async (store) => (store.findRules ? store.findRules() : []))
  copyInside: OpenStore['copyInside'] = (source, target) =>
    this.#use((store) => store.copyInside(source, target))

  async *read(...[location]: Parameters<ObjectStore['read']>): AsyncGenerator<Uint8Array> {
    const store = this.#enter()
    try {
      yield* store.read(location)
    } finally {
      this.#leave()
    }
  }

  /** Closes the connections when nothing used them for `idleMs`; answers whether it did. */
  closeIfIdle(idleMs: number): boolean {
    if (this.#callsUnderWay > 0 || performance.now() - this.#lastUsedAt < idleMs) return false
    this.close()
    return true
  }

  close(): void {
    this.#store?.close()
    this.#store = null
  }

  async #use<T>(call: (store: OpenStore) => Promise<T>): Promise<T> {
    const store = this.#enter()
    try {
      return await call(store)
    } finally {
      this.#leave()
    }
  }

  #enter(): OpenStore {
    this.#store ??= this.#open()
    this.#callsUnderWay += 1
    return this.#store
  }

  #leave(): void {
    this.#callsUnderWay -= 1
    this.#lastUsedAt = performance.now()
  }
}

const versionsOf = (store: ObjectStore): VersionedObjects => {
  if (!store.versions) throw new Error('this store keeps no versions')
  return store.versions
}
