import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { ClusterPage } from '../../schemas/clusters.ts'
import { PageQuery } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'

export const listClusters = (app: App) =>
  app.get(
    '/v1/clusters',
    {
      schema: {
        operationId: 'listClusters',
        summary: 'List the clusters of the namespace',
        description: 'Newest first, by pages: `nextPageToken` is null on the last one. There is no total.',
        tags: ['clusters'],
        querystring: PageQuery,
        response: { 200: answer(ClusterPage, 'One page.'), ...problems('PAGE_TOKEN_INVALID') },
      },
    },
    async (request, reply) => {
      const page = await app.services.listClusters({ caller: request.caller, ...request.query })
      return reply.code(200).send(page)
    },
  )
