/** Failures as a JVM prints them: clients have to find the text inside 10–50 kB of stack trace, so ours has that shape. */
import { randomBytes } from 'node:crypto'

export type JavaThrowable = {
  className: string
  message: string
  cause?: JavaThrowable
}

const FRAMES = [
  'java.base/java.util.concurrent.CompletableFuture.encodeThrowable(CompletableFuture.java:315)',
  'java.base/java.util.concurrent.CompletableFuture.completeThrowable(CompletableFuture.java:320)',
  'java.base/java.util.concurrent.CompletableFuture.uniHandle(CompletableFuture.java:936)',
  'java.base/java.util.concurrent.CompletableFuture$UniHandle.tryFire(CompletableFuture.java:911)',
  'java.base/java.util.concurrent.CompletableFuture.postComplete(CompletableFuture.java:510)',
  'org.apache.flink.runtime.rpc.pekko.PekkoRpcActor.lambda$handleRpcInvocation$1(PekkoRpcActor.java:318)',
  'org.apache.flink.runtime.concurrent.ClassLoadingUtils.runWithContextClassLoader(ClassLoadingUtils.java:83)',
  'org.apache.flink.runtime.rpc.pekko.PekkoRpcActor.handleRpcInvocation(PekkoRpcActor.java:316)',
  'org.apache.flink.runtime.rpc.pekko.PekkoRpcActor.handleRpcMessage(PekkoRpcActor.java:229)',
  'org.apache.flink.runtime.rpc.pekko.FencedPekkoRpcActor.handleRpcMessage(FencedPekkoRpcActor.java:88)',
  'org.apache.flink.runtime.rpc.pekko.PekkoRpcActor.handleMessage(PekkoRpcActor.java:174)',
  'org.apache.pekko.japi.pf.UnitCaseStatement.apply(CaseStatements.scala:33)',
  'scala.PartialFunction.applyOrElse(PartialFunction.scala:127)',
  'org.apache.pekko.actor.Actor.aroundReceive(Actor.scala:547)',
  'org.apache.pekko.actor.ActorCell.invoke(ActorCell.scala:590)',
  'org.apache.pekko.dispatch.Mailbox.processMailbox(Mailbox.scala:284)',
  'java.base/java.util.concurrent.ForkJoinPool.runWorker(ForkJoinPool.java:1622)',
  'java.base/java.util.concurrent.ForkJoinWorkerThread.run(ForkJoinWorkerThread.java:165)',
]
const TRACE = FRAMES.map((frame) => `\n\tat ${frame}`).join('')
/** What follows "rO0AB" nobody can use; it only has to be there and to be long. */
const SERIALIZED = `rO0ABXNyACJqYXZhLnV0aWwuY29uY3VycmVudC5Db21wbGV0aW9uRXhjZXB0aW9u${randomBytes(12_000).toString('base64')}`

export const throwable = (className: string, message: string, cause?: JavaThrowable): JavaThrowable =>
  cause === undefined ? { className, message } : { className, message, cause }

/** `new CompletionException(cause)`: its message is the cause's own `toString()`. */
export const completionException = (cause: JavaThrowable): JavaThrowable =>
  throwable('java.util.concurrent.CompletionException', headline(cause), cause)

export const checkpointException = (message: string, cause?: JavaThrowable): JavaThrowable =>
  throwable('org.apache.flink.runtime.checkpoint.CheckpointException', message, cause)

export const jobNotFound = (jobId: string): JavaThrowable =>
  throwable(
    'org.apache.flink.runtime.messages.FlinkJobNotFoundException',
    `Could not find Flink job (${jobId})`,
  )

export const headline = ({ className, message }: JavaThrowable): string => `${className}: ${message}`

export function stackTrace(top: JavaThrowable): string {
  const parts: string[] = []
  for (let current: JavaThrowable | undefined = top; current !== undefined; current = current.cause) {
    parts.push(`${headline(current)}${TRACE}\n`)
  }
  return parts.join('Caused by: ')
}

/** The text of the innermost cause: what the accept log keeps. */
export function rootMessage(top: JavaThrowable): string {
  let current = top
  while (current.cause !== undefined) current = current.cause
  return current.message
}

/** `failure-cause` of a result. Operations of a job fail with the scheduler's CompletionException around the cause. */
export const failureCause = (failure: JavaThrowable) => ({
  class: failure.className,
  'stack-trace': stackTrace(failure),
  'serialized-throwable': SERIALIZED,
})
