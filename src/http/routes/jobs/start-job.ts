import { createOperation, OPERATION_HEADERS } from '../../answer-operation.ts'
import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { ref } from '../../schemas/base.ts'
import { CreateOperationHeaders, Operation, StartJob } from '../../schemas/operations.ts'
import { JobPath, NoQuery } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'

export const startJob = (app: App) =>
  app.post(
    '/v1/jobs/:job/start',
    {
      config: { optionalBody: true },
      schema: {
        operationId: 'startJob',
        summary: 'Start a managed job from state',
        description:
          'An operation: uploads the artifact if this JobManager does not have it, chooses the restore point as `GET /v1/jobs/{job}/restore-point` shows it, runs the version under a Flink job id of its own, and ends once all tasks run. A start without an answer is looked up, never repeated under the same id. The job must be stopped. For an attached job the answer says how whoever manages it would begin from there.',
        tags: ['jobs'],
        params: JobPath,
        headers: CreateOperationHeaders,
        querystring: NoQuery,
        body: ref(StartJob),
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
            'RUN_IS_LIVE',
            'VERSION_NOT_STARTABLE',
            'CLAIM_NOT_ALLOWED',
            'LOCATION_INVALID',
            'LOCATION_OUTSIDE_ROOT',
            'IDEMPOTENCY_IN_PROGRESS',
            'IDEMPOTENCY_KEY_REUSED',
          ),
        },
      },
    },
    async (request, reply) => {
      const { status, operation } = await createOperation(request, reply, (idempotency) =>
        app.services.startJob({
          caller: request.caller,
          idempotency,
          ...request.params,
          ...request.body,
        }),
      )
      return reply.code(status).send(operation)
    },
  )
