import { entityTag, readIfMatch } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { ref } from '../../schemas/base.ts'
import { ChangeHeaders, JobPath, NoQuery } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'
import { PutSchedule, Schedule } from '../../schemas/schedules.ts'

export const putSchedule = (app: App) =>
  app.put(
    '/v1/jobs/:job/schedule',
    {
      schema: {
        operationId: 'putSchedule',
        summary: 'Create or replace the schedule of a job',
        description:
          'What is not given takes its default. It acts from its next run on, and only while the job runs. A rule that stays the same keeps its next run; a pause stays until it is resumed. 409 `SCHEDULE_TOO_TIGHT` when the p90 duration of the newest 100 savepoints of the job exceeds a quarter of the interval.',
        tags: ['rules'],
        params: JobPath,
        headers: ChangeHeaders,
        querystring: NoQuery,
        body: ref(PutSchedule),
        response: {
          200: answer(Schedule, 'The schedule as replaced.', 'ETag'),
          201: answer(Schedule, 'The schedule as created.', 'Location', 'ETag'),
          ...bodyProblems('NOT_FOUND', 'SCHEDULE_TOO_TIGHT', 'PRECONDITION_FAILED'),
        },
      },
    },
    async (request, reply) => {
      const { resource, created } = await app.services.putSchedule({
        caller: request.caller,
        ...request.params,
        ifMatch: readIfMatch(request),
        schedule: request.body,
      })
      reply.header('etag', entityTag(resource.etag))
      if (!created) return reply.code(200).send(resource)
      return reply.code(201).header('location', `/v1/jobs/${resource.job.id}/schedule`).send(resource)
    },
  )
