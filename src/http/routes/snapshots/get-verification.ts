import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { NoQuery, SnapshotPath } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'
import { Verification } from '../../schemas/verifications.ts'

export const getVerification = (app: App) =>
  app.get(
    '/v1/snapshots/:snapshot/verification',
    {
      schema: {
        operationId: 'getVerification',
        summary: 'Read what the last verification found',
        description:
          'Savepoints, and the newest checkpoint of a run that has ended, are verified by themselves: soon after they complete, and again every week (`TIDEMARK_VERIFY_EVERY_HOURS`). NOT_FOUND until there was one. The report outlives the snapshot’s data.',
        tags: ['snapshots'],
        params: SnapshotPath,
        querystring: NoQuery,
        response: { 200: answer(Verification, 'The last report.'), ...problems('NOT_FOUND') },
      },
    },
    async (request, reply) =>
      reply.code(200).send(await app.services.getVerification({ caller: request.caller, ...request.params })),
  )
