import type { BulkSavepointInput } from '../../../services/api.ts'
import { createOperation, OPERATION_HEADERS } from '../../answer-operation.ts'
import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { ref } from '../../schemas/base.ts'
import { normalizeInstant } from '../../schemas/formats.ts'
import { CreateBulkSavepoint, CreateOperationHeaders, Operation } from '../../schemas/operations.ts'
import { NoQuery } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'

const withUtcExpiry = (input: BulkSavepointInput): BulkSavepointInput =>
  input.savepoint?.expiresAt === undefined
    ? input
    : {
        ...input,
        savepoint: { ...input.savepoint, expiresAt: normalizeInstant(input.savepoint.expiresAt) },
      }

export const createBulkSavepoint = (app: App) =>
  app.post(
    '/v1/savepoints',
    {
      schema: {
        operationId: 'createBulkSavepoint',
        summary: 'Trigger savepoints of many jobs',
        description:
          'Selects the jobs at this moment, at most 10,000, and records one operation with one item per job: 202. At most `maxParallel` of its savepoints are Creating at once. A job that does not run is skipped; any other refusal of `POST /v1/jobs/{job}/savepoints` fails its item with that code; a savepoint in progress is joined. `GET /v1/operations/{operation}` is the report.',
        tags: ['savepoints'],
        headers: CreateOperationHeaders,
        querystring: NoQuery,
        body: ref(CreateBulkSavepoint),
        response: {
          201: answer(Operation, 'The operation, ended: read its `status`.', ...OPERATION_HEADERS),
          202: answer(Operation, 'The operation is RUNNING.', ...OPERATION_HEADERS, 'Retry-After'),
          ...bodyProblems(
            'REFERENCE_NOT_FOUND',
            'NOTHING_SELECTED',
            'TOO_MANY_SELECTED',
            'IDEMPOTENCY_IN_PROGRESS',
            'IDEMPOTENCY_KEY_REUSED',
          ),
        },
      },
    },
    async (request, reply) => {
      const { status, operation } = await createOperation(request, reply, (idempotency) =>
        app.services.createBulkSavepoint({
          caller: request.caller,
          idempotency,
          ...withUtcExpiry(request.body),
        }),
      )
      return reply.code(status).send(operation)
    },
  )
