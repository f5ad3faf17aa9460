import { entityTag, readIfMatch } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { ref } from '../../schemas/base.ts'
import { ChangeHeaders, NoQuery } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'
import { Retention, SetRetention } from '../../schemas/retention.ts'

export const setDefaultRetention = (app: App) =>
  app.put(
    '/v1/retention',
    {
      schema: {
        operationId: 'setDefaultRetention',
        summary: 'Clear old savepoints of every job without a rule of its own',
        description: 'Replaces the default of the namespace as a whole.',
        tags: ['rules'],
        headers: ChangeHeaders,
        querystring: NoQuery,
        body: ref(SetRetention),
        response: {
          200: answer(Retention, 'The rule as saved.', 'ETag'),
          ...bodyProblems('PRECONDITION_FAILED'),
        },
      },
    },
    async (request, reply) => {
      const rule = await app.services.setRetention({
        caller: request.caller,
        job: null,
        ifMatch: readIfMatch(request),
        policy: request.body,
      })
      return reply.code(200).header('etag', entityTag(rule.etag)).send(rule)
    },
  )
