import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { ref } from '../../schemas/base.ts'
import { AttachFlinkJobs, AttachReport } from '../../schemas/fleet.ts'
import { ClusterPath, CreateHeaders, NoQuery } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'

export const attachFlinkJobs = (app: App) =>
  app.post(
    '/v1/clusters/:cluster/attach',
    {
      schema: {
        operationId: 'attachFlinkJobs',
        summary: 'Attach the live Flink jobs whose name matches a pattern',
        description:
          'Creates a job for every distinct name of a live Flink job that matches and that nobody follows yet, attached by that name; at most 500 per call. It may be repeated and run at any time, also twice at once: what is attached already is skipped, so an Idempotency-Key changes nothing. Works on observe-only clusters too.',
        tags: ['clusters'],
        params: ClusterPath,
        headers: CreateHeaders,
        querystring: NoQuery,
        body: ref(AttachFlinkJobs),
        response: {
          200: answer(AttachReport, 'What was attached, and what was not and why.'),
          ...bodyProblems(
            'NOT_FOUND',
            'REFERENCE_NOT_FOUND',
            'SECRET_REFERENCE_INVALID',
            'SECRET_MISSING',
            'CLUSTER_REFUSED',
            'CLUSTER_UNREACHABLE',
            'CLUSTER_TOO_SLOW',
          ),
        },
      },
    },
    async (request, reply) => {
      const command = { caller: request.caller, ...request.params, ...request.body }
      return reply.code(200).send(await app.services.attachFlinkJobs(command))
    },
  )
