import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { JobPath, PageQuery } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'
import { ScheduleFiringPage } from '../../schemas/schedules.ts'

export const listScheduleFirings = (app: App) =>
  app.get(
    '/v1/jobs/:job/schedule/firings',
    {
      schema: {
        operationId: 'listScheduleFirings',
        summary: 'List the runs of a schedule',
        description:
          'What was fired and what was skipped, with its reason, the newest first, by pages; kept for 90 days, also when the schedule is deleted.',
        tags: ['rules'],
        params: JobPath,
        querystring: PageQuery,
        response: {
          200: answer(ScheduleFiringPage, 'One page.'),
          ...problems('NOT_FOUND', 'PAGE_TOKEN_INVALID'),
        },
      },
    },
    async (request, reply) => {
      const query = { caller: request.caller, ...request.params, ...request.query }
      return reply.code(200).send(await app.services.listScheduleFirings(query))
    },
  )
