import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { JobPath } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'
import { JobSnapshotQuery, SnapshotPage } from '../../schemas/snapshots.ts'
import { withUtcBounds } from '../../snapshot-filter.ts'

export const listJobSnapshots = (app: App) =>
  app.get(
    '/v1/jobs/:job/snapshots',
    {
      schema: {
        operationId: 'listJobSnapshots',
        summary: 'List the snapshots of a job',
        description:
          'Newest first unless `order` says otherwise, by pages: `nextPageToken` is null on the last one. There is no total.',
        tags: ['snapshots'],
        params: JobPath,
        querystring: JobSnapshotQuery,
        response: { 200: answer(SnapshotPage, 'One page.'), ...problems('NOT_FOUND', 'PAGE_TOKEN_INVALID') },
      },
    },
    async (request, reply) => {
      const query = { caller: request.caller, ...request.params, ...withUtcBounds(request.query) }
      return reply.code(200).send(await app.services.listSnapshots(query))
    },
  )
