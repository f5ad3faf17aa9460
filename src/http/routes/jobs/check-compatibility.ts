import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { ref } from '../../schemas/base.ts'
import { CheckCompatibility, CompatibilityCheck } from '../../schemas/compatibility.ts'
import { CreateHeaders, JobPath, NoQuery } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'

export const checkCompatibility = (app: App) =>
  app.post(
    '/v1/jobs/:job/compatibility',
    {
      config: { optionalBody: true },
      schema: {
        operationId: 'checkCompatibility',
        summary: 'Ask whether a version fits a snapshot',
        description:
          'By what `_metadata` says and what snapshots of the version tell of its operators; Flink is not asked and nothing runs. A snapshot that cannot be restored or read is an answer, too: 200 with INCOMPATIBLE or UNKNOWN. It creates nothing, so an Idempotency-Key changes nothing. What it cannot know: docs/compatibility.md.',
        tags: ['jobs'],
        params: JobPath,
        headers: CreateHeaders,
        querystring: NoQuery,
        body: ref(CheckCompatibility),
        response: {
          200: answer(CompatibilityCheck, 'The verdict.'),
          ...bodyProblems('NOT_FOUND', 'REFERENCE_NOT_FOUND', 'LOCATION_INVALID', 'LOCATION_OUTSIDE_ROOT'),
        },
      },
    },
    async (request, reply) => {
      const query = { caller: request.caller, ...request.params, ...request.body }
      return reply.code(200).send(await app.services.checkCompatibility(query))
    },
  )
