/**
 * Flink's caches of triggered operations: one entry per (kind, trigger id, job), kept some time after completion and
 * only as long as the JobManager lives. Savepoints and stops share a kind.
 */
import type { AcceptedTrigger } from './accept-log.ts'
import type { Clock } from './clock.ts'
import type { JavaThrowable } from './java-throwable.ts'

export type OperationKind = 'savepoint' | 'checkpoint' | 'disposal'

export type OperationOutcome =
  | { ok: true; location: string; checkpointId: number }
  | { ok: false; cause: JavaThrowable }

export type Operation = {
  readonly key: string
  readonly accepted: AcceptedTrigger
  outcome: OperationOutcome | null
}

export type Operations = {
  find(kind: OperationKind, triggerId: string, jobId: string): Operation | undefined
  begin(kind: OperationKind, accepted: AcceptedTrigger): Operation
  settle(operation: Operation, outcome: OperationOutcome): void
  forget(kind: OperationKind, triggerId: string, jobId: string): boolean
  clear(): void
}

/** `storeMs` 0 keeps for ever, as `rest.async.store-duration` does. */
export function createOperations(clock: Clock, storeMs: number): Operations {
  const known = new Map<string, Operation>()
  // In order of completion, hence of expiry: a Map keeps the order of insertion.
  const expiring = new Map<Operation, number>()
  const keyOf = (kind: OperationKind, triggerId: string, jobId: string) => `${kind} ${triggerId} ${jobId}`

  const expire = () => {
    const now = clock.now()
    for (const [operation, expiresAt] of expiring) {
      if (expiresAt > now) return
      expiring.delete(operation)
      if (known.get(operation.key) === operation) known.delete(operation.key)
    }
  }
  return {
    find(kind, triggerId, jobId) {
      expire()
      return known.get(keyOf(kind, triggerId, jobId))
    },
    begin(kind, accepted) {
      const key = keyOf(kind, accepted.triggerId, accepted.jobId)
      const operation: Operation = { key, accepted, outcome: null }
      known.set(operation.key, operation)
      return operation
    },
    settle(operation, outcome) {
      if (operation.outcome !== null) return
      operation.outcome = outcome
      if (storeMs > 0) expiring.set(operation, clock.now() + storeMs)
    },
    forget: (kind, triggerId, jobId) => known.delete(keyOf(kind, triggerId, jobId)),
    clear() {
      known.clear()
      expiring.clear()
    },
  }
}
