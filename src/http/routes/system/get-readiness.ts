import type { Readiness as ApiReadiness } from '../../../services/api.ts'
import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { NoQuery } from '../../schemas/parameters.ts'
import { publicProblems } from '../../schemas/problem.ts'
import { Readiness } from '../../schemas/system.ts'

const UNKNOWN: ApiReadiness = {
  ready: false,
  checks: [{ name: 'database', ok: false, message: 'could not be checked' }],
}

export const getReadiness = (app: App) =>
  app.get(
    '/readyz',
    {
      config: { public: true, pressureHandler: () => undefined },
      schema: {
        operationId: 'getReadiness',
        summary: 'Tell whether the process can serve requests',
        description:
          'For a readiness probe: looks at the database, its migrations and the queue; needs no token.',
        tags: ['system'],
        security: [],
        querystring: NoQuery,
        response: {
          ...publicProblems(),
          200: answer(Readiness, 'It can.'),
          503: answer(Readiness, 'It cannot: the checks say why.'),
        },
      },
    },
    async (request, reply) => {
      const readiness = await app.services.checkReadiness().catch((err: unknown) => {
        request.log.error({ err }, 'could not check readiness')
        return UNKNOWN
      })
      return reply.code(readiness.ready ? 200 : 503).send(readiness)
    },
  )
