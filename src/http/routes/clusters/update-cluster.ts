import { entityTag, readIfMatch } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { ref } from '../../schemas/base.ts'
import { Cluster, UpdateCluster } from '../../schemas/clusters.ts'
import { ChangeHeaders, ClusterPath, NoQuery } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'

export const updateCluster = (app: App) =>
  app.patch(
    '/v1/clusters/:cluster',
    {
      schema: {
        operationId: 'updateCluster',
        summary: 'Change a cluster',
        description: 'Only the members given change; the name never does.',
        tags: ['clusters'],
        params: ClusterPath,
        headers: ChangeHeaders,
        querystring: NoQuery,
        body: ref(UpdateCluster),
        response: {
          200: answer(Cluster, 'The cluster as changed.', 'ETag'),
          ...bodyProblems(
            'NOT_FOUND',
            'IN_USE',
            'SECRET_REFERENCE_INVALID',
            'SECRET_MISSING',
            'PRECONDITION_FAILED',
          ),
        },
      },
    },
    async (request, reply) => {
      const cluster = await app.services.updateCluster({
        caller: request.caller,
        ...request.params,
        ifMatch: readIfMatch(request),
        changes: request.body,
      })
      return reply.code(200).header('etag', entityTag(cluster.etag)).send(cluster)
    },
  )
