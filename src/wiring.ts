/** Builds every real dependency once, for either process, and closes them in reverse. Only this file knows everybody. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Logger, pino } from 'pino'
import { v7 as uuidv7 } from 'uuid'
import type { Config } from './config.ts'
import { createCrashPoint } from './crash-point.ts'
import { createAuditWorkRepository } from './db/audit-work.ts'
import { createAuditRepository } from './db/audits.ts'
import { createCheckpointDirectoryRepository } from './db/checkpoint-directories.ts'
import { createCheckpointHistoryRepository } from './db/checkpoint-history.ts'
import { createCheckpointRepository } from './db/checkpoints.ts'
import { createClaimRepository } from './db/claims.ts'
import { createClearingWorkRepository } from './db/clearing-work.ts'
import { createClearingRepository } from './db/clearings.ts'
import { type Database, openDatabase } from './db/client.ts'
import { createClusterRepository } from './db/clusters.ts'
import { createCopyRepository, createCopyWorkRepository } from './db/copies.ts'
import { createInspectionRepository } from './db/inspections.ts'
import { createJobStateRepository } from './db/job-state.ts'
import { createJobRepository } from './db/jobs.ts'
import { createLifecycleWorkRepository } from './db/lifecycle-work.ts'
import { createLifecycleRepository } from './db/lifecycles.ts'
import { createMetricsRepository } from './db/metrics.ts'
import { listPendingMigrations, readMigrationNames } from './db/migrate.ts'
import { createNamespaceRepository } from './db/namespaces.ts'
import { createObservationRepository } from './db/observations.ts'
import { createOperationWorkRepository } from './db/operation-work.ts'
import { createOperationRepository } from './db/operations.ts'
import { createProtectionRepository } from './db/protections.ts'
import { createReferenceRepository } from './db/references.ts'
import { createRestorePointRepository } from './db/restore-points.ts'
import { createRetentionRepository } from './db/retention.ts'
import { createRetentionWorkRepository } from './db/retention-work.ts'
import { createRunRepository } from './db/runs.ts'
import { createSavepointWorkRepository } from './db/savepoint-work.ts'
import { createScheduleWorkRepository } from './db/schedule-work.ts'
import { createScheduleRepository } from './db/schedules.ts'
import { createSnapshotRepository } from './db/snapshots.ts'
import { createStorageRepository } from './db/storages.ts'
import { createVerificationRepository } from './db/verifications.ts'
import { createFlinkConnections } from './flink/connections.ts'
import type { Jars, Uploads } from './ports/artifacts.ts'
import type { CrashPoint, Log } from './ports/process.ts'
import type { QueueBackend } from './queue/connection.ts'
import { createJars } from './storage/jars.ts'
import { createSecrets } from './storage/secrets.ts'
import { createObjectStores } from './storage/stores.ts'
import { createUploads } from './storage/uploads.ts'

export const MIGRATIONS = fileURLToPath(new URL('../prisma/migrations', import.meta.url))

const PACKAGE: { version: string } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
)

export const createLogger = (config: Config, process: 'api' | 'worker'): Logger =>
  pino(
    {
      level: config.logLevel,
      base: { process },
      redact: ['req.headers.authorization', '*.password', '*.token', '*.secret'],
    },
    // Written in the background: a request does not wait for whoever reads our log. A killed process loses its last lines.
    pino.destination({ sync: false, minLength: 4096, periodicFlush: 100 }),
  )

/** pino's shape is (fields, message) already; this keeps services from knowing pino. */
export const toLog = (logger: Logger): Log => ({
  info: (fields, message) => logger.info(fields, message),
  warn: (fields, message) => logger.warn(fields, message),
  error: (fields, message) => logger.error(fields, message),
})

export const queueBackendOf = (config: Config): QueueBackend =>
  config.redisUrl === null
    ? { kind: 'postgres', url: config.databaseUrl }
    : { kind: 'redis', url: config.redisUrl, prefix: config.queuePrefix }

export type Shared = {
  config: Config
  logger: Logger
  log: Log
  db: Database
  repositories: ReturnType<typeof createRepositories>
  flink: ReturnType<typeof createFlinkConnections>
  stores: ReturnType<typeof createObjectStores>
  uploads: Uploads
  jars: Jars
  crashPoint: CrashPoint
  newId: () => string
  newTriggerId: () => string
  version: string
  latestMigration: string
  pendingMigrations: () => Promise<string[]>
  close(): Promise<void>
}

/** What both processes need. Nothing here fails because Postgres, Redis or a cluster is away at the moment. */
export async function wireShared(config: Config, process: 'api' | 'worker'): Promise<Shared> {
  const logger = createLogger(config, process)
  const log = toLog(logger)
  const newId = () => uuidv7()
  const db = openDatabase({
    url: config.databaseUrl,
    poolSize: config.databasePoolSize,
    applicationName: `tidemark-${process}`,
    onError: (error) => log.warn({ error: error.message }, 'a database connection broke'),
  })
  const repositories = createRepositories(db, config, process, newId)
  const namespaces = await watchNamespaces(db, log)
  const secrets = createSecrets({
    env: globalThis.process.env,
    secretsDir: config.secretsDir,
    namespaces: namespaces.names,
  })
  const flink = createFlinkConnections(secrets, {
    connectTimeoutMs: config.flinkConnectTimeoutMs,
    requestTimeoutMs: config.flinkRequestTimeoutMs,
    runTimeoutMs: config.flinkRunTimeoutMs,
    maxBodyBytes: config.flinkMaxAnswerBytes,
    connections: config.flinkConnections,
  })
  const stores = createObjectStores({
    secrets,
    localRoots: config.localRoots,
    s3Limits: { requestTimeoutMs: config.storageTimeoutMs },
  })
  return {
    config,
    logger,
    log,
    db,
    repositories,
    flink,
    stores,
    uploads: createUploads(),
    jars: createJars(),
    crashPoint: createCrashPoint(config.crashAt),
    newId,
    newTriggerId: () => randomBytes(16).toString('hex'),
    version: PACKAGE.version,
    latestMigration: (await readMigrationNames(MIGRATIONS)).at(-1) ?? '',
    pendingMigrations: () => listPendingMigrations(config.databaseUrl, MIGRATIONS),
    async close() {
      namespaces.stop()
      await flink.close()
      await stores.close()
      await db.close()
    },
  }
}

const createRepositories = (db: Database, config: Config, process: string, newId: () => string) => ({
  namespaces: createNamespaceRepository(db),
  clusters: createClusterRepository(db),
  storages: createStorageRepository(db),
  jobs: createJobRepository(db),
  runs: createRunRepository(db),
  jobStates: createJobStateRepository(db),
  references: createReferenceRepository(db),
  protections: createProtectionRepository(db),
  inspections: createInspectionRepository(db),
  verifications: createVerificationRepository(db),
  restorePoints: createRestorePointRepository(db),
  checkpointHistory: createCheckpointHistoryRepository(db),
  snapshots: createSnapshotRepository(db),
  savepoints: createSavepointWorkRepository(db, {
    leaseMs: config.leaseMs,
    newLease: newId,
    workerName: process,
  }),
  operations: createOperationRepository(db),
  operationWork: createOperationWorkRepository(db, { leaseMs: config.leaseMs, newLease: newId }),
  audits: createAuditRepository(db),
  auditWork: createAuditWorkRepository(db, createInspectionRepository(db), {
    leaseMs: config.leaseMs,
    newLease: newId,
  }),
  orphans: createAuditWorkRepository(db, createInspectionRepository(db), {
    leaseMs: config.leaseMs,
    newLease: newId,
  }),
  copies: createCopyRepository(db),
  copyWork: createCopyWorkRepository(db, { leaseMs: config.leaseMs, newLease: newId }),
  lifecycles: createLifecycleRepository(db),
  lifecycleWork: createLifecycleWorkRepository(db, { leaseMs: config.leaseMs, newLease: newId }),
  schedules: createScheduleRepository(db),
  scheduleWork: createScheduleWorkRepository(db, { leaseMs: config.leaseMs, newLease: newId }),
  claims: createClaimRepository(db),
  clearings: createClearingRepository(db, {
    references: createReferenceRepository(db),
    inspections: createInspectionRepository(db),
    checkpointDirectories: createCheckpointDirectoryRepository(db),
  }),
  checkpointDirectories: createCheckpointDirectoryRepository(db),
  clearingWork: createClearingWorkRepository(db, {
    leaseMs: config.leaseMs,
    newLease: newId,
    workerName: process,
  }),
  retention: createRetentionRepository(db),
  retentionWork: createRetentionWorkRepository(db),
  observations: createObservationRepository(db, newId),
  checkpoints: createCheckpointRepository(db, newId),
  metrics: createMetricsRepository(db),
})

const NAMESPACES_EVERY_MS = 30_000

/** Which variable is whose depends on every namespace there is (`storage/secrets.ts`). */
async function watchNamespaces(
  db: Database,
  log: Log,
): Promise<{ names: () => readonly string[]; stop: () => void }> {
  let names: readonly string[] = []
  const read = async () => {
    try {
      names = (await db.sql<{ name: string }>('select name from namespace')).map((row) => row.name)
    } catch (error) {
      log.warn(
        { error: error instanceof Error ? error.message : error },
        'namespaces could not be read, trying again',
      )
    }
  }
  await read()
  const timer = setInterval(read, NAMESPACES_EVERY_MS)
  timer.unref()
  return { names: () => names, stop: () => clearInterval(timer) }
}
