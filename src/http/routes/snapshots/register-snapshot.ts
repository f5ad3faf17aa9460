import { entityTag } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { markReplayed, readIdempotency } from '../../idempotency.ts'
import { answer } from '../../schemas/answers.ts'
import { ref } from '../../schemas/base.ts'
import { CreateHeaders, JobPath, NoQuery } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'
import { RegisterSnapshot, Snapshot } from '../../schemas/snapshots.ts'

const HEADERS = ['Location', 'ETag', 'Idempotency-Replayed'] as const

export const registerSnapshot = (app: App) =>
  app.post(
    '/v1/jobs/:job/snapshots',
    {
      schema: {
        operationId: 'registerSnapshot',
        summary: 'Register a savepoint that exists already',
        description:
          'The location must lie inside a storage of the namespace and hold a `_metadata`. It becomes a Present snapshot of source IMPORT; `completedAt` is when its `_metadata` was last written, null where the storage does not say. One location is one snapshot: the one that has it already answers with 200, whichever job it belongs to. What lies in the directory of another snapshot is refused (`IN_USE`, `snapshot` says which).',
        tags: ['snapshots'],
        params: JobPath,
        headers: CreateHeaders,
        querystring: NoQuery,
        body: ref(RegisterSnapshot),
        response: {
          200: answer(Snapshot, 'The snapshot that has this location already.', ...HEADERS),
          201: answer(Snapshot, 'The snapshot as registered.', ...HEADERS),
          ...bodyProblems(
            'NOT_FOUND',
            'LOCATION_INVALID',
            'LOCATION_OUTSIDE_ROOT',
            'IN_USE',
            'METADATA_MISSING',
            'METADATA_UNREADABLE',
            'STORAGE_NOT_ADDRESSABLE',
            'STORAGE_BUCKET_MISSING',
            'STORAGE_ACCESS_DENIED',
            'STORAGE_REFUSED',
            'STORAGE_INCONSISTENT',
            'STORAGE_UNREACHABLE',
            'SECRET_REFERENCE_INVALID',
            'SECRET_MISSING',
            'IDEMPOTENCY_KEY_REUSED',
          ),
        },
      },
    },
    async (request, reply) => {
      const registered = await app.services.registerSnapshot({
        caller: request.caller,
        idempotency: readIdempotency(request),
        ...request.params,
        ...request.body,
      })
      const { resource } = registered
      markReplayed(reply, registered)
      reply.headers({ location: `/v1/snapshots/${resource.id}`, etag: entityTag(resource.etag) })
      return reply.code(registered.existed ? 200 : 201).send(resource)
    },
  )
