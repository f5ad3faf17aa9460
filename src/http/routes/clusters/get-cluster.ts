import { isUnchanged } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { answer, noContent } from '../../schemas/answers.ts'
import { Cluster } from '../../schemas/clusters.ts'
import { ClusterPath, NoQuery, ReadHeaders } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'

export const getCluster = (app: App) =>
  app.get(
    '/v1/clusters/:cluster',
    {
      schema: {
        operationId: 'getCluster',
        summary: 'Read one cluster',
        tags: ['clusters'],
        params: ClusterPath,
        headers: ReadHeaders,
        querystring: NoQuery,
        response: {
          200: answer(Cluster, 'The cluster.', 'ETag'),
          304: noContent('The version named by If-None-Match is still current.', 'ETag'),
          ...problems('NOT_FOUND'),
        },
      },
    },
    async (request, reply) => {
      const cluster = await app.services.getCluster({ caller: request.caller, ...request.params })
      if (isUnchanged(request, reply, cluster)) return reply.code(304).send(null)
      return reply.code(200).send(cluster)
    },
  )
