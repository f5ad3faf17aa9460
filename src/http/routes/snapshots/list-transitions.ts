import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { NoQuery, SnapshotPath } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'
import { TransitionList } from '../../schemas/snapshots.ts'

export const listTransitions = (app: App) =>
  app.get(
    '/v1/snapshots/:snapshot/transitions',
    {
      schema: {
        operationId: 'listTransitions',
        summary: 'Read how a snapshot came to its status',
        description: 'Every change of status with its reason, oldest first; kept for 90 days.',
        tags: ['snapshots'],
        params: SnapshotPath,
        querystring: NoQuery,
        response: { 200: answer(TransitionList, 'The history.'), ...problems('NOT_FOUND') },
      },
    },
    async (request, reply) => {
      const history = await app.services.listTransitions({ caller: request.caller, ...request.params })
      return reply.code(200).send(history)
    },
  )
