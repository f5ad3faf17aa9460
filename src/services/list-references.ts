import { DomainError } from '../domain/errors.ts'
import { listUses } from '../domain/references.ts'
import type { ReferenceRepository } from '../ports/runs.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'

export const listReferences =
  ({ references }: { references: ReferenceRepository }): Services['listReferences'] =>
  async ({ caller, snapshot }) => {
    const facts = await references.read(scopeOf(caller), snapshot)
    if (!facts) throw new DomainError('NOT_FOUND', `There is no snapshot ${snapshot.slice(0, 100)}.`)
    return { inUseBy: listUses(facts) }
  }
