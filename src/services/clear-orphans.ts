/**
 * Asks for orphans of an audit to be cleared, each on its own. Only what was found is taken, and only by its number; that it is
 * still an orphan the worker proves again before anything goes (`prove-orphan.ts`). The same request twice begins nothing twice.
 */
import { DomainError } from '../domain/errors.ts'
import type { AuditRepository } from '../ports/audits.ts'
import type { Nudges } from '../ports/process.ts'
import type { StorageRepository } from '../ports/resources.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { findStorage } from './find-resource.ts'

type Ports = {
  audits: Pick<AuditRepository, 'beginOrphan'>
  storages: Pick<StorageRepository, 'find'>
  nudges: Nudges
  newId: () => string
}

const MESSAGES = {
  NOT_FOUND: 'No audit of this storage has found an orphan with this number.',
  SNAPSHOT_IN_USE: 'Its directory is being cleared for something else.',
  CLEARING_NOT_ENABLED: 'The storage does not say `clearCheckpoints: true` any more.',
} as const

export const clearOrphans =
  ({ audits, storages, nudges, newId }: Ports): Services['clearOrphans'] =>
  async ({ caller, storage: reference, operation, findings }) => {
    const scope = scopeOf(caller)
    const storage = await findStorage(storages, scope, reference)
    if (!storage.clearCheckpoints) {
      throw new DomainError(
        'CLEARING_NOT_ENABLED',
        `Orphans of the storage ${storage.name} are only reported until it says \`clearCheckpoints: true\`.`,
      )
    }
    const items: Awaited<ReturnType<Services['clearOrphans']>>['items'] = []
    for (const number of new Set(findings)) {
      const begun = await audits.beginOrphan(scope, {
        clearingId: newId(),
        operationId: operation,
        number,
        storageId: storage.id,
        requestedBy: caller.principal,
      })
      items.push(
        begun.kind === 'clearing'
          ? { finding: number, clearing: begun.id, location: begun.location, refusal: null }
          : {
              finding: number,
              clearing: null,
              location: null,
              refusal: { code: begun.code, message: MESSAGES[begun.code] },
            },
      )
    }
    nudges.savepointDue()
    return { items }
  }
