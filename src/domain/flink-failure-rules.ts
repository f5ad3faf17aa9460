/**
 * Flink's failure texts. Flink has no error codes and the outermost class is often a wrapper, so we search the text
 * (`flink-rest-api.md` §7, `real-flink.md` §5; RT = flink-runtime/src/main/java/org/apache/flink/runtime, the reasons are in
 * RT/checkpoint/CheckpointFailureReason). The first row that matches wins.
 */
import type { FailureCode, FailureRetry } from './failure-codes.ts'

export type Verdict = { code: FailureCode; retry: FailureRetry }
type Rule = Verdict & { pattern: RegExp; unless?: RegExp }

export function findVerdict(rules: readonly Rule[], text: string): Verdict | null {
  const rule = rules.find(({ pattern, unless }) => pattern.test(text) && !unless?.test(text))
  return rule === undefined ? null : { code: rule.code, retry: rule.retry }
}

/** Synchronous part of a snapshot (RT state StreamOperatorStateHandler): the operator's own code threw. */
export const OPERATOR_SNAPSHOT = /Could not complete snapshot \d+ for operator/
/** Flink's own checkpoint streams: a storage error under them is about the savepoint's storage, not the user's sink. */
export const CHECKPOINT_STREAMS =
  /FsCheckpointStreamFactory|CheckpointStateOutputStream|FsCheckpointStorage|FsCheckpointMetadata/

export const LOST_TASKMANAGER: Rule = {
  code: 'TASKMANAGER_LOST',
  retry: 'now-or-later',
  // JobMaster.TaskManagerHeartbeatListener, CreditBasedPartitionRequestClientHandler, PartitionRequestClientFactory,
  // TaskExecutor.onStop, ResourceManager.onWorkerTerminated, SlotPool
  pattern:
    /TaskManager with id [^\n]{0,300}(?:timed out|no longer reachable)|remote task manager (?:was|has been) lost|closed by remote task manager|Lost connection to task manager|The TaskExecutor is shutting down|The assigned slot [^\n]{0,200} was removed|Pod terminated, container termination statuses/i,
}

/** Why a snapshot of a task failed; also read from the job's exceptions. */
export const SNAPSHOT_RULES: readonly Rule[] = [
  {
    code: 'FORMAT_UNSUPPORTED', // StreamTask.checkSavepointFormat: "Configured state backend (…) does not support NATIVE savepoints"
    retry: 'never',
    pattern: /does not support \w{1,30} savepoints/i,
  },
  { code: 'TASK_FAILED_SNAPSHOT', retry: 'never', pattern: OPERATOR_SNAPSHOT, unless: CHECKPOINT_STREAMS },
  {
    code: 'FLINK_STORAGE_BUCKET_MISSING',
    retry: 'never',
    pattern:
      /NoSuchBucket|specified bucket does not exist|Bucket [^\n]{0,200}does not exist|UnknownStoreException/i,
  },
  {
    code: 'FLINK_STORAGE_ACCESS_DENIED',
    retry: 'never',
    pattern:
      /AccessDenied|Access Denied|AccessControlException|Status Code: 40[13]\b|InvalidAccessKeyId|SignatureDoesNotMatch|Permission denied|NoAuthWithAWSException|No AWS Credentials/i,
  },
  {
    code: 'FLINK_STORAGE_IO',
    retry: 'never', // "after a fix": the same directory would fail again
    pattern:
      /IO-problem detected|Failed to create savepoint directory|Could not (?:flush|open output stream)[^\n]{0,100}(?:stream|backend)|Could not find a file system implementation|No FileSystem for scheme|No space left on device/,
  },
  {
    code: 'FLINK_STORAGE_IO', // `_metadata` could not be written
    retry: 'now-or-later',
    pattern: /Failure to finalize checkpoint/,
  },
  {
    code: 'TASK_FAILED_SNAPSHOT',
    retry: 'never', // a task-level failure counts against the job's tolerable failures: repeating may restart the job
    pattern:
      /Could not (?:complete snapshot|materialize checkpoint|perform checkpoint)|Asynchronous task checkpoint failed|Task local checkpoint failure|other subtasks sharing the ChannelState file/,
  },
  {
    code: 'CHECKPOINT_DECLINED',
    retry: 'never',
    pattern:
      /Checkpoint was declined|Checkpoint was canceled because a barrier|Task received cancellation from one of its inputs|Task does not support checkpointing/,
  },
]

/** RT/checkpoint/CheckpointFailureReason, RT/dispatcher/Dispatcher, RT/rest/handler/job/savepoints. */
export const RULES: readonly Rule[] = [
  LOST_TASKMANAGER,
  { code: 'JOB_NOT_FOUND', retry: 'never', pattern: /Could not find Flink job|FlinkJobNotFoundException/ },
  { code: 'NOT_A_STREAMING_JOB', retry: 'never', pattern: /is not a streaming job/ },
  {
    code: 'NO_SAVEPOINT_DIRECTORY',
    retry: 'never',
    pattern: /No savepoint directory configured|Config key \[[^\]]{1,200}\] is not set/,
  },
  {
    code: 'TOO_MANY_REQUESTS',
    retry: 'now-or-later',
    pattern: /maximum number of (?:queued|concurrent) checkpoint/,
  },
  {
    code: 'TASKS_NOT_RUNNING',
    retry: 'now-or-later',
    pattern:
      /Not all required tasks are currently running|is not being executed at the moment|Flink job is currently not executing|for initializing job|Checkpoint was declined \(tasks not ready\)/,
  },
  // Never: the same savepoint would expire again, and each one stops the checkpoints for as long as it runs.
  { code: 'CHECKPOINT_EXPIRED', retry: 'never', pattern: /Checkpoint expired before completing/ },
  {
    code: 'BATCH_PART_RUNNING',
    retry: 'now-or-later',
    pattern: /Blocking output edge exists in running tasks/,
  },
  ...SNAPSHOT_RULES,
  {
    code: 'JOBMANAGER_LOST', // RT/rpc/exceptions, RT/jobmaster/JobMasterServiceLeadershipRunner, Dispatcher.onStop
    retry: 'now-or-later',
    pattern:
      /RecipientUnreachableException|FencingTokenException|AkkaRpcException|JobMaster [^\n]{0,200}(?:has been stopped|is shutting down)|lost (?:the )?leadership|JobManager (?:is shutting down|was lost)|JobNotFinishedException|had already been terminated|not the leader/i,
  },
  { code: 'JOB_NOT_RUNNING', retry: 'never', pattern: /FlinkJobTerminatedWithoutCancellationException/ },
]

/**
 * The attempt ended with the execution it ran in. With an exception of the job since we asked the exception is the reason;
 * the verdict here stands when there is none.
 */
export const INTERRUPTED: readonly Rule[] = [
  { code: 'RESCALED', retry: 'after-rescale', pattern: /Checkpoint Coordinator is suspending/ },
  // The coordinator shuts down when its job has ended: RT/checkpoint/CheckpointCoordinator.shutdown
  { code: 'JOB_NOT_RUNNING', retry: 'never', pattern: /CheckpointCoordinator shutdown/ },
  {
    code: 'JOB_FAILED_DURING_SAVEPOINT',
    retry: 'never',
    pattern: /FailoverRegion is restarting|Task has failed\.|The job has failed\./,
  },
]

/** RT/scheduler/stopwithsavepoint/StopWithSavepointStoppingException: the savepoint exists, the stop failed. */
export const STOPPED_WITH_SAVEPOINT: Rule = {
  code: 'JOB_FAILED_WHILE_STOPPING',
  retry: 'never',
  pattern: /A savepoint has been created at: /,
}
