import { entityTag } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { JobPath, NoQuery } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'
import { Schedule } from '../../schemas/schedules.ts'

export const getSchedule = (app: App) =>
  app.get(
    '/v1/jobs/:job/schedule',
    {
      schema: {
        operationId: 'getSchedule',
        summary: 'Read the schedule of a job',
        description:
          '404 when it has none. Its `ETag` is for `If-Match` only: `nextRunAt` moves on under the same one.',
        tags: ['rules'],
        params: JobPath,
        querystring: NoQuery,
        response: { 200: answer(Schedule, 'The schedule.', 'ETag'), ...problems('NOT_FOUND') },
      },
    },
    async (request, reply) => {
      const schedule = await app.services.getSchedule({ caller: request.caller, ...request.params })
      return reply.code(200).header('etag', entityTag(schedule.etag)).send(schedule)
    },
  )
