import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { ref } from '../../schemas/base.ts'
import { CreateHeaders, NoQuery } from '../../schemas/parameters.ts'
import { bodyProblems } from '../../schemas/problem.ts'
import { PreviewSchedule, SchedulePreview } from '../../schemas/schedules.ts'

export const previewSchedule = (app: App) =>
  app.post(
    '/v1/schedules/preview',
    {
      schema: {
        operationId: 'previewSchedule',
        summary: 'Try out a schedule',
        description: 'When it would run, in instants and in words; nothing is stored.',
        tags: ['rules'],
        headers: CreateHeaders,
        querystring: NoQuery,
        body: ref(PreviewSchedule),
        response: { 200: answer(SchedulePreview, 'When it would run.'), ...bodyProblems() },
      },
    },
    async (request, reply) =>
      reply.code(200).send(await app.services.previewSchedule({ caller: request.caller, ...request.body })),
  )
