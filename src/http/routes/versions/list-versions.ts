import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { JobPath, PageQuery } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'
import { JobVersionPage } from '../../schemas/versions.ts'

export const listVersions = (app: App) =>
  app.get(
    '/v1/jobs/:job/versions',
    {
      schema: {
        operationId: 'listJobVersions',
        summary: 'List the versions of a job',
        description: 'Newest first, by pages: `nextPageToken` is null on the last one. There is no total.',
        tags: ['versions'],
        params: JobPath,
        querystring: PageQuery,
        response: {
          200: answer(JobVersionPage, 'One page.'),
          ...problems('NOT_FOUND', 'PAGE_TOKEN_INVALID'),
        },
      },
    },
    async (request, reply) => {
      const query = { caller: request.caller, ...request.params, ...request.query }
      return reply.code(200).send(await app.services.listJobVersions(query))
    },
  )
