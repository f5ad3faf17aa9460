import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Snapshot as DomainSnapshot } from '../../../domain/snapshot.ts'
import type { SavepointInput } from '../../../services/api.ts'
import { entityTag } from '../../conditional.ts'
import type { App } from '../../fastify-app.ts'
import { markReplayed, readIdempotency } from '../../idempotency.ts'
import { RETRY_AFTER_SECONDS, readWaitSeconds, waitForSnapshot } from '../../prefer.ts'
import { answer } from '../../schemas/answers.ts'
import { ref } from '../../schemas/base.ts'
import { normalizeInstant } from '../../schemas/formats.ts'
import { CreateSavepointHeaders, JobPath, NoQuery } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'
import { CreateSavepoint, Snapshot } from '../../schemas/snapshots.ts'

const HEADERS = [
  'Location',
  'ETag',
  'Idempotency-Replayed',
  'Preference-Applied',
  'Tidemark-Joined',
  'Tidemark-Reused',
] as const

const withUtcExpiry = (input: SavepointInput): SavepointInput =>
  input.expiresAt === undefined ? input : { ...input, expiresAt: normalizeInstant(input.expiresAt) }

/** The savepoint is accepted whatever happens while we wait: then the answer is the savepoint as accepted. */
const waitIfAsked = async (
  request: FastifyRequest,
  reply: FastifyReply,
  snapshot: DomainSnapshot,
  waitSeconds: number | undefined,
): Promise<DomainSnapshot> => {
  if (waitSeconds === undefined || snapshot.status !== 'Creating') return snapshot
  try {
    return await waitForSnapshot(request, reply, snapshot.id, waitSeconds)
  } catch (err) {
    request.log.warn({ err, snapshotId: snapshot.id }, 'could not wait for the savepoint')
    return snapshot
  }
}

const statusOf = ({ status }: DomainSnapshot, existed: boolean): 200 | 201 | 202 => {
  if (status === 'Creating') return 202
  return existed ? 200 : 201
}

export const createSavepoint = (app: App) =>
  app.post(
    '/v1/jobs/:job/savepoints',
    {
      config: { optionalBody: true },
      schema: {
        operationId: 'createSavepoint',
        summary: 'Trigger a savepoint of a running job',
        description:
          'The savepoint is recorded, then Flink is asked: 202 with the Creating snapshot. With `Prefer: wait=N` the answer waits for the end, good or bad (Present, Failed, Timeout). An empty body means `{}`.',
        tags: ['savepoints'],
        params: JobPath,
        headers: CreateSavepointHeaders,
        querystring: NoQuery,
        body: ref(CreateSavepoint),
        response: {
          200: answer(Snapshot, 'A savepoint that existed already answers: joined or reused.', ...HEADERS),
          201: answer(Snapshot, 'The savepoint, no longer Creating: read its `status`.', ...HEADERS),
          202: answer(Snapshot, 'The savepoint is Creating.', ...HEADERS, 'Retry-After'),
          ...bodyProblems(
            'NOT_FOUND',
            'JOB_NOT_RUNNING',
            'JOB_AMBIGUOUS',
            'SAVEPOINT_IN_PROGRESS',
            'OBSERVE_ONLY',
            'CLUSTER_UNSUPPORTED',
            'CLUSTER_IDENTITY_CHANGED',
            'IDEMPOTENCY_IN_PROGRESS',
            'IDEMPOTENCY_KEY_REUSED',
          ),
        },
      },
    },
    async (request, reply) => {
      const waitSeconds = readWaitSeconds(request)
      const requested = await app.services.requestSavepoint({
        caller: request.caller,
        idempotency: readIdempotency(request),
        ...request.params,
        ...withUtcExpiry(request.body),
      })
      const { joined, reused } = requested
      const snapshot = await waitIfAsked(request, reply, requested.resource, waitSeconds)
      const status = statusOf(snapshot, joined || reused)
      markReplayed(reply, requested)
      if (joined) reply.header('tidemark-joined', 'true')
      if (reused) reply.header('tidemark-reused', 'true')
      if (status === 202) reply.header('retry-after', RETRY_AFTER_SECONDS)
      reply.headers({ location: `/v1/snapshots/${snapshot.id}`, etag: entityTag(snapshot.etag) })
      return reply.code(status).send(snapshot)
    },
  )
