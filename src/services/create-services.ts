/** Every service from one set of ports. */
import type { Services } from './api.ts'
import { attachFlinkJobs } from './attach-flink-jobs.ts'
import { auditStorage } from './audit-storage.ts'
import { checkCompatibility } from './check-compatibility.ts'
import { checkReadiness, type ReadinessPorts } from './check-readiness.ts'
import { checkStorage } from './check-storage.ts'
import { clearOrphans } from './clear-orphans.ts'
import { clearSnapshot } from './clear-snapshot.ts'
import { compareJobVersions } from './compare-job-versions.ts'
import { confirmClusterIdentity } from './confirm-cluster-identity.ts'
import { confirmRunEnded } from './confirm-run-ended.ts'
import { copySnapshot } from './copy-snapshot.ts'
import { createBulkSavepoint } from './create-bulk-savepoint.ts'
import { createCluster } from './create-cluster.ts'
import { createJob } from './create-job.ts'
import { createJobVersion } from './create-job-version.ts'
import { createStorage } from './create-storage.ts'
import { deleteCluster } from './delete-cluster.ts'
import { deleteJob } from './delete-job.ts'
import { deleteRetention } from './delete-retention.ts'
import { deleteSchedule } from './delete-schedule.ts'
import { deleteStorage } from './delete-storage.ts'
import { findArtifact } from './find-artifact.ts'
import { findRestorePoint } from './find-restore-point.ts'
import { getClearing } from './get-clearing.ts'
import { getCluster } from './get-cluster.ts'
import { getFlinkConfiguration } from './get-flink-configuration.ts'
import { getInspection } from './get-inspection.ts'
import { getJob } from './get-job.ts'
import { getJobVersion } from './get-job-version.ts'
import { getOperation } from './get-operation.ts'
import { getRetention } from './get-retention.ts'
import { getRun } from './get-run.ts'
import { getSchedule } from './get-schedule.ts'
import { getSnapshot } from './get-snapshot.ts'
import { getStorage } from './get-storage.ts'
import { getStorageUsage } from './get-storage-usage.ts'
import { listAuditFindings } from './list-audit-findings.ts'
import { listClusters } from './list-clusters.ts'
import { listFlinkJobs } from './list-flink-jobs.ts'
import { listJobVersions } from './list-job-versions.ts'
import { listJobs } from './list-jobs.ts'
import { listOperations } from './list-operations.ts'
import { listReferences } from './list-references.ts'
import { listRuns } from './list-runs.ts'
import { listScheduleFirings } from './list-schedule-firings.ts'
import { listSnapshotFiles } from './list-snapshot-files.ts'
import { listSnapshots } from './list-snapshots.ts'
import { listStorages } from './list-storages.ts'
import { listTransitions } from './list-transitions.ts'
import { pauseSchedule } from './pause-schedule.ts'
import { previewRetention } from './preview-retention.ts'
import { previewSchedule } from './preview-schedule.ts'
import { probeCluster } from './probe-cluster.ts'
import { putSchedule } from './put-schedule.ts'
import { readJobMetrics } from './read-job-metrics.ts'
import { readJobState } from './read-job-state.ts'
import { readSystem, type SystemPorts } from './read-system.ts'
import { registerSnapshot } from './register-snapshot.ts'
import { requestSavepoint } from './request-savepoint.ts'
import { resumeSchedule } from './resume-schedule.ts'
import { setRetention } from './set-retention.ts'
import { startJob } from './start-job.ts'
import { stopJob } from './stop-job.ts'
import { updateCluster } from './update-cluster.ts'
import { updateJob } from './update-job.ts'
import { updateSnapshot } from './update-snapshot.ts'
import { updateStorage } from './update-storage.ts'
import { uploadArtifact } from './upload-artifact.ts'
import { getVerification, verifySnapshot } from './verify-snapshot.ts'
import { waitForCleared } from './wait-for-cleared.ts'
import { waitForOperation } from './wait-for-operation.ts'
import { waitForSnapshot } from './wait-for-snapshot.ts'

type PortsOf<Service> = Service extends (ports: infer Ports) => unknown ? Ports : never

export type ServicePorts = PortsOf<typeof createJob> &
  PortsOf<typeof createCluster> &
  PortsOf<typeof createStorage> &
  PortsOf<typeof createJobVersion> &
  PortsOf<typeof uploadArtifact> &
  PortsOf<typeof findArtifact> &
  PortsOf<typeof deleteCluster> &
  PortsOf<typeof deleteJob> &
  PortsOf<typeof deleteStorage> &
  PortsOf<typeof getJobVersion> &
  PortsOf<typeof getFlinkConfiguration> &
  PortsOf<typeof compareJobVersions> &
  PortsOf<typeof listClusters> &
  PortsOf<typeof listJobs> &
  PortsOf<typeof listStorages> &
  PortsOf<typeof listJobVersions> &
  PortsOf<typeof listSnapshots> &
  PortsOf<typeof probeCluster> &
  PortsOf<typeof listFlinkJobs> &
  PortsOf<typeof attachFlinkJobs> &
  PortsOf<typeof createBulkSavepoint> &
  PortsOf<typeof getOperation> &
  PortsOf<typeof listOperations> &
  PortsOf<typeof waitForOperation> &
  PortsOf<typeof registerSnapshot> &
  PortsOf<typeof checkStorage> &
  PortsOf<typeof updateCluster> &
  PortsOf<typeof updateJob> &
  PortsOf<typeof updateStorage> &
  PortsOf<typeof requestSavepoint> &
  PortsOf<typeof waitForSnapshot> &
  PortsOf<typeof readJobMetrics> &
  PortsOf<typeof confirmClusterIdentity> &
  PortsOf<typeof confirmRunEnded> &
  PortsOf<typeof listReferences> &
  PortsOf<typeof copySnapshot> &
  PortsOf<typeof getInspection> &
  PortsOf<typeof listSnapshotFiles> &
  PortsOf<typeof listRuns> &
  PortsOf<typeof verifySnapshot> &
  PortsOf<typeof readJobState> &
  PortsOf<typeof findRestorePoint> &
  PortsOf<typeof checkCompatibility> &
  PortsOf<typeof setRetention> &
  PortsOf<typeof deleteRetention> &
  PortsOf<typeof previewRetention> &
  PortsOf<typeof startJob> &
  PortsOf<typeof stopJob> &
  PortsOf<typeof putSchedule> &
  PortsOf<typeof listScheduleFirings> &
  PortsOf<typeof clearSnapshot> &
  PortsOf<typeof getClearing> &
  PortsOf<typeof auditStorage> &
  PortsOf<typeof getStorageUsage> &
  PortsOf<typeof listAuditFindings> &
  PortsOf<typeof clearOrphans> &
  PortsOf<typeof waitForCleared> &
  ReadinessPorts &
  SystemPorts

export const createServices = (ports: ServicePorts): Services => ({
  createCluster: createCluster(ports),
  getCluster: getCluster(ports),
  listClusters: listClusters(ports),
  updateCluster: updateCluster(ports),
  deleteCluster: deleteCluster(ports),
  probeCluster: probeCluster(ports),
  listFlinkJobs: listFlinkJobs(ports),
  attachFlinkJobs: attachFlinkJobs(ports),
  confirmClusterIdentity: confirmClusterIdentity(ports),
  createStorage: createStorage(ports),
  getStorage: getStorage(ports),
  listStorages: listStorages(ports),
  updateStorage: updateStorage(ports),
  deleteStorage: deleteStorage(ports),
  checkStorage: checkStorage(ports),
  auditStorage: auditStorage(ports),
  getStorageUsage: getStorageUsage(ports),
  listAuditFindings: listAuditFindings(ports),
  clearOrphans: clearOrphans(ports),
  uploadArtifact: uploadArtifact(ports),
  findArtifact: findArtifact(ports),
  createJob: createJob(ports),
  getJob: getJob(ports),
  listJobs: listJobs(ports),
  updateJob: updateJob(ports),
  deleteJob: deleteJob(ports),
  createJobVersion: createJobVersion(ports),
  listJobVersions: listJobVersions(ports),
  getJobVersion: getJobVersion(ports),
  getFlinkConfiguration: getFlinkConfiguration(ports),
  compareJobVersions: compareJobVersions(ports),
  listRuns: listRuns(ports),
  getRun: getRun(ports),
  confirmRunEnded: confirmRunEnded(ports),
  readJobState: readJobState(ports),
  findRestorePoint: findRestorePoint(ports),
  checkCompatibility: checkCompatibility(ports),
  requestSavepoint: requestSavepoint(ports),
  registerSnapshot: registerSnapshot(ports),
  createBulkSavepoint: createBulkSavepoint(ports),
  startJob: startJob(ports),
  stopJob: stopJob(ports),
  getOperation: getOperation(ports),
  waitForOperation: waitForOperation(ports),
  listOperations: listOperations(ports),
  getSnapshot: getSnapshot(ports),
  waitForSnapshot: waitForSnapshot(ports),
  listSnapshots: listSnapshots(ports),
  updateSnapshot: updateSnapshot(ports),
  clearSnapshot: clearSnapshot(ports),
  getClearing: getClearing(ports),
  waitForCleared: waitForCleared(ports),
  listTransitions: listTransitions(ports),
  listReferences: listReferences(ports),
  copySnapshot: copySnapshot(ports),
  verifySnapshot: verifySnapshot(ports),
  getVerification: getVerification(ports),
  getInspection: getInspection(ports),
  listSnapshotFiles: listSnapshotFiles(ports),
  getRetention: getRetention(ports),
  setRetention: setRetention(ports),
  deleteRetention: deleteRetention(ports),
  previewRetention: previewRetention(ports),
  getSchedule: getSchedule(ports),
  putSchedule: putSchedule(ports),
  deleteSchedule: deleteSchedule(ports),
  pauseSchedule: pauseSchedule(ports),
  resumeSchedule: resumeSchedule(ports),
  listScheduleFirings: listScheduleFirings(ports),
  previewSchedule: previewSchedule(),
  readJobMetrics: readJobMetrics(ports),
  readSystem: readSystem(ports),
  checkReadiness: checkReadiness(ports),
})
