import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { StorageUsage } from '../../schemas/audits.ts'
import { NoQuery, StoragePath } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'

export const getStorageUsage = (app: App) =>
  app.get(
    '/v1/storages/:storage/usage',
    {
      schema: {
        operationId: 'getStorageUsage',
        summary: 'Show what lies in a storage',
        description:
          'Objects and bytes per job, version and kind, as the last audit measured them in the store; `measuredAt` says when. It lists nothing itself.',
        tags: ['storages'],
        params: StoragePath,
        querystring: NoQuery,
        response: { 200: answer(StorageUsage, 'The usage.'), ...problems('NOT_FOUND') },
      },
    },
    async (request, reply) => {
      const usage = await app.services.getStorageUsage({ caller: request.caller, ...request.params })
      return reply.code(200).send(usage)
    },
  )
