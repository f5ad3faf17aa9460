import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { Clearing } from '../../schemas/clearings.ts'
import { NoQuery, SnapshotPath } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'

export const getClearing = (app: App) =>
  app.get(
    '/v1/snapshots/:snapshot/clearing',
    {
      schema: {
        operationId: 'getClearing',
        summary: 'Read how the removal of a snapshot goes on',
        description:
          'With the error of the last try, when it failed, and when the next one is. 404 when nobody asked for it.',
        tags: ['snapshots'],
        params: SnapshotPath,
        querystring: NoQuery,
        response: { 200: answer(Clearing, 'The clearing.'), ...problems('NOT_FOUND') },
      },
    },
    async (request, reply) =>
      reply.code(200).send(await app.services.getClearing({ caller: request.caller, ...request.params })),
  )
