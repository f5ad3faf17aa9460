import { DomainError } from '../domain/errors.ts'
import type { ObjectCopier, ObjectStores, Secrets, StorageAddress } from '../ports/storage.ts'
import { copyThroughUs, isOneStore } from './copy-objects.ts'
import { openLocalStore } from './local.ts'
import { type OpenStore, SharedStore } from './open-store.ts'
import { resolveAddressing } from './providers.ts'
import { openS3Store } from './s3.ts'
import type { S3Limits } from './s3-client.ts'

export type ObjectStoresOptions = {
  secrets: Secrets
  /** Folders of this machine that a storage may lie in; none by default. */
  localRoots?: readonly string[]
  s3Limits?: Partial<S3Limits>
  /** Connections unused for this long are closed. */
  idleMs?: number
}

export function createObjectStores(options: ObjectStoresOptions): ObjectStores & ObjectCopier {
  const idleMs = options.idleMs ?? 5 * 60_000
  const stores = new Map<string, SharedStore>()
  /** Stores with connections, also those that somebody kept after they had left `stores`. */
  const connected = new Set<SharedStore>()
  let closed = false
  const requireOpen = (): void => {
    if (closed) throw new Error('The object stores are closed')
  }
  const create = (storage: StorageAddress): SharedStore => {
    const open = chooseStore(storage, options)
    const store = new SharedStore(() => {
      requireOpen()
      connected.add(store)
      return open()
    })
    return store
  }
  const closeIdle = (): void => {
    for (const store of connected) {
      if (store.closeIfIdle(idleMs)) connected.delete(store)
    }
    for (const [key, store] of stores) {
      if (!connected.has(store)) stores.delete(key)
    }
  }
  const timer = setInterval(closeIdle, Math.max(idleMs / 2, 10)).unref()
  const storeOf = (storage: StorageAddress): SharedStore => {
    requireOpen()
    const key = `${storage.namespace}/${storage.key}`
    const store = stores.get(key) ?? create(storage)
    stores.set(key, store)
    return store
  }
  return {
    of: storeOf,
    async copy(source, target) {
      const { storage, location, sizeBytes } = source
      if (storage.namespace !== target.storage.namespace) {
        throw new Error('nothing is copied from one namespace to another')
      }
      const [from, to] = [storeOf(storage), storeOf(target.storage)]
      if (source.piece === null && isOneStore(storage, target.storage)) {
        const inside = { root: storage.root, location, sizeBytes }
        if (await to.copyInside(inside, target.location)) return 'INSIDE'
      }
      await copyThroughUs(from, source, to, target.location)
      return 'STREAMED'
    },
    async close() {
      closed = true
      clearInterval(timer)
      for (const store of connected) store.close()
      connected.clear()
      stores.clear()
    },
  }
}

/** Checks at once whether this storage can be spoken to at all; connects later. */
function chooseStore(storage: StorageAddress, options: ObjectStoresOptions): () => OpenStore {
  const { provider } = storage
  if (provider === 'flink-only') {
    throw new DomainError('STORAGE_NOT_ADDRESSABLE', 'This storage is reached only through Flink')
  }
  if (provider === 'local') return () => openLocalStore(storage.root, options.localRoots ?? [])
  resolveAddressing(provider, storage)
  return () => openS3Store(provider, storage, options.secrets, options.s3Limits)
}
