import { readIfMatch } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { noContent } from '../../schemas/answers.ts'
import { ChangeHeaders, JobPath, NoQuery } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'

export const deleteJobRetention = (app: App) =>
  app.delete(
    '/v1/jobs/:job/retention',
    {
      schema: {
        operationId: 'deleteJobRetention',
        summary: 'Forget the retention rule of a job',
        description: 'The default of the namespace holds again. 404 when the job has no rule of its own.',
        tags: ['rules'],
        params: JobPath,
        headers: ChangeHeaders,
        querystring: NoQuery,
        response: {
          204: noContent('The rule is gone.'),
          ...problems('NOT_FOUND', 'PRECONDITION_FAILED'),
        },
      },
    },
    async (request, reply) => {
      await app.services.deleteRetention({
        caller: request.caller,
        ...request.params,
        ifMatch: readIfMatch(request),
      })
      return reply.code(204).send(null)
    },
  )
