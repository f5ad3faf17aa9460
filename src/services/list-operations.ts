import type { OperationRepository } from '../ports/operations.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { toPage, toPageRequest } from './list-page.ts'

export const listOperations =
  ({ operations }: { operations: Pick<OperationRepository, 'list'> }): Services['listOperations'] =>
  async (query) =>
    toPage(await operations.list(scopeOf(query.caller), toPageRequest(query)))
