import { Type } from 'typebox'
import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { CLOSED } from '../../schemas/base.ts'
import { JobVersionDiff } from '../../schemas/checkpointing.ts'
import { flinkVersionParameter, TwoVersionsPath } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'

export const compareVersions = (app: App) =>
  app.get(
    '/v1/jobs/:job/versions/:number/diff/:other',
    {
      schema: {
        operationId: 'compareJobVersions',
        summary: 'Compare two versions of a job',
        description:
          'From the first to the second. A setting given by name and the same one given as a key of `flinkConfiguration` are no difference.',
        tags: ['versions'],
        params: TwoVersionsPath,
        querystring: Type.Object({ flinkVersion: flinkVersionParameter }, CLOSED),
        response: { 200: answer(JobVersionDiff, 'What changed.'), ...problems('NOT_FOUND') },
      },
    },
    async (request, reply) => {
      const query = { caller: request.caller, ...request.params, ...request.query }
      return reply.code(200).send(await app.services.compareJobVersions(query))
    },
  )
