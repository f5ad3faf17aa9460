import { entityTag, readIfMatch } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { ref } from '../../schemas/base.ts'
import { Job, UpdateJob } from '../../schemas/jobs.ts'
import { ChangeHeaders, JobPath, NoQuery } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'

export const updateJob = (app: App) =>
  app.patch(
    '/v1/jobs/:job',
    {
      schema: {
        operationId: 'updateJob',
        summary: 'Change a job',
        description:
          'Only the members given change; the name never does. A job changes its cluster only without a live run.',
        tags: ['jobs'],
        params: JobPath,
        headers: ChangeHeaders,
        querystring: NoQuery,
        body: ref(UpdateJob),
        response: {
          200: answer(Job, 'The job as changed.', 'ETag'),
          ...bodyProblems(
            'NOT_FOUND',
            'ALREADY_ATTACHED',
            'REFERENCE_NOT_FOUND',
            'IN_USE',
            'PRECONDITION_FAILED',
          ),
        },
      },
    },
    async (request, reply) => {
      const job = await app.services.updateJob({
        caller: request.caller,
        ...request.params,
        ifMatch: readIfMatch(request),
        changes: request.body,
      })
      return reply.code(200).header('etag', entityTag(job.etag)).send(job)
    },
  )
