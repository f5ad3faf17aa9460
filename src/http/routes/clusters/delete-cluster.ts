import { readIfMatch } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { noContent } from '../../schemas/answers.ts'
import { ChangeHeaders, ClusterPath, NoQuery } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'

export const deleteCluster = (app: App) =>
  app.delete(
    '/v1/clusters/:cluster',
    {
      schema: {
        operationId: 'deleteCluster',
        summary: 'Delete a cluster',
        description: '409 `IN_USE` while a live job or an uncleared snapshot refers to it.',
        tags: ['clusters'],
        params: ClusterPath,
        headers: ChangeHeaders,
        querystring: NoQuery,
        response: {
          204: noContent('The cluster is gone.'),
          ...problems('NOT_FOUND', 'IN_USE', 'PRECONDITION_FAILED'),
        },
      },
    },
    async (request, reply) => {
      await app.services.deleteCluster({
        caller: request.caller,
        ...request.params,
        ifMatch: readIfMatch(request),
      })
      return reply.code(204).send(null)
    },
  )
