import { readIfMatch } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { noContent } from '../../schemas/answers.ts'
import { ChangeHeaders, NoQuery, StoragePath } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'

export const deleteStorage = (app: App) =>
  app.delete(
    '/v1/storages/:storage',
    {
      schema: {
        operationId: 'deleteStorage',
        summary: 'Delete a storage',
        description: '409 `IN_USE` while a live job or an uncleared snapshot refers to it.',
        tags: ['storages'],
        params: StoragePath,
        headers: ChangeHeaders,
        querystring: NoQuery,
        response: {
          204: noContent('The storage is gone.'),
          ...problems('NOT_FOUND', 'IN_USE', 'PRECONDITION_FAILED'),
        },
      },
    },
    async (request, reply) => {
      await app.services.deleteStorage({
        caller: request.caller,
        ...request.params,
        ifMatch: readIfMatch(request),
      })
      return reply.code(204).send(null)
    },
  )
