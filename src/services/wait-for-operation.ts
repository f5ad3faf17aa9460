/** Waits for an operation to end, with the same shared statement per tick as snapshots have. */
import type { OperationRepository } from '../ports/operations.ts'
import type { Services } from './api.ts'
import { getOperation } from './get-operation.ts'
import type { Waiters } from './waiters.ts'

type Ports = { operations: Pick<OperationRepository, 'find'>; operationWaiters: Waiters }

export const waitForOperation =
  (ports: Ports): Services['waitForOperation'] =>
  async ({ waitSeconds, signal, ...query }) => {
    const read = () => getOperation(ports)(query)
    const before = await read()
    if (before.status !== 'RUNNING') return before
    await ports.operationWaiters.wait(query.operation, waitSeconds * 1000, signal)
    return read()
  }
