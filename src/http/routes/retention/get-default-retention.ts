import { entityTag } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { NoQuery } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'
import { Retention } from '../../schemas/retention.ts'

export const getDefaultRetention = (app: App) =>
  app.get(
    '/v1/retention',
    {
      schema: {
        operationId: 'getDefaultRetention',
        summary: 'The retention rule of jobs that have none of their own',
        tags: ['rules'],
        querystring: NoQuery,
        response: { 200: answer(Retention, 'The rule.', 'ETag'), ...problems() },
      },
    },
    async (request, reply) => {
      const rule = await app.services.getRetention({ caller: request.caller, job: null })
      return reply.code(200).header('etag', entityTag(rule.etag)).send(rule)
    },
  )
