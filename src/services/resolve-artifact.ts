/**
 * From what a version says of its artifact to bytes: `sha256:<hex>` is looked for in the storage of the job, anything
 * else must lie inside a storage of the namespace. Used when a version is registered and again when it is started: in
 * between a jar may have gone.
 */
import { artifactLocation, parseArtifact } from '../domain/artifact.ts'
import { DomainError } from '../domain/errors.ts'
import { type Location, locationKey } from '../domain/location.ts'
import type { StorageRepository } from '../ports/resources.ts'
import type { Scope } from '../ports/scope.ts'
import type { ObjectStore, ObjectStores, StorageAddress, StoredObject } from '../ports/storage.ts'

export type ResolveArtifactPorts = {
  storages: Pick<StorageRepository, 'findContaining'>
  stores: Pick<ObjectStores, 'of'>
}
export type ResolvedArtifact = {
  /** Ends in `.jar`. The same name means the same content, as far as the store tells. */
  name: string
  sizeBytes: number
  /** Throws StorageError. */
  read: () => AsyncIterable<Uint8Array>
}
type Place = { store: ObjectStore; location: Location; sha256: string | null }

/**
 * Throws DomainError REFERENCE_NOT_FOUND when the artifact is proven missing; LOCATION_INVALID, LOCATION_OUTSIDE_ROOT
 * and STORAGE_NOT_ADDRESSABLE when it can never be found; StorageError (or SECRET_…) when the store could not be asked.
 */
export async function resolveArtifact(
  ports: ResolveArtifactPorts,
  scope: Scope,
  { storage, artifact }: { storage: StorageAddress & { name: string }; artifact: string },
): Promise<ResolvedArtifact> {
  const place = await findPlace(ports, scope, storage, artifact)
  const object = await place.store.head(place.location)
  if (object === null) {
    const where =
      place.sha256 === null ? '' : ` in the storage ${storage.name}: upload it with POST /v1/artifacts`
    throw new DomainError('REFERENCE_NOT_FOUND', `There is no artifact ${quote(artifact)}${where}.`)
  }
  return {
    name: `${place.sha256 ?? (await nameOf(object))}.jar`,
    sizeBytes: object.sizeBytes,
    read: () => place.store.read(place.location),
  }
}

async function findPlace(
  { storages, stores }: ResolveArtifactPorts,
  scope: Scope,
  storage: StorageAddress,
  artifact: string,
): Promise<Place> {
  const reference = parseArtifact(artifact)
  if (reference.kind === 'content') {
    const location = artifactLocation(storage.root, reference.sha256)
    return { store: stores.of(storage), location, sha256: reference.sha256 }
  }
  const containing = await storages.findContaining(scope, reference.location)
  if (!containing) {
    throw new DomainError(
      'LOCATION_OUTSIDE_ROOT',
      `${quote(artifact)} lies inside no storage of this namespace.`,
    )
  }
  return { store: stores.of(containing.address), location: reference.location, sha256: null }
}

/** A location may hold another jar tomorrow, so its size and time are part of the name. */
async function nameOf({ location, sizeBytes, modifiedAt }: StoredObject): Promise<string> {
  const identity = [locationKey(location), sizeBytes, modifiedAt?.toISOString() ?? ''].join('\n')
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(identity))
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

const quote = (artifact: string): string => JSON.stringify(artifact.slice(0, 200))
