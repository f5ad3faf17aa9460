/** The HTTP layer as one Fastify instance. It knows services only by their interface. */
import helmet from '@fastify/helmet'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import underPressure from '@fastify/under-pressure'
import Fastify, { type FastifyBaseLogger, LogController } from 'fastify'
import fastifyMetrics from 'fastify-metrics'
import type { Registry } from 'prom-client'
import type { Services } from '../services/api.ts'
import type { Authenticate } from './authenticate.ts'
import { documentOptions, keepForDocument, type RouteDocuments } from './document.ts'
import { answerBrokenConnection, sendProblem, sendRouteNotFound } from './errors.ts'
import type { App } from './fastify-app.ts'
import { acceptJsonOnly, settleBody } from './json-body.ts'
import { newRequestId } from './request-id.ts'
import { ROUTES } from './routes/all.ts'
import { getMetrics } from './routes/system/get-metrics.ts'
import { NAMED_SCHEMAS } from './schemas/all.ts'
import { refuseUnstorableRequest } from './storable-values.ts'
import { limitBodyTime } from './stream-body.ts'
import { createBuildValidator } from './validators.ts'

const BODY_LIMIT_BYTES = 1_048_576
/** How long a client may take to send one request; those that are read into memory get less (`limitBodyTime`). */
const REQUEST_TIMEOUT_MS = 30 * 60_000

export type AppOptions = {
  /** Above this mean event loop delay requests are answered 503 OVERLOADED; 0 never. Default: 1000. */
  maxEventLoopDelayMs?: number
}

export type AppDependencies = {
  services: Services
  options?: AppOptions
  logger: FastifyBaseLogger
  authenticate: Authenticate
  /** Where the HTTP metrics are added, and what /metrics shows. One registry per app. */
  metrics: Registry
}

const createFastify = (logger: FastifyBaseLogger): App =>
  Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: newRequestId,
    requestIdHeader: false,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    return503OnClosing: false, // what arrives while we drain is still served, and told to close its connection
    schemaController: { compilersFactory: { buildValidator: createBuildValidator() } },
    frameworkErrors: sendProblem,
    clientErrorHandler: answerBrokenConnection,
  })

const registerPlugins = async (
  app: App,
  { options, metrics }: AppDependencies,
  documents: RouteDocuments,
) => {
  await app.register(underPressure, {
    maxEventLoopDelay: options?.maxEventLoopDelayMs ?? 1000,
    retryAfter: 5,
  })
  await app.register(fastifyMetrics.default, {
    clearRegisterOnInit: true,
    endpoint: null,
    defaultMetrics: { enabled: false },
    routeMetrics: {
      enabled: { histogram: true, summary: false },
      overrides: { histogram: { registers: [metrics] }, summary: { registers: [] } },
    },
  })
  await app.register(swagger, documentOptions(documents))
}

/** An answer is data: no browser guesses its type, keeps it, frames it or runs what it holds. */
const JSON_HEADERS = {
  'cache-control': 'private, no-cache',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
}

const addHooks = (app: App, authenticate: Authenticate): void => {
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ ...JSON_HEADERS, 'x-request-id': request.id })
    if (request.routeOptions.config.public !== true) request.caller = authenticate(request)
  })
  app.addHook('preValidation', async (request) => {
    settleBody(request)
    refuseUnstorableRequest(request)
  })
  app.addHook('onResponse', async (request, reply) => {
    if (request.routeOptions.config.public === true) return
    const { method, routeOptions, caller } = request
    const line = { method, route: routeOptions.url, status: reply.statusCode, namespace: caller?.namespace }
    request.log.info({ ...line, durationMs: Math.round(reply.elapsedTime) }, 'request completed')
  })
}

export const buildApp = async (dependencies: AppDependencies): Promise<App> => {
  const { services, logger, authenticate, metrics } = dependencies
  const app = createFastify(logger)
  const closing = new AbortController()
  app.decorate('services', services)
  app.decorate('closing', closing.signal)
  app.decorateRequest('caller')
  app.setErrorHandler(sendProblem)
  app.setNotFoundHandler(sendRouteNotFound)
  acceptJsonOnly(app)

  const documents: RouteDocuments = new Map()
  app.addHook('onRoute', (route) => keepForDocument(route, documents))
  addHooks(app, authenticate)
  limitBodyTime(app)
  await registerPlugins(app, dependencies, documents)
  for (const schema of NAMED_SCHEMAS) app.addSchema(schema)
  for (const addRoute of ROUTES) addRoute(app)
  getMetrics(app, metrics)
  await app.register(async (pages) => {
    // The pages get all of helmet's headers, JSON answers the few that matter to them (addHooks). Behind plain http on a
    // laptop /docs must not be upgraded to https.
    await pages.register(helmet, { contentSecurityPolicy: { directives: { upgradeInsecureRequests: null } } })
    await pages.register(swaggerUi, { routePrefix: '/docs' })
  })
  // Whoever waits for a savepoint must not hold up the shutdown: it gets the snapshot as it is.
  app.addHook('preClose', async () => closing.abort())
  await app.ready()
  return app
}
