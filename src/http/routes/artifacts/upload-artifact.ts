import type { App } from '../../fastify-app.ts'
import { answer } from '../../schemas/answers.ts'
import { Artifact, ArtifactQuery, JAR_MEDIA_TYPES, JarBody } from '../../schemas/artifacts.ts'
import { CreateHeaders } from '../../schemas/parameters.ts'
import { problems } from '../../schemas/problem.ts'
import { acceptStreamsOnly, bodyStream } from '../../stream-body.ts'

export const uploadArtifact = (app: App) =>
  app.register(async (scope: App) => {
    acceptStreamsOnly(scope, JAR_MEDIA_TYPES)
    scope.post(
      '/v1/artifacts',
      {
        config: { streamedBody: true },
        schema: {
          operationId: 'uploadArtifact',
          summary: 'Upload a jar',
          description:
            'The body is the jar itself, at most `TIDEMARK_MAX_ARTIFACT_BYTES` (512 MiB by default), sent within 30 minutes. It is kept at `<root>/_artifacts/<sha256>` of the storage. The same jar sent again, also by two at once, is the same artifact, so an Idempotency-Key changes nothing. An upload that breaks off leaves nothing.',
          tags: ['artifacts'],
          headers: CreateHeaders,
          querystring: ArtifactQuery,
          body: JarBody,
          response: {
            200: answer(Artifact, 'It was there already.', 'Location'),
            201: answer(Artifact, 'The artifact as kept.', 'Location'),
            ...problems(
              'ARTIFACT_INVALID',
              'BODY_TOO_LARGE',
              'UNSUPPORTED_MEDIA_TYPE',
              'REFERENCE_NOT_FOUND',
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
      async (request, reply) => {
        const { storage } = request.query
        const artifact = await app.services.uploadArtifact({
          caller: request.caller,
          storage,
          body: bodyStream(request),
        })
        reply.header('location', `/v1/artifacts/${artifact.artifact}?storage=${storage}`)
        return reply.code(artifact.existed ? 200 : 201).send(artifact)
      },
    )
  })
