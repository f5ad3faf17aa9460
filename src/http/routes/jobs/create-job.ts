import { entityTag } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { markReplayed, readIdempotency } from '../../idempotency.ts'
import { answer } from '../../schemas/answers.ts'
import { ref } from '../../schemas/base.ts'
import { CreateJob, Job } from '../../schemas/jobs.ts'
import { CreateHeaders, NoQuery } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'

export const createJob = (app: App) =>
  app.post(
    '/v1/jobs',
    {
      schema: {
        operationId: 'createJob',
        summary: 'Register a job',
        description:
          'With `attach` we follow a job that someone else starts; without it the job is managed by us.',
        tags: ['jobs'],
        headers: CreateHeaders,
        querystring: NoQuery,
        body: ref(CreateJob),
        response: {
          201: answer(Job, 'The job as created.', 'Location', 'ETag', 'Idempotency-Replayed'),
          ...bodyProblems(
            'NAME_INVALID',
            'NAME_TAKEN',
            'ALREADY_ATTACHED',
            'REFERENCE_NOT_FOUND',
            'IDEMPOTENCY_IN_PROGRESS',
            'IDEMPOTENCY_KEY_REUSED',
          ),
        },
      },
    },
    async (request, reply) => {
      const created = await app.services.createJob({
        caller: request.caller,
        idempotency: readIdempotency(request),
        ...request.body,
      })
      const { resource } = created
      markReplayed(reply, created)
      reply.headers({ location: `/v1/jobs/${resource.id}`, etag: entityTag(resource.etag) })
      return reply.code(201).send(resource)
    },
  )
