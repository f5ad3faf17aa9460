import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { NoQuery } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'
import { SystemInfo } from '../../schemas/system.ts'

export const getSystem = (app: App) =>
  app.get(
    '/v1/system',
    {
      schema: {
        operationId: 'getSystem',
        summary: 'Read what this installation is',
        tags: ['system'],
        querystring: NoQuery,
        response: { 200: answer(SystemInfo, 'The installation.'), ...problems() },
      },
    },
    async (_request, reply) => reply.code(200).send(await app.services.readSystem()),
  )
