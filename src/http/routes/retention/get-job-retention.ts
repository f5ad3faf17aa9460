import { entityTag } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { JobPath, NoQuery } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'
import { Retention } from '../../schemas/retention.ts'

export const getJobRetention = (app: App) =>
  app.get(
    '/v1/jobs/:job/retention',
    {
      schema: {
        operationId: 'getJobRetention',
        summary: 'The retention rule that holds for a job',
        description:
          "Its own, else the default of its namespace, else none: `origin` says which. The `ETag` is that of the job's own rule.",
        tags: ['rules'],
        params: JobPath,
        querystring: NoQuery,
        response: { 200: answer(Retention, 'The rule.', 'ETag'), ...problems('NOT_FOUND') },
      },
    },
    async (request, reply) => {
      const rule = await app.services.getRetention({ caller: request.caller, ...request.params })
      return reply.code(200).header('etag', entityTag(rule.etag)).send(rule)
    },
  )
