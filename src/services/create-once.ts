import { DomainError } from '../domain/errors.ts'
import type { Inserted } from '../ports/scope.ts'
import type { Created } from './api.ts'

/** The resource that an insert came to: the new one, or the current state of the first request's. */
export async function readCreated<Resource>(
  inserted: Inserted,
  newId: string,
  read: (id: string) => Promise<Resource>,
): Promise<Created<Resource>> {
  if (inserted.kind === 'key-reused') throw keyReused()
  const replayed = inserted.kind === 'replayed'
  return { resource: await read(replayed ? inserted.id : newId), replayed }
}

export const keyReused = (): DomainError =>
  new DomainError(
    'IDEMPOTENCY_KEY_REUSED',
    'This Idempotency-Key was used in the last 24 hours for a different request.',
  )
