/**
 * What a failed savepoint means and what to do about it: code, retry, and the reason in words. The texts themselves stand
 * in `flink-failure-rules.ts`.
 *
 * `Checkpoint Coordinator is suspending.` alone says nothing: a failing task, a lost TaskManager and a rescale all read so
 * (`real-flink.md` §5.5, 5.6, 5.22). The job's exceptions since we asked tell them apart.
 */
import type { FailureCode, FailureRetry } from './failure-codes.ts'
import type { FlinkFailure, JobException } from './flink.ts'
import {
  CHECKPOINT_STREAMS,
  findVerdict,
  INTERRUPTED,
  LOST_TASKMANAGER,
  OPERATOR_SNAPSHOT,
  RULES,
  SNAPSHOT_RULES,
  STOPPED_WITH_SAVEPOINT,
  type Verdict,
} from './flink-failure-rules.ts'
import { type Cause, cutMiddle, parseCauses, parseHeader, shortenTrace } from './stack-trace.ts'

export type ClassifiedFailure = { code: FailureCode; retry: FailureRetry; message: string }

const MAX_MESSAGE_CHARS = 1_000

/** They carry somebody else's words: show the words, not the class. */
const WRAPPERS = new Set([
  'CompletionException',
  'ExecutionException',
  'SerializedThrowable',
  'RestHandlerException',
  'InvocationTargetException',
  'UndeclaredThrowableException',
  'CheckpointException',
  'WrappingRuntimeException',
])

/** `exceptionsSince`: what `/jobs/:id/exceptions` lists since the attempt was asked, in any order. */
export function classifyFailure(
  failure: FlinkFailure,
  context: { exceptionsSince: readonly JobException[] },
): ClassifiedFailure {
  const text = shortenTrace(failure.text === '' ? failure.className : failure.text)
  const message = describe(text)
  const stopped = findVerdict([STOPPED_WITH_SAVEPOINT], text)
  if (stopped !== null) return { ...stopped, message }
  // Judged by the root cause: a coordinator that was suspended for a stated reason is that reason.
  const interrupted = findVerdict(INTERRUPTED, message)
  if (interrupted !== null) return classifyInterruption(interrupted, message, context.exceptionsSince)
  return { ...(findVerdict(RULES, text) ?? findVerdict(INTERRUPTED, text) ?? UNCLASSIFIED), message }
}

/** A trigger that Flink understood and refused (TriggerAnswer): nothing was started. */
export function classifyRefusal(refusal: { httpStatus: number; text: string }): ClassifiedFailure {
  const found = classifyFailure({ className: '', text: refusal.text }, { exceptionsSince: [] })
  if (found.code !== 'UNCLASSIFIED') return found
  return {
    ...found,
    code: 'FLINK_REFUSED',
    message: `Flink refused with ${refusal.httpStatus}: ${found.message}`,
  }
}

/**
 * The deepest cause that says something, in one line; a deeper one without words is named behind it. Bounded, safe to log
 * and to store.
 */
export function rootCause(text: string): string {
  const causes = parseCauses(text).map(unwrap)
  const spoken = causes.findLast((cause) => cause.message !== '')
  const silent = causes.slice(spoken === undefined ? 0 : causes.indexOf(spoken) + 1).findLast(isTelling)
  const parts = [spoken && sayCause(spoken), silent && nameCause(silent, spoken !== undefined)]
  return oneLine(parts.filter(Boolean).join(' ')) || 'Flink gave no reason.'
}

/**
 * The savepoint of a stop whose job then failed (RT/scheduler/stopwithsavepoint/StopWithSavepointStoppingException): it
 * exists and is consistent (FLINK-33522: such savepoints were thrown away).
 */
export function savepointPathFrom(text: string): string | null {
  const before = 'A savepoint has been created at: '
  const at = text.indexOf(before)
  if (at === -1) return null
  const rest = text.slice(at + before.length, at + before.length + 4_096)
  const end = rest.indexOf(', but the corresponding job')
  const path = end === -1 ? '' : rest.slice(0, end).trim()
  return path === '' || path === 'null' || path.includes('\n') ? null : path
}

const UNCLASSIFIED: Verdict = { code: 'UNCLASSIFIED', retry: 'never' }

function classifyInterruption(
  verdict: Verdict,
  message: string,
  exceptions: readonly JobException[],
): ClassifiedFailure {
  const exception = earliest(exceptions)
  if (exception !== null) return classifyException(exception)
  if (verdict.code !== 'RESCALED') return { ...verdict, message }
  return {
    ...verdict,
    message: `The job was rescaled or redeployed, without a failure, while the savepoint ran: ${message}`,
  }
}

/** The first failure after we asked ended the savepoint; those after it are consequences (a restart that failed, …). */
function earliest(exceptions: readonly JobException[]): JobException | null {
  return exceptions.reduce<JobException | null>(
    (first, next) => (first === null || next.at < first.at ? next : first),
    null,
  )
}

/** The job's own failure. Only a lost TaskManager is worth another attempt (`product.md` §3). */
function classifyException(exception: JobException): ClassifiedFailure {
  const text = shortenTrace(exception.text === '' ? exception.exceptionName : exception.text)
  const message = describe(text)
  if (findVerdict([LOST_TASKMANAGER], text) !== null)
    return { code: 'TASKMANAGER_LOST', retry: 'now-or-later', message }
  // Only a failure inside a snapshot is about the savepoint: "Access Denied" elsewhere is the job's own business.
  const inSnapshot =
    OPERATOR_SNAPSHOT.test(text) || CHECKPOINT_STREAMS.test(text) || /checkpoint|snapshot/i.test(message)
  const code = (inSnapshot && findVerdict(SNAPSHOT_RULES, text)?.code) || 'JOB_FAILED_DURING_SAVEPOINT'
  return { code, retry: 'never', message }
}

/** The root cause first, then which operator's snapshot it broke. */
function describe(text: string): string {
  const cause = rootCause(text)
  const operator =
    /Could not (?:complete snapshot|materialize checkpoint|perform checkpoint) \d+ for operator [^\n]{1,2000}/.exec(
      text,
    )
  const where = oneLine(operator?.[0].replace(/\.? Failure reason: .*$|[.:]$/, '') ?? '', 300)
  return where === '' || cause.includes('for operator') ? cause : `${cause} (${where})`
}

/** `SerializedThrowable: java.lang.IllegalStateException: full` is an IllegalStateException that says "full". */
function unwrap(cause: Cause): Cause {
  let { className, message } = cause
  for (let layers = 0; layers < 20 && isWrapper(className); layers++) {
    const inner = parseHeader(message)
    if (inner.className === '') break
    ;({ className, message } = inner)
  }
  return { className, message: message === 'null' ? '' : message, frame: cause.frame }
}

const simpleName = (className: string): string => className.slice(className.lastIndexOf('.') + 1)
const isWrapper = (className: string): boolean => WRAPPERS.has(simpleName(className))
const isTelling = (cause: Cause): boolean => cause.className !== '' && !isWrapper(cause.className)

const sayCause = ({ className, message }: Cause): string =>
  className === '' || isWrapper(className) ? message : `${className}: ${message}`

function nameCause({ className, frame }: Cause, inBrackets: boolean): string {
  const name = frame === null ? className : `${className} at ${frame}`
  return inBrackets ? `(${name})` : name
}

/** For logs and answers: no line breaks, no control characters, bounded. */
export function oneLine(text: string, maxChars = MAX_MESSAGE_CHARS): string {
  return cutMiddle(
    cutMiddle(text, 20_000)
      .replace(/[\p{Cc}\s]+/gu, ' ')
      .trim(),
    maxChars,
  )
}
