/** What our Fastify instance carries beside Fastify's own, and its one type. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify'
import type { Caller, Services } from '../services/api.ts'

export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>

declare module 'fastify' {
  interface FastifyInstance {
    services: Services
    /** Aborted when the server begins to close. */
    closing: AbortSignal
  }
  interface FastifyRequest {
    /** Who asks; set before anything of the request is looked at. Public routes never read it. */
    caller: Caller
  }
  interface FastifyContextConfig {
    /** Answers without a token. Only the probes do. */
    public?: boolean
    /** A request without a body means `{}`. */
    optionalBody?: boolean
    /** The body is not read into memory (`stream-body.ts`). */
    streamedBody?: boolean
  }
}
