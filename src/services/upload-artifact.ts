/**
 * Keeps a jar at `<root>/_artifacts/<sha256>`. The name is the content: the same jar sent twice, or by two at once, is one
 * object, and whoever repeats a request that broke off needs no key for it. Nothing is written to Postgres.
 */
import { artifactLocation } from '../domain/artifact.ts'
import type { Location } from '../domain/location.ts'
import type { Jars, ReceivedUpload, Uploads } from '../ports/artifacts.ts'
import type { StorageRepository } from '../ports/resources.ts'
import type { ObjectStore, ObjectStores } from '../ports/storage.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { findStorage } from './find-resource.ts'
import { showArtifact } from './show-artifact.ts'
import { askStorage } from './storage-errors.ts'

type Ports = {
  storages: Pick<StorageRepository, 'find'>
  stores: Pick<ObjectStores, 'of'>
  uploads: Uploads
  jars: Jars
  maxArtifactBytes: number
}

export const uploadArtifact =
  (ports: Ports): Services['uploadArtifact'] =>
  async ({ caller, storage: reference, body }) => {
    const storage = await findStorage(ports.storages, scopeOf(caller), reference, 'REFERENCE_NOT_FOUND')
    const store = ports.stores.of(storage.address) // before the first byte is taken: it may not be addressable
    const upload = await ports.uploads.receive(body, ports.maxArtifactBytes)
    try {
      const { mainClass } = await ports.jars.inspect(upload)
      const existed = await keep(store, artifactLocation(storage.address.root, upload.sha256), upload)
      return showArtifact(storage, { ...upload, mainClass, existed })
    } finally {
      await upload.discard()
    }
  }

/** Whether it was there. One of another size is not what its name says, and is replaced. */
const keep = (store: ObjectStore, location: Location, upload: ReceivedUpload): Promise<boolean> =>
  askStorage(async () => {
    const found = await store.head(location)
    if (found?.sizeBytes === upload.sizeBytes) return true
    await store.putStream(location, upload)
    return false
  })
