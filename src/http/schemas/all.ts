/** Every named schema of the document, registered once by `app.ts`. */
import { Artifact } from './artifacts.ts'
import type { Named } from './base.ts'
import {
  CheckpointingSettings,
  EffectiveSettings,
  FlinkConfiguration,
  JobVersionDiff,
  SettingFinding,
  StateSettings,
} from './checkpointing.ts'
import {
  CLUSTER_AUTH_FORMS,
  Cluster,
  ClusterPage,
  ConfirmIdentity,
  CreateCluster,
  ProbeResult,
  UpdateCluster,
} from './clusters.ts'
import { AttachFlinkJobs, AttachReport, FlinkJobList } from './fleet.ts'
import { JobState } from './job-state.ts'
import { CreateJob, Job, JobPage, UpdateJob } from './jobs.ts'
import {
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
import { Run, RunPage } from './runs.ts'
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
import { CreateJobVersion, JobVersion, JobVersionPage } from './versions.ts'

export const NAMED_SCHEMAS: readonly Named[] = [
  ...CLUSTER_AUTH_FORMS,
  AttachFlinkJobs,
  AttachReport,
  Artifact,
  Attempt,
  CheckpointingSettings,
  EffectiveSettings,
  FlinkConfiguration,
  JobVersionDiff,
  SettingFinding,
  StateSettings,
  Cluster,
  ClusterPage,
  ConfirmIdentity,
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
  SecretReference,
  Snapshot,
  SnapshotPage,
  SnapshotReferences,
  Storage,
  StorageCheck,
  StoragePage,
  SystemInfo,
  Transition,
  TransitionList,
  UpdateCluster,
  UpdateJob,
  UpdateSnapshot,
  UpdateStorage,
]
