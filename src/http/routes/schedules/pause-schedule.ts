import { entityTag } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { CreateHeaders, EmptyBody, JobPath, NoQuery } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'
import { Schedule } from '../../schemas/schedules.ts'

export const pauseSchedule = (app: App) =>
  app.post(
    '/v1/jobs/:job/schedule/pause',
    {
      config: { optionalBody: true },
      schema: {
        operationId: 'pauseSchedule',
        summary: 'Pause the schedule of a job',
        description:
          'No further run comes until it is resumed; a savepoint that is under way goes on. Given again it answers the same.',
        tags: ['rules'],
        params: JobPath,
        headers: CreateHeaders,
        querystring: NoQuery,
        body: EmptyBody,
        response: { 200: answer(Schedule, 'The schedule, paused.', 'ETag'), ...bodyProblems('NOT_FOUND') },
      },
    },
    async (request, reply) => {
      const schedule = await app.services.pauseSchedule({ caller: request.caller, ...request.params })
      return reply.code(200).header('etag', entityTag(schedule.etag)).send(schedule)
    },
  )
