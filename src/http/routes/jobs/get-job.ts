import { isUnchanged } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { answer, noContent } from '../../schemas/answers.ts'
import { Job } from '../../schemas/jobs.ts'
import { JobPath, NoQuery, ReadHeaders } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'

export const getJob = (app: App) =>
  app.get(
    '/v1/jobs/:job',
    {
      schema: {
        operationId: 'getJob',
        summary: 'Read one job',
        tags: ['jobs'],
        params: JobPath,
        headers: ReadHeaders,
        querystring: NoQuery,
        response: {
          200: answer(Job, 'The job.', 'ETag'),
          304: noContent('The version named by If-None-Match is still current.', 'ETag'),
          ...problems('NOT_FOUND'),
        },
      },
    },
    async (request, reply) => {
      const job = await app.services.getJob({ caller: request.caller, ...request.params })
      if (isUnchanged(request, reply, job)) return reply.code(304).send(null)
      return reply.code(200).send(job)
    },
  )
