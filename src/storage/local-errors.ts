import { DomainError, StorageError } from '../domain/errors.ts'

export const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'UNKNOWN'

/** Nothing is there under this name: a path through a file has nothing below it either. */
export const isMissing = (error: unknown): boolean =>
  codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR'

const KIND_BY_CODE: Readonly<Record<string, StorageError['kind']>> = {
  EACCES: 'access-denied',
  EPERM: 'access-denied',
  EROFS: 'access-denied',
  EIO: 'unreachable',
  ESTALE: 'unreachable',
  ETIMEDOUT: 'unreachable',
  EBUSY: 'unreachable',
  EMFILE: 'unreachable',
  ENFILE: 'unreachable',
  ENOSPC: 'unreachable',
}

export function toLocalError(error: unknown): Error {
  if (error instanceof StorageError || error instanceof DomainError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new StorageError(KIND_BY_CODE[codeOf(error)] ?? 'refused', message.slice(0, 500), error)
}
