import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { OperationPage } from '../../schemas/operations.ts'
import { PageQuery } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'

export const listOperations = (app: App) =>
  app.get(
    '/v1/operations',
    {
      schema: {
        operationId: 'listOperations',
        summary: 'List the operations of the namespace',
        description:
          'Newest first, without their items, by pages: `nextPageToken` is null on the last one. There is no total.',
        tags: ['operations'],
        querystring: PageQuery,
        response: { 200: answer(OperationPage, 'One page.'), ...problems('PAGE_TOKEN_INVALID') },
      },
    },
    async (request, reply) => {
      const page = await app.services.listOperations({ caller: request.caller, ...request.query })
      return reply.code(200).send(page)
    },
  )
