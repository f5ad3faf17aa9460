import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { JobPath } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'
import { RestorePoint, RestorePointQuery } from '../../schemas/restore-points.ts'

export const getRestorePoint = (app: App) =>
  app.get(
    '/v1/jobs/:job/restore-point',
    {
      schema: {
        operationId: 'getRestorePoint',
        summary: 'Find the snapshot a job would be restored from',
        description:
          'The choice, why it is this one, and of every other candidate why not. The newest is the one of the newest run, and within a run the one with the highest checkpoint id, never the one that completed last. Whether the `_metadata` of the chosen one exists is checked at this moment. A refusal is an answer, too: 200 with `decision: refuse`. Nothing is changed or reserved.',
        tags: ['jobs'],
        params: JobPath,
        querystring: RestorePointQuery,
        response: {
          200: answer(RestorePoint, 'The decision.'),
          ...problems('NOT_FOUND', 'REFERENCE_NOT_FOUND', 'LOCATION_INVALID', 'LOCATION_OUTSIDE_ROOT'),
        },
      },
    },
    async (request, reply) => {
      const query = { caller: request.caller, ...request.params, ...request.query }
      return reply.code(200).send(await app.services.findRestorePoint(query))
    },
  )
