/** Namespaces, clusters, storages, jobs and their versions. */
import type { AttachCandidate, Followers } from '../domain/attach-plan.ts'
import type { ClusterFingerprint } from '../domain/flink.ts'
import type { JobVersion, JobVersionSpec } from '../domain/job-version.ts'
import type { Location } from '../domain/location.ts'
import type { Cluster, Job, JobAttachment, Storage } from '../domain/resources.ts'
import type { Labels, Reference } from '../domain/snapshot.ts'
import type { ClusterAddress } from './flink.ts'
import type { IdempotencyKey, Inserted, PageOf, PageRequest, Scope } from './scope.ts'
import type { StorageAddress } from './storage.ts'

export interface NamespaceRepository {
  /** Creates the namespace when it is new; answers its id. */
  ensure(name: string): Promise<string>
}

export type ClusterRow = Cluster & { address: ClusterAddress }
export type ClusterValues = Pick<Cluster, 'name' | 'url' | 'auth' | 'mode' | 'followIdentity'>

export interface ClusterRepository {
  /** Throws DomainError NAME_TAKEN. */
  insert(scope: Scope, id: string, values: ClusterValues, idempotency?: IdempotencyKey): Promise<Inserted>
  /** By id or name; null when there is none in this namespace. */
  find(scope: Scope, reference: string): Promise<ClusterRow | null>
  list(scope: Scope, page: PageRequest): Promise<PageOf<Cluster>>
  /** Changes one row version to the next; false when `etag` is no longer the row's. */
  update(scope: Scope, id: string, etag: string, values: Partial<ClusterValues>): Promise<boolean>
  /** Makes `changedTo` the known fingerprint, with its event; false when it is no longer `seen`. */
  adoptIdentity(scope: Scope, id: string, seen: ClusterFingerprint, by: string): Promise<boolean>
  /** What keeps the cluster from being deleted, or `deleted`; `stale` when `etag` is no longer the row's. */
  remove(scope: Scope, id: string, etag: string): Promise<'deleted' | 'stale' | { usedBy: string }>
}

export type StorageRow = Storage & { address: StorageAddress }
export type StorageValues = Omit<Storage, 'id' | 'createdAt' | 'updatedAt' | 'etag'>

export interface StorageRepository {
  /** Throws DomainError NAME_TAKEN, or STORAGE_ROOT_OVERLAP when another namespace's root overlaps. */
  insert(scope: Scope, id: string, values: StorageValues, idempotency?: IdempotencyKey): Promise<Inserted>
  find(scope: Scope, reference: string): Promise<StorageRow | null>
  list(scope: Scope, page: PageRequest): Promise<PageOf<Storage>>
  /** The storage with the most specific root that contains the location or is it; null when none does. */
  findContaining(scope: Scope, location: Location): Promise<StorageRow | null>
  /** Throws DomainError STORAGE_ROOT_IN_USE when `uri` changes while a job or an uncleared snapshot lies there. */
  update(scope: Scope, id: string, etag: string, values: Partial<StorageValues>): Promise<boolean>
  remove(scope: Scope, id: string, etag: string): Promise<'deleted' | 'stale' | { usedBy: string }>
}

export type JobValues = {
  name: string
  clusterId: string
  savepointStorageId: string
  attach: JobAttachment | null
  allowStop: boolean
  savepointTimeoutSeconds: number
  labels: Labels
}

export interface JobRepository {
  /** Throws DomainError NAME_TAKEN or ALREADY_ATTACHED. */
  insert(scope: Scope, id: string, values: JobValues, idempotency?: IdempotencyKey): Promise<Inserted>
  find(scope: Scope, reference: string): Promise<Job | null>
  list(scope: Scope, page: PageRequest, filter: { labels?: Labels; clusterId?: string }): Promise<PageOf<Job>>
  update(scope: Scope, id: string, etag: string, values: Partial<Omit<JobValues, 'name'>>): Promise<boolean>
  /** Who follows these Flink jobs on a cluster: by id (a managed job by that of its current run) or by name. */
  findFollowers(
    scope: Scope,
    clusterId: string,
    flinkJobs: readonly { flinkJobId: string; name: string }[],
  ): Promise<Followers>
  /**
   * Creates jobs attached by Flink job name, all in one transaction, under a free variant of each name. Answers those
   * created; a Flink job that somebody follows already by its name is left out. `write: false` only says what it would do.
   */
  attachByName(
    scope: Scope,
    values: Omit<JobValues, 'name' | 'attach' | 'allowStop'>,
    candidates: readonly (AttachCandidate & { id: string })[],
    write: boolean,
  ): Promise<(Reference & { flinkJobName: string })[]>
  /** Soft: its snapshots stay, its name is free. */
  remove(scope: Scope, id: string, etag: string): Promise<'deleted' | 'stale' | { usedBy: string }>
  /** The next number, in one statement. */
  insertVersion(
    scope: Scope,
    jobId: string,
    version: { spec: JobVersionSpec; labels: Labels; createdBy: string },
    idempotency?: IdempotencyKey,
  ): Promise<
    { kind: 'inserted'; number: number } | { kind: 'replayed'; number: number } | { kind: 'key-reused' }
  >
  findVersion(scope: Scope, jobId: string, number: number): Promise<JobVersion | null>
  listVersions(scope: Scope, jobId: string, page: PageRequest): Promise<PageOf<JobVersion>>
}
