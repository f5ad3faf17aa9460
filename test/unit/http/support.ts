/** An app on stub services: each test says only what its service answers. */
import { pino } from 'pino'
import { Registry } from 'prom-client'
import type { JobVersionView } from '../../../src/domain/checkpoint-settings.ts'
import { DomainError } from '../../../src/domain/errors.ts'
import type { JobVersion } from '../../../src/domain/job-version.ts'
import type { Cluster, Job, Storage } from '../../../src/domain/resources.ts'
import type { Snapshot } from '../../../src/domain/snapshot.ts'
import { type AppOptions, buildApp } from '../../../src/http/app.ts'
import type { Authenticate } from '../../../src/http/authenticate.ts'
import type { App } from '../../../src/http/fastify-app.ts'
import type { Caller, Services } from '../../../src/services/api.ts'
import { showVersion } from '../../../src/services/show-version.ts'

export const CALLER: Caller = { namespaceId: 'ns-1', namespace: 'default', principal: 'tester' }
export const SNAPSHOT_ID = '01900000-0000-7000-8000-000000000001'
const AT = '2026-11-21T08:00:00.000Z'

export const aSnapshot = (changes: Partial<Snapshot> = {}): Snapshot => ({
  id: SNAPSHOT_ID,
  kind: 'SAVEPOINT',
  status: 'Creating',
  reason: 'REQUESTED',
  message: null,
  source: 'MANUAL',
  description: 'before the upgrade',
  labels: { team: 'payments' },
  job: { id: '01900000-0000-7000-8000-00000000000a', name: 'orders' },
  jobVersion: 3,
  run: null,
  format: 'CANONICAL',
  checkpointType: null,
  incremental: null,
  flinkCheckpointId: null,
  triggerId: 'ab'.repeat(16),
  attempt: 1,
  attempts: [
    {
      number: 1,
      triggerId: 'ab'.repeat(16),
      flinkJobId: 'cd'.repeat(16),
      directory: 's3://bucket/savepoints/1',
      createdAt: AT,
      askedAt: null,
      outcome: null,
      settledAt: null,
      failure: { code: 'FLINK_FAILURE', message: 'why', at: AT },
      orphanLocation: null,
    },
  ],
  createdAt: AT,
  triggeredAt: null,
  completedAt: null,
  settledAt: null,
  durationMs: null,
  deadlineAt: AT,
  storage: { id: '01900000-0000-7000-8000-00000000000b', name: 'main' },
  ownedPrefix: null,
  location: null,
  sizeBytes: Number.MAX_SAFE_INTEGER,
  uploadedBytes: null,
  flinkVersion: null,
  failure: null,
  pinned: false,
  expiresAt: null,
  verifiedAt: null,
  verdict: null,
  restorable: false,
  notRestorableBecause: 'NOT_PRESENT',
  supersedes: null,
  copyOf: null,
  restoredBy: [],
  createdBy: 'tester',
  updatedAt: AT,
  etag: '7',
  ...changes,
})

export const aCluster = (changes: Partial<Cluster> = {}): Cluster => ({
  id: '01900000-0000-7000-8000-00000000000c',
  name: 'prod',
  url: 'http://flink:8081',
  auth: { type: 'basic', username: 'u', password: { env: 'TIDEMARK_SECRET_DEFAULT_FLINK' } },
  mode: 'MANAGE',
  followIdentity: false,
  flinkVersion: null,
  capabilities: null,
  fingerprint: { haClusterId: null, kubernetesClusterId: 'k8s' },
  changedTo: null,
  recoveryPath: null,
  unsupported: [],
  reachable: null,
  observedAt: null,
  lastError: null,
  createdAt: AT,
  updatedAt: AT,
  etag: '1',
  ...changes,
})

export const aStorage = (changes: Partial<Storage> = {}): Storage => ({
  id: '01900000-0000-7000-8000-00000000000b',
  name: 'main',
  uri: 's3://bucket/savepoints',
  provider: 'aws',
  endpoint: null,
  region: 'eu-central-1',
  pathStyle: null,
  credentials: { accessKeyId: { env: 'TIDEMARK_SECRET_DEFAULT_KEY' } },
  clearCheckpoints: false,
  createdAt: AT,
  updatedAt: AT,
  etag: '1',
  ...changes,
})

export const aJob = (changes: Partial<Job> = {}): Job => ({
  id: '01900000-0000-7000-8000-00000000000a',
  name: 'orders',
  cluster: { id: '01900000-0000-7000-8000-00000000000c', name: 'prod' },
  savepointStorage: { id: '01900000-0000-7000-8000-00000000000b', name: 'main' },
  attach: { flinkJobName: 'orders' },
  allowStop: false,
  savepointTimeoutSeconds: 1800,
  labels: {},
  latestVersion: null,
  run: null,
  ambiguous: null,
  createdAt: AT,
  updatedAt: AT,
  etag: '1',
  ...changes,
})

export const aVersion = (changes: Partial<JobVersion> = {}): JobVersionView =>
  showVersion({
    number: 1,
    parallelism: 4,
    checkpointing: { interval: 60_000, nested: { deep: true } },
    flinkConfiguration: { 'state.backend.type': 'rocksdb' },
    labels: {},
    createdAt: AT,
    createdBy: 'tester',
    ...changes,
  })

const unexpected = async (): Promise<never> => {
  throw new DomainError('INTERNAL', 'this test did not expect the call')
}

export const stubServices = (stubs: Partial<Services>): Services => ({
  createCluster: unexpected,
  getCluster: unexpected,
  listClusters: unexpected,
  updateCluster: unexpected,
  deleteCluster: unexpected,
  probeCluster: unexpected,
  listFlinkJobs: unexpected,
  attachFlinkJobs: unexpected,
  createStorage: unexpected,
  getStorage: unexpected,
  listStorages: unexpected,
  updateStorage: unexpected,
  copySnapshot: unexpected,
  deleteStorage: unexpected,
  checkStorage: unexpected,
  auditStorage: unexpected,
  getStorageUsage: unexpected,
  listAuditFindings: unexpected,
  clearOrphans: unexpected,
  uploadArtifact: unexpected,
  findArtifact: unexpected,
  createJob: unexpected,
  getJob: unexpected,
  listJobs: unexpected,
  updateJob: unexpected,
  deleteJob: unexpected,
  createJobVersion: unexpected,
  listJobVersions: unexpected,
  getJobVersion: unexpected,
  getFlinkConfiguration: unexpected,
  compareJobVersions: unexpected,
  requestSavepoint: unexpected,
  registerSnapshot: unexpected,
  createBulkSavepoint: unexpected,
  startJob: unexpected,
  stopJob: unexpected,
  getOperation: unexpected,
  waitForOperation: unexpected,
  listOperations: unexpected,
  getSnapshot: unexpected,
  waitForSnapshot: unexpected,
  listSnapshots: unexpected,
  updateSnapshot: unexpected,
  clearSnapshot: unexpected,
  getClearing: unexpected,
  waitForCleared: unexpected,
  listTransitions: unexpected,
  confirmClusterIdentity: unexpected,
  listRuns: unexpected,
  getRun: unexpected,
  confirmRunEnded: unexpected,
  readJobState: unexpected,
  findRestorePoint: unexpected,
  checkCompatibility: unexpected,
  listReferences: unexpected,
  verifySnapshot: unexpected,
  getVerification: unexpected,
  getInspection: unexpected,
  listSnapshotFiles: unexpected,
  getRetention: unexpected,
  setRetention: unexpected,
  deleteRetention: unexpected,
  previewRetention: unexpected,
  getSchedule: unexpected,
  putSchedule: unexpected,
  deleteSchedule: unexpected,
  pauseSchedule: unexpected,
  resumeSchedule: unexpected,
  listScheduleFirings: unexpected,
  previewSchedule: unexpected,
  readJobMetrics: unexpected,
  readSystem: unexpected,
  checkReadiness: unexpected,
  ...stubs,
})

export type Setup = { options?: AppOptions; authenticate?: Authenticate; log?: string[] }

export const startApp = (services: Services = stubServices({}), setup: Setup = {}): Promise<App> => {
  const { log, authenticate = () => CALLER, options = { maxEventLoopDelayMs: 0 } } = setup
  const write = (line: string) => log?.push(line)
  const logger = pino({ level: log === undefined ? 'silent' : 'debug' }, { write })
  return buildApp({ services, options, logger, authenticate, metrics: new Registry() })
}

/** One app for a whole file: each test says anew what its services answer. */
export const shareApp = () => {
  let current: Partial<Services> = {}
  let app: Promise<App> | undefined
  const services = new Proxy(stubServices({}), {
    get: (unstubbed, verb) => Reflect.get(current, verb) ?? Reflect.get(unstubbed, verb),
  })
  return {
    start: (stubs: Partial<Services>): Promise<App> => {
      current = stubs
      app ??= startApp(services)
      return app
    },
    close: async () => (await app)?.close(),
  }
}
