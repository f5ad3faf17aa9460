/** Every named schema of the document, registered once by `app.ts`. */
import type { Named } from './base.ts'
import {
  CLUSTER_AUTH_FORMS,
  Cluster,
  ClusterPage,
  CreateCluster,
  ProbeResult,
  UpdateCluster,
} from './clusters.ts'
import { CreateJob, Job, JobPage, UpdateJob } from './jobs.ts'
import { Problem } from './problem.ts'
import { SecretReference } from './secrets.ts'
import {
  Attempt,
  CreateSavepoint,
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
  Attempt,
  Cluster,
  ClusterPage,
  CreateCluster,
  CreateJob,
  CreateJobVersion,
  CreateSavepoint,
  CreateStorage,
  Job,
  JobPage,
  JobVersion,
  JobVersionPage,
  Liveness,
  Problem,
  ProbeResult,
  Readiness,
  SecretReference,
  Snapshot,
  SnapshotPage,
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
