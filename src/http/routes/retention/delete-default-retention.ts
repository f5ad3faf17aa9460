import { readIfMatch } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { noContent } from '../../schemas/answers.ts'
import { ChangeHeaders, NoQuery } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'

export const deleteDefaultRetention = (app: App) =>
  app.delete(
    '/v1/retention',
    {
      schema: {
        operationId: 'deleteDefaultRetention',
        summary: 'Forget the default retention rule of the namespace',
        description: 'Jobs with a rule of their own keep it. 404 when there is no default.',
        tags: ['rules'],
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
        job: null,
        ifMatch: readIfMatch(request),
      })
      return reply.code(204).send(null)
    },
  )
