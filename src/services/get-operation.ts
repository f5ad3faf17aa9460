import { DomainError } from '../domain/errors.ts'
import type { Operation } from '../domain/operation.ts'
import type { OperationRepository } from '../ports/operations.ts'
import type { Scope } from '../ports/scope.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'

const ITEMS_PER_PAGE = 200

export const getOperation =
  ({ operations }: { operations: Pick<OperationRepository, 'find'> }): Services['getOperation'] =>
  async ({ caller, operation, pageToken }) =>
    findOperation(operations, scopeOf(caller), operation, pageToken)

export async function findOperation(
  operations: Pick<OperationRepository, 'find'>,
  scope: Scope,
  id: string,
  pageToken?: string,
): Promise<Operation> {
  const page = { pageSize: ITEMS_PER_PAGE, after: pageToken ?? null }
  const found = await operations.find(scope, id, page)
  if (!found) throw new DomainError('NOT_FOUND', `There is no operation ${id}.`)
  return found
}
