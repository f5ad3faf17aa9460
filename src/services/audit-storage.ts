/** Accepts an audit of a storage: workers look at everything that lies there, and touch nothing. Asked for twice, the open one answers. */
import { DomainError } from '../domain/errors.ts'
import { AUDIT_STEPS } from '../domain/operation.ts'
import { plannedSteps } from '../domain/operation-steps.ts'
import type { AuditRepository } from '../ports/audits.ts'
import type { StorageRepository } from '../ports/resources.ts'
import { type AcceptOperationPorts, acceptOperation } from './accept-operation.ts'
import type { Services } from './api.ts'
import { findStorage } from './find-resource.ts'

type Ports = AcceptOperationPorts & {
  audits: Pick<AuditRepository, 'insert'>
  storages: Pick<StorageRepository, 'find'>
}

/** A day: a bucket may hold a hundred million objects. */
const DEFAULT_TIMEOUT_SECONDS = 86_400

export const auditStorage =
  (ports: Ports): Services['auditStorage'] =>
  (request) =>
    acceptOperation(request, ports, TOO_MANY, async (scope, key) => {
      const { id, name, provider } = await findStorage(ports.storages, scope, request.storage)
      if (provider === 'flink-only') {
        throw new DomainError(
          'STORAGE_NOT_ADDRESSABLE',
          `The storage ${name} is reached only through Flink, which lists nothing.`,
        )
      }
      const operation = ports.newId()
      const timeoutSeconds = request.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS
      const inserted = await ports.audits.insert(
        scope,
        {
          id: operation,
          request: { storage: { id, name }, timeoutSeconds },
          steps: plannedSteps(AUDIT_STEPS),
          createdBy: request.caller.principal,
        },
        key,
      )
      if (inserted.kind === 'inserted') return { inserted: operation }
      return inserted.kind === 'open' && inserted.id !== null ? { join: inserted.id } : 'lost'
    })
const TOO_MANY = 'Audits of this storage begin and end again and again; try again.'
