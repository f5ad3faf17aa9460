/** Where tests break a cluster. The shipped one has none of these set. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { JavaThrowable } from './java-throwable.ts'
import type { Reply } from './reply.ts'

/** One request, after its body was read and before or after its effect. */
export type Exchange = {
  /** A name of routes.ts; null for a path that is none. */
  route: string | null
  method: string
  path: string
  params: Readonly<Record<string, string>>
  /** From the path or the body. */
  triggerId: string | null
  body: unknown
  request: IncomingMessage
  response: ServerResponse
}

/** 'taken': the hook deals with the response itself. */
export type HookAnswer = Reply | 'taken' | undefined

export type SnapshotKind = 'checkpoint' | 'savepoint' | 'stop'

export type SnapshotFailure =
  | { kind: 'expired' }
  /** The JobManager fails it with this text. */
  | { kind: 'coordinator'; text: string; cause?: JavaThrowable }
  /** A task fails: the result says only that the coordinator is suspending, the job restarts, /exceptions has the cause. */
  | { kind: 'task'; cause: JavaThrowable }
  /** A stop whose savepoint is complete while the job failed to stop. */
  | { kind: 'stopping' }

export type SnapshotFate = {
  durationMs?: number
  /** Not finished before this resolves, whatever the duration. */
  hold?: Promise<void>
  failure?: SnapshotFailure
}

export type SnapshotBegun = {
  kind: SnapshotKind
  jobId: string
  jobName: string
  triggerId: string | null
  checkpointId: number
}

export type SnapshotAsked = Omit<SnapshotBegun, 'checkpointId'>

export type Hooks = {
  /** Before the effect. */
  onRequest?: (exchange: Exchange) => HookAnswer | Promise<HookAnswer>
  /** After the effect. */
  beforeReply?: (exchange: Exchange, reply: Reply) => HookAnswer | Promise<HookAnswer>
  /** Before an id is given: this text is why there is none, and it is counted as a failure without an entry. */
  refuseSnapshot?: (snapshot: SnapshotAsked) => string | undefined
  onSnapshot?: (snapshot: SnapshotBegun) => SnapshotFate | undefined
}
