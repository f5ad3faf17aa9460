import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { SnapshotInspection } from '../../schemas/inspections.ts'
import { NoQuery, SnapshotPath } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'

export const getInspection = (app: App) =>
  app.get(
    '/v1/snapshots/:snapshot/inspection',
    {
      schema: {
        operationId: 'getInspection',
        summary: 'Read what lies inside a snapshot',
        description:
          'Operators, handles and properties by its `_metadata` (versions 2 to 6), which is read at the first call and kept; of a snapshot that is in doubt (ENDANGERED, UNREADABLE, METADATA_MISSING) it is read each time. The files are at `/inspection/files`. Only a Present snapshot can be read: `SNAPSHOT_NOT_PRESENT` otherwise. `METADATA_UNREADABLE` gives the byte and the field in `metadata`.',
        tags: ['snapshots'],
        params: SnapshotPath,
        querystring: NoQuery,
        response: {
          200: answer(SnapshotInspection, 'What lies inside.'),
          ...problems(
            'NOT_FOUND',
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
    async (request, reply) =>
      reply.code(200).send(await app.services.getInspection({ caller: request.caller, ...request.params })),
  )
