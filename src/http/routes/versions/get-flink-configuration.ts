import { Type } from 'typebox'
import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { CLOSED } from '../../schemas/base.ts'
import { FlinkConfiguration } from '../../schemas/checkpointing.ts'
import { flinkVersionParameter, VersionPath } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'

export const getFlinkConfiguration = (app: App) =>
  app.get(
    '/v1/jobs/:job/versions/:number/flink-configuration',
    {
      schema: {
        operationId: 'getFlinkConfiguration',
        summary: 'Read what a version sends to Flink',
        description:
          'The keys under the names the Flink version knows: the old ones up to 1.19, the new ones from 1.20. A key it does not know is left out, with a warning.',
        tags: ['versions'],
        params: VersionPath,
        querystring: Type.Object(
          {
            flinkVersion: flinkVersionParameter,
            checkpointDurationMs: Type.Optional(
              Type.Integer({
                minimum: 0,
                maximum: 31_536_000_000,
                description: 'How long a checkpoint takes, in milliseconds: gives `startToStartMs`.',
              }),
            ),
          },
          CLOSED,
        ),
        response: { 200: answer(FlinkConfiguration, 'What is sent.'), ...problems('NOT_FOUND') },
      },
    },
    async (request, reply) => {
      const query = { caller: request.caller, ...request.params, ...request.query }
      return reply.code(200).send(await app.services.getFlinkConfiguration(query))
    },
  )
