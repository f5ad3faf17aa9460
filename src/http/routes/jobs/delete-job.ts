import { readIfMatch } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { noContent } from '../../schemas/answers.ts'
import { ChangeHeaders, JobPath, NoQuery } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'

export const deleteJob = (app: App) =>
  app.delete(
    '/v1/jobs/:job',
    {
      schema: {
        operationId: 'deleteJob',
        summary: 'Delete a job',
        description: 'Its snapshots stay, its name is free. 409 `IN_USE` while a managed run lives.',
        tags: ['jobs'],
        params: JobPath,
        headers: ChangeHeaders,
        querystring: NoQuery,
        response: {
          204: noContent('The job is gone.'),
          ...problems('NOT_FOUND', 'IN_USE', 'PRECONDITION_FAILED'),
        },
      },
    },
    async (request, reply) => {
      await app.services.deleteJob({
        caller: request.caller,
        ...request.params,
        ifMatch: readIfMatch(request),
      })
      return reply.code(204).send(null)
    },
  )
