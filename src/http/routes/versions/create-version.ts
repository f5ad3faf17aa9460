import type { App } from '../../fastify-app.ts'
import { markReplayed, readIdempotency } from '../../idempotency.ts'
import { answer } from '../../schemas/answers.ts'
import { ref } from '../../schemas/base.ts'
import { CreateHeaders, JobPath, NoQuery } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'
import { CreateJobVersion, JobVersion } from '../../schemas/versions.ts'

export const createVersion = (app: App) =>
  app.post(
    '/v1/jobs/:job/versions',
    {
      schema: {
        operationId: 'createJobVersion',
        summary: 'Register a version of a job',
        description:
          'A version is an immutable, numbered configuration. It changes nothing that runs. Settings that Flink would refuse are refused; what it would ignore without saying so comes back in `warnings`.',
        tags: ['versions'],
        params: JobPath,
        headers: CreateHeaders,
        querystring: NoQuery,
        body: ref(CreateJobVersion),
        response: {
          201: answer(JobVersion, 'The version as registered.', 'Location', 'Idempotency-Replayed'),
          ...bodyProblems(
            'NOT_FOUND',
            'REFERENCE_NOT_FOUND',
            'LOCATION_INVALID',
            'LOCATION_OUTSIDE_ROOT',
            'IDEMPOTENCY_IN_PROGRESS',
            'IDEMPOTENCY_KEY_REUSED',
          ),
        },
      },
    },
    async (request, reply) => {
      const { labels, ...spec } = request.body
      const created = await app.services.createJobVersion({
        caller: request.caller,
        idempotency: readIdempotency(request),
        ...request.params,
        spec,
        ...(labels === undefined ? {} : { labels }),
      })
      const { resource } = created
      markReplayed(reply, created)
      reply.header('location', `/v1/jobs/${request.params.job}/versions/${resource.number}`)
      return reply.code(201).send(resource)
    },
  )
