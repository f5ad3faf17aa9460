import { DomainError } from '../domain/errors.ts'
import type { BulkSavepointOperation, Operation } from '../domain/operation.ts'
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

export async function findBulkSavepoint(
  operations: Pick<OperationRepository, 'find'>,
  scope: Scope,
  id: string,
): Promise<BulkSavepointOperation> {
  const operation = await findOperation(operations, scope, id)
  if (operation.kind !== 'BULK_SAVEPOINT') throw new Error(`the operation ${id} is a ${operation.kind}`)
  return operation
}
