import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { NoQuery } from '../../schemas/parameters.ts'
import { publicProblems } from '../../schemas/problem.ts'
import { Liveness } from '../../schemas/system.ts'

export const getLiveness = (app: App) =>
  app.get(
    '/livez',
    {
      config: { public: true, pressureHandler: () => undefined },
      schema: {
        operationId: 'getLiveness',
        summary: 'Tell whether the process runs',
        description: 'For a liveness probe: asks nobody, needs no token.',
        tags: ['system'],
        security: [],
        querystring: NoQuery,
        response: { 200: answer(Liveness, 'It runs.'), ...publicProblems() },
      },
    },
    async (_request, reply) => reply.code(200).send({ status: 'ok' }),
  )
