import { createOperation, OPERATION_HEADERS } from '../../answer-operation.ts'
import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { ref } from '../../schemas/base.ts'
import { CopySnapshot, CreateOperationHeaders, Operation } from '../../schemas/operations.ts'
import { NoQuery, SnapshotPath } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'

export const copySnapshot = (app: App) =>
  app.post(
    '/v1/snapshots/:snapshot/copy',
    {
      schema: {
        operationId: 'copySnapshot',
        summary: 'Copy a snapshot to another storage',
        description:
          'An operation: copies every file the snapshot needs into one folder and writes metadata that names them there, so that the copy needs nothing else; also of an incremental checkpoint. The copy is a savepoint of source COPY, Present once all of it was looked at, and ranks as its source. Files are copied inside the store where source and target have the same provider, endpoint, region and credentials, else through us. Asked for twice while it is open, the open one answers. The snapshot is in use until the operation has ended; a live run may subsume its checkpoint all the same, which fails the copy as `SOURCE_GONE`.',
        tags: ['snapshots'],
        params: SnapshotPath,
        headers: CreateOperationHeaders,
        querystring: NoQuery,
        body: ref(CopySnapshot),
        response: {
          201: answer(Operation, 'The operation, ended: read its `status`.', ...OPERATION_HEADERS),
          202: answer(Operation, 'The operation is RUNNING.', ...OPERATION_HEADERS, 'Retry-After'),
          ...bodyProblems(
            'NOT_FOUND',
            'REFERENCE_NOT_FOUND',
            'SNAPSHOT_NOT_PRESENT',
            'STORAGE_NOT_ADDRESSABLE',
            'LOCATION_INVALID',
            'IDEMPOTENCY_IN_PROGRESS',
            'IDEMPOTENCY_KEY_REUSED',
          ),
        },
      },
    },
    async (request, reply) => {
      const { status, operation } = await createOperation(request, reply, (idempotency) =>
        app.services.copySnapshot({
          caller: request.caller,
          idempotency,
          ...request.params,
          ...request.body,
        }),
      )
      return reply.code(status).send(operation)
    },
  )
