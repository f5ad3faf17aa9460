/**
 * The one table from a code to its HTTP status and its title (RFC 9457: a title never changes from one occurrence to
 * the next). A code that bad input alone can cause is never a 5xx.
 */
import type { ErrorCode, ErrorDetail } from '../domain/errors.ts'

export const PROBLEM_MEDIA_TYPE = 'application/problem+json'

type ProblemStatus = 400 | 401 | 403 | 404 | 409 | 412 | 413 | 415 | 422 | 429 | 500 | 502 | 503 | 504
type ProblemKind = { status: ProblemStatus; title: string; retryAfterSeconds?: number }

export const PROBLEM_KINDS: Readonly<Record<ErrorCode, ProblemKind>> = {
  VALIDATION_FAILED: { status: 400, title: 'The request does not have the right shape' },
  MALFORMED_BODY: { status: 400, title: 'The request body is not readable JSON' },
  PAGE_TOKEN_INVALID: { status: 400, title: 'The page token is not one of ours' },
  NAME_INVALID: { status: 400, title: 'The name is not allowed' },
  LOCATION_INVALID: { status: 400, title: 'The location cannot be used' },
  LOCATION_OUTSIDE_ROOT: { status: 400, title: 'The location lies outside the root of its storage' },
  SECRET_REFERENCE_INVALID: {
    status: 400,
    title: 'The secret reference names nothing this namespace may use',
  },
  ARTIFACT_INVALID: { status: 400, title: 'The artifact is not a jar' },
  UNAUTHENTICATED: { status: 401, title: 'A valid bearer token is needed' },
  FORBIDDEN: { status: 403, title: 'The caller may not do this' },
  STORAGE_ROOT_NOT_ALLOWED: { status: 403, title: 'The installation does not allow this storage root' },
  NOT_FOUND: { status: 404, title: 'No such resource' },
  ROUTE_NOT_FOUND: { status: 404, title: 'No such route' },
  REFERENCE_NOT_FOUND: { status: 404, title: 'The request names a resource that does not exist' },
  NAME_TAKEN: { status: 409, title: 'The name is taken' },
  ALREADY_ATTACHED: { status: 409, title: 'Another job is attached to the same Flink job' },
  IN_USE: { status: 409, title: 'The resource is in use' },
  JOB_NOT_RUNNING: { status: 409, title: 'The job is not running' },
  JOB_AMBIGUOUS: { status: 409, title: 'More than one live Flink job has this name' },
  SAVEPOINT_IN_PROGRESS: { status: 409, title: 'A savepoint of this job is in progress' },
  OBSERVE_ONLY: { status: 409, title: 'The cluster is only observed' },
  CLUSTER_UNSUPPORTED: { status: 409, title: 'The cluster cannot do this' },
  CLUSTER_IDENTITY_CHANGED: { status: 409, title: 'Another cluster answers at this address' },
  STORAGE_BUCKET_MISSING: { status: 409, title: 'The bucket or directory of the storage does not exist' },
  STORAGE_ACCESS_DENIED: { status: 409, title: 'The storage refuses our credentials' },
  STORAGE_REFUSED: { status: 409, title: 'The storage refused the request' },
  STORAGE_INCONSISTENT: { status: 409, title: 'The storage does not keep what it is told' },
  STORAGE_NOT_ADDRESSABLE: { status: 409, title: 'The storage is reachable only through Flink' },
  STORAGE_ROOT_OVERLAP: { status: 409, title: 'The storage root overlaps another one' },
  STORAGE_ROOT_IN_USE: { status: 409, title: 'The storage root is in use and cannot change' },
  METADATA_MISSING: { status: 409, title: 'There is no _metadata at this location' },
  METADATA_UNREADABLE: { status: 409, title: 'The _metadata at this location is not one of Flink' },
  NOTHING_SELECTED: { status: 409, title: 'No job matches the selection' },
  TOO_MANY_SELECTED: { status: 409, title: 'More jobs match the selection than one operation takes' },
  SECRET_MISSING: { status: 409, title: 'The secret is not set in this installation' },
  SNAPSHOT_IN_USE: { status: 409, title: 'The snapshot is in use' },
  SNAPSHOT_NOT_PRESENT: { status: 409, title: 'The snapshot has no data that can be read' },
  SNAPSHOT_PROTECTED: { status: 409, title: 'The snapshot is protected' },
  FILES_OUTSIDE_PREFIX: { status: 409, title: 'Files of the snapshot lie outside the prefix we own' },
  CLEARING_NOT_ENABLED: { status: 409, title: 'The storage does not let checkpoints and orphans be cleared' },
  RUN_STATE_UNKNOWN: { status: 409, title: 'The state of the last run is not known' },
  RUN_IS_LIVE: { status: 409, title: 'The run is live' },
  OPERATION_IN_PROGRESS: { status: 409, title: 'Another operation of this job is in progress' },
  SCHEDULE_TOO_TIGHT: { status: 409, title: 'Savepoints of the job take too long for the schedule' },
  VERSION_NOT_STARTABLE: { status: 409, title: 'The version cannot be started' },
  CLAIM_NOT_ALLOWED: { status: 409, title: 'The snapshot cannot be claimed' },
  MANAGED_ELSEWHERE: { status: 409, title: 'Someone else starts and stops this job' },
  IDEMPOTENCY_IN_PROGRESS: {
    status: 409,
    title: 'The first request with this Idempotency-Key is still being accepted',
    retryAfterSeconds: 1,
  },
  PRECONDITION_FAILED: { status: 412, title: 'The resource has changed since it was read' },
  BODY_TOO_LARGE: { status: 413, title: 'The request body is too large' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, title: 'The request body has a media type that is not read here' },
  IDEMPOTENCY_KEY_REUSED: { status: 422, title: 'The Idempotency-Key was used with another body' },
  TOO_MANY_REQUESTS: { status: 429, title: 'Too many requests', retryAfterSeconds: 5 },
  INTERNAL: { status: 500, title: 'Tidemark failed' },
  CLUSTER_REFUSED: { status: 502, title: 'Flink refused the request' },
  CLUSTER_UNREACHABLE: { status: 503, title: 'The cluster cannot be reached', retryAfterSeconds: 10 },
  STORAGE_UNREACHABLE: { status: 503, title: 'The storage cannot be reached', retryAfterSeconds: 10 },
  OVERLOADED: { status: 503, title: 'Tidemark is overloaded', retryAfterSeconds: 5 },
  DATABASE_UNAVAILABLE: { status: 503, title: 'The database cannot be reached', retryAfterSeconds: 5 },
  CLUSTER_TOO_SLOW: { status: 504, title: 'The cluster did not answer in time', retryAfterSeconds: 10 },
}

/** An RFC 9457 problem document; further members are the `extra` of the DomainError. */
export type ProblemDocument = {
  type: string
  title: string
  status: number
  detail: string
  code: ErrorCode
  requestId: string
  errors: ErrorDetail[]
  [extra: string]: unknown
}

export const problemType = (code: ErrorCode): string =>
  `urn:tidemark:problem:${code.toLowerCase().replaceAll('_', '-')}`
