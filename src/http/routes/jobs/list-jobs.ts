import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { JobPage, JobQuery } from '../../schemas/jobs.ts'
import { problems } from '../../schemas/problem.ts'

export const listJobs = (app: App) =>
  app.get(
    '/v1/jobs',
    {
      schema: {
        operationId: 'listJobs',
        summary: 'List the jobs of the namespace',
        description:
          'Newest first, by pages: `nextPageToken` is null on the last one. There is no total. `label` may be repeated, then all must match.',
        tags: ['jobs'],
        querystring: JobQuery,
        response: { 200: answer(JobPage, 'One page.'), ...problems('PAGE_TOKEN_INVALID', 'NOT_FOUND') },
      },
    },
    async (request, reply) => {
      const page = await app.services.listJobs({ caller: request.caller, ...request.query })
      return reply.code(200).send(page)
    },
  )
