/** A store that did not do what was asked, as the answer to a request that needed it. */
import { DomainError, type ErrorCode, StorageError } from '../domain/errors.ts'

const STORAGE_CODES: Record<StorageError['kind'], ErrorCode> = {
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

/** The stable code of an error that is an answer; null for what nobody foresaw. */
export function codeOf(error: unknown): ErrorCode | null {
  if (error instanceof StorageError) return STORAGE_CODES[error.kind]
  return error instanceof DomainError ? error.code : null
}

/** The store, or what leads to it, said no: nothing is known of what lies there. Anything else is a bug of ours. */
export const isRefusal = (error: unknown): error is StorageError | DomainError =>
  error instanceof StorageError ||
  (error instanceof DomainError && /^(STORAGE|SECRET|LOCATION)_/.test(error.code))

/** The store may answer the next time. */
export const isPassing = (error: StorageError | DomainError): boolean =>
  codeOf(error) === 'STORAGE_UNREACHABLE'
