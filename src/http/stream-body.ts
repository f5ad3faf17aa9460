/**
 * Bodies that are streamed to the service instead of being read into memory: `request.raw` is the body, `request.body`
 * stays empty. A route with one is added to a scope of its own, which then reads nothing but the types named.
 */
import type { IncomingMessage } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { DomainError } from '../domain/errors.ts'
import type { App } from './fastify-app.ts'

/** How long a client may take to send one body that is read into memory. */
const BODY_TIMEOUT_MS = 60_000
/** As far as the rest of a refused body is read, so that the client comes to reading why. */
const DRAIN_BYTES = 16 * 1024 * 1024
const DRAIN_MS = 2_000

export const acceptStreamsOnly = (scope: App, mediaTypes: readonly string[]): void => {
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser([...mediaTypes], (_request, _payload, done) => done(null))
  scope.addContentTypeParser('*', async () => {
    throw new DomainError('UNSUPPORTED_MEDIA_TYPE', `send the body as Content-Type: ${mediaTypes.join(', ')}`)
  })
  scope.addHook('onSend', async (request, reply) => {
    if (reply.statusCode >= 400) await refuseRest(request, reply)
  })
}

/** The stream survives whoever stops reading it, so that there is still a connection to answer on. */
export const bodyStream = (request: FastifyRequest): AsyncIterable<Uint8Array> => ({
  [Symbol.asyncIterator]: () => request.raw.iterator({ destroyOnReturn: false }),
})

async function refuseRest(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  if (request.raw.complete) return
  await drain(request.raw)
  if (!request.raw.complete) reply.header('connection', 'close')
}

const drain = (raw: IncomingMessage): Promise<void> =>
  new Promise((resolve) => {
    if (raw.destroyed || raw.readableEnded) return resolve()
    let bytes = 0
    const timer = setTimeout(stop, DRAIN_MS)
    function count(chunk: Uint8Array) {
      bytes += chunk.length
      if (bytes > DRAIN_BYTES) stop()
    }
    function stop() {
      clearTimeout(timer)
      raw.off('data', count).off('end', stop).off('close', stop).off('error', stop).pause()
      resolve()
    }
    raw.on('data', count).once('end', stop).once('close', stop).once('error', stop).resume()
  })

/**
 * Node knows one limit for all requests, and a streamed one may take longer than the others may: those get theirs here.
 * Whoever sends so slowly gets no answer, as it would from Node.
 */
export const limitBodyTime = (app: App): void => {
  app.addHook('preParsing', async ({ raw, headers, routeOptions }) => {
    const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
    if (!hasBody || raw.complete || routeOptions.config.streamedBody === true) return
    const timer = setTimeout(() => {
      if (raw.complete) return
      raw.destroy(new DomainError('MALFORMED_BODY', `the body did not arrive within ${BODY_TIMEOUT_MS} ms`))
    }, BODY_TIMEOUT_MS)
    raw.once('end', () => clearTimeout(timer)).once('close', () => clearTimeout(timer))
  })
}
