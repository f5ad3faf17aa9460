import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { CreateHeaders, EmptyBody, NoQuery, SnapshotPath } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'
import { Verification, VerificationRunning } from '../../schemas/verifications.ts'

/** Below what proxies in front of us commonly wait for. */
const WAIT_MS = 25_000
const RETRY_AFTER_SECONDS = 10

export const verifySnapshot = (app: App) =>
  app.post(
    '/v1/snapshots/:snapshot/verify',
    {
      config: { optionalBody: true },
      schema: {
        operationId: 'verifySnapshot',
        summary: 'Look for every file of a snapshot',
        description:
          'Reads `_metadata` and looks for each file it names, in whichever storages of the namespace they lie. Answers 200 whatever was found: `verdict` says it, and a damaged snapshot is not restored until it was found whole. When `_metadata` is gone while its storage answers, the snapshot becomes Cleared(DATA_LOST), unless Flink owns it. What takes longer than 25 s goes on: 202, and the report is at `…/verification` later. Asked again meanwhile it joins the one under way, so an Idempotency-Key changes nothing.',
        tags: ['snapshots'],
        params: SnapshotPath,
        headers: CreateHeaders,
        querystring: NoQuery,
        body: EmptyBody,
        response: {
          200: answer(Verification, 'What was found.'),
          202: answer(VerificationRunning, 'It goes on.', 'Location', 'Retry-After'),
          ...bodyProblems('NOT_FOUND', 'SNAPSHOT_NOT_PRESENT', 'TOO_MANY_REQUESTS'),
        },
      },
    },
    async (request, reply) => {
      const { snapshot } = request.params
      const result = await app.services.verifySnapshot({ caller: request.caller, snapshot, waitMs: WAIT_MS })
      if (result.done) return reply.code(200).send(result.report)
      return reply
        .code(202)
        .header('location', `/v1/snapshots/${snapshot}/verification`)
        .header('retry-after', RETRY_AFTER_SECONDS)
        .send(result.running)
    },
  )
