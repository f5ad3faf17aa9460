import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { ProbeResult } from '../../schemas/clusters.ts'
import { ClusterPath, CreateHeaders, EmptyBody, NoQuery } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'

export const probeCluster = (app: App) =>
  app.post(
    '/v1/clusters/:cluster/probe',
    {
      config: { optionalBody: true },
      schema: {
        operationId: 'probeCluster',
        summary: 'Ask a cluster now what it is',
        description:
          'Answers 200 also when the cluster cannot be reached: `error` says why. It creates nothing, so an Idempotency-Key changes nothing.',
        tags: ['clusters'],
        params: ClusterPath,
        headers: CreateHeaders,
        querystring: NoQuery,
        body: EmptyBody,
        response: {
          200: answer(ProbeResult, 'What was found.'),
          ...bodyProblems('NOT_FOUND', 'SECRET_REFERENCE_INVALID', 'SECRET_MISSING'),
        },
      },
    },
    async (request, reply) => {
      const result = await app.services.probeCluster({ caller: request.caller, ...request.params })
      return reply.code(200).send(result)
    },
  )
