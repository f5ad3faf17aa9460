import { entityTag } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { CreateHeaders, EmptyBody, JobPath, NoQuery } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'
import { Schedule } from '../../schemas/schedules.ts'

export const resumeSchedule = (app: App) =>
  app.post(
    '/v1/jobs/:job/schedule/resume',
    {
      config: { optionalBody: true },
      schema: {
        operationId: 'resumeSchedule',
        summary: 'Resume the schedule of a job',
        description:
          'Lifts a pause, whoever made it, switches the schedule on and forgets its failures. Runs of the meantime are not made up for. Given again it answers the same.',
        tags: ['rules'],
        params: JobPath,
        headers: CreateHeaders,
        querystring: NoQuery,
        body: EmptyBody,
        response: {
          200: answer(Schedule, 'The schedule, on.', 'ETag'),
          ...bodyProblems('NOT_FOUND', 'SCHEDULE_TOO_TIGHT'),
        },
      },
    },
    async (request, reply) => {
      const schedule = await app.services.resumeSchedule({ caller: request.caller, ...request.params })
      return reply.code(200).header('etag', entityTag(schedule.etag)).send(schedule)
    },
  )
