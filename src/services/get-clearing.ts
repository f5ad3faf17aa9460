import { DomainError } from '../domain/errors.ts'
import type { ClearingRepository } from '../ports/clearing.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'

export const getClearing =
  ({ clearings }: { clearings: Pick<ClearingRepository, 'find'> }): Services['getClearing'] =>
  async ({ caller, snapshot }) => {
    const found = await clearings.find(scopeOf(caller), snapshot)
    if (!found) throw new DomainError('NOT_FOUND', `Nobody has asked to clear the snapshot ${snapshot}.`)
    return found
  }
