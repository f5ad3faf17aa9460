import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { SnapshotFilePage } from '../../schemas/inspections.ts'
import { PageQuery, SnapshotPath } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'

export const listSnapshotFiles = (app: App) =>
  app.get(
    '/v1/snapshots/:snapshot/inspection/files',
    {
      schema: {
        operationId: 'listSnapshotFiles',
        summary: 'List the files a snapshot needs',
        description:
          'In the order of its `_metadata`, by pages: `nextPageToken` is null on the last one. The first page reads what was not inspected yet. Whether the files exist is what a verification says.',
        tags: ['snapshots'],
        params: SnapshotPath,
        querystring: PageQuery,
        response: {
          200: answer(SnapshotFilePage, 'One page.'),
          ...problems(
            'NOT_FOUND',
            'PAGE_TOKEN_INVALID',
            'SNAPSHOT_NOT_PRESENT',
            'METADATA_MISSING',
            'METADATA_UNREADABLE',
            'STORAGE_NOT_ADDRESSABLE',
            'STORAGE_BUCKET_MISSING',
            'STORAGE_ACCESS_DENIED',
            'STORAGE_REFUSED',
            'STORAGE_INCONSISTENT',
            'STORAGE_UNREACHABLE',
            'SECRET_MISSING',
          ),
        },
      },
    },
    async (request, reply) => {
      const query = { caller: request.caller, ...request.params, ...request.query }
      return reply.code(200).send(await app.services.listSnapshotFiles(query))
    },
  )
