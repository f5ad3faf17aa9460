/** What every route that creates an operation answers: 202 while it is RUNNING, 201 when it ended within the wait asked for. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Operation } from '../domain/operation.ts'
import type { Created, Idempotency } from '../services/api.ts'
import { markReplayed, readIdempotency } from './idempotency.ts'
import { RETRY_AFTER_SECONDS, readWaitSeconds, waitForOperation } from './prefer.ts'

export const OPERATION_HEADERS = ['Location', 'Idempotency-Replayed', 'Preference-Applied'] as const

/** Creates it, and sets the headers; answers the status and the operation as it is then. */
export async function createOperation(
  request: FastifyRequest,
  reply: FastifyReply,
  create: (idempotency: Idempotency | undefined) => Promise<Created<Operation>>,
): Promise<{ status: 201 | 202; operation: Operation }> {
  const waitSeconds = readWaitSeconds(request) // a preference that cannot be read creates nothing
  const created = await create(readIdempotency(request))
  const operation = await waitIfAsked(request, reply, created.resource, waitSeconds)
  markReplayed(reply, created)
  reply.header('location', `/v1/operations/${operation.id}`)
  if (operation.status !== 'RUNNING') return { status: 201, operation }
  reply.header('retry-after', RETRY_AFTER_SECONDS)
  return { status: 202, operation }
}

/** It is accepted whatever happens while we wait: then the answer is the operation as accepted. */
const waitIfAsked = async (
  request: FastifyRequest,
  reply: FastifyReply,
  operation: Operation,
  waitSeconds: number | undefined,
): Promise<Operation> => {
  if (waitSeconds === undefined || operation.status !== 'RUNNING') return operation
  try {
    return await waitForOperation(request, reply, { operation: operation.id, waitSeconds })
  } catch (err) {
    request.log.warn({ err, operationId: operation.id }, 'could not wait for the operation')
    return operation
  }
}
