import { entityTag, readIfMatch } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { ref } from '../../schemas/base.ts'
import { ChangeHeaders, JobPath, NoQuery } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'
import { Retention, SetRetention } from '../../schemas/retention.ts'

export const setJobRetention = (app: App) =>
  app.put(
    '/v1/jobs/:job/retention',
    {
      schema: {
        operationId: 'setJobRetention',
        summary: 'Clear old savepoints of a job by a rule',
        description:
          'Replaces the rule of the job as a whole, and the default of its namespace for it. While the job runs, from its next start on where it is stopped, savepoints of the sources SCHEDULE and DEPLOY are cleared when either condition is met; what a person asked for, what is pinned, in use or protected is never touched.',
        tags: ['rules'],
        params: JobPath,
        headers: ChangeHeaders,
        querystring: NoQuery,
        body: ref(SetRetention),
        response: {
          200: answer(Retention, 'The rule as saved.', 'ETag'),
          ...bodyProblems('NOT_FOUND', 'PRECONDITION_FAILED'),
        },
      },
    },
    async (request, reply) => {
      const rule = await app.services.setRetention({
        caller: request.caller,
        ...request.params,
        ifMatch: readIfMatch(request),
        policy: request.body,
      })
      return reply.code(200).header('etag', entityTag(rule.etag)).send(rule)
    },
  )
