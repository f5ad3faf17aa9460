/** What services need from outside, as interfaces. `db`, `flink`, `storage` and `queue` implement them; `wiring` joins them. */

import type { AttachCandidate, Followers } from './domain/attach-plan.ts'
import type { ItemEnd, OpenItem } from './domain/bulk-savepoint.ts'
import type { CheckpointReport } from './domain/checkpoint-observation.ts'
import type {
  CheckpointConfig,
  CheckpointPoll,
  CheckpointStatistics,
  ClusterFingerprint,
  ClusterSettings,
  FlinkClusterInfo,
  FlinkJob,
  JobException,
  SavepointAnswer,
  TriggerAnswer,
  TriggerRequest,
} from './domain/flink.ts'
import type { JobState } from './domain/job-state.ts'
import type { Location } from './domain/location.ts'
import type {
  BulkSavepointRequest,
  Operation,
  OperationCounts,
  OperationStatus,
  OperationSummary,
} from './domain/operation.ts'
import type { RestoredRun } from './domain/references.ts'
import type {
  Cluster,
  ClusterAuth,
  ClusterCapabilities,
  ClusterMode,
  Job,
  JobAttachment,
  JobVersion,
  JobVersionSpec,
  RunState,
  Storage,
  StorageCredentials,
  StorageProvider,
} from './domain/resources.ts'
import type { CandidateFacts } from './domain/restore-point.ts'
import type { Run } from './domain/run.ts'
import type { FollowedJob, RunChange } from './domain/run-observation.ts'
import type {
  AttemptOutcome,
  Labels,
  Reference,
  SavepointFormat,
  Snapshot,
  SnapshotKind,
  SnapshotSource,
  Transition,
} from './domain/snapshot.ts'
import type { SnapshotStatus } from './domain/snapshot-status.ts'
import type { RestoreSurroundings } from './domain/unseen-snapshots.ts'

// ---------------------------------------------------------------------------------------------------- Flink

/** How to reach one cluster; `key` changes when url or auth change, so that a connection pool is never stale. */
export type ClusterAddress = { key: string; namespace: string; url: string; auth: ClusterAuth }

/**
 * One Flink JobManager REST address. Every method throws FlinkUnavailableError when Flink could not be asked
 * (refused, timed out, 5xx, leader election, over-long or unreadable answer); that is never a failed savepoint.
 */
export interface FlinkClient {
  /** GET /config: version and capabilities. */
  describeCluster(): Promise<FlinkClusterInfo>
  /** GET /jobmanager/config: HA and Kubernetes cluster id and the recovery path, null where not reported. */
  readSettings(): Promise<ClusterSettings>
  /** GET /jobs/overview: the one cheap poll of a cluster. */
  listJobs(): Promise<FlinkJob[]>
  /** GET /jobs/:id; null when this JobManager does not know the job now (which is not an end). */
  findJob(flinkJobId: string): Promise<FlinkJob | null>
  /** GET /jobs/:id/exceptions, newest first; empty when the job is unknown. */
  listExceptions(flinkJobId: string): Promise<JobException[]>
  /** GET /jobs/:id/checkpoints; null when the job is unknown or has no checkpoint coordinator. */
  readCheckpoints(flinkJobId: string): Promise<CheckpointStatistics | null>
  /** The same for an observer: `tag` is that of the last answer it has seen. */
  pollCheckpoints(flinkJobId: string, tag: string | null): Promise<CheckpointPoll>
  /** `tidemark.version` of GET /jobs/:id/config; null when it declares none or the job is unknown. */
  readDeclaredVersion(flinkJobId: string): Promise<number | null>
  /** GET /jobs/:id/checkpoints/config; null when the job is unknown or has no checkpoint coordinator. */
  readCheckpointConfig(flinkJobId: string): Promise<CheckpointConfig | null>
  /** POST /jobs/:id/savepoints with our own trigger id. Never retried by the client. */
  triggerSavepoint(request: TriggerRequest): Promise<TriggerAnswer>
  /** GET /jobs/:id/savepoints/:triggerid, for savepoints and stops. */
  readSavepoint(flinkJobId: string, triggerId: string): Promise<SavepointAnswer>
}

export interface FlinkConnections {
  /** The client of a cluster; its pool is kept while used and closed when idle. */
  to(cluster: ClusterAddress): FlinkClient
  close(): Promise<void>
}

// -------------------------------------------------------------------------------------------------- storage

/** How to reach one storage; `key` changes when any of it changes. `root` is the parsed `uri`. */
export type StorageAddress = {
  key: string
  namespace: string
  root: Location
  provider: StorageProvider
  endpoint: string | null
  region: string | null
  pathStyle: boolean | null
  credentials: StorageCredentials | null
}

export type StoredObject = { location: Location; sizeBytes: number; modifiedAt: Date | null }
export type ObjectPage = { objects: StoredObject[]; nextPageToken: string | null }
export type DeleteFailure = { location: Location; code: string; message: string }

/**
 * The objects below one storage root. Every location is compared with the root segment by segment before anything is
 * sent; outside it the call throws LOCATION_OUTSIDE_ROOT. Failures throw StorageError.
 */
export interface ObjectStore {
  /** Objects below `prefix` (a directory: its own name followed by `/`), in key order, one page of at most 1000. */
  list(prefix: Location, options?: { pageSize?: number; pageToken?: string }): Promise<ObjectPage>
  /** null when the object does not exist (proven: the store answered so). */
  head(location: Location): Promise<StoredObject | null>
  /** `length` bytes from `offset`, fewer at the end of the object; null when the object does not exist. */
  readRange(location: Location, offset: number, length: number): Promise<Uint8Array | null>
  /** The whole object as chunks; throws StorageError `not-found`. */
  read(location: Location): AsyncIterable<Uint8Array>
  put(location: Location, bytes: Uint8Array): Promise<void>
  /** Deletes up to any number of objects in batches; a missing one counts as deleted. Answers what was not deleted. */
  deleteMany(locations: readonly Location[]): Promise<DeleteFailure[]>
}

export interface ObjectStores {
  /** The store of a storage; throws DomainError STORAGE_NOT_ADDRESSABLE for provider `flink-only`. */
  of(storage: StorageAddress): ObjectStore
  close(): Promise<void>
}

/** Reads a secret by reference; throws DomainError SECRET_REFERENCE_INVALID or SECRET_MISSING. Values are never logged. */
export interface Secrets {
  read(namespace: string, reference: { env: string } | { file: string }): Promise<string>
}

// ------------------------------------------------------------------------------------------------- database

/** Whose row; every statement carries it. */
export type Scope = { namespaceId: string }
export type IdempotencyKey = { principal: string; route: string; key: string; bodyHash: string }
export type PageRequest = { pageSize: number; after: string | null }
export type PageOf<Item> = { items: Item[]; next: string | null }

/** How an insert guarded by an idempotency key ended: `replayed` names the resource of the first request. */
export type Inserted = { kind: 'inserted' } | { kind: 'replayed'; id: string } | { kind: 'key-reused' }

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

/** A run with what only the judgement of its end needs. */
export type RunRow = Run & { clusterUnreachable: boolean }

export interface RunRepository {
  find(scope: Scope, id: string): Promise<RunRow | null>
  /** Newest first. */
  list(scope: Scope, jobId: string, page: PageRequest): Promise<PageOf<Run>>
  /** A person's word, with its event, in one guarded statement; false when there is nothing (any more) to confirm. */
  confirmEnd(scope: Scope, id: string, by: string): Promise<boolean>
}

export interface JobStateRepository {
  /** By id or name; `windowSeconds` back from now. At most two statements, bounded whatever the job's history is. */
  read(scope: Scope, job: string, windowSeconds: number): Promise<JobState | null>
}

export interface RestorePointRepository {
  /** By id or name, with the database's `now`; null when there is none in this namespace. */
  readSurroundings(
    scope: Scope,
    job: string,
  ): Promise<{ surroundings: RestoreSurroundings; latestVersion: number | null; now: string } | null>
  /** The newest of the job, some hundred at most, in any order; to be read after the surroundings. */
  listCandidates(scope: Scope, jobId: string): Promise<CandidateFacts[]>
  /** One by its id or, unless it is Cleared, by its location; of any job of the namespace. */
  findCandidate(
    scope: Scope,
    place: { snapshot: string } | { locationKey: string },
  ): Promise<CandidateFacts | null>
}

export interface ReferenceRepository {
  /** Who points at a snapshot, in one statement; null when there is none in this namespace. */
  read(
    scope: Scope,
    snapshotId: string,
  ): Promise<{
    kind: SnapshotKind
    clusters: Reference[]
    runs: RestoredRun[]
    claimedByRun: string | null
  } | null>
}

export interface CheckpointHistoryRepository {
  /** Ids of jobs (of all namespaces, deleted ones too) after `after`, in their order. */
  listJobs(after: string | null, limit: number): Promise<string[]>
  /**
   * Folds old checkpoints of these jobs into hourly figures, at most `limit` rows in one statement; answers how many went.
   * Harmless when repeated and when two workers do it at once.
   */
  foldCheckpoints(jobIds: readonly string[], limit: number): Promise<number>
}

/** All that `POST savepoints` must know, read in one statement. */
export type SavepointContext = {
  job: Reference & {
    savepointTimeoutSeconds: number
    /** Someone else starts it; false for a managed job. */
    attached: boolean
    latestVersion: number | null
    ambiguous: string[] | null
  }
  cluster: Pick<Cluster, 'name' | 'mode' | 'flinkVersion' | 'capabilities' | 'followIdentity'> & {
    identityChanged: boolean
  }
  storage: Reference & { uri: string }
  run: { id: string; state: RunState; version: number | null } | null
  /** The owner of the cluster is alive and its last poll succeeded: what `run` says was confirmed under 10 s ago. */
  observationIsFresh: boolean
  unsettled: { id: string } | null
  /** The newest Present savepoint of the version that runs now, with its age. */
  fresh: { id: string; completedAt: string; ageSeconds: number } | null
}

export type NewSavepoint = {
  id: string
  job: Reference
  runId: string | null
  jobVersion: number | null
  storage: Reference
  source: SnapshotSource
  description: string
  labels: Labels
  format: SavepointFormat
  timeoutSeconds: number
  expiresAt: string | null
  /** Ends in `/`; everything Flink writes for it lies below. */
  ownedPrefix: string
  triggerId: string
  directory: string
  createdBy: string
}

/** A savepoint that exists already and is registered. */
export type NewImport = {
  id: string
  jobId: string
  storageId: string
  description: string
  labels: Labels
  flinkCheckpointId: number
  completedAt: Date | null
  location: string
  locationKey: string
  /** Ends in `/`; null when its data is not ours to delete. */
  ownedPrefix: string | null
  createdBy: string
}

export type SnapshotFilter = {
  /** The name or id of a job; one that is not there has no snapshots. */
  job: string
  kind?: SnapshotKind
  status?: SnapshotStatus[]
  source?: SnapshotSource[]
  version?: number
  labels?: Labels
  createdAfter?: string
  createdBefore?: string
  orderBy: 'createdAt' | 'completedAt'
  order: 'asc' | 'desc'
}

export interface SnapshotRepository {
  /** `reuse`: also look for a fresh Present savepoint of the current run and version. */
  readContext(scope: Scope, job: string, reuse: boolean): Promise<SavepointContext | null>
  /** Row, first attempt, transition, event and idempotency record in one statement. `in-progress`: another is unsettled. */
  insertSavepoint(
    scope: Scope,
    savepoint: NewSavepoint,
    idempotency?: IdempotencyKey,
  ): Promise<
    { kind: 'inserted'; snapshot: Snapshot } | { kind: 'in-progress' } | { kind: 'idempotency-race' }
  >
  /** What an earlier request with this key did; null when there was none. */
  findIdempotent(
    scope: Scope,
    key: IdempotencyKey,
  ): Promise<{ kind: 'replayed'; id: string } | { kind: 'key-reused' } | null>
  /** false when the key is taken (a race, or an expired record that is removed now): look again. */
  rememberIdempotent(scope: Scope, key: IdempotencyKey, id: string): Promise<boolean>
  find(scope: Scope, id: string): Promise<Snapshot | null>
  /** The job and its page, one statement. Throws DomainError PAGE_TOKEN_INVALID. */
  list(scope: Scope, filter: SnapshotFilter, page: PageRequest): Promise<PageOf<Snapshot>>
  /** The one snapshot at this location that is not Cleared; null when there is none. */
  findByLocation(scope: Scope, locationKey: string): Promise<Snapshot | null>
  /** Of the snapshots with these ids or locations, those that are not Cleared and own a prefix. */
  findOwners(
    scope: Scope,
    ids: readonly string[],
    locationKeys: readonly string[],
  ): Promise<{ id: string; status: SnapshotStatus; ownedPrefix: string }[]>
  /**
   * A Present IMPORT with its transition, event and idempotency record in one statement. `exists`: another row has this
   * location, or the job is gone; look again.
   */
  insertImport(
    scope: Scope,
    snapshot: NewImport,
    idempotency?: IdempotencyKey,
  ): Promise<'inserted' | 'exists' | 'idempotency-race'>
  update(
    scope: Scope,
    id: string,
    etag: string | null,
    changes: { description?: string; labels?: Labels; pinned?: boolean; expiresAt?: string | null },
  ): Promise<boolean>
  listTransitions(scope: Scope, id: string): Promise<Transition[]>
  /** Of these snapshots, the ones that are no longer Creating. */
  findDecided(ids: readonly string[]): Promise<string[]>
}

// ------------------------------------------------------------------------------------------ work on savepoints

/** An attempt as the worker sees it. */
export type AttemptWork = {
  number: number
  triggerId: string
  flinkJobId: string | null
  directory: string
  createdAt: Date
  askedAt: Date | null
  askedFlinkStart: number | null
  afterRescale: boolean
  outcome: AttemptOutcome | null
}

/** A savepoint claimed for one worker, with everything a step needs. `now` is the database's. */
export type SavepointWork = {
  id: string
  namespaceId: string
  namespace: string
  status: SnapshotStatus
  source: SnapshotSource
  format: SavepointFormat
  ownedPrefix: string
  createdAt: Date
  deadlineAt: Date
  settledAt: Date | null
  now: Date
  tries: number
  job: Reference
  attempt: AttemptWork
  /** Attempts so far that count against the limit of three. */
  countedAttempts: number
  run: {
    id: string
    flinkJobId: string
    state: RunState
    /** Ended; a LOST one only once a later run has completed a checkpoint, or a person has said so. */
    over: boolean
    flinkStartTime: number
    allTasksRunning: boolean
    tasksRunningSince: Date | null
  } | null
  attach: JobAttachment | null
  ambiguous: string[] | null
  observationIsFresh: boolean
  cluster: {
    name: string
    mode: ClusterMode
    flinkVersion: string | null
    identityChanged: boolean
    supported: boolean
    address: ClusterAddress
  }
  storage: StorageAddress
  /** Proof of the claim: every later write carries it and is refused once another worker has claimed the row. */
  lease: string
}

export type SnapshotFacts = {
  completedAt?: Date
  durationMs?: number | null
  location?: string
  locationKey?: string
  flinkCheckpointId?: number | null
  checkpointType?: string | null
  sizeBytes?: number | null
  uploadedBytes?: number | null
  flinkVersion?: string | null
  verdict?: string
}

export type AttemptEnd = {
  outcome: AttemptOutcome
  failure?: { code: string; message: string }
  orphanLocation?: string | null
}

export type StatusMove = {
  to: SnapshotStatus
  reason: string
  message?: string | null
  facts?: SnapshotFacts
  failure?: { code: string; message: string }
  attempt?: AttemptEnd
  /** The answer is final: frees the job for the next savepoint. */
  settled: boolean
  /** Look again after so many milliseconds; null when nothing is left to do. */
  nextActionInMs: number | null
}

export type MoveResult = 'moved' | 'stale' | 'missing'

export interface SavepointWorkRepository {
  /** Claims up to `limit` due savepoints, oldest first, skipping those other workers hold. */
  claimDue(limit: number): Promise<SavepointWork[]>
  /** Commits `asked_at` before Flink hears of it. false when the lease was lost. */
  markAsked(work: SavepointWork, flinkJobId: string, flinkStartTime: number): Promise<Date | null>
  /** The guarded UPDATE with its transition, event and attempt end, one statement. */
  move(work: SavepointWork, move: StatusMove): Promise<MoveResult>
  /** Ends the current attempt and begins the next one with its own trigger id and directory, one statement. */
  beginAttempt(
    work: SavepointWork,
    ended: AttemptEnd,
    next: { triggerId: string; directory: string; afterRescale: boolean; startInMs: number },
  ): Promise<boolean>
  /** Gives the lease back and says when to look again (null: never). `settled` frees the job, `tries` is the backoff. */
  release(
    work: SavepointWork,
    next: { nextActionInMs: number | null; tries: number; settled?: boolean; attempt?: AttemptEnd },
  ): Promise<boolean>
}

// ------------------------------------------------------------------------------------------------- operations

/** Which jobs of the namespace: all that match whatever is given. */
export type JobSelection = { clusterId: string | null; labels: Labels | null }

export interface OperationRepository {
  /**
   * Operation, one item per selected job, event and idempotency record in one statement; the selection is that of this
   * moment. `selected` is how many jobs match, counted to one more than `maxJobs`; nothing is written unless 1..`maxJobs` do.
   */
  insertBulkSavepoint(
    scope: Scope,
    operation: {
      id: string
      request: BulkSavepointRequest
      selection: JobSelection
      maxJobs: number
      createdBy: string
    },
    idempotency?: IdempotencyKey,
  ): Promise<{ kind: 'inserted' } | { kind: 'refused'; selected: number } | { kind: 'idempotency-race' }>
  /** With a page of its items by position; throws PAGE_TOKEN_INVALID. null when there is none in this namespace. */
  find(scope: Scope, id: string, page: PageRequest): Promise<Operation | null>
  list(scope: Scope, page: PageRequest): Promise<PageOf<OperationSummary>>
  /** Of these operations, the ones that have ended. */
  findEnded(ids: readonly string[]): Promise<string[]>
}

/** A bulk savepoint claimed for one worker. */
export type OperationWork = {
  id: string
  namespaceId: string
  namespace: string
  request: BulkSavepointRequest
  createdBy: string
  tries: number
  /** Proof of the claim: every later write carries it and is refused once another worker has claimed the row. */
  lease: string
}

/** What asking for the savepoint of one item came to. `key`: the idempotency key it was asked under. */
export type ItemAnswer = { position: number; key: IdempotencyKey } & (
  | { snapshotId: string }
  | { refusal: ItemEnd }
)

export interface OperationWorkRepository {
  /** Claims up to `limit` due operations, longest due first, skipping those other workers hold. */
  claimDue(limit: number): Promise<OperationWork[]>
  /** The first `limit` items that have not ended, by position. */
  listOpen(work: OperationWork, limit: number): Promise<OpenItem[]>
  /** Ends items and marks others RUNNING, one statement. false when the lease was lost. */
  recordStep(
    work: OperationWork,
    step: { finish: readonly { position: number; end: ItemEnd }[]; takeUp: readonly number[] },
  ): Promise<boolean>
  /**
   * Writes the answers to RUNNING items, one statement. A refusal also spends its idempotency key, so that nobody who
   * still means to ask can begin a savepoint for an item that has ended; where the key is taken, a savepoint exists
   * after all: that item stays as it is, and asking again finds it. false when the lease was lost.
   */
  recordAnswers(work: OperationWork, answers: readonly ItemAnswer[]): Promise<boolean>
  countItems(work: OperationWork): Promise<OperationCounts>
  /** Ends the operation with its event, one statement. false when the lease was lost. */
  end(work: OperationWork, status: OperationStatus, counts: OperationCounts): Promise<boolean>
  /** Gives the lease back and says when to look again. */
  release(work: OperationWork, next: { nextActionInMs: number; tries: number }): Promise<boolean>
}

// ---------------------------------------------------------------------------------------------- observation

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

// --------------------------------------------------------------------------------------------------- metrics

/** Ages in seconds; null where nothing is known yet. */
export type JobGauge = {
  job: string
  restorePointAgeSeconds: number | null
  observationAgeSeconds: number | null
}

export type InstallationGauges = {
  clearingOldestSeconds: number
  sweepLagSeconds: number
  /** Exact for Creating and Clearing, estimated for the others. */
  snapshots: Record<string, number>
}

export interface MetricsRepository {
  readJobs(scope: Scope): Promise<JobGauge[]>
  readInstallation(): Promise<InstallationGauges>
}

/** Counts what happened in this process. */
export interface SavepointMeter {
  settled(savepoint: { outcome: SnapshotStatus; reason: string; durationMs: number | null }): void
}

// ---------------------------------------------------------------------------------------------------- queue

/** Hints that somebody should look again; losing every one of them only costs time. */
export interface Nudges {
  /** Never throws: a nudge that could not be sent is logged, and the sweep finds the row. */
  savepointDue(): void
}

/** Named places where tests may end the process; a no-op in production. */
export type CrashPoint = (name: string) => void

export type Log = {
  info(fields: Record<string, unknown>, message: string): void
  warn(fields: Record<string, unknown>, message: string): void
  error(fields: Record<string, unknown>, message: string): void
}
