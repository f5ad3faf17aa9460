/** A store that did not do what was asked, as the answer to a request that needed it. */
import { DomainError, type ErrorCode, StorageError } from '../domain/errors.ts'

export const STORAGE_CODES: Record<StorageError['kind'], ErrorCode> = {
  unreachable: 'STORAGE_UNREACHABLE',
  'bucket-missing': 'STORAGE_BUCKET_MISSING',
  'access-denied': 'STORAGE_ACCESS_DENIED',
  refused: 'STORAGE_REFUSED',
  'not-found': 'STORAGE_INCONSISTENT',
}

/** What `ask` answers; throws the DomainError that says why the store could not be asked. */
export async function askStorage<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  try {
    return await ask()
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
    throw new DomainError(STORAGE_CODES[error.kind], error.message, { cause: error })
  }
}
