import type { App } from '../../fastify-app.ts'
import { RETRY_AFTER_SECONDS, readWaitSeconds, waitForOperation } from '../../prefer.ts'
import { answer } from '../../schemas/answers.ts'
import {
  Operation,
  OperationItemsQuery,
  OperationPath,
  ReadOperationHeaders,
} from '../../schemas/operations.ts'
import { problems } from '../../schemas/problem.ts'

export const getOperation = (app: App) =>
  app.get(
    '/v1/operations/:operation',
    {
      schema: {
        operationId: 'getOperation',
        summary: 'Read an operation and its report',
        description:
          'With its first 200 items; `nextPageToken` leads to those that follow. With `Prefer: wait=N` the answer waits until the operation has ended: 200 then, 202 when it still runs.',
        tags: ['operations'],
        params: OperationPath,
        headers: ReadOperationHeaders,
        querystring: OperationItemsQuery,
        response: {
          200: answer(Operation, 'The operation.', 'Preference-Applied'),
          202: answer(
            Operation,
            'Still RUNNING after the wait asked for.',
            'Preference-Applied',
            'Retry-After',
          ),
          ...problems('NOT_FOUND', 'PAGE_TOKEN_INVALID'),
        },
      },
    },
    async (request, reply) => {
      const query = { ...request.params, ...request.query }
      const waitSeconds = readWaitSeconds(request)
      const operation =
        waitSeconds === undefined
          ? await app.services.getOperation({ caller: request.caller, ...query })
          : await waitForOperation(request, reply, { ...query, waitSeconds })
      const isOpen = waitSeconds !== undefined && operation.status === 'RUNNING'
      if (isOpen) return reply.code(202).header('retry-after', RETRY_AFTER_SECONDS).send(operation)
      return reply.code(200).send(operation)
    },
  )
