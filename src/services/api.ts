/** What the HTTP layer may ask for: every service, one verb each. Implementations stand in the file of the same name. */

import type { SkippedFlinkJob } from '../domain/attach-plan.ts'
import type { AuditFinding, FindingKind, StorageUsage } from '../domain/audit.ts'
import type { Finding, JobVersionView } from '../domain/checkpoint-settings.ts'
import type { Clearing, ClearingReason, RuleBasis } from '../domain/clearing.ts'
import type { Compatibility, KnownOperators } from '../domain/compatibility.ts'
import type { FlinkJobState } from '../domain/flink.ts'
import type { InspectionSummary, SnapshotInspection, StoredFile } from '../domain/inspection.ts'
import type { JobState } from '../domain/job-state.ts'
import type { JobVersionSpec } from '../domain/job-version.ts'
import type {
  BulkSavepointOperation,
  BulkSavepointOptions,
  Operation,
  OperationSummary,
  StopMode,
} from '../domain/operation.ts'
import type { Protection } from '../domain/protection.ts'
import type { SnapshotUse } from '../domain/references.ts'
import type {
  Cluster,
  ClusterAuth,
  ClusterFingerprint,
  ClusterMode,
  Job,
  JobAttachment,
  Storage,
  StorageCredentials,
  StorageProvider,
} from '../domain/resources.ts'
import type { Restore, RestoreDecision, RestoreStrategy } from '../domain/restore-point.ts'
import type {
  Retention,
  RetentionNotice,
  RetentionOrigin,
  RetentionPolicy,
  RetentionSuspension,
  RetentionVerdict,
} from '../domain/retention.ts'
import type { Run } from '../domain/run.ts'
import type { Firing, Period, Schedule, ScheduleWarning } from '../domain/schedule.ts'
import type {
  Labels,
  Reference,
  SavepointFormat,
  Snapshot,
  SnapshotKind,
  SnapshotSource,
  Transition,
} from '../domain/snapshot.ts'
import type { SnapshotStatus } from '../domain/snapshot-status.ts'
import type { VerificationReport } from '../domain/verification.ts'
import type { Change, KeyChange } from '../domain/version-diff.ts'
import type { Sharer } from '../ports/inspections.ts'
import type { StorageRule } from '../ports/storage.ts'

/** Who asks. The namespace comes only from the caller's key. */
export type Caller = { namespaceId: string; namespace: string; principal: string }

/** An `Idempotency-Key`: kept 24 h per namespace, principal, route and key. `bodyHash` is SHA-256 of the canonical body. */
export type Idempotency = { key: string; route: string; bodyHash: string }

export type Command<Input> = Input & { caller: Caller; idempotency?: Idempotency | undefined }
export type Query<Input> = Input & { caller: Caller }

/** `replayed`: the same Idempotency-Key was seen before with the same body; `resource` is its current state. */
export type Created<Resource> = { resource: Resource; replayed: boolean }

export type Page<Item> = { items: Item[]; nextPageToken: string | null }
export type PageQuery = { pageSize?: number | undefined; pageToken?: string | undefined }

export type ClusterInput = {
  name: string
  url: string
  auth?: ClusterAuth
  mode?: ClusterMode
  followIdentity?: boolean
}
export type StorageInput = {
  name: string
  uri: string
  provider?: StorageProvider
  endpoint?: string
  region?: string
  pathStyle?: boolean
  credentials?: StorageCredentials
  clearCheckpoints?: boolean
}
export type JobInput = {
  name: string
  cluster: string
  savepointStorage: string
  attach?: JobAttachment
  allowStop?: boolean
  savepointTimeoutSeconds?: number
  labels?: Labels
}
export type SavepointInput = {
  description?: string
  source?: 'MANUAL' | 'DEPLOY'
  format?: SavepointFormat
  timeoutSeconds?: number
  expiresAt?: string
  labels?: Labels
  ifRunning?: 'REJECT' | 'JOIN'
  reuseWithinSeconds?: number
}

export type RegisterSnapshotInput = {
  /** The folder, or the `_metadata` file in it. */
  location: string
  description?: string
  labels?: Labels
  /** Its data may be cleared with it. */
  owned?: boolean
}
/** `cluster` or `labels` or both, which then must both match. */
export type BulkSavepointInput = {
  cluster?: string
  labels?: Labels
  maxParallel?: number
  savepoint?: BulkSavepointOptions
}
export type CopyInput = {
  /** An id or a name. */
  storage: string
  description?: string
  labels?: Labels
  /** Until the copy is given up; a day by default. */
  timeoutSeconds?: number
}
export type StartInput = {
  /** The latest by default. */
  version?: number
  restore?: Restore
  /** Until the start is given up; 600 by default. */
  timeoutSeconds?: number
}
export type StopInput = {
  /** SAVEPOINT by default. */
  mode?: StopMode
  description?: string
  format?: SavepointFormat
  /** How long its savepoint (the job's default) or the cancellation (300) may take. */
  timeoutSeconds?: number
}
/** Either `cron` or `every`. */
export type ScheduleRuleInput = {
  cron?: string | undefined
  every?: Period | undefined
  /** UTC by default. */
  timeZone?: string | undefined
}
export type ScheduleInput = ScheduleRuleInput & {
  enabled?: boolean
  format?: SavepointFormat
  description?: string
  timeoutSeconds?: number
  jitterSeconds?: number
}
export type SchedulePreview = {
  cron: string | null
  timeZone: string
  meaning: string
  effectiveIntervalSeconds: number
  floored: boolean
  from: string
  nextRuns: string[]
  warnings: ScheduleWarning[]
}
export type AttachInput = {
  /** `*` any text, `?` one character, everything else itself. */
  namePattern: string
  savepointStorage: string
  labels?: Labels
  savepointTimeoutSeconds?: number
  dryRun?: boolean
}
export type AttachReport = {
  dryRun: boolean
  /** `job.id` is null in a dry run: nothing was created. */
  attached: { flinkJobName: string; job: { id: string | null; name: string } }[]
  /** The first 1000. */
  skipped: SkippedFlinkJob[]
  /** `left`: they match and can be attached, but one call attaches 500; call again. */
  counts: { matched: number; attached: number; skipped: number; left: number }
}
export type FlinkJobItem = {
  flinkJobId: string
  name: string
  state: FlinkJobState
  startTime: string | null
  endTime: string | null
  allTasksRunning: boolean
  /** The job of ours that follows it. */
  job: Reference | null
  /** More than one live Flink job has this name. */
  ambiguous: boolean
}
export type FlinkJobList = { items: FlinkJobItem[]; truncated: boolean }

export type SnapshotQuery = PageQuery & {
  /** An id or a name. */
  job: string
  kind?: SnapshotKind | undefined
  status?: SnapshotStatus[] | undefined
  source?: SnapshotSource[] | undefined
  version?: number | undefined
  /** `key=value`, all must match */
  label?: string[] | undefined
  createdAfter?: string | undefined
  createdBefore?: string | undefined
  orderBy?: 'createdAt' | 'completedAt' | undefined
  order?: 'asc' | 'desc' | undefined
}

export type ProbeResult = {
  reachable: boolean
  flinkVersion: string | null
  cluster: Cluster
  latencyMs: number
  error: { code: string; message: string } | null
}
export type StorageCheck = {
  ok: boolean
  steps: {
    step: 'write' | 'list' | 'read' | 'delete'
    ok: boolean
    code: string | null
    message: string | null
    durationMs: number
  }[]
  /** Rules of the store that delete or archive what lies below the root; null when it does not tell. */
  rules: StorageRule[] | null
}
/** A jar by its content: `<root>/_artifacts/<sha256>` in a storage. */
export type Artifact = {
  /** `sha256:<64 hex>`: what a version names. */
  artifact: string
  sha256: string
  sizeBytes: number
  storage: Reference
  location: string
  /** What Flink starts when a version names no class; null when its manifest names none. */
  mainClass: string | null
  existed: boolean
}
export type FlinkConfiguration = {
  flinkVersion: string
  configuration: Record<string, string>
  warnings: Finding[]
  /** Null when the version asks for no periodic checkpoints. */
  effectiveIntervalMs: number | null
  /** Null without periodic checkpoints, or when no duration was asked for. */
  startToStartMs: number | null
}
export type JobVersionDiff = {
  /** Null when not known: the names of Flink 1.20 and newer. */
  flinkVersion: string | null
  changes: Change[]
  configuration: KeyChange[]
}

export type SystemInfo = {
  name: 'tidemark'
  version: string
  startedAt: string
  queue: 'redis' | 'postgres'
  node: string
  database: { serverVersion: string; migration: string }
}
export type Readiness = {
  ready: boolean
  checks: { name: 'database' | 'migrations' | 'queue'; ok: boolean; message: string | null }[]
}

/** Where a job would be restored from. `candidates`: the newest 50. */
export type RestorePoint = RestoreDecision & {
  job: Reference
  strategy: RestoreStrategy
  /** The version that is to run; null when the job has none. */
  version: number | null
  /** By the database's clock. */
  decidedAt: string
  /** There are more candidates than are shown. */
  more: boolean
}

/** Whether a version could be started from a snapshot, and what that was judged by. */
export type CompatibilityCheck = Compatibility & {
  job: Reference
  version: number
  /** null: a location that is none of ours, or nothing to restore. */
  snapshot: string | null
  location: string | null
  allowNonRestoredState: boolean
  /** Whether Flink would take it with this `allowNonRestoredState`; null when that is not known. */
  starts: boolean | null
  /** By the database's clock. */
  decidedAt: string
  judgedBy: {
    /** What the job's cluster was last seen to run. */
    flinkVersion: string | null
    /** null when none was read. */
    snapshot:
      | (Pick<InspectionSummary, 'flinkVersions' | 'format' | 'incremental' | 'unaligned' | 'changelog'> & {
          metadataVersion: number
          /** Exactly, when its row knows it. */
          flinkVersion: string | null
          operators: number
          job: Reference | null
          jobVersion: number | null
        })
      | null
    /** Where the operators of the version are known from; null when they are not. The counts compare it with the snapshot. */
    operators:
      | (Pick<KnownOperators, 'basis' | 'snapshot' | 'version'> & {
          kept: number
          added: number
          removed: number
        })
      | null
  }
}

/** The names of the offline inspection, without its lists of files. */
export type InspectionView = InspectionSummary &
  Omit<SnapshotInspection, 'summary'> & { snapshot: string; location: string }

export type SnapshotReferences = {
  inUseBy: SnapshotUse[]
  /** It was inspected; else `needs` and `sharesWith` are null. */
  filesKnown: boolean
  needs: {
    files: number
    /** Not below its own folder. */
    outsideFolder: number
    /** The metadata names no location for them. */
    unplaced: number
    selfContained: boolean
  } | null
  /** The 50 that need the most of the files it needs. */
  sharesWith: Sharer[] | null
  sharesWithMore: boolean
  /** The 50 that need the most files below its folder. */
  neededBy: Sharer[]
  neededByMore: boolean
  /** Other Present snapshots of its job, among the newest 1,000, that were not inspected: what they need is not known. */
  uninspected: number
}

export type RetentionInput = {
  keepCount?: number
  maxAgeSeconds?: number
  rollbackWindowSeconds?: number
}
export type RetentionPreviewItem = Omit<RetentionVerdict, 'protections'> & {
  protections: Protection[]
  status: SnapshotStatus
  source: SnapshotSource
  description: string
  jobVersion: number | null
  createdAt: string
  completedAt: string | null
  expiresAt: string | null
  pinned: boolean
  sizeBytes: number | null
}
/** `items`: the newest 1,000 that the rule owns, and 1,000 others that have expired; `more`: there are others. */
export type RetentionPreview = RetentionPolicy & {
  job: Reference
  origin: RetentionOrigin
  /** By the database's clock. */
  decidedAt: string
  /** Why nothing of it is carried out now; null when it is. What has expired goes all the same. */
  suspended: RetentionSuspension | null
  items: RetentionPreviewItem[]
  counts: { clear: number; keep: number; clearBytes: number }
  more: boolean
  notice: RetentionNotice
}

export type Verification = VerificationReport & { snapshot: string }
/** `startedAt` by the database's clock, as `verifiedAt` of the report. */
export type VerificationRunning = { snapshot: string; startedAt: string }

export type JobMetric = {
  job: string
  restorePointAgeSeconds: number | null
  observationAgeSeconds: number | null
}

/** Throws DomainError only; the HTTP layer maps its code to a status in one table. */
export interface Services {
  createCluster(command: Command<ClusterInput>): Promise<Created<Cluster>>
  getCluster(query: Query<{ cluster: string }>): Promise<Cluster>
  listClusters(query: Query<PageQuery>): Promise<Page<Cluster>>
  updateCluster(
    command: Query<{
      cluster: string
      ifMatch?: string | undefined
      changes: Partial<Omit<ClusterInput, 'name'>>
    }>,
  ): Promise<Cluster>
  /** IN_USE while a live job or an uncleared snapshot refers to it. */
  deleteCluster(command: Query<{ cluster: string; ifMatch?: string | undefined }>): Promise<void>
  probeCluster(command: Query<{ cluster: string }>): Promise<ProbeResult>
  /** At most 1000, live ones first, then the newest; `truncated` says that there are more. Throws CLUSTER_… when not asked. */
  listFlinkJobs(query: Query<{ cluster: string }>): Promise<FlinkJobList>
  /** At most 500 per call; may be repeated. */
  attachFlinkJobs(command: Query<AttachInput & { cluster: string }>): Promise<AttachReport>
  /** CLUSTER_IDENTITY_CHANGED when `fingerprint` is not the one that answers there. */
  confirmClusterIdentity(
    command: Query<{ cluster: string; fingerprint?: ClusterFingerprint | undefined }>,
  ): Promise<Cluster>

  createStorage(command: Command<StorageInput>): Promise<Created<Storage>>
  getStorage(query: Query<{ storage: string }>): Promise<Storage>
  listStorages(query: Query<PageQuery>): Promise<Page<Storage>>
  updateStorage(
    command: Query<{
      storage: string
      ifMatch?: string | undefined
      changes: Partial<Omit<StorageInput, 'name'>>
    }>,
  ): Promise<Storage>
  deleteStorage(command: Query<{ storage: string; ifMatch?: string | undefined }>): Promise<void>
  checkStorage(command: Query<{ storage: string }>): Promise<StorageCheck>
  /** Looks at everything in a storage, and touches nothing. `joined`: an audit under way answers. STORAGE_NOT_ADDRESSABLE. */
  auditStorage(
    command: Command<{ storage: string; timeoutSeconds?: number }>,
  ): Promise<Created<Operation> & { joined: boolean }>
  /** As the last audit measured it; never a listing. */
  getStorageUsage(query: Query<{ storage: string }>): Promise<StorageUsage>
  /** NOT_FOUND when it is no audit. */
  listAuditFindings(
    query: Query<PageQuery & { operation: string; kind?: FindingKind | undefined }>,
  ): Promise<Page<AuditFinding>>
  /** By their numbers among the findings of an audit. CLEARING_NOT_ENABLED; what else speaks against one is its refusal. */
  clearOrphans(command: Query<{ storage: string; operation: string; findings: readonly number[] }>): Promise<{
    items: {
      finding: number
      clearing: string | null
      location: string | null
      refusal: { code: string; message: string } | null
    }[]
  }>

  /**
   * Takes the stream to its end, unless it throws: STORAGE_… when it cannot be kept, BODY_TOO_LARGE, ARTIFACT_INVALID.
   * `existed`: the same content was there already.
   */
  uploadArtifact(command: Query<{ storage: string; body: AsyncIterable<Uint8Array> }>): Promise<Artifact>
  findArtifact(query: Query<{ storage: string; artifact: string }>): Promise<Artifact>

  createJob(command: Command<JobInput>): Promise<Created<Job>>
  getJob(query: Query<{ job: string }>): Promise<Job>
  listJobs(
    query: Query<PageQuery & { label?: string[] | undefined; cluster?: string | undefined }>,
  ): Promise<Page<Job>>
  updateJob(
    command: Query<{ job: string; ifMatch?: string | undefined; changes: Partial<Omit<JobInput, 'name'>> }>,
  ): Promise<Job>
  deleteJob(command: Query<{ job: string; ifMatch?: string | undefined }>): Promise<void>
  createJobVersion(
    command: Command<{ job: string; spec: JobVersionSpec; labels?: Labels }>,
  ): Promise<Created<JobVersionView>>
  listJobVersions(query: Query<PageQuery & { job: string }>): Promise<Page<JobVersionView>>
  getJobVersion(query: Query<{ job: string; number: number }>): Promise<JobVersionView>
  /** For `flinkVersion`, else for what the job's cluster was last seen to run; VALIDATION_FAILED when neither is known. */
  getFlinkConfiguration(
    query: Query<{
      job: string
      number: number
      flinkVersion?: string | undefined
      checkpointDurationMs?: number | undefined
    }>,
  ): Promise<FlinkConfiguration>
  compareJobVersions(
    query: Query<{ job: string; number: number; other: number; flinkVersion?: string | undefined }>,
  ): Promise<JobVersionDiff>

  listRuns(query: Query<PageQuery & { job: string }>): Promise<Page<Run>>
  getRun(query: Query<{ run: string }>): Promise<Run>
  /** RUN_IS_LIVE while Flink lists it. */
  confirmRunEnded(command: Query<{ run: string }>): Promise<Run>
  /** `windowSeconds` back from now; a day by default. */
  readJobState(query: Query<{ job: string; windowSeconds?: number | undefined }>): Promise<JobState>

  /** Changes nothing. What cannot be restored is an answer, too: `decision` and `because` say it. */
  findRestorePoint(
    query: Query<
      { job: string; version?: number | undefined } & Omit<Restore, 'claimMode' | 'allowNonRestoredState'>
    >,
  ): Promise<RestorePoint>

  /**
   * Changes nothing and asks no Flink. Throws REFERENCE_NOT_FOUND for a version or a named snapshot, LOCATION_… for a named
   * place; what cannot be read, or not be asked, is a finding.
   */
  checkCompatibility(
    query: Query<{
      job: string
      snapshot?: string | undefined
      location?: string | undefined
      version?: number | undefined
      allowNonRestoredState?: boolean | undefined
    }>,
  ): Promise<CompatibilityCheck>

  /** `joined`: an already running savepoint answers (ifRunning JOIN); `reused`: a fresh Present one (reuseWithinSeconds). */
  requestSavepoint(
    command: Command<SavepointInput & { job: string }>,
  ): Promise<Created<Snapshot> & { joined: boolean; reused: boolean }>
  /** `existed`: the location is a snapshot's already, which answers. */
  registerSnapshot(
    command: Command<RegisterSnapshotInput & { job: string }>,
  ): Promise<Created<Snapshot> & { existed: boolean }>
  /** At most 10,000 jobs; NOTHING_SELECTED or TOO_MANY_SELECTED otherwise. */
  createBulkSavepoint(command: Command<BulkSavepointInput>): Promise<Created<BulkSavepointOperation>>
  /** MANAGED_ELSEWHERE for an attached job, RUN_IS_LIVE or RUN_STATE_UNKNOWN while its last run may go on. */
  startJob(command: Command<StartInput & { job: string }>): Promise<Created<Operation> & { joined: boolean }>
  /** `joined`: a stop under way answers. */
  stopJob(command: Command<StopInput & { job: string }>): Promise<Created<Operation> & { joined: boolean }>
  getOperation(query: Query<{ operation: string; pageToken?: string | undefined }>): Promise<Operation>
  /** Answers as soon as the operation has ended, at the latest after `waitSeconds`; stops early on `signal`. */
  waitForOperation(
    query: Query<{
      operation: string
      pageToken?: string | undefined
      waitSeconds: number
      signal: AbortSignal
    }>,
  ): Promise<Operation>
  listOperations(query: Query<PageQuery>): Promise<Page<OperationSummary>>
  getSnapshot(query: Query<{ snapshot: string }>): Promise<Snapshot>
  /** Answers as soon as the snapshot is no longer Creating, at the latest after `waitSeconds`; stops early on `signal`. */
  waitForSnapshot(
    query: Query<{ snapshot: string; waitSeconds: number; signal: AbortSignal }>,
  ): Promise<Snapshot>
  listSnapshots(query: Query<SnapshotQuery>): Promise<Page<Snapshot>>
  updateSnapshot(
    command: Query<{
      snapshot: string
      ifMatch?: string | undefined
      changes: { description?: string; labels?: Labels; pinned?: boolean; expiresAt?: string | null }
    }>,
  ): Promise<Snapshot>
  /**
   * Present, Failed or Timeout → Clearing, for which the data goes next; a snapshot that is Clearing or Cleared already answers
   * as it is. `data: 'keep'` only forgets it. `force` overrides a protection (not a pin) and is a person's only: a rule gives
   * `why`, and throws nothing else than a person meets: SNAPSHOT_IN_USE, SNAPSHOT_PROTECTED, FILES_OUTSIDE_PREFIX, OBSERVE_ONLY …
   * When its basis has gone meanwhile the snapshot stays and is answered as it is.
   */
  clearSnapshot(
    command: Query<{
      snapshot: string
      force?: boolean | undefined
      data?: 'delete' | 'keep' | undefined
      ifMatch?: string | undefined
      why?: { reason: ClearingReason; message: string | null; basis: RuleBasis } | undefined
    }>,
  ): Promise<Snapshot>
  /** How the removal of its data goes on; NOT_FOUND when nobody has asked for it. */
  getClearing(query: Query<{ snapshot: string }>): Promise<Clearing>
  /** As soon as it is Cleared, at the latest after `waitSeconds`; stops early on `signal`. */
  waitForCleared(
    query: Query<{ snapshot: string; waitSeconds: number; signal: AbortSignal }>,
  ): Promise<Snapshot>
  listTransitions(query: Query<{ snapshot: string }>): Promise<{ items: Transition[] }>
  /** Who needs a snapshot, and whose files it needs. Reads nothing but rows. */
  listReferences(query: Query<{ snapshot: string }>): Promise<SnapshotReferences>
  /**
   * `joined`: the same copy is being made already. SNAPSHOT_NOT_PRESENT, STORAGE_NOT_ADDRESSABLE; what else stands in its
   * way is the operation's to find out.
   */
  copySnapshot(
    command: Command<CopyInput & { snapshot: string }>,
  ): Promise<Created<Operation> & { joined: boolean }>
  /** Reads `_metadata` when nobody has yet. SNAPSHOT_NOT_PRESENT, METADATA_MISSING, METADATA_UNREADABLE, STORAGE_… */
  getInspection(query: Query<{ snapshot: string }>): Promise<InspectionView>
  /**
   * Looks for every file of a Present snapshot and keeps what was found; `done: false` when it takes longer than `waitMs` and
   * goes on. SNAPSHOT_NOT_PRESENT, TOO_MANY_REQUESTS; a store that cannot be asked is a verdict.
   */
  verifySnapshot(
    command: Query<{ snapshot: string; waitMs: number }>,
  ): Promise<{ done: true; report: Verification } | { done: false; running: VerificationRunning }>
  /** Of the last one; NOT_FOUND when there was none. */
  getVerification(query: Query<{ snapshot: string }>): Promise<Verification>
  /** In the order of the metadata; throws what `getInspection` throws. */
  listSnapshotFiles(query: Query<PageQuery & { snapshot: string }>): Promise<Page<StoredFile>>

  /** `job` null: the default of the namespace. Without any rule that is the answer, with origin NONE. */
  getRetention(query: Query<{ job: string | null }>): Promise<Retention>
  /** Replaces the rule of this level as a whole; a job's own replaces the default. */
  setRetention(
    command: Query<{ job: string | null; ifMatch?: string | undefined; policy: RetentionInput }>,
  ): Promise<Retention>
  /** NOT_FOUND when this level has no rule of its own. */
  deleteRetention(command: Query<{ job: string | null; ifMatch?: string | undefined }>): Promise<void>
  /** Changes nothing. An empty `policy` means the rule that holds. */
  previewRetention(query: Query<{ job: string; policy: RetentionInput }>): Promise<RetentionPreview>

  /** NOT_FOUND when the job has none. */
  getSchedule(query: Query<{ job: string }>): Promise<Schedule>
  /** Creates or replaces it; SCHEDULE_TOO_TIGHT when savepoints of the job take too long for it. A pause stays. */
  putSchedule(
    command: Query<{ job: string; ifMatch?: string | undefined; schedule: ScheduleInput }>,
  ): Promise<{ resource: Schedule; created: boolean }>
  deleteSchedule(command: Query<{ job: string; ifMatch?: string | undefined }>): Promise<void>
  pauseSchedule(command: Query<{ job: string }>): Promise<Schedule>
  resumeSchedule(command: Query<{ job: string }>): Promise<Schedule>
  listScheduleFirings(query: Query<PageQuery & { job: string }>): Promise<Page<Firing>>
  /** Computation only; `from` is now by default, `count` 10. */
  previewSchedule(
    query: Query<ScheduleRuleInput & { from?: string | undefined; count?: number | undefined }>,
  ): Promise<SchedulePreview>

  /** The caller's own jobs only: figures of other namespaces are never shown. */
  readJobMetrics(query: Query<object>): Promise<JobMetric[]>
  readSystem(): Promise<SystemInfo>
  checkReadiness(): Promise<Readiness>
}
