import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { CreateHeaders, EmptyBody, NoQuery, StoragePath } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'
import { StorageCheck } from '../../schemas/storages.ts'

export const checkStorage = (app: App) =>
  app.post(
    '/v1/storages/:storage/check',
    {
      config: { optionalBody: true },
      schema: {
        operationId: 'checkStorage',
        summary: 'Write, list, read and delete a probe object',
        description:
          'Answers 200 also when a step fails: the step says why. It leaves nothing behind, so an Idempotency-Key changes nothing.',
        tags: ['storages'],
        params: StoragePath,
        headers: CreateHeaders,
        querystring: NoQuery,
        body: EmptyBody,
        response: {
          200: answer(StorageCheck, 'What was found.'),
          ...bodyProblems(
            'NOT_FOUND',
            'STORAGE_NOT_ADDRESSABLE',
            'SECRET_REFERENCE_INVALID',
            'SECRET_MISSING',
          ),
        },
      },
    },
    async (request, reply) => {
      const result = await app.services.checkStorage({ caller: request.caller, ...request.params })
      return reply.code(200).send(result)
    },
  )
