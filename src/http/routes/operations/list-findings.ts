import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { AuditFindingPage, AuditFindingsQuery } from '../../schemas/audits.ts'
import { OperationPath } from '../../schemas/operations.ts'
import { problems } from '../../schemas/problem.ts'

export const listAuditFindings = (app: App) =>
  app.get(
    '/v1/operations/:operation/findings',
    {
      schema: {
        operationId: 'listAuditFindings',
        summary: 'List what an audit found',
        description:
          'In the order it was found, also while the audit runs. Of each kind the first 10,000 are kept; the result of the operation has the totals.',
        tags: ['operations'],
        params: OperationPath,
        querystring: AuditFindingsQuery,
        response: {
          200: answer(AuditFindingPage, 'One page.'),
          ...problems('NOT_FOUND', 'PAGE_TOKEN_INVALID'),
        },
      },
    },
    async (request, reply) => {
      const query = { caller: request.caller, ...request.params, ...request.query }
      return reply.code(200).send(await app.services.listAuditFindings(query))
    },
  )
