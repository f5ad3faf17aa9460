/** Every named schema of the document, registered once by `app.ts`. */
import { Artifact } from './artifacts.ts'
import {
  AuditFinding,
  AuditFindingPage,
  AuditStorage,
  ClearOrphans,
  OrphanClearings,
  StorageUsage,
} from './audits.ts'
import type { Named } from './base.ts'
import {
  CheckpointingSettings,
  EffectiveSettings,
  FlinkConfiguration,
  JobVersionDiff,
  SettingFinding,
  StateSettings,
} from './checkpointing.ts'
import { Clearing } from './clearings.ts'
import {
  CLUSTER_AUTH_FORMS,
  Cluster,
  ClusterPage,
  ConfirmIdentity,
  CreateCluster,
  ProbeResult,
  UpdateCluster,
} from './clusters.ts'
import { CheckCompatibility, CompatibilityCheck } from './compatibility.ts'
import { AttachFlinkJobs, AttachReport, FlinkJobList } from './fleet.ts'
import { SnapshotFile, SnapshotFilePage, SnapshotInspection } from './inspections.ts'
import { JobState } from './job-state.ts'
import { CreateJob, Job, JobPage, UpdateJob } from './jobs.ts'
import {
  CopySnapshot,
  CreateBulkSavepoint,
  Operation,
  OperationItem,
  OperationPage,
  OperationStep,
  OperationSummary,
  StartJob,
  StopJob,
} from './operations.ts'
import { Problem } from './problem.ts'
import { SnapshotReferences } from './references.ts'
import { RestorePoint } from './restore-points.ts'
import { PreviewRetention, Retention, RetentionPreview, SetRetention } from './retention.ts'
import { Run, RunPage } from './runs.ts'
import {
  PreviewSchedule,
  PutSchedule,
  Schedule,
  ScheduleFiring,
  ScheduleFiringPage,
  SchedulePreview,
} from './schedules.ts'
import { SecretReference } from './secrets.ts'
import {
  Attempt,
  CreateSavepoint,
  RegisterSnapshot,
  Snapshot,
  SnapshotPage,
  Transition,
  TransitionList,
  UpdateSnapshot,
} from './snapshots.ts'
import { CreateStorage, Storage, StorageCheck, StoragePage, UpdateStorage } from './storages.ts'
import { Liveness, Readiness, SystemInfo } from './system.ts'
import { Verification, VerificationRunning } from './verifications.ts'
import { CreateJobVersion, JobVersion, JobVersionPage } from './versions.ts'

export const NAMED_SCHEMAS: readonly Named[] = [
  ...CLUSTER_AUTH_FORMS,
  AttachFlinkJobs,
  AttachReport,
  Artifact,
  Attempt,
  CheckCompatibility,
  CheckpointingSettings,
  CompatibilityCheck,
  EffectiveSettings,
  FlinkConfiguration,
  JobVersionDiff,
  SettingFinding,
  StateSettings,
  Clearing,
  Cluster,
  ClusterPage,
  ConfirmIdentity,
  CopySnapshot,
  CreateBulkSavepoint,
  CreateCluster,
  CreateJob,
  CreateJobVersion,
  CreateSavepoint,
  CreateStorage,
  FlinkJobList,
  Job,
  JobPage,
  JobState,
  JobVersion,
  JobVersionPage,
  Liveness,
  Operation,
  OperationItem,
  OperationStep,
  StartJob,
  StopJob,
  OperationPage,
  OperationSummary,
  Problem,
  ProbeResult,
  Readiness,
  RestorePoint,
  Run,
  RunPage,
  RegisterSnapshot,
  PreviewRetention,
  Retention,
  RetentionPreview,
  PreviewSchedule,
  PutSchedule,
  Schedule,
  ScheduleFiring,
  ScheduleFiringPage,
  SchedulePreview,
  SecretReference,
  SetRetention,
  Snapshot,
  SnapshotFile,
  SnapshotFilePage,
  SnapshotInspection,
  SnapshotPage,
  SnapshotReferences,
  Storage,
  StorageCheck,
  AuditFinding,
  AuditFindingPage,
  AuditStorage,
  ClearOrphans,
  OrphanClearings,
  StorageUsage,
  StoragePage,
  SystemInfo,
  Transition,
  TransitionList,
  UpdateCluster,
  UpdateJob,
  UpdateSnapshot,
  UpdateStorage,
  Verification,
  VerificationRunning,
]
