import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { CreateHeaders, EmptyBody, NoQuery, RunPath } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'
import { Run } from '../../schemas/runs.ts'

export const confirmRunEnded = (app: App) =>
  app.post(
    '/v1/runs/:run/confirm-ended',
    {
      config: { optionalBody: true },
      schema: {
        operationId: 'confirmRunEnded',
        summary: 'Say that a run nobody can see has ended',
        description:
          'For a run that is LOST, that a reachable leader does not list, or whose cluster cannot be reached. From then on nothing counts on it: its job may start elsewhere and its checkpoint directory may be cleared. Make sure that no TaskManager of it still runs. Given again it answers the same; a run that has ended already stays as it is; one that Flink lists answers 409 `RUN_IS_LIVE`.',
        tags: ['runs'],
        params: RunPath,
        headers: CreateHeaders,
        querystring: NoQuery,
        body: EmptyBody,
        response: { 200: answer(Run, 'The run.'), ...bodyProblems('NOT_FOUND', 'RUN_IS_LIVE') },
      },
    },
    async (request, reply) =>
      reply.code(200).send(await app.services.confirmRunEnded({ caller: request.caller, ...request.params })),
  )
