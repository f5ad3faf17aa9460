/**
 * A simulated Flink whose faults are scripted: one-shot or standing, by route, job and trigger.
 *
 *     const { flink, faults } = await startScriptedFlink({ seedJobs: [{ name: 'orders' }] })
 *     faults.reply({ route: 'triggerSavepoint' }, { kind: 'reply-lost' })
 *     faults.snapshot({ jobName: 'orders' }, { failure: { kind: 'expired' } })
 *     const late = faults.holdSnapshot({ kind: 'savepoint' })
 */

import type {
  Exchange,
  HookAnswer,
  SnapshotAsked,
  SnapshotBegun,
  SnapshotFate,
  SnapshotKind,
} from '../../src/simulated-flink/hooks.ts'
import { throwable } from '../../src/simulated-flink/java-throwable.ts'
import { json, leaderElection, type Reply } from '../../src/simulated-flink/reply.ts'
import type { RouteName } from '../../src/simulated-flink/routes.ts'
import {
  type SimulatedFlink,
  type SimulatedFlinkOptions,
  startSimulatedFlink,
} from '../../src/simulated-flink/start.ts'

export type RequestFilter = {
  route?: RouteName | readonly RouteName[]
  jobId?: string
  triggerId?: string
  /** How often; 1 when absent. */
  times?: number | 'always'
}

export type SnapshotFilter = {
  kind?: SnapshotKind
  jobId?: string
  jobName?: string
  triggerId?: string
  times?: number | 'always'
}

export type CheckpointFilter = Omit<SnapshotFilter, 'kind' | 'triggerId'>

export type ReplyFault =
  /** Answers later; the effect happens at once, or with `before` later too. */
  | { kind: 'slow'; ms: number; before?: boolean }
  /** Answers this instead. Without `afterEffect` nothing happened. */
  | { kind: 'answer'; status: number; body?: unknown; afterEffect?: boolean }
  | { kind: 'internal-error'; afterEffect?: boolean }
  | { kind: 'leader-election' }
  /** Never answers; with `afterEffect` the operation was accepted. */
  | { kind: 'hang'; afterEffect?: boolean }
  /** The connection is reset and nothing happened. */
  | { kind: 'refused' }
  /** The effect happens, then the connection is reset without a byte of answer. */
  | { kind: 'reply-lost' }
  /** The effect happens, half of the answer arrives, then the connection is reset. */
  | { kind: 'half-body' }
  /** The whole answer, `bytes` at a time every `everyMs`. */
  | { kind: 'slow-bytes'; bytes: number; everyMs: number }
  | { kind: 'redirect'; to: string; status?: 301 | 302 | 303 | 307 | 308 }
  /** 200 with a valid JSON text of this length; 100 MB when absent. */
  | { kind: 'huge'; bytes?: number }
  /** 200 with arrays this deep in each other; 100,000 when absent. */
  | { kind: 'deep-json'; depth?: number }
  | { kind: 'not-json' }
  /** The trigger is forgotten first: 404 in Flink's words. */
  | { kind: 'forget-trigger' }
  /** COMPLETED with this cause, whatever really happened. */
  | { kind: 'failure-cause'; text: string; className?: string }

export type Faults = {
  /** Answers the fault's remover. The newest fault that matches wins. */
  reply(filter: RequestFilter, fault: ReplyFault): () => void
  snapshot(filter: SnapshotFilter, fate: SnapshotFate): () => void
  /** Snapshots begin and do not end before `release()`: a completion after the client's deadline. */
  holdSnapshot(filter: SnapshotFilter): { release(): void }
  /** The JobManager fails the next `times` checkpoints, for a reason that counts against the tolerated failures. */
  failCheckpoints(filter: CheckpointFilter, text?: string): () => void
  /** They run into `execution.checkpointing.timeout`. */
  expireCheckpoints(filter: CheckpointFilter): () => void
  /** No id is given and no entry made: only `counts.failed` tells. */
  refuseSnapshot(filter: SnapshotFilter, text?: string): () => void
  /** A task that throws this in `snapshotState`. */
  failTask(filter: SnapshotFilter, message: string): () => void
  clear(): void
  /** Faults that have not been used up, for a test that wants to know that they struck. */
  pending(): number
}

export type ScriptedFlink = {
  flink: SimulatedFlink
  faults: Faults
  /** What was asked, oldest first. */
  requests: readonly RecordedRequest[]
}

export type RecordedRequest = {
  at: number
  route: string | null
  method: string
  path: string
  triggerId: string | null
}

export async function startScriptedFlink(options: SimulatedFlinkOptions = {}): Promise<ScriptedFlink> {
  const requests: RecordedRequest[] = []
  const replies = createScript<RequestFilter, ReplyFault, Exchange>(matchesExchange)
  const snapshots = createScript<SnapshotFilter, SnapshotFate, SnapshotBegun>(matchesSnapshot)
  const refusals = createScript<SnapshotFilter, string, SnapshotAsked>(matchesSnapshot)
  const struck = new WeakMap<Exchange, ReplyFault>()
  const flink = await startSimulatedFlink({
    ...options,
    hooks: {
      async onRequest(exchange) {
        const { route, method, path, triggerId } = exchange
        requests.push({ at: Date.now(), route, method, path, triggerId })
        const fault = replies.take(exchange)
        if (fault === undefined) return undefined
        struck.set(exchange, fault)
        return strikeBefore(fault, exchange, flink)
      },
      async beforeReply(exchange, reply) {
        const fault = struck.get(exchange)
        return fault && strikeAfter(fault, exchange, reply)
      },
      refuseSnapshot: (snapshot) => refusals.take(snapshot),
      onSnapshot: (snapshot) => snapshots.take(snapshot),
    },
  })
  const faults: Faults = {
    reply: replies.add,
    snapshot: snapshots.add,
    holdSnapshot(filter) {
      let release: () => void = () => undefined
      const hold = new Promise<void>((resolve) => {
        release = resolve
      })
      snapshots.add(filter, { hold })
      return { release }
    },
    failCheckpoints: (filter, text = 'Asynchronous task checkpoint failed.') =>
      snapshots.add({ ...filter, kind: 'checkpoint' }, { failure: { kind: 'coordinator', text } }),
    expireCheckpoints: (filter) =>
      snapshots.add({ ...filter, kind: 'checkpoint' }, { failure: { kind: 'expired' } }),
    refuseSnapshot: (
      filter,
      text = 'Checkpoint triggering task was not being executed at the moment. Aborting checkpoint. Failure reason: Not all required tasks are currently running.',
    ) => refusals.add(filter, text),
    failTask: (filter, message) =>
      snapshots.add(filter, {
        failure: { kind: 'task', cause: throwable('java.lang.RuntimeException', message) },
      }),
    clear() {
      replies.clear()
      snapshots.clear()
      refusals.clear()
    },
    pending: () => replies.size() + snapshots.size() + refusals.size(),
  }
  return { flink, faults, requests }
}

// --------------------------------------------------------------------------------------------------- script

type Times = { times?: number | 'always' }
type Scripted<F, V> = { filter: F; value: V; left: number }

function createScript<F extends Times, V, S>(matches: (filter: F, subject: S) => boolean) {
  const entries: Scripted<F, V>[] = []
  const remove = (entry: Scripted<F, V>) => {
    const at = entries.indexOf(entry)
    if (at >= 0) entries.splice(at, 1)
  }
  return {
    add(filter: F, value: V): () => void {
      const left = filter.times === 'always' ? Number.POSITIVE_INFINITY : (filter.times ?? 1)
      const entry = { filter, value, left }
      entries.push(entry)
      return () => remove(entry)
    },
    take(subject: S): V | undefined {
      const entry = entries.findLast(({ filter }) => matches(filter, subject))
      if (entry === undefined) return undefined
      entry.left--
      if (entry.left <= 0) remove(entry)
      return entry.value
    },
    clear: () => {
      entries.length = 0
    },
    size: () => entries.length,
  }
}

function matchesExchange({ route, jobId, triggerId }: RequestFilter, exchange: Exchange): boolean {
  const routes = typeof route === 'string' ? [route] : route
  if (routes !== undefined && !routes.some((each) => each === exchange.route)) return false
  if (jobId !== undefined && exchange.params['jobid'] !== jobId) return false
  return triggerId === undefined || exchange.triggerId === triggerId
}

function matchesSnapshot(filter: SnapshotFilter, snapshot: SnapshotAsked): boolean {
  const { kind, jobId, jobName, triggerId } = filter
  if (kind !== undefined && kind !== snapshot.kind) return false
  if (jobId !== undefined && jobId !== snapshot.jobId) return false
  if (jobName !== undefined && jobName !== snapshot.jobName) return false
  return triggerId === undefined || triggerId === snapshot.triggerId
}

// --------------------------------------------------------------------------------------------------- faults

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

const serverError = (): Reply =>
  json(500, {
    errors: [
      'Internal server error.',
      '<Exception on server side:\nscripted\nEnd of exception on server side>',
    ],
  })

/** What keeps the request from having an effect. */
async function strikeBefore(
  fault: ReplyFault,
  exchange: Exchange,
  flink: SimulatedFlink,
): Promise<HookAnswer> {
  switch (fault.kind) {
    case 'slow':
      if (fault.before) await sleep(fault.ms)
      return undefined
    case 'answer':
      return fault.afterEffect ? undefined : json(fault.status, fault.body ?? { errors: ['scripted'] })
    case 'internal-error':
      return fault.afterEffect ? undefined : serverError()
    case 'leader-election':
      return leaderElection()
    case 'hang':
      return fault.afterEffect ? undefined : 'taken'
    case 'refused':
      exchange.response.destroy()
      return 'taken'
    case 'redirect':
      return { status: fault.status ?? 307, body: '', headers: { location: fault.to } }
    case 'huge':
      return hugeReply(exchange, fault.bytes ?? 100_000_000)
    case 'deep-json':
      return deepReply(fault.depth ?? 100_000)
    case 'not-json':
      return { status: 200, body: '<html>gateway</html>', headers: { 'content-type': 'text/html' } }
    case 'forget-trigger':
      flink.forgetTrigger('savepoint', exchange.triggerId ?? '', exchange.params['jobid'] ?? '')
      return undefined
    case 'failure-cause':
      return failureReply(fault.text, fault.className)
    default:
      return undefined
  }
}

/** What happens to the answer of a request that had its effect. */
async function strikeAfter(fault: ReplyFault, { response }: Exchange, reply: Reply): Promise<HookAnswer> {
  switch (fault.kind) {
    case 'slow':
      if (!fault.before) await sleep(fault.ms)
      return undefined
    case 'answer':
      return fault.afterEffect ? json(fault.status, fault.body ?? { errors: ['scripted'] }) : undefined
    case 'internal-error':
      return fault.afterEffect ? serverError() : undefined
    case 'hang':
      return fault.afterEffect ? 'taken' : undefined
    case 'reply-lost':
      response.destroy()
      return 'taken'
    case 'half-body':
      response.writeHead(reply.status, { 'content-length': Buffer.byteLength(reply.body) })
      response.write(reply.body.slice(0, reply.body.length / 2), () => response.destroy())
      return 'taken'
    case 'slow-bytes':
      return dribble({ response, reply, bytes: fault.bytes, everyMs: fault.everyMs })
    default:
      return undefined
  }
}

async function dribble(slow: {
  response: Exchange['response']
  reply: Reply
  bytes: number
  everyMs: number
}): Promise<HookAnswer> {
  const { response, reply, bytes, everyMs } = slow
  const body = Buffer.from(reply.body)
  response.writeHead(reply.status, {
    'content-type': 'application/json; charset=UTF-8',
    'content-length': body.length,
  })
  for (let at = 0; at < body.length && !response.destroyed; at += bytes) {
    response.write(body.subarray(at, at + bytes))
    await sleep(everyMs)
  }
  response.end()
  return 'taken'
}

/** Streamed, so that the server needs no memory for it; stops when the client hangs up. */
async function hugeReply({ response }: Exchange, bytes: number): Promise<HookAnswer> {
  const chunk = Buffer.alloc(1 << 20, 'x')
  const [open, close] = ['{"errors":["', '"]}']
  response.writeHead(200, { 'content-type': 'application/json; charset=UTF-8', 'content-length': bytes })
  response.write(open)
  let left = bytes - open.length - close.length
  while (left > 0 && !response.destroyed) {
    const part = chunk.subarray(0, Math.min(left, chunk.length))
    left -= part.length
    if (!response.write(part)) await drained(response)
  }
  response.end(close)
  return 'taken'
}

const drained = (response: Exchange['response']) =>
  new Promise<void>((resolve) => {
    response.once('drain', resolve)
    response.once('close', resolve)
  })

const deepReply = (depth: number): Reply => ({
  status: 200,
  body: `{"status":${'['.repeat(depth)}${']'.repeat(depth)}}`,
})

const failureReply = (text: string, className = 'java.util.concurrent.CompletionException'): Reply =>
  json(200, {
    status: { id: 'COMPLETED' },
    operation: {
      'failure-cause': {
        class: className,
        'stack-trace': `${className}: ${text}\n\tat scripted`,
        'serialized-throwable': 'rO0ABQ==',
      },
    },
  })
