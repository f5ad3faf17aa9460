import { createOperation, OPERATION_HEADERS } from '../../answer-operation.ts'
import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { AuditStorage } from '../../schemas/audits.ts'
import { ref } from '../../schemas/base.ts'
import { CreateOperationHeaders, Operation } from '../../schemas/operations.ts'
import { NoQuery, StoragePath } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'

export const auditStorage = (app: App) =>
  app.post(
    '/v1/storages/:storage/audit',
    {
      config: { optionalBody: true },
      schema: {
        operationId: 'auditStorage',
        summary: 'Look for orphans, unregistered and missing snapshots, and measure usage',
        description:
          'An operation: lists everything below the root and compares it with the snapshots; it touches nothing. `GET /v1/operations/{operation}/findings` shows what was found, `GET /v1/storages/{storage}/usage` what was measured. Asked for twice while it is open, the open one answers.',
        tags: ['storages'],
        params: StoragePath,
        headers: CreateOperationHeaders,
        querystring: NoQuery,
        body: ref(AuditStorage),
        response: {
          201: answer(Operation, 'The operation, ended: read its `status`.', ...OPERATION_HEADERS),
          202: answer(Operation, 'The operation is RUNNING.', ...OPERATION_HEADERS, 'Retry-After'),
          ...bodyProblems(
            'NOT_FOUND',
            'STORAGE_NOT_ADDRESSABLE',
            'IDEMPOTENCY_IN_PROGRESS',
            'IDEMPOTENCY_KEY_REUSED',
          ),
        },
      },
    },
    async (request, reply) => {
      const { status, operation } = await createOperation(request, reply, (idempotency) =>
        app.services.auditStorage({
          caller: request.caller,
          idempotency,
          ...request.params,
          ...request.body,
        }),
      )
      return reply.code(status).send(operation)
    },
  )
