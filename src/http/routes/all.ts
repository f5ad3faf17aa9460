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
import { listOperations } from './operations/list-operations.ts'
import { confirmRunEnded } from './runs/confirm-run-ended.ts'
import { getRun } from './runs/get-run.ts'
import { listRuns } from './runs/list-runs.ts'
import { createBulkSavepoint } from './savepoints/create-bulk-savepoint.ts'
import { createSavepoint } from './savepoints/create-savepoint.ts'
import { getSnapshot } from './snapshots/get-snapshot.ts'
import { listJobSnapshots } from './snapshots/list-job-snapshots.ts'
import { listReferences } from './snapshots/list-references.ts'
import { listTransitions } from './snapshots/list-transitions.ts'
import { registerSnapshot } from './snapshots/register-snapshot.ts'
import { updateSnapshot } from './snapshots/update-snapshot.ts'
import { checkStorage } from './storages/check-storage.ts'
import { createStorage } from './storages/create-storage.ts'
import { deleteStorage } from './storages/delete-storage.ts'
import { getStorage } from './storages/get-storage.ts'
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
  listTransitions,
  listReferences,
  getSystem,
  getLiveness,
  getReadiness,
  getOpenApi,
]
