import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { ClearOrphans, OrphanClearings } from '../../schemas/audits.ts'
import { ref } from '../../schemas/base.ts'
import { CreateHeaders, NoQuery, StoragePath } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'

export const clearOrphans = (app: App) =>
  app.post(
    '/v1/storages/:storage/orphans/clear',
    {
      schema: {
        operationId: 'clearOrphans',
        summary: 'Clear orphans that an audit found',
        description:
          'Where the storage says `clearCheckpoints`. Each one is proven to be an orphan again right before it goes; one that is none any more stays, and its finding says why. Repeated it begins nothing twice, so an Idempotency-Key changes nothing.',
        tags: ['storages'],
        params: StoragePath,
        headers: CreateHeaders,
        querystring: NoQuery,
        body: ref(ClearOrphans),
        response: {
          202: answer(OrphanClearings, 'What is being cleared, and what is refused.'),
          ...bodyProblems('NOT_FOUND', 'CLEARING_NOT_ENABLED'),
        },
      },
    },
    async (request, reply) => {
      const cleared = await app.services.clearOrphans({
        caller: request.caller,
        ...request.params,
        ...request.body,
      })
      return reply.code(202).send(cleared)
    },
  )
