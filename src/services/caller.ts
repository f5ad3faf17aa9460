import type { IdempotencyKey, Scope } from '../ports/scope.ts'
import type { Caller, Idempotency } from './api.ts'

/** The namespace comes only from the caller's key. */
export const scopeOf = (caller: Caller): Scope => ({ namespaceId: caller.namespaceId })

export const idempotencyKeyOf = ({
  caller,
  idempotency,
}: {
  caller: Caller
  idempotency?: Idempotency | undefined
}): IdempotencyKey | undefined => idempotency && { principal: caller.principal, ...idempotency }
