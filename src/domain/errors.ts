/**
 * Every reason Tidemark gives has a stable code. `ErrorCode` answers a request, `FailureCode` stands on a failed
 * snapshot or attempt. Both lists are closed in the OpenAPI document; codes are only ever added.
 */
export const ERROR_CODES = [
  'VALIDATION_FAILED',
  'MALFORMED_BODY',
  'BODY_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'NOT_FOUND',
  'ROUTE_NOT_FOUND',
  'PAGE_TOKEN_INVALID',
  'NAME_TAKEN',
  'NAME_INVALID',
  'ALREADY_ATTACHED',
  'REFERENCE_NOT_FOUND',
  'IN_USE',
  'JOB_NOT_RUNNING',
  'JOB_AMBIGUOUS',
  'SAVEPOINT_IN_PROGRESS',
  'OBSERVE_ONLY',
  'CLUSTER_UNSUPPORTED',
  'CLUSTER_IDENTITY_CHANGED',
  'CLUSTER_UNREACHABLE',
  'CLUSTER_REFUSED',
  'CLUSTER_TOO_SLOW',
  'STORAGE_UNREACHABLE',
  'STORAGE_BUCKET_MISSING',
  'STORAGE_ACCESS_DENIED',
  'STORAGE_REFUSED',
  'STORAGE_INCONSISTENT',
  'STORAGE_NOT_ADDRESSABLE',
  'STORAGE_ROOT_OVERLAP',
  'STORAGE_ROOT_NOT_ALLOWED',
  'STORAGE_ROOT_IN_USE',
  'LOCATION_INVALID',
  'LOCATION_OUTSIDE_ROOT',
  'METADATA_MISSING',
  'METADATA_UNREADABLE',
  'NOTHING_SELECTED',
  'TOO_MANY_SELECTED',
  'SECRET_REFERENCE_INVALID',
  'SECRET_MISSING',
  'SNAPSHOT_IN_USE',
  'SNAPSHOT_NOT_PRESENT',
  'SNAPSHOT_PROTECTED',
  'FILES_OUTSIDE_PREFIX',
  'CLEARING_NOT_ENABLED',
  'RUN_STATE_UNKNOWN',
  'RUN_IS_LIVE',
  'OPERATION_IN_PROGRESS',
  'SCHEDULE_TOO_TIGHT',
  'VERSION_NOT_STARTABLE',
  'CLAIM_NOT_ALLOWED',
  'ARTIFACT_INVALID',
  'MANAGED_ELSEWHERE',
  'IDEMPOTENCY_KEY_REUSED',
  'IDEMPOTENCY_IN_PROGRESS',
  'PRECONDITION_FAILED',
  'TOO_MANY_REQUESTS',
  'OVERLOADED',
  'DATABASE_UNAVAILABLE',
  'INTERNAL',
] as const
export type ErrorCode = (typeof ERROR_CODES)[number]

/** One place in the request and what is wrong with it; `pointer` is an RFC 6901 JSON pointer such as `/body/url`. */
export type ErrorDetail = { pointer: string; detail: string }

export class DomainError extends Error {
  readonly code: ErrorCode
  readonly errors: readonly ErrorDetail[]
  /** Machine-readable extras of the problem document, e.g. the address of the savepoint in progress. */
  readonly extra: Readonly<Record<string, unknown>>

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      cause?: unknown
      errors?: readonly ErrorDetail[]
      extra?: Readonly<Record<string, unknown>>
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'DomainError'
    this.code = code
    this.errors = options.errors ?? []
    this.extra = options.extra ?? {}
  }
}

/** Flink did not answer the question: unreachable, too slow, electing a leader, or not speaking Flink. Ask again. */
export class FlinkUnavailableError extends Error {
  readonly kind:
    | 'unreachable'
    | 'timeout'
    | 'leader-election'
    | 'server-error'
    | 'unreadable'
    | 'unauthorized'

  /** false: it is certain that Flink executed nothing (connection refused, no leader). */
  readonly mayHaveArrived: boolean

  constructor(
    kind: FlinkUnavailableError['kind'],
    message: string,
    cause?: unknown,
    { mayHaveArrived = true }: { mayHaveArrived?: boolean } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'FlinkUnavailableError'
    this.kind = kind
    this.mayHaveArrived = mayHaveArrived
  }
}

/** Object storage did not do what was asked. Only `unreachable` may pass by itself. */
export class StorageError extends Error {
  readonly kind: 'unreachable' | 'bucket-missing' | 'access-denied' | 'refused' | 'not-found'

  constructor(kind: StorageError['kind'], message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'StorageError'
    this.kind = kind
  }
}
