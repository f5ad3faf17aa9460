import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { Artifact, ArtifactPath, ArtifactQuery } from '../../schemas/artifacts.ts'
import { problems } from '../../schemas/problem.ts'

export const getArtifact = (app: App) =>
  app.get(
    '/v1/artifacts/:artifact',
    {
      schema: {
        operationId: 'getArtifact',
        summary: 'Look for an uploaded jar',
        description: 'Looks into the storage itself; `existed` is always true.',
        tags: ['artifacts'],
        params: ArtifactPath,
        querystring: ArtifactQuery,
        response: {
          200: answer(Artifact, 'The artifact.'),
          ...problems(
            'NOT_FOUND',
            'REFERENCE_NOT_FOUND',
            'STORAGE_INCONSISTENT',
            'STORAGE_ROOT_NOT_ALLOWED',
            'STORAGE_NOT_ADDRESSABLE',
            'STORAGE_BUCKET_MISSING',
            'STORAGE_ACCESS_DENIED',
            'STORAGE_REFUSED',
            'STORAGE_UNREACHABLE',
            'SECRET_REFERENCE_INVALID',
            'SECRET_MISSING',
          ),
        },
      },
    },
    async (request, reply) =>
      reply.send(
        await app.services.findArtifact({
          caller: request.caller,
          ...request.params,
          ...request.query,
        }),
      ),
  )
