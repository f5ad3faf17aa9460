/** An uploaded jar as it lies in its storage; its manifest is read there, a few ranges of it. */
import { artifactLocation, parseArtifact } from '../domain/artifact.ts'
import { DomainError, StorageError } from '../domain/errors.ts'
import type { Jars, RandomAccess } from '../ports/artifacts.ts'
import type { StorageRepository } from '../ports/resources.ts'
import type { ObjectStore, ObjectStores, StoredObject } from '../ports/storage.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { refusePlace } from './check-input.ts'
import { findStorage } from './find-resource.ts'
import { showArtifact } from './show-artifact.ts'
import { askStorage } from './storage-errors.ts'

type Ports = {
  storages: Pick<StorageRepository, 'find'>
  stores: Pick<ObjectStores, 'of'>
  jars: Jars
}

export const findArtifact =
  ({ storages, stores, jars }: Ports): Services['findArtifact'] =>
  async ({ caller, storage: reference, artifact }) => {
    const parsed = parseArtifact(artifact)
    if (parsed.kind !== 'content')
      return refusePlace('/path/artifact', 'must be sha256:<64 hexadecimal digits>')
    const storage = await findStorage(storages, scopeOf(caller), reference, 'REFERENCE_NOT_FOUND')
    const store = stores.of(storage.address)
    const { sha256 } = parsed
    const object = await askStorage(() => store.head(artifactLocation(storage.address.root, sha256)))
    if (object === null) return missing(artifact, storage.name)
    const { mainClass } = await askStorage(() => inspect(jars, store, object))
    return showArtifact(storage, { sha256, sizeBytes: object.sizeBytes, mainClass, existed: true })
  }

/** Only jars are kept there by us: something else was put there by somebody, or the store lost a part of it. */
const inspect = (jars: Jars, store: ObjectStore, object: StoredObject) =>
  jars.inspect(accessTo(store, object)).catch((error: unknown) => {
    if (!(error instanceof DomainError) || error.code !== 'ARTIFACT_INVALID') throw error
    throw new DomainError(
      'STORAGE_INCONSISTENT',
      `What the storage keeps is not what was uploaded. ${error.message}`,
      {
        cause: error,
      },
    )
  })

const accessTo = (store: ObjectStore, { location, sizeBytes }: StoredObject): RandomAccess => ({
  sizeBytes,
  async readRange(offset, length) {
    const bytes = await store.readRange(location, offset, length)
    if (bytes === null) throw new StorageError('not-found', 'The artifact went away while it was read')
    return bytes
  },
})

function missing(artifact: string, storage: string): never {
  throw new DomainError('NOT_FOUND', `There is no artifact ${artifact} in the storage ${storage}.`)
}
