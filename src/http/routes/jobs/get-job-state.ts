import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { JobState, JobStateQuery } from '../../schemas/job-state.ts'
import { JobPath } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'

export const getJobState = (app: App) =>
  app.get(
    '/v1/jobs/:job/state',
    {
      schema: {
        operationId: 'getJobState',
        summary: 'Read the state set of a job: overview, history and configuration',
        description:
          'The last successful and the last failed checkpoint and savepoint, what is in progress, counts and percentiles over the window, checkpoints by the hour, the checkpointing configuration as the job has it, and the newest restorable snapshot.',
        tags: ['jobs'],
        params: JobPath,
        querystring: JobStateQuery,
        response: { 200: answer(JobState, 'The state.'), ...problems('NOT_FOUND') },
      },
    },
    async (request, reply) => {
      const query = { caller: request.caller, ...request.params, ...request.query }
      return reply.code(200).send(await app.services.readJobState(query))
    },
  )
