import { DomainError } from '../domain/errors.ts'
import type { AuditRepository } from '../ports/audits.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { toPage, toPageRequest } from './list-page.ts'

export const listAuditFindings =
  ({ audits }: { audits: Pick<AuditRepository, 'listFindings'> }): Services['listAuditFindings'] =>
  async ({ caller, operation, kind, ...query }) => {
    const page = await audits.listFindings(scopeOf(caller), operation, kind ?? null, toPageRequest(query))
    if (!page) throw new DomainError('NOT_FOUND', `There is no audit ${operation.slice(0, 100)}.`)
    return toPage(page)
  }
