import { entityTag, readIfMatch } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { ref } from '../../schemas/base.ts'
import { ChangeHeaders, NoQuery, StoragePath } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'
import { Storage, UpdateStorage } from '../../schemas/storages.ts'

export const updateStorage = (app: App) =>
  app.patch(
    '/v1/storages/:storage',
    {
      schema: {
        operationId: 'updateStorage',
        summary: 'Change a storage',
        description: 'Only the members given change; the name never does, the root not while it is in use.',
        tags: ['storages'],
        params: StoragePath,
        headers: ChangeHeaders,
        querystring: NoQuery,
        body: ref(UpdateStorage),
        response: {
          200: answer(Storage, 'The storage as changed.', 'ETag'),
          ...bodyProblems(
            'NOT_FOUND',
            'LOCATION_INVALID',
            'STORAGE_ROOT_NOT_ALLOWED',
            'STORAGE_ROOT_OVERLAP',
            'STORAGE_ROOT_IN_USE',
            'SECRET_REFERENCE_INVALID',
            'SECRET_MISSING',
            'PRECONDITION_FAILED',
          ),
        },
      },
    },
    async (request, reply) => {
      const storage = await app.services.updateStorage({
        caller: request.caller,
        ...request.params,
        ifMatch: readIfMatch(request),
        changes: request.body,
      })
      return reply.code(200).header('etag', entityTag(storage.etag)).send(storage)
    },
  )
