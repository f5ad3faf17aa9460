import { entityTag } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { markReplayed, readIdempotency } from '../../idempotency.ts'
import { answer } from '../../schemas/answers.ts'
import { ref } from '../../schemas/base.ts'
import { CreateHeaders, NoQuery } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'
import { CreateStorage, Storage } from '../../schemas/storages.ts'

export const createStorage = (app: App) =>
  app.post(
    '/v1/storages',
    {
      schema: {
        operationId: 'createStorage',
        summary: 'Register a storage',
        description: '`POST …/check` tells whether it can be written, listed, read and cleared.',
        tags: ['storages'],
        headers: CreateHeaders,
        querystring: NoQuery,
        body: ref(CreateStorage),
        response: {
          201: answer(Storage, 'The storage as created.', 'Location', 'ETag', 'Idempotency-Replayed'),
          ...bodyProblems(
            'NAME_INVALID',
            'NAME_TAKEN',
            'LOCATION_INVALID',
            'STORAGE_ROOT_NOT_ALLOWED',
            'STORAGE_ROOT_OVERLAP',
            'SECRET_REFERENCE_INVALID',
            'SECRET_MISSING',
            'IDEMPOTENCY_IN_PROGRESS',
            'IDEMPOTENCY_KEY_REUSED',
          ),
        },
      },
    },
    async (request, reply) => {
      const created = await app.services.createStorage({
        caller: request.caller,
        idempotency: readIdempotency(request),
        ...request.body,
      })
      const { resource } = created
      markReplayed(reply, created)
      reply.headers({ location: `/v1/storages/${resource.id}`, etag: entityTag(resource.etag) })
      return reply.code(201).send(resource)
    },
  )
