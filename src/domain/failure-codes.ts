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
