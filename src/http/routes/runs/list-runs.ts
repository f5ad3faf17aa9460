import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { JobPath, PageQuery } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'
import { RunPage } from '../../schemas/runs.ts'

export const listRuns = (app: App) =>
  app.get(
    '/v1/jobs/:job/runs',
    {
      schema: {
        operationId: 'listRuns',
        summary: 'List the runs of a job',
        description: 'Newest first, by pages: `nextPageToken` is null on the last one. There is no total.',
        tags: ['runs'],
        params: JobPath,
        querystring: PageQuery,
        response: { 200: answer(RunPage, 'One page.'), ...problems('NOT_FOUND', 'PAGE_TOKEN_INVALID') },
      },
    },
    async (request, reply) => {
      const query = { caller: request.caller, ...request.params, ...request.query }
      return reply.code(200).send(await app.services.listRuns(query))
    },
  )
