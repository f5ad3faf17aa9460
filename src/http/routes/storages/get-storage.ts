import { isUnchanged } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { answer, noContent } from '../../schemas/answers.ts'
import { NoQuery, ReadHeaders, StoragePath } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'
import { Storage } from '../../schemas/storages.ts'

export const getStorage = (app: App) =>
  app.get(
    '/v1/storages/:storage',
    {
      schema: {
        operationId: 'getStorage',
        summary: 'Read one storage',
        tags: ['storages'],
        params: StoragePath,
        headers: ReadHeaders,
        querystring: NoQuery,
        response: {
          200: answer(Storage, 'The storage.', 'ETag'),
          304: noContent('The version named by If-None-Match is still current.', 'ETag'),
          ...problems('NOT_FOUND'),
        },
      },
    },
    async (request, reply) => {
      const storage = await app.services.getStorage({ caller: request.caller, ...request.params })
      if (isUnchanged(request, reply, storage)) return reply.code(304).send(null)
      return reply.code(200).send(storage)
    },
  )
