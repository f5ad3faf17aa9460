import { describe, expect, it } from 'vitest'
import { FAILURE_CODES } from '../../src/domain/failure-codes.ts'
import type { FlinkFailure, JobException } from '../../src/domain/flink.ts'
import {
  classifyFailure,
  classifyRefusal,
  rootCause,
  savepointPathFrom,
} from '../../src/domain/flink-failure.ts'
import { parseCauses, shortenTrace } from '../../src/domain/stack-trace.ts'

const FRAMES = `
\tat org.apache.flink.runtime.checkpoint.CheckpointCoordinator.onTriggerFailure(CheckpointCoordinator.java:1012)
\tat java.base/java.util.concurrent.CompletableFuture.uniHandle(CompletableFuture.java:934)
\t... 26 more`
const chain = (...headers: string[]): string => headers.map((header) => header + FRAMES).join('\nCaused by: ')

const CHECKPOINT = 'org.apache.flink.runtime.checkpoint.CheckpointException'
const COMPLETION = 'java.util.concurrent.CompletionException'
const THROWABLE = 'org.apache.flink.util.SerializedThrowable'
/** What Flink answers: the reason behind a CompletionException whose message is the cause's own words. */
const failing = (reason: string): FlinkFailure => ({
  className: COMPLETION,
  text: chain(`${COMPLETION}: ${CHECKPOINT}: ${reason}`, `${CHECKPOINT}: ${reason}`),
})
const exception = (text: string, at = 1_000): JobException => ({
  at,
  exceptionName: text.slice(0, text.indexOf(':')),
  text,
  taskName: null,
  taskManagerId: null,
})
const classify = (failure: FlinkFailure, ...exceptionsSince: JobException[]) =>
  classifyFailure(failure, { exceptionsSince })

const SUSPENDED = failing('Checkpoint Coordinator is suspending.')
const OPERATOR_FAILED = exception(
  chain(
    'java.io.IOException: Could not perform checkpoint 8 for operator counter (1/1)#0.',
    `${CHECKPOINT}: Could not complete snapshot 8 for operator counter (1/1)#0. Failure reason: Checkpoint was declined.`,
    `${THROWABLE}: java.lang.IllegalStateException: the ledger is locked`,
  ),
)
const HEARTBEAT_LOST = exception(
  chain(
    'java.util.concurrent.TimeoutException: Heartbeat of TaskManager with id 10.0.0.7:6122-a1b2 timed out.',
  ),
)

describe('the texts of flink-rest-api.md §7', () => {
  const job = '0123456789abcdef0123456789abcdef'
  it.each([
    [
      'TASKS_NOT_RUNNING',
      'now-or-later',
      `Checkpoint triggering task Source: a (1/2) of job ${job} is not being executed at the moment. Aborting checkpoint. Failure reason: Not all required tasks are currently running.`,
    ],
    [
      'TASKS_NOT_RUNNING',
      'now-or-later',
      'The Flink job is currently not executing. Failure reason: Trigger checkpoint failure.',
    ],
    [
      'TASKS_NOT_RUNNING',
      'now-or-later',
      'Unable to get JobMasterGateway for initializing job. The requested operation is not available while the JobManager is initializing.',
    ],
    ['TOO_MANY_REQUESTS', 'now-or-later', 'The maximum number of queued checkpoint requests exceeded'],
    ['CHECKPOINT_EXPIRED', 'never', 'Checkpoint expired before completing.'],
    ['CHECKPOINT_DECLINED', 'never', 'Checkpoint was declined because one input stream is finished'],
    ['TASK_FAILED_SNAPSHOT', 'never', 'Asynchronous task checkpoint failed.'],
    [
      'FLINK_STORAGE_IO',
      'never',
      'An Exception occurred while triggering the checkpoint. IO-problem detected.',
    ],
    ['FLINK_STORAGE_IO', 'now-or-later', 'Failure to finalize checkpoint.'],
    [
      'NO_SAVEPOINT_DIRECTORY',
      'never',
      'No savepoint directory configured. You can either specify a directory while cancelling',
    ],
    ['BATCH_PART_RUNNING', 'now-or-later', 'Blocking output edge exists in running tasks.'],
    ['NOT_A_STREAMING_JOB', 'never', `Job ${job} is not a streaming job.`],
    ['JOB_NOT_FOUND', 'never', `Could not find Flink job (${job})`],
    ['JOB_NOT_RUNNING', 'never', 'CheckpointCoordinator shutdown.'],
    ['JOB_FAILED_DURING_SAVEPOINT', 'never', 'FailoverRegion is restarting.'],
    [
      'FORMAT_UNSUPPORTED',
      'never',
      'Configured state backend (ForStStateBackend) does not support CANONICAL savepoints',
    ],
    [
      'JOBMANAGER_LOST',
      'now-or-later',
      'Could not send message, RecipientUnreachableException: because the recipient is unreachable.',
    ],
    ['UNCLASSIFIED', 'never', 'Something nobody has seen before'],
  ] as const)('%s, retry %s: %s', (code, retry, reason) => {
    const classified = classify(failing(reason))
    expect(classified).toMatchObject({ code, retry })
    expect(classified.message).toBe(reason)
    expect(FAILURE_CODES).toContain(code)
  })

  it('finds the reason behind a task name of ten thousand characters', () => {
    const sql = 'Calc(select=[a, b, c])'.repeat(500)
    const failure = failing(
      `Checkpoint triggering task ${sql} (1/2) of job ${job} is stopped. Failure reason: Not all required tasks are currently running.`,
    )
    failure.text += `\n${'\tat com.acme.Frame.run(Frame.java:1)\n'.repeat(2_000)}`
    expect(classify(failure).code).toBe('TASKS_NOT_RUNNING')
    expect(classify(failure).message.length).toBeLessThanOrEqual(1_000)
  })

  it('calls a refused trigger by its reason, and FLINK_REFUSED when it has no known one', () => {
    const unset =
      'org.apache.flink.runtime.rest.handler.RestHandlerException: Config key [state.savepoints.dir] is not set. Property [target-directory] must be provided.'
    expect(classifyRefusal({ httpStatus: 400, text: unset }).code).toBe('NO_SAVEPOINT_DIRECTORY')
    const odd = classifyRefusal({ httpStatus: 400, text: 'Request did not match expected format X.' })
    expect(odd).toEqual({
      code: 'FLINK_REFUSED',
      retry: 'never',
      message: 'Flink refused with 400: Request did not match expected format X.',
    })
  })
})

describe('storage failures of Flink', () => {
  it.each([
    [
      'FLINK_STORAGE_ACCESS_DENIED',
      'java.nio.file.AccessDeniedException: s3a://b/sp: getFileStatus: Forbidden (Service: Amazon S3; Status Code: 403)',
    ],
    [
      'FLINK_STORAGE_BUCKET_MISSING',
      'com.amazonaws.services.s3.model.AmazonS3Exception: The specified bucket does not exist (Service: Amazon S3; Status Code: 404; Error Code: NoSuchBucket)',
    ],
    ['FLINK_STORAGE_IO', 'java.io.IOException: Mkdirs failed to create file:/data/x'],
  ])('%s under "Failed to create savepoint directory"', (code, cause) => {
    const text = chain(
      `${CHECKPOINT}: An Exception occurred while triggering the checkpoint. IO-problem detected.`,
      'java.io.IOException: Failed to create savepoint directory at s3a://b/sp',
      cause,
    )
    const classified = classify({ className: CHECKPOINT, text })
    expect(classified).toEqual({ code, retry: 'never', message: cause })
  })

  it("does not blame the storage for the user's own permission problem in snapshotState", () => {
    const text = chain(
      `${CHECKPOINT}: Could not complete snapshot 3 for operator sink (1/1)#0. Failure reason: Checkpoint was declined.`,
      `${THROWABLE}: com.acme.LedgerException: Permission denied for table ledger`,
    )
    expect(classify({ className: CHECKPOINT, text }).code).toBe('TASK_FAILED_SNAPSHOT')
  })
})

describe('Checkpoint Coordinator is suspending.', () => {
  it('without an exception of the job is a rescale', () => {
    const classified = classify(SUSPENDED)
    expect(classified).toMatchObject({ code: 'RESCALED', retry: 'after-rescale' })
    expect(classified.message).toContain('Checkpoint Coordinator is suspending.')
  })

  it("with one is the job's own failure, told down to the user's exception, and never repeated", () => {
    expect(classify(SUSPENDED, OPERATOR_FAILED)).toEqual({
      code: 'TASK_FAILED_SNAPSHOT',
      retry: 'never',
      message:
        'java.lang.IllegalStateException: the ledger is locked (Could not perform checkpoint 8 for operator counter (1/1)#0)',
    })
  })

  it('is worth another attempt when the exception names a lost TaskManager', () => {
    const lost = exception(
      "org.apache.flink.runtime.io.network.netty.exception.RemoteTransportException: Connection unexpectedly closed by remote task manager '10.0.0.7/10.0.0.7:41233'. This might indicate that the remote task manager was lost.",
    )
    const noLonger = exception(
      'org.apache.flink.runtime.jobmaster.JobMasterException: TaskManager with id tm-1 is no longer reachable.',
    )
    for (const cause of [HEARTBEAT_LOST, lost, noLonger]) {
      expect(classify(SUSPENDED, cause)).toMatchObject({ code: 'TASKMANAGER_LOST', retry: 'now-or-later' })
    }
    expect(classify(SUSPENDED, HEARTBEAT_LOST).message).toContain(
      'Heartbeat of TaskManager with id 10.0.0.7:6122-a1b2 timed out.',
    )
  })

  it('is explained by the first exception since we asked, not by what failed after it', () => {
    const noSlots = exception(
      'org.apache.flink.runtime.jobmanager.scheduler.NoResourceAvailableException: Could not acquire the minimum required resources.',
      9_000,
    )
    expect(classify(SUSPENDED, noSlots, HEARTBEAT_LOST).code).toBe('TASKMANAGER_LOST')
  })

  it('leaves a failure outside any snapshot to the job, whatever it was denied', () => {
    const denied = exception('com.acme.SourceException: Access Denied (Service: Kinesis; Status Code: 403)')
    expect(classify(SUSPENDED, denied)).toMatchObject({ code: 'JOB_FAILED_DURING_SAVEPOINT', retry: 'never' })
  })

  it('ignores exceptions when Flink names another reason itself', () => {
    expect(classify(failing('Checkpoint expired before completing.'), OPERATOR_FAILED).code).toBe(
      'CHECKPOINT_EXPIRED',
    )
  })
})

describe('a stop whose job failed while stopping', () => {
  const job = 'a'.repeat(32)
  const text = (path: string) =>
    chain(
      `${COMPLETION}: org.apache.flink.runtime.scheduler.stopwithsavepoint.StopWithSavepointStoppingException: A savepoint has been created at: ${path}, but the corresponding job ${job} failed during stopping. The savepoint is consistent, but might have uncommitted transactions.`,
      'java.lang.RuntimeException: commit failed',
    )

  it('keeps the savepoint that exists', () => {
    expect(savepointPathFrom(text('s3://b/sp/savepoint-aaaaaa-0123456789ab'))).toBe(
      's3://b/sp/savepoint-aaaaaa-0123456789ab',
    )
    expect(savepointPathFrom(text('file:/data/my savepoints, old/sp'))).toBe(
      'file:/data/my savepoints, old/sp',
    )
    expect(classify({ className: COMPLETION, text: text('s3://b/sp') })).toMatchObject({
      code: 'JOB_FAILED_WHILE_STOPPING',
      retry: 'never',
      message: 'java.lang.RuntimeException: commit failed',
    })
  })

  it('finds no path where there is none', () => {
    expect(savepointPathFrom('Checkpoint expired before completing.')).toBeNull()
    expect(savepointPathFrom('A savepoint has been created at: ')).toBeNull()
    expect(savepointPathFrom(`A savepoint has been created at: ${'x'.repeat(1e6)}`)).toBeNull()
  })
})

describe('the root cause', () => {
  it('is the deepest cause that says something', () => {
    expect(
      rootCause(
        chain(
          `${COMPLETION}: ${CHECKPOINT}: outer`,
          `${CHECKPOINT}: outer`,
          'java.io.IOException: disk full',
        ),
      ),
    ).toBe('java.io.IOException: disk full')
  })

  it('takes the wrappers off', () => {
    expect(
      rootCause(`${COMPLETION}: ${THROWABLE}: ${CHECKPOINT}: Checkpoint expired before completing.`),
    ).toBe('Checkpoint expired before completing.')
  })

  it('names a deeper cause without words and where it was thrown', () => {
    const text = `${CHECKPOINT}: Could not complete snapshot 8 for operator a (1/1)#0.${FRAMES}\nCaused by: java.lang.NullPointerException\n\tat com.acme.Counter.snapshotState(Counter.java:42)`
    expect(rootCause(text)).toBe(
      'Could not complete snapshot 8 for operator a (1/1)#0. (java.lang.NullPointerException at com.acme.Counter.snapshotState(Counter.java:42))',
    )
    expect(rootCause('java.lang.NullPointerException')).toBe('java.lang.NullPointerException')
  })

  it('joins a message of several lines and removes control characters', () => {
    expect(rootCause('java.io.IOException: first\n  second\0\u001b[31m\n\tat a.B.c(B.java:1)')).toBe(
      'java.io.IOException: first second [31m',
    )
  })

  it('never is empty', () => {
    for (const text of ['', '\n\n', 'null', '\0', 'Caused by: ']) expect(rootCause(text)).not.toBe('')
  })

  it('skips a circular reference and what was suppressed', () => {
    const text = `java.io.IOException: real${FRAMES}\n\tSuppressed: java.io.IOException: on close\n\tCaused by: x.Y: inner\nCaused by: [CIRCULAR REFERENCE: java.io.IOException: real]`
    expect(rootCause(text)).toBe('java.io.IOException: real')
  })
})

describe('hostile texts', () => {
  const nested = (depth: number) =>
    Array.from({ length: depth }, (_, level) => `${COMPLETION}: level ${level}\n\tat a.B.c(B.java:1)`).join(
      '\nCaused by: ',
    )
  const hostile: [string, string][] = [
    ['50,000 causes', nested(50_000)],
    ['a message of 2 MB', `java.io.IOException: ${'x'.repeat(2e6)}`],
    ['a message of wrappers only', `${COMPLETION}: `.repeat(100_000)],
    ['half a million newlines', '\n'.repeat(500_000)],
    ['many tabs in many lines', '\n\t\t\t\t\t\t\t'.repeat(50_000)],
    ['a class name without end', 'a.'.repeat(500_000)],
    ['half a phrase again and again', 'TaskManager with id '.repeat(50_000)],
    ['half a stop again and again', 'A savepoint has been created at: '.repeat(100_000)],
    ['the word Caused by alone', '\nCaused by: '.repeat(100_000)],
  ]

  it.each(hostile)('%s: classified quickly and bounded', (_, text) => {
    const startedAt = performance.now()
    const classified = classify({ className: 'x', text }, exception(text))
    expect(shortenTrace(text).length).toBeLessThanOrEqual(8_000)
    expect(rootCause(text).length).toBeLessThanOrEqual(1_000)
    expect(classified.message.length).toBeLessThanOrEqual(1_400)
    expect(savepointPathFrom(text)).toBeNull()
    expect(performance.now() - startedAt).toBeLessThan(5_000) // quadratic would be minutes
  })

  it('keeps the head and the deepest causes of an endless chain', () => {
    const short = shortenTrace(nested(20_000))
    expect(short).toContain('level 0\n')
    expect(short).toContain('level 19999\n')
    expect(short).toContain('causes left out')
    expect(parseCauses(short).at(-1)?.message).toBe('level 19999')
  })

  it('keeps every cause of an ordinary trace of 100 kB, and drops its frames', () => {
    const frames =
      '\n\tat org.apache.flink.runtime.rpc.pekko.PekkoRpcActor.handleMessage(PekkoRpcActor.java:174)'.repeat(
        350,
      )
    const text = ['a.A: one', 'b.B: two', 'c.C: three'].map((header) => header + frames).join('\nCaused by: ')
    expect(text.length).toBeGreaterThan(90_000)
    const short = shortenTrace(text)
    expect(short.length).toBeLessThan(4_000)
    expect(parseCauses(short).map(({ message }) => message)).toEqual(['one', 'two', 'three'])
  })
})
