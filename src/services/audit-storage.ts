/** Accepts an audit of a storage: workers look at everything that lies there, and touch nothing. Asked for twice, the open one answers. */
import { DomainError } from '../domain/errors.ts'
import { AUDIT_STEPS, type Operation } from '../domain/operation.ts'
import { plannedSteps } from '../domain/operation-steps.ts'
import type { AuditRepository } from '../ports/audits.ts'
import type { OperationRepository } from '../ports/operations.ts'
import type { Nudges } from '../ports/process.ts'
import type { StorageRepository } from '../ports/resources.ts'
import type { SnapshotRepository } from '../ports/snapshots.ts'
import type { Services } from './api.ts'
import { idempotencyKeyOf, scopeOf } from './caller.ts'
import { readCreated } from './create-once.ts'
import { findStorage } from './find-resource.ts'
import { findOperation } from './get-operation.ts'

type Ports = {
  audits: Pick<AuditRepository, 'insert'>
  operations: Pick<OperationRepository, 'find'>
  snapshots: Pick<SnapshotRepository, 'findIdempotent' | 'rememberIdempotent'>
  storages: Pick<StorageRepository, 'find'>
  nudges: Nudges
  newId: () => string
}

/** A day: a bucket may hold a hundred million objects. */
const DEFAULT_TIMEOUT_SECONDS = 86_400
const MAX_RACES = 5

export const auditStorage =
  (ports: Ports): Services['auditStorage'] =>
  async (request) => {
    const scope = scopeOf(request.caller)
    const key = idempotencyKeyOf(request)
    const read = (id: string): Promise<Operation> => findOperation(ports.operations, scope, id)
    for (let race = 0; race < MAX_RACES; race++) {
      const earlier = key && (await ports.snapshots.findIdempotent(scope, key))
      if (earlier) return { ...(await readCreated(earlier, '', read)), joined: false }
      const { id, name, provider } = await findStorage(ports.storages, scope, request.storage)
      if (provider === 'flink-only') {
        throw new DomainError(
          'STORAGE_NOT_ADDRESSABLE',
          `The storage ${name} is reached only through Flink, which lists nothing.`,
        )
      }
      const operation = ports.newId()
      const inserted = await ports.audits.insert(
        scope,
        {
          id: operation,
          request: {
            storage: { id, name },
            timeoutSeconds: request.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS,
          },
          steps: plannedSteps(AUDIT_STEPS),
          createdBy: request.caller.principal,
        },
        key,
      )
      if (inserted.kind === 'inserted') {
        ports.nudges.savepointDue()
        return { resource: await read(operation), replayed: false, joined: false }
      }
      if (inserted.kind !== 'open' || inserted.id === null) continue
      if (key && !(await ports.snapshots.rememberIdempotent(scope, key, inserted.id))) continue
      return { resource: await read(inserted.id), replayed: false, joined: true }
    }
    throw new DomainError('OVERLOADED', 'Audits of this storage begin and end again and again; try again.')
  }
