import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { FlinkJobList } from '../../schemas/fleet.ts'
import { ClusterPath, NoQuery } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'

export const listFlinkJobs = (app: App) =>
  app.get(
    '/v1/clusters/:cluster/flink-jobs',
    {
      schema: {
        operationId: 'listFlinkJobs',
        summary: 'List what runs on a cluster now',
        description:
          'Asked of Flink at this moment (one `GET /jobs/overview`), attached or not: live jobs first, then the newest, at most 1000. Flink also lists jobs that have ended until it forgets them.',
        tags: ['clusters'],
        params: ClusterPath,
        querystring: NoQuery,
        response: {
          200: answer(FlinkJobList, 'What Flink listed.'),
          ...problems(
            'NOT_FOUND',
            'SECRET_REFERENCE_INVALID',
            'SECRET_MISSING',
            'CLUSTER_REFUSED',
            'CLUSTER_UNREACHABLE',
            'CLUSTER_TOO_SLOW',
          ),
        },
      },
    },
    async (request, reply) => {
      const list = await app.services.listFlinkJobs({ caller: request.caller, ...request.params })
      return reply.code(200).send(list)
    },
  )
