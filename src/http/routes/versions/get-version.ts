import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { NoQuery, VersionPath } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'
import { JobVersion } from '../../schemas/versions.ts'

export const getVersion = (app: App) =>
  app.get(
    '/v1/jobs/:job/versions/:number',
    {
      schema: {
        operationId: 'getJobVersion',
        summary: 'Read one version of a job',
        tags: ['versions'],
        params: VersionPath,
        querystring: NoQuery,
        response: { 200: answer(JobVersion, 'The version.'), ...problems('NOT_FOUND') },
      },
    },
    async (request, reply) => {
      const version = await app.services.getJobVersion({ caller: request.caller, ...request.params })
      return reply.code(200).send(version)
    },
  )
