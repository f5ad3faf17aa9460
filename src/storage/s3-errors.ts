/** What an S3 store's errors mean to us. Only `unreachable` may pass by itself, so it is never a guess for the rest. */
import { S3ServiceException } from '@aws-sdk/client-s3'
import { DomainError, StorageError } from '../domain/errors.ts'

type Kind = StorageError['kind']

/** The store's own code says more than the HTTP status: an archived object is also a 403. */
const KIND_BY_CODE: Readonly<Record<string, Kind>> = {
  NoSuchBucket: 'bucket-missing',
  NoSuchKey: 'not-found',
  AccessDenied: 'access-denied',
  InvalidAccessKeyId: 'access-denied',
  SignatureDoesNotMatch: 'access-denied',
  ExpiredToken: 'access-denied',
  InvalidToken: 'access-denied',
  RequestTimeTooSkewed: 'access-denied',
  InvalidObjectState: 'refused',
  NotImplemented: 'refused',
  SlowDown: 'unreachable',
  RequestTimeout: 'unreachable',
  Throttling: 'unreachable',
}

const KIND_BY_STATUS: Readonly<Record<number, Kind>> = {
  401: 'access-denied',
  403: 'access-denied',
  404: 'not-found',
  408: 'unreachable',
  429: 'unreachable',
  501: 'refused',
}

const OVERLOAD_CODES = new Set(['SlowDown', 'RequestTimeout', 'Throttling', 'TimeoutError', 'AbortError'])
const OVERLOAD_STATUSES = new Set([408, 429, 503, 504])

export function toStorageError(doing: string, error: unknown): Error {
  if (error instanceof StorageError || error instanceof DomainError) return error
  const description = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return new StorageError(findKind(error), `${doing}: ${description}`.slice(0, 500), error)
}

function findKind(error: unknown): Kind {
  if (error instanceof S3ServiceException) return findServiceKind(error)
  if (!(error instanceof Error)) return 'refused'
  if (error.name === 'CredentialsProviderError') return 'access-denied'
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return 'unreachable'
  if (isUnreadable(error)) return 'unreachable'
  const code = 'code' in error && typeof error.code === 'string' ? error.code : null
  // a system, TLS or HTTP parser code is the connection's; ERR_INVALID_… is a request we built wrongly
  return code === null || code.startsWith('ERR_INVALID_') ? 'refused' : 'unreachable'
}

function findServiceKind(error: S3ServiceException): Kind {
  const status = error.$metadata.httpStatusCode ?? 0
  return KIND_BY_CODE[error.name] ?? KIND_BY_STATUS[status] ?? (status >= 500 ? 'unreachable' : 'refused')
}

/** An answer cut off on its way does not close its tags; the SDK's parser says so and nothing else. */
const isUnreadable = (error: Error): boolean => error.message.includes('XML parse error')

/** The store had too much to do in one request: the same request may succeed when it is smaller. */
export function isOverload(error: unknown): boolean {
  if (!(error instanceof StorageError) || !(error.cause instanceof Error)) return false
  const { cause } = error
  if (OVERLOAD_CODES.has(cause.name)) return true
  return cause instanceof S3ServiceException && OVERLOAD_STATUSES.has(cause.$metadata.httpStatusCode ?? 0)
}

export const isNotFound = (error: unknown): error is StorageError =>
  error instanceof StorageError && error.kind === 'not-found'

/** `NoSuchKey` in the answer's body proves the bucket too; a bare 404 (every HEAD) does not. */
export const namesMissingKey = (error: StorageError): boolean =>
  error.cause instanceof Error && error.cause.name === 'NoSuchKey'

/** `offset` lies at or beyond the end of the object. */
export const isBeyondEnd = (error: unknown): boolean =>
  error instanceof StorageError &&
  error.cause instanceof S3ServiceException &&
  (error.cause.name === 'InvalidRange' || error.cause.$metadata.httpStatusCode === 416)
