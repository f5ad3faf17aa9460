/**
 * Whether the artifact of a new version is there. What can never be found is refused; a store that cannot be asked now
 * is a warning, for the start asks again.
 */
import type { Finding } from '../domain/checkpoint-settings.ts'
import { DomainError, type ErrorCode, StorageError } from '../domain/errors.ts'
import type { StorageRepository } from '../ports/resources.ts'
import type { Scope } from '../ports/scope.ts'
import { refuseInput } from './check-input.ts'
import { findStorage } from './find-resource.ts'
import { type ResolveArtifactPorts, resolveArtifact } from './resolve-artifact.ts'
import { within } from './within.ts'

export type CheckArtifactPorts = ResolveArtifactPorts & {
  storages: Pick<StorageRepository, 'find' | 'findContaining'>
}

/** A version is registered without waiting for all attempts at a store that does not answer. */
const MAX_WAIT_MS = 10_000
const NEVER_FOUND: readonly ErrorCode[] = ['REFERENCE_NOT_FOUND', 'LOCATION_INVALID', 'LOCATION_OUTSIDE_ROOT']
/** About the storage or this installation, not about what was sent. */
const NOT_ASKED: readonly ErrorCode[] = [
  'STORAGE_NOT_ADDRESSABLE',
  'STORAGE_ROOT_NOT_ALLOWED',
  'SECRET_REFERENCE_INVALID',
  'SECRET_MISSING',
]

/** `storageId`: where an uploaded artifact (`sha256:…`) is looked for. Throws DomainError with a pointer into the body. */
export async function checkArtifact(
  ports: CheckArtifactPorts,
  scope: Scope,
  { storageId, artifact }: { storageId: string; artifact: string },
): Promise<Finding[]> {
  const { name, address } = await findStorage(ports.storages, scope, storageId)
  try {
    const asked = resolveArtifact(ports, scope, { storage: { ...address, name }, artifact })
    const late = (await within(MAX_WAIT_MS, asked, 'late')) === 'late'
    return late ? [unchecked(`the storage did not answer within ${MAX_WAIT_MS} ms`)] : []
  } catch (error) {
    if (error instanceof DomainError && NEVER_FOUND.includes(error.code)) {
      return refuseInput('/artifact', error.message, error.code)
    }
    if (!isNotAsked(error)) throw error
    return [unchecked(error.message)]
  }
}

const unchecked = (why: string): Finding => ({
  code: 'ARTIFACT_UNCHECKED',
  message: `Whether the artifact is there could not be asked: ${why}`,
  pointers: ['/artifact'],
})

const isNotAsked = (error: unknown): error is Error =>
  error instanceof StorageError || (error instanceof DomainError && NOT_ASKED.includes(error.code))
