import { isUnchanged } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { RETRY_AFTER_SECONDS, readWaitSeconds, waitForSnapshot } from '../../prefer.ts'
import { answer, noContent } from '../../schemas/answers.ts'
import { NoQuery, ReadSnapshotHeaders, SnapshotPath } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'
import { Snapshot } from '../../schemas/snapshots.ts'

export const getSnapshot = (app: App) =>
  app.get(
    '/v1/snapshots/:snapshot',
    {
      schema: {
        operationId: 'getSnapshot',
        summary: 'Read one snapshot',
        description:
          'With `Prefer: wait=N` the answer waits until the snapshot is no longer Creating: 200 then, 202 when it still is.',
        tags: ['snapshots'],
        params: SnapshotPath,
        headers: ReadSnapshotHeaders,
        querystring: NoQuery,
        response: {
          200: answer(Snapshot, 'The snapshot.', 'ETag', 'Preference-Applied'),
          202: answer(
            Snapshot,
            'Still Creating after the wait asked for.',
            'ETag',
            'Preference-Applied',
            'Retry-After',
          ),
          304: noContent('The version named by If-None-Match is still current.', 'ETag'),
          ...problems('NOT_FOUND'),
        },
      },
    },
    async (request, reply) => {
      const { snapshot: id } = request.params
      const waitSeconds = readWaitSeconds(request)
      const snapshot =
        waitSeconds === undefined
          ? await app.services.getSnapshot({ caller: request.caller, snapshot: id })
          : await waitForSnapshot(request, reply, id, waitSeconds)
      const isOpen = waitSeconds !== undefined && snapshot.status === 'Creating'
      const unchanged = isUnchanged(request, reply, snapshot)
      if (isOpen) return reply.code(202).header('retry-after', RETRY_AFTER_SECONDS).send(snapshot)
      return unchanged ? reply.code(304).send(null) : reply.code(200).send(snapshot)
    },
  )
