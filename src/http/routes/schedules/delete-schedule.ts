import { readIfMatch } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { noContent } from '../../schemas/answers.ts'
import { ChangeHeaders, JobPath, NoQuery } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'

export const deleteSchedule = (app: App) =>
  app.delete(
    '/v1/jobs/:job/schedule',
    {
      schema: {
        operationId: 'deleteSchedule',
        summary: 'Delete the schedule of a job',
        description: 'Its savepoints and the list of its runs stay; a savepoint that is under way goes on.',
        tags: ['rules'],
        params: JobPath,
        headers: ChangeHeaders,
        querystring: NoQuery,
        response: {
          204: noContent('The schedule is gone.'),
          ...problems('NOT_FOUND', 'PRECONDITION_FAILED'),
        },
      },
    },
    async (request, reply) => {
      await app.services.deleteSchedule({
        caller: request.caller,
        ...request.params,
        ifMatch: readIfMatch(request),
      })
      return reply.code(204).send(null)
    },
  )
