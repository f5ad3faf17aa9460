/** What accepting any operation has in common: idempotency, and the open one that answers. */
import { DomainError } from '../domain/errors.ts'
import type { Operation } from '../domain/operation.ts'
import type { OperationRepository } from '../ports/operations.ts'
import type { Nudges } from '../ports/process.ts'
import type { Scope } from '../ports/scope.ts'
import type { SnapshotRepository } from '../ports/snapshots.ts'
import type { Command, Created } from './api.ts'
import { idempotencyKeyOf, scopeOf } from './caller.ts'
import { readCreated } from './create-once.ts'
import { findOperation } from './get-operation.ts'

export type AcceptOperationPorts = {
  operations: Pick<OperationRepository, 'find'>
  /** Idempotency keys are one space for every kind of resource. */
  snapshots: Pick<SnapshotRepository, 'findIdempotent' | 'rememberIdempotent'>
  nudges: Nudges
  newId: () => string
}

/** The new operation, an open one that answers, or nothing: somebody was faster. */
type Tried = { inserted: string } | { join: string } | 'lost'

/** Two lost races in a row are bad luck, five are a defect. */
const MAX_RACES = 5

/** `attempt` decides on what is there now, and inserts. Throws OVERLOADED with the sentence `tooMany`. */
export async function acceptOperation(
  command: Command<object>,
  { operations, snapshots, nudges }: AcceptOperationPorts,
  tooMany: string,
  attempt: (scope: Scope, key: ReturnType<typeof idempotencyKeyOf>) => Promise<Tried>,
): Promise<Created<Operation> & { joined: boolean }> {
  const scope = scopeOf(command.caller)
  const key = idempotencyKeyOf(command)
  const read = (id: string) => findOperation(operations, scope, id)
  for (let race = 0; race < MAX_RACES; race++) {
    // Before anything else: a repeated request is answered also when what it was about has changed, or gone, by now.
    const earlier = key && (await snapshots.findIdempotent(scope, key))
    if (earlier) return { ...(await readCreated(earlier, '', read)), joined: false }
    const tried = await attempt(scope, key)
    if (tried === 'lost') continue
    if ('inserted' in tried) {
      nudges.savepointDue()
      return { resource: await read(tried.inserted), replayed: false, joined: false }
    }
    // The key then means the operation that answers; false: somebody else was faster with it.
    if (key && !(await snapshots.rememberIdempotent(scope, key, tried.join))) continue
    return { resource: await read(tried.join), replayed: false, joined: true }
  }
  throw new DomainError('OVERLOADED', tooMany)
}
