import { entityTag, readIfMatch } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { ref } from '../../schemas/base.ts'
import { normalizeInstant } from '../../schemas/formats.ts'
import { ChangeHeaders, NoQuery, SnapshotPath } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'
import { Snapshot, UpdateSnapshot } from '../../schemas/snapshots.ts'

const withUtcExpiry = <Changes extends { expiresAt?: string | null }>(changes: Changes): Changes =>
  typeof changes.expiresAt === 'string'
    ? { ...changes, expiresAt: normalizeInstant(changes.expiresAt) }
    : changes

export const updateSnapshot = (app: App) =>
  app.patch(
    '/v1/snapshots/:snapshot',
    {
      schema: {
        operationId: 'updateSnapshot',
        summary: 'Describe, label, pin or expire a snapshot',
        description:
          'Only the members given change; `labels` replaces all labels, `expiresAt: null` means never.',
        tags: ['snapshots'],
        params: SnapshotPath,
        headers: ChangeHeaders,
        querystring: NoQuery,
        body: ref(UpdateSnapshot),
        response: {
          200: answer(Snapshot, 'The snapshot as changed.', 'ETag'),
          ...bodyProblems('NOT_FOUND', 'PRECONDITION_FAILED'),
        },
      },
    },
    async (request, reply) => {
      const snapshot = await app.services.updateSnapshot({
        caller: request.caller,
        ...request.params,
        ifMatch: readIfMatch(request),
        changes: withUtcExpiry(request.body),
      })
      return reply.code(200).header('etag', entityTag(snapshot.etag)).send(snapshot)
    },
  )
