import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { NoQuery, SnapshotPath } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'
import { SnapshotReferences } from '../../schemas/references.ts'

export const listReferences = (app: App) =>
  app.get(
    '/v1/snapshots/:snapshot/references',
    {
      schema: {
        operationId: 'listReferences',
        summary: 'Read who needs a snapshot',
        description:
          'A snapshot is in use while the configuration of a cluster names its location, while a run that was restored from it has not ended, and while a run has claimed it. A LOST run counts as live: for a savepoint until a later run of its job completes a checkpoint, for a checkpoint until somebody confirms its end. Which files it shares with other snapshots is known of those that were inspected or verified: this call reads no storage.',
        tags: ['snapshots'],
        params: SnapshotPath,
        querystring: NoQuery,
        response: { 200: answer(SnapshotReferences, 'Who needs it.'), ...problems('NOT_FOUND') },
      },
    },
    async (request, reply) =>
      reply.code(200).send(await app.services.listReferences({ caller: request.caller, ...request.params })),
  )
