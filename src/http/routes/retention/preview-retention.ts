import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { ref } from '../../schemas/base.ts'
import { JobPath, NoQuery } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'
import { PreviewRetention, RetentionPreview } from '../../schemas/retention.ts'

export const previewRetention = (app: App) =>
  app.post(
    '/v1/jobs/:job/retention/preview',
    {
      config: { optionalBody: true },
      schema: {
        operationId: 'previewRetention',
        summary: 'What a retention rule would clear now',
        description:
          'Changes nothing. Without a body for the rule that holds, with one as if it were saved. Lists what would go and what stays, each with its reason.',
        tags: ['rules'],
        params: JobPath,
        querystring: NoQuery,
        body: ref(PreviewRetention),
        response: {
          200: answer(RetentionPreview, 'What would happen.'),
          ...bodyProblems('NOT_FOUND'),
        },
      },
    },
    async (request, reply) => {
      const preview = await app.services.previewRetention({
        caller: request.caller,
        ...request.params,
        policy: request.body,
      })
      return reply.code(200).send(preview)
    },
  )
