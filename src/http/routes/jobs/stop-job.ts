import { createOperation, OPERATION_HEADERS } from '../../answer-operation.ts'
import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { ref } from '../../schemas/base.ts'
import { CreateOperationHeaders, Operation, StopJob } from '../../schemas/operations.ts'
import { JobPath, NoQuery } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'

export const stopJob = (app: App) =>
  app.post(
    '/v1/jobs/:job/stop',
    {
      config: { optionalBody: true },
      schema: {
        operationId: 'stopJob',
        summary: 'Stop a job, with a savepoint',
        description:
          'An operation: waits for a savepoint in flight, takes its own (source STOP) and ends once the job has ended. A second request joins the one under way: Flink never sees two stops. When the savepoint was made but the job failed while stopping, the savepoint is kept and the operation FAILED. `CANCEL` ends the job without a savepoint.',
        tags: ['jobs'],
        params: JobPath,
        headers: CreateOperationHeaders,
        querystring: NoQuery,
        body: ref(StopJob),
        response: {
          201: answer(Operation, 'The operation, ended: read its `status`.', ...OPERATION_HEADERS),
          202: answer(Operation, 'The operation is RUNNING.', ...OPERATION_HEADERS, 'Retry-After'),
          ...bodyProblems(
            'NOT_FOUND',
            'REFERENCE_NOT_FOUND',
            'OBSERVE_ONLY',
            'CLUSTER_IDENTITY_CHANGED',
            'CLUSTER_UNSUPPORTED',
            'MANAGED_ELSEWHERE',
            'OPERATION_IN_PROGRESS',
            'RUN_STATE_UNKNOWN',
            'JOB_NOT_RUNNING',
            'JOB_AMBIGUOUS',
            'IDEMPOTENCY_IN_PROGRESS',
            'IDEMPOTENCY_KEY_REUSED',
          ),
        },
      },
    },
    async (request, reply) => {
      const { status, operation } = await createOperation(request, reply, (idempotency) =>
        app.services.stopJob({
          caller: request.caller,
          idempotency,
          ...request.params,
          ...request.body,
        }),
      )
      return reply.code(status).send(operation)
    },
  )
