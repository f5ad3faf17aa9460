import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { PageQuery } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'
import { StoragePage } from '../../schemas/storages.ts'

export const listStorages = (app: App) =>
  app.get(
    '/v1/storages',
    {
      schema: {
        operationId: 'listStorages',
        summary: 'List the storages of the namespace',
        description: 'Newest first, by pages: `nextPageToken` is null on the last one. There is no total.',
        tags: ['storages'],
        querystring: PageQuery,
        response: { 200: answer(StoragePage, 'One page.'), ...problems('PAGE_TOKEN_INVALID') },
      },
    },
    async (request, reply) => {
      const page = await app.services.listStorages({ caller: request.caller, ...request.query })
      return reply.code(200).send(page)
    },
  )
