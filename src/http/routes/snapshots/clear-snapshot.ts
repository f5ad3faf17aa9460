import { entityTag, readIfMatch } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { RETRY_AFTER_SECONDS, readWaitSeconds, waitForCleared } from '../../prefer.ts'
import { answer } from '../../schemas/answers.ts'
import { ClearSnapshotQuery } from '../../schemas/clearings.ts'
import { ClearSnapshotHeaders, SnapshotPath } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'
import { Snapshot } from '../../schemas/snapshots.ts'

export const clearSnapshot = (app: App) =>
  app.delete(
    '/v1/snapshots/:snapshot',
    {
      schema: {
        operationId: 'clearSnapshot',
        summary: 'Clear a snapshot: delete its data, keep its row',
        description:
          'From the answer on it is Clearing and cannot be restored; it becomes Cleared when its data is proven gone, also while its job and its cluster are down. Only what lies below its `ownedPrefix` is deleted; of a retained checkpoint of an ended run its own `chk-N` and those files beside it that no kept metadata names, where the storage says `clearCheckpoints`. An EXTERNAL one, and an IMPORT that was not registered as owned, is forgotten and its data left. 409 `SNAPSHOT_IN_USE` names who needs it; `SNAPSHOT_PROTECTED` says why it is spared (`force` overrides that, except for a pin). Repeated it answers the snapshot as it is.',
        tags: ['snapshots'],
        params: SnapshotPath,
        headers: ClearSnapshotHeaders,
        querystring: ClearSnapshotQuery,
        response: {
          200: answer(Snapshot, 'It is Cleared.', 'ETag', 'Preference-Applied'),
          202: answer(Snapshot, 'It is Clearing.', 'ETag', 'Preference-Applied', 'Retry-After'),
          ...problems(
            'NOT_FOUND',
            'PRECONDITION_FAILED',
            'SNAPSHOT_IN_USE',
            'SNAPSHOT_PROTECTED',
            'FILES_OUTSIDE_PREFIX',
            'CLEARING_NOT_ENABLED',
            'OBSERVE_ONLY',
            'CLUSTER_IDENTITY_CHANGED',
          ),
        },
      },
    },
    async (request, reply) => {
      const { snapshot: id } = request.params
      const waitSeconds = readWaitSeconds(request)
      const accepted = await app.services.clearSnapshot({
        caller: request.caller,
        snapshot: id,
        ...request.query,
        ifMatch: readIfMatch(request),
      })
      const snapshot =
        waitSeconds === undefined ? accepted : await waitForCleared(request, reply, id, waitSeconds)
      reply.header('etag', entityTag(snapshot.etag))
      if (snapshot.status === 'Cleared') return reply.code(200).send(snapshot)
      return reply.code(202).header('retry-after', RETRY_AFTER_SECONDS).send(snapshot)
    },
  )
