/** The API process: config, wire, run, close. Stateless: any number of replicas. */
import { Registry } from 'prom-client'
import type { Config } from './config.ts'
import { buildApp } from './http/app.ts'
import { createAuthenticate } from './http/authenticate.ts'
import { openProducer } from './queue/connection.ts'
import { createNudges } from './queue/producer.ts'
import type { Caller } from './services/api.ts'
import { createServices } from './services/create-services.ts'
import { createSlots } from './services/slots.ts'
import { createWaiters } from './services/waiters.ts'
import { queueBackendOf, type Shared, wireShared } from './wiring.ts'

/** A `_metadata` of 256 MiB that names nothing but files takes a multiple of that while it is read. */
const METADATA_AT_ONCE = 2
const METADATA_WAITING = 64

export type RunningServer = { url: string; close(): Promise<void> }

export async function startServer(config: Config): Promise<RunningServer> {
  const shared = await wireShared(config, 'api')
  const { repositories, log } = shared
  const { callers, everybody } = await findCallers(shared)
  const backend = queueBackendOf(config)
  const producer = await openProducer(backend, {
    onError: (error) => log.warn({ error: error.message }, 'queue'),
  })
  const nudges = createNudges(producer, log)
  const waiters = createWaiters(repositories.snapshots.findDecided)
  const operationWaiters = createWaiters(repositories.operations.findEnded)
  const clearingWaiters = createWaiters(repositories.clearings.findCleared)
  const services = createServices({
    ...repositories,
    flink: shared.flink,
    stores: shared.stores,
    log,
    nudges,
    waiters,
    operationWaiters,
    clearingWaiters,
    newId: shared.newId,
    newTriggerId: shared.newTriggerId,
    crashPoint: shared.crashPoint,
    localRoots: config.localRoots,
    uploads: shared.uploads,
    jars: shared.jars,
    maxArtifactBytes: config.maxArtifactBytes,
    metadataSlots: createSlots(METADATA_AT_ONCE, METADATA_WAITING),
    health: {
      databaseVersion: async () => {
        const [row] = await shared.db.sql<{ version: string }>(
          `select current_setting('server_version') as version`,
        )
        return row?.version ?? 'unknown'
      },
      pendingMigrations: shared.pendingMigrations,
      pingQueue: () => producer.ping(),
    },
    system: {
      version: shared.version,
      startedAt: new Date(),
      queue: backend.kind,
      node: process.version,
      latestMigration: shared.latestMigration,
    },
  })
  const app = await buildApp({
    services,
    logger: shared.logger,
    authenticate: createAuthenticate(callers, everybody),
    metrics: new Registry(),
    options: { maxEventLoopDelayMs: config.maxEventLoopDelayMs },
  })
  const host = config.host ?? (callers.size > 0 ? '0.0.0.0' : '127.0.0.1')
  try {
    await app.listen({ host, port: config.port })
  } catch (error) {
    await shared.close()
    throw describeListenError(error, host, config.port)
  }
  const address = app.server.address()
  const port = typeof address === 'object' && address ? address.port : config.port
  return {
    url: `http://${host === '0.0.0.0' ? '127.0.0.1' : host}:${port}`,
    async close() {
      waiters.close()
      operationWaiters.close()
      clearingWaiters.close()
      await app.close()
      await nudges.flush()
      await producer.close()
      await shared.close()
    },
  }
}

/** One principal per token; without any token everybody on this machine is `default`. */
async function findCallers({
  config,
  repositories,
}: Shared): Promise<{ callers: Map<string, Caller>; everybody: Caller }> {
  const callers = new Map<string, Caller>()
  for (const { namespace, token } of config.tokens) {
    const namespaceId = await repositories.namespaces.ensure(namespace)
    callers.set(token, { namespace, namespaceId, principal: `token:${namespace}` })
  }
  const namespaceId = await repositories.namespaces.ensure('default')
  return { callers, everybody: { namespace: 'default', namespaceId, principal: 'local' } }
}

function describeListenError(error: unknown, host: string, port: number): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : null
  if (code === 'EADDRINUSE')
    return new Error(`Port ${port} on ${host} is taken; choose another with TIDEMARK_PORT.`, { cause: error })
  if (code === 'EACCES')
    return new Error(`Port ${port} on ${host} may not be used; choose another with TIDEMARK_PORT.`, {
      cause: error,
    })
  return error
}
