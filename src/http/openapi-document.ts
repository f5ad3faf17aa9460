/** The OpenAPI document without a database: the routes describe themselves, services are never called. */
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { DomainError } from '../domain/errors.ts'
import type { Services } from '../services/api.ts'
import { buildApp } from './app.ts'

const uncalled = async (): Promise<never> => {
  throw new DomainError('INTERNAL', 'no service is behind the document')
}

const NO_SERVICES: Services = {
  createCluster: uncalled,
  getCluster: uncalled,
  listClusters: uncalled,
  updateCluster: uncalled,
  deleteCluster: uncalled,
  probeCluster: uncalled,
  listFlinkJobs: uncalled,
  attachFlinkJobs: uncalled,
  createStorage: uncalled,
  getStorage: uncalled,
  listStorages: uncalled,
  updateStorage: uncalled,
  copySnapshot: uncalled,
  deleteStorage: uncalled,
  checkStorage: uncalled,
  auditStorage: uncalled,
  getStorageUsage: uncalled,
  listAuditFindings: uncalled,
  clearOrphans: uncalled,
  uploadArtifact: uncalled,
  findArtifact: uncalled,
  createJob: uncalled,
  getJob: uncalled,
  listJobs: uncalled,
  updateJob: uncalled,
  deleteJob: uncalled,
  createJobVersion: uncalled,
  listJobVersions: uncalled,
  getJobVersion: uncalled,
  getFlinkConfiguration: uncalled,
  compareJobVersions: uncalled,
  requestSavepoint: uncalled,
  registerSnapshot: uncalled,
  createBulkSavepoint: uncalled,
  startJob: uncalled,
  stopJob: uncalled,
  getOperation: uncalled,
  waitForOperation: uncalled,
  listOperations: uncalled,
  getSnapshot: uncalled,
  waitForSnapshot: uncalled,
  listSnapshots: uncalled,
  updateSnapshot: uncalled,
  clearSnapshot: uncalled,
  getClearing: uncalled,
  waitForCleared: uncalled,
  listTransitions: uncalled,
  confirmClusterIdentity: uncalled,
  listRuns: uncalled,
  getRun: uncalled,
  confirmRunEnded: uncalled,
  readJobState: uncalled,
  findRestorePoint: uncalled,
  checkCompatibility: uncalled,
  listReferences: uncalled,
  getInspection: uncalled,
  listSnapshotFiles: uncalled,
  verifySnapshot: uncalled,
  getVerification: uncalled,
  getRetention: uncalled,
  setRetention: uncalled,
  deleteRetention: uncalled,
  previewRetention: uncalled,
  getSchedule: uncalled,
  putSchedule: uncalled,
  deleteSchedule: uncalled,
  pauseSchedule: uncalled,
  resumeSchedule: uncalled,
  listScheduleFirings: uncalled,
  previewSchedule: uncalled,
  readJobMetrics: uncalled,
  readSystem: uncalled,
  checkReadiness: uncalled,
}

/** As committed in `openapi/openapi.json`: two spaces, stable order, a newline at the end. */
export const buildOpenApiDocument = async (): Promise<string> => {
  const app = await buildApp({
    services: NO_SERVICES,
    logger: pino({ level: 'silent' }),
    authenticate: () => ({ namespaceId: '', namespace: '', principal: '' }),
    metrics: new Registry(),
  })
  try {
    return `${JSON.stringify(app.swagger(), null, 2)}\n`
  } finally {
    await app.close()
  }
}
