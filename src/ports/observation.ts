/** What an observer of clusters reads and writes. */

import type { ClusterCapabilities } from '../domain/capabilities.ts'
import type { CheckpointReport } from '../domain/checkpoint-observation.ts'
import type { CheckpointConfig, ClusterFingerprint } from '../domain/flink.ts'
import type { RunState } from '../domain/resources.ts'
import type { FollowedJob, RunChange } from '../domain/run-observation.ts'
import type { ClusterAddress } from './flink.ts'
import type { StorageAddress } from './storage.ts'

export type ObservedCluster = {
  id: string
  namespaceId: string
  name: string
  address: ClusterAddress
  flinkVersion: string | null
  fingerprint: ClusterFingerprint | null
  /** Another cluster's fingerprint that answers at this address; null while it is the known one. */
  changedTo: ClusterFingerprint | null
  followIdentity: boolean
  reachable: boolean | null
  lastError: string | null
  recoveryPath: string | null
  /** Rises with every change of its jobs and their runs. */
  jobsRevision: number
}

export interface ObservationRepository {
  registerWorker(workerId: string): Promise<void>
  /** false when the worker was silent for longer than the lease: it owns nothing any more and must take a new id. */
  heartbeat(workerId: string, leaseMs: number): Promise<boolean>
  removeWorker(workerId: string): Promise<void>
  /** Takes clusters nobody (alive) polls, a fair share at a time. */
  claimClusters(workerId: string, leaseMs: number): Promise<void>
  listOwnClusters(workerId: string): Promise<ObservedCluster[]>
  /** The jobs of these clusters with their runs, and the revision they were read at. */
  listFollowedJobs(
    clusterIds: readonly string[],
  ): Promise<ReadonlyMap<string, { revision: number; jobs: FollowedJob[] }>>
  /** Written only when something changed; refused when the worker no longer owns the cluster. */
  recordCluster(
    workerId: string,
    clusterId: string,
    seen: {
      reachable: boolean
      lastError: string | null
      flinkVersion?: string
      capabilities?: ClusterCapabilities
      fingerprint?: ClusterFingerprint
      /** null: the known cluster answers again. */
      changedTo?: ClusterFingerprint | null
      recovery?: { path: string | null; key: string | null }
    },
  ): Promise<boolean>
  /** All changes of one poll in one statement; refused when the worker no longer owns the cluster. */
  recordRuns(workerId: string, clusterId: string, changes: readonly RunChange[]): Promise<boolean>
}

export type RecordedReports = {
  /** false: the worker no longer owns the cluster, nothing was written. */
  owned: boolean
  /** Some were recorded that Flink had dropped already: record the same reports once more. */
  again: boolean
  /** Savepoints of ours among them that are not settled yet. */
  unsettled: string[]
}

/** A run whose Present checkpoints must be looked for in storage, oldest first. */
export type CheckpointReview = {
  run: { id: string; flinkJobId: string; state: RunState; live: boolean }
  snapshots: {
    id: string
    flinkCheckpointId: number
    location: string
    completedAt: Date
    endangered: boolean
    /** null: no storage of the namespace holds this place, nobody but Flink can look. */
    storage: StorageAddress | null
  }[]
}

export type ReviewFinding =
  | { id: string; found: 'standing' }
  | { id: string; found: 'gone'; reason: 'SUBSUMED' | 'DATA_LOST'; message: string }

export interface CheckpointRepository {
  /** Everything new in these reports in one statement; refused when the worker no longer owns the cluster. */
  record(
    workerId: string,
    clusterId: string,
    reports: readonly (CheckpointReport & { config: CheckpointConfig | null })[],
  ): Promise<RecordedReports>
  /** The newest checkpoints a run is known to have completed. */
  listCompleted(runId: string): Promise<{ flinkCheckpointId: number; locationKey: string | null }[]>
  /** Runs whose checkpoints are to be looked for; each is nobody else's for `leaseMs`. */
  claimReviews(limit: number, leaseMs: number): Promise<CheckpointReview[]>
  /** What was found. `again`: look once more after so many milliseconds; null when everything has been looked for. */
  recordReview(runId: string, findings: readonly ReviewFinding[], againInMs: number | null): Promise<void>
}
