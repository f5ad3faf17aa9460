import { entityTag } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { markReplayed, readIdempotency } from '../../idempotency.ts'
import { answer } from '../../schemas/answers.ts'
import { ref } from '../../schemas/base.ts'
import { Cluster, CreateCluster } from '../../schemas/clusters.ts'
import { CreateHeaders, NoQuery } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'

export const createCluster = (app: App) =>
  app.post(
    '/v1/clusters',
    {
      schema: {
        operationId: 'createCluster',
        summary: 'Register a Flink cluster',
        description: 'The cluster need not be reachable; `POST …/probe` tells whether it is.',
        tags: ['clusters'],
        headers: CreateHeaders,
        querystring: NoQuery,
        body: ref(CreateCluster),
        response: {
          201: answer(Cluster, 'The cluster as created.', 'Location', 'ETag', 'Idempotency-Replayed'),
          ...bodyProblems(
            'NAME_INVALID',
            'NAME_TAKEN',
            'SECRET_REFERENCE_INVALID',
            'SECRET_MISSING',
            'IDEMPOTENCY_IN_PROGRESS',
            'IDEMPOTENCY_KEY_REUSED',
          ),
        },
      },
    },
    async (request, reply) => {
      const created = await app.services.createCluster({
        caller: request.caller,
        idempotency: readIdempotency(request),
        ...request.body,
      })
      const { resource } = created
      markReplayed(reply, created)
      reply.headers({ location: `/v1/clusters/${resource.id}`, etag: entityTag(resource.etag) })
      return reply.code(201).send(resource)
    },
  )
