import { entityTag } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { ref } from '../../schemas/base.ts'
import { Cluster, ConfirmIdentity } from '../../schemas/clusters.ts'
import { ClusterPath, CreateHeaders, NoQuery } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'

export const confirmIdentity = (app: App) =>
  app.post(
    '/v1/clusters/:cluster/confirm-identity',
    {
      config: { optionalBody: true },
      schema: {
        operationId: 'confirmClusterIdentity',
        summary: 'Adopt the cluster that answers now',
        description:
          'Makes `changedTo` the known fingerprint. Give the fingerprint you mean: when another one answers by now, that is 409 `CLUSTER_IDENTITY_CHANGED` with both. Nothing to confirm answers the cluster as it is.',
        tags: ['clusters'],
        params: ClusterPath,
        headers: CreateHeaders,
        querystring: NoQuery,
        body: ref(ConfirmIdentity),
        response: {
          200: answer(Cluster, 'The cluster.', 'ETag'),
          ...bodyProblems('NOT_FOUND', 'CLUSTER_IDENTITY_CHANGED'),
        },
      },
    },
    async (request, reply) => {
      const cluster = await app.services.confirmClusterIdentity({
        caller: request.caller,
        ...request.params,
        ...request.body,
      })
      return reply.code(200).header('etag', entityTag(cluster.etag)).send(cluster)
    },
  )
