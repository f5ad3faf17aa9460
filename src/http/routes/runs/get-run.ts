import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { NoQuery, RunPath } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'
import { Run } from '../../schemas/runs.ts'

export const getRun = (app: App) =>
  app.get(
    '/v1/runs/:run',
    {
      schema: {
        operationId: 'getRun',
        summary: 'Read one run',
        description: 'What was last observed of it; `GET /v1/jobs/{job}/state` says how fresh that is.',
        tags: ['runs'],
        params: RunPath,
        querystring: NoQuery,
        response: { 200: answer(Run, 'The run.'), ...problems('NOT_FOUND') },
      },
    },
    async (request, reply) =>
      reply.code(200).send(await app.services.getRun({ caller: request.caller, ...request.params })),
  )
