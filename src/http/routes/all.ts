/** Every route of the API, in the order of the document. */
import type { App } from '../fastify-app.ts'
import { getArtifact } from './artifacts/get-artifact.ts'
import { uploadArtifact } from './artifacts/upload-artifact.ts'
import { attachFlinkJobs } from './clusters/attach-flink-jobs.ts'
import { confirmIdentity } from './clusters/confirm-identity.ts'
import { createCluster } from './clusters/create-cluster.ts'
import { deleteCluster } from './clusters/delete-cluster.ts'
import { getCluster } from './clusters/get-cluster.ts'
import { listClusters } from './clusters/list-clusters.ts'
import { listFlinkJobs } from './clusters/list-flink-jobs.ts'
import { probeCluster } from './clusters/probe-cluster.ts'
import { updateCluster } from './clusters/update-cluster.ts'
import { checkCompatibility } from './jobs/check-compatibility.ts'
import { createJob } from './jobs/create-job.ts'
import { deleteJob } from './jobs/delete-job.ts'
import { getJob } from './jobs/get-job.ts'
import { getJobState } from './jobs/get-job-state.ts'
import { getRestorePoint } from './jobs/get-restore-point.ts'
import { listJobs } from './jobs/list-jobs.ts'
import { startJob } from './jobs/start-job.ts'
import { stopJob } from './jobs/stop-job.ts'
import { updateJob } from './jobs/update-job.ts'
import { getOperation } from './operations/get-operation.ts'
import { listAuditFindings } from './operations/list-findings.ts'
import { listOperations } from './operations/list-operations.ts'
import { deleteDefaultRetention } from './retention/delete-default-retention.ts'
import { deleteJobRetention } from './retention/delete-job-retention.ts'
import { getDefaultRetention } from './retention/get-default-retention.ts'
import { getJobRetention } from './retention/get-job-retention.ts'
import { previewRetention } from './retention/preview-retention.ts'
import { setDefaultRetention } from './retention/set-default-retention.ts'
import { setJobRetention } from './retention/set-job-retention.ts'
import { confirmRunEnded } from './runs/confirm-run-ended.ts'
import { getRun } from './runs/get-run.ts'
import { listRuns } from './runs/list-runs.ts'
import { createBulkSavepoint } from './savepoints/create-bulk-savepoint.ts'
import { createSavepoint } from './savepoints/create-savepoint.ts'
import { deleteSchedule } from './schedules/delete-schedule.ts'
import { getSchedule } from './schedules/get-schedule.ts'
import { listScheduleFirings } from './schedules/list-firings.ts'
import { pauseSchedule } from './schedules/pause-schedule.ts'
import { previewSchedule } from './schedules/preview-schedule.ts'
import { putSchedule } from './schedules/put-schedule.ts'
import { resumeSchedule } from './schedules/resume-schedule.ts'
import { clearSnapshot } from './snapshots/clear-snapshot.ts'
import { copySnapshot } from './snapshots/copy-snapshot.ts'
import { getClearing } from './snapshots/get-clearing.ts'
import { getInspection } from './snapshots/get-inspection.ts'
import { getSnapshot } from './snapshots/get-snapshot.ts'
import { getVerification } from './snapshots/get-verification.ts'
import { listSnapshotFiles } from './snapshots/list-files.ts'
import { listJobSnapshots } from './snapshots/list-job-snapshots.ts'
import { listReferences } from './snapshots/list-references.ts'
import { listTransitions } from './snapshots/list-transitions.ts'
import { registerSnapshot } from './snapshots/register-snapshot.ts'
import { updateSnapshot } from './snapshots/update-snapshot.ts'
import { verifySnapshot } from './snapshots/verify-snapshot.ts'
import { auditStorage } from './storages/audit-storage.ts'
import { checkStorage } from './storages/check-storage.ts'
import { clearOrphans } from './storages/clear-orphans.ts'
import { createStorage } from './storages/create-storage.ts'
import { deleteStorage } from './storages/delete-storage.ts'
import { getStorage } from './storages/get-storage.ts'
import { getStorageUsage } from './storages/get-usage.ts'
import { listStorages } from './storages/list-storages.ts'
import { updateStorage } from './storages/update-storage.ts'
import { getLiveness } from './system/get-liveness.ts'
import { getOpenApi } from './system/get-openapi.ts'
import { getReadiness } from './system/get-readiness.ts'
import { getSystem } from './system/get-system.ts'
import { compareVersions } from './versions/compare-versions.ts'
import { createVersion } from './versions/create-version.ts'
import { getFlinkConfiguration } from './versions/get-flink-configuration.ts'
import { getVersion } from './versions/get-version.ts'
import { listVersions } from './versions/list-versions.ts'

export const ROUTES: readonly ((app: App) => unknown)[] = [
  createCluster,
  listClusters,
  getCluster,
  updateCluster,
  deleteCluster,
  probeCluster,
  listFlinkJobs,
  attachFlinkJobs,
  confirmIdentity,
  createStorage,
  listStorages,
  getStorage,
  updateStorage,
  deleteStorage,
  checkStorage,
  auditStorage,
  getStorageUsage,
  clearOrphans,
  listAuditFindings,
  uploadArtifact,
  getArtifact,
  createJob,
  listJobs,
  getJob,
  updateJob,
  deleteJob,
  createVersion,
  listVersions,
  getVersion,
  getFlinkConfiguration,
  compareVersions,
  getJobState,
  getRestorePoint,
  checkCompatibility,
  startJob,
  stopJob,
  listRuns,
  getRun,
  confirmRunEnded,
  createSavepoint,
  createBulkSavepoint,
  listOperations,
  getOperation,
  registerSnapshot,
  listJobSnapshots,
  getSnapshot,
  updateSnapshot,
  clearSnapshot,
  getClearing,
  listTransitions,
  listReferences,
  copySnapshot,
  verifySnapshot,
  getVerification,
  getInspection,
  listSnapshotFiles,
  getJobRetention,
  setJobRetention,
  deleteJobRetention,
  previewRetention,
  getDefaultRetention,
  setDefaultRetention,
  deleteDefaultRetention,
  getSchedule,
  putSchedule,
  deleteSchedule,
  pauseSchedule,
  resumeSchedule,
  listScheduleFirings,
  previewSchedule,
  getSystem,
  getLiveness,
  getReadiness,
  getOpenApi,
]
