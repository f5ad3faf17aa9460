/** Why a snapshot or an attempt failed. The list is closed in the API document and only ever grows. */
export const FAILURE_CODES = [
  'TASKS_NOT_RUNNING',
  'TOO_MANY_REQUESTS',
  'JOBMANAGER_LOST',
  'BATCH_PART_RUNNING',
  'CHECKPOINT_EXPIRED',
  'CHECKPOINT_DECLINED',
  'TASK_FAILED_SNAPSHOT',
  'JOB_NOT_FOUND',
  'JOB_NOT_RUNNING',
  'JOB_FAILED_DURING_SAVEPOINT',
  'TASKMANAGER_LOST',
  'RESCALED',
  'FLINK_STORAGE_ACCESS_DENIED',
  'FLINK_STORAGE_BUCKET_MISSING',
  'FLINK_STORAGE_IO',
  'NO_SAVEPOINT_DIRECTORY',
  'NOT_A_STREAMING_JOB',
  'FORMAT_UNSUPPORTED',
  'JOB_FAILED_WHILE_STOPPING',
  'RUN_LOST',
  'FLINK_REFUSED',
  // Found before Flink is asked
  'JOB_AMBIGUOUS',
  'OBSERVE_ONLY',
  'CLUSTER_IDENTITY_CHANGED',
  'CLUSTER_UNSUPPORTED',
  'STORAGE_BUCKET_MISSING',
  'STORAGE_ACCESS_DENIED',
  'STORAGE_REFUSED',
  'UNCLASSIFIED',
] as const
export type FailureCode = (typeof FAILURE_CODES)[number]

/** `after-rescale`: once all tasks have run 60 s, as an attempt that does not count (`product.md` §3). */
export type FailureRetry = 'now-or-later' | 'after-rescale' | 'never'

/** Why, in a code and in words. */
export type Reason = { code: FailureCode; message: string }

/** Why a start FAILED, beside what Flink says of it (`start-failure.ts`) and what the resolver refuses with (DECISION_CODES). */
export const START_FAILED_CODES = [
  // Found before Flink is asked
  'OBSERVE_ONLY',
  'CLUSTER_IDENTITY_CHANGED',
  'CLUSTER_UNSUPPORTED',
  'RUN_IS_LIVE',
  'RUN_STATE_UNKNOWN',
  'VERSION_NOT_STARTABLE',
  'CLAIM_NOT_ALLOWED',
  'ARTIFACT_INVALID',
  'NOT_FOUND',
  'REFERENCE_NOT_FOUND',
  'LOCATION_INVALID',
  'LOCATION_OUTSIDE_ROOT',
  'STORAGE_NOT_ADDRESSABLE',
  'CLUSTER_REFUSED',
  // Found afterwards
  'START_TIMEOUT',
  'START_UNANSWERED',
  'START_CANCELED',
  'RUN_LOST',
] as const
export type StartFailedCode = (typeof START_FAILED_CODES)[number]

/** Why a stop FAILED, beside what its savepoint failed with (FAILURE_CODES). */
export const STOP_FAILED_CODES = [
  // Found before Flink is asked
  'OBSERVE_ONLY',
  'CLUSTER_IDENTITY_CHANGED',
  'CLUSTER_UNSUPPORTED',
  'JOB_AMBIGUOUS',
  'JOB_NOT_RUNNING',
  'SAVEPOINT_IN_PROGRESS',
  // Found afterwards
  'STOP_TIMEOUT',
  'STOP_FAILED',
  'FLINK_REFUSED',
  'RUN_LOST',
] as const
export type StopFailedCode = (typeof STOP_FAILED_CODES)[number]

/** What a stop that SUCCEEDED warns of. */
export const STOP_WARNING_CODES = ['ALREADY_ENDED', 'ENDED_DIFFERENTLY', 'NO_SAVEPOINT'] as const
export type StopWarningCode = (typeof STOP_WARNING_CODES)[number]

/** Why a copy FAILED, beside what its storages refuse with. */
export const COPY_FAILED_CODES = [
  'COPY_NOT_POSSIBLE',
  'SOURCE_GONE',
  'SOURCE_DAMAGED',
  'COPY_TIMEOUT',
  'METADATA_UNREADABLE',
  'REFERENCE_NOT_FOUND',
  'STORAGE_NOT_ADDRESSABLE',
  'STORAGE_BUCKET_MISSING',
  'STORAGE_ACCESS_DENIED',
  'STORAGE_REFUSED',
  'STORAGE_INCONSISTENT',
  'STORAGE_ROOT_NOT_ALLOWED',
  'LOCATION_INVALID',
  'LOCATION_OUTSIDE_ROOT',
  'SECRET_REFERENCE_INVALID',
  'SECRET_MISSING',
] as const
export type CopyFailedCode = (typeof COPY_FAILED_CODES)[number]

/** Why an audit FAILED, beside what its storage refuses with. */
export const AUDIT_FAILED_CODES = [
  'AUDIT_TIMEOUT',
  'REFERENCE_NOT_FOUND',
  'STORAGE_BUCKET_MISSING',
  'STORAGE_ACCESS_DENIED',
  'STORAGE_REFUSED',
] as const
