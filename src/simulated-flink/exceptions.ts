/** What /exceptions says of a job that failed or restarted. */
import { checkpointException, headline, type JavaThrowable, stackTrace, throwable } from './java-throwable.ts'
import type { ExceptionEntry, SimulatedJob } from './job.ts'

const EXCEPTIONS_KEPT = 16

export const TASK_MANAGER = '127.0.0.1:43649-0e0081'

export function rememberException(job: SimulatedJob, exception: ExceptionEntry): void {
  job.exceptions.unshift(exception)
  if (job.exceptions.length > EXCEPTIONS_KEPT) job.exceptions.pop()
}

/** `at` is for the caller to set. */
export const toExceptionEntry = (exception: JavaThrowable, taskName: string | null): ExceptionEntry => ({
  exceptionName: exception.className,
  stacktrace: stackTrace(exception),
  at: 0,
  taskName,
})

/** A task that could not take snapshot `checkpointId`. */
export function taskFailure(job: SimulatedJob, checkpointId: number, cause: JavaThrowable): ExceptionEntry {
  const last = job.program.vertices.at(-1)
  const task = `${last?.name} (1/${last?.parallelism})`
  const declined = checkpointException(
    `Could not complete snapshot ${checkpointId} for operator ${task}#0. Failure reason: Checkpoint was declined.`,
    cause,
  )
  const text = `Could not perform checkpoint ${checkpointId} for operator ${task}#0.`
  return toExceptionEntry(throwable('java.io.IOException', text, declined), `${task} - execution #0`)
}

export function taskManagerLost(job: SimulatedJob): ExceptionEntry {
  const [first] = job.program.vertices
  const lost = throwable(
    'org.apache.flink.runtime.jobmaster.JobMasterException',
    `TaskManager with id ${TASK_MANAGER} is no longer reachable.`,
  )
  return toExceptionEntry(lost, `${first?.name} (1/${first?.parallelism}) - execution #0`)
}

/** `CheckpointFailureManager`: more periodic checkpoints failed in a row than the job tolerates. */
export const tooManyFailures = (latest: JavaThrowable): ExceptionEntry =>
  toExceptionEntry(
    throwable(
      'org.apache.flink.util.FlinkRuntimeException',
      `Exceeded checkpoint tolerable failure threshold. The latest checkpoint failed due to ${latest.message}, view the Checkpoint History tab or the Job Manager log to find out why continuous checkpoints failed.`,
      throwable(latest.className, headline(latest)),
    ),
    null,
  )
