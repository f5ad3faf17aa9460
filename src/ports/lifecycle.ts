/** Start and stop: operations in the life of one job, claimed and moved on by workers. */
import type { JobVersionSpec } from '../domain/job-version.ts'
import type {
  LifecycleKind,
  LifecycleResult,
  OperationStep,
  StartRequest,
  StopRequest,
} from '../domain/operation.ts'
import type { ClusterMode, JobAttachment, RunState } from '../domain/resources.ts'
import type { Reference, SavepointFormat } from '../domain/snapshot.ts'
import type { SnapshotStatus } from '../domain/snapshot-status.ts'
import type { ClusterAddress } from './flink.ts'
import type { IdempotencyKey, Scope } from './scope.ts'
import type { StorageAddress } from './storage.ts'

export type NewLifecycle = {
  id: string
  jobId: string
  steps: readonly OperationStep[]
  /** Seconds until it is given up. */
  timeoutSeconds: number
  createdBy: string
} & ({ kind: 'START'; request: StartRequest } | { kind: 'STOP'; request: StopRequest })

/** What a request for a start or a stop goes by; Postgres only. */
export type LifecycleContext = {
  job: Reference
  attach: JobAttachment | null
  allowStop: boolean
  savepointTimeoutSeconds: number
  latestVersion: number | null
  cluster: Reference & {
    mode: ClusterMode
    identityChanged: boolean
    flinkVersion: string | null
    jarSubmission: boolean | null
    idempotentTriggers: boolean | null
  }
  /** The newest run. */
  run: {
    id: string
    flinkJobId: string
    state: RunState
    /** Ended; a LOST one only once a person has said so. */
    over: boolean
    /** A reachable leader does not list it. */
    missing: boolean
  } | null
  /** What `run` says was confirmed a moment ago. */
  observationIsFresh: boolean
  ambiguous: string[] | null
  open: { id: string; kind: string } | null
}

export interface LifecycleRepository {
  readContext(scope: Scope, job: string): Promise<LifecycleContext | null>
  /** Operation, event and idempotency record in one statement. `open`: another lifecycle operation of the job is. */
  insert(
    scope: Scope,
    operation: NewLifecycle,
    idempotency?: IdempotencyKey,
  ): Promise<{ kind: 'inserted' | 'gone' | 'open' | 'idempotency-race' }>
}

export type LifecycleWork = {
  id: string
  namespaceId: string
  namespace: string
  steps: OperationStep[]
  result: LifecycleResult
  createdBy: string
  createdAt: Date
  deadlineAt: Date
  /** Set once Flink has been asked to run, or to cancel: from then on it is only looked at. */
  askedAt: Date | null
  /** The database's. */
  now: Date
  tries: number
  job: Reference & {
    attach: JobAttachment | null
    ambiguous: string[] | null
    currentRunId: string | null
    /** The newest run as long as it is not over, unless it is that of this operation. */
    otherRun: { id: string; state: RunState; missing: boolean } | null
  }
  cluster: Reference & {
    mode: ClusterMode
    identityChanged: boolean
    flinkVersion: string | null
    claimMode: boolean
    /** false once we know that it takes no trigger ids of ours (Flink before 1.15). */
    idempotentTriggers: boolean
    /** null until the cluster was reached. */
    jarSubmission: boolean | null
    address: ClusterAddress
  }
  storage: StorageAddress & { id: string; name: string; uri: string }
  /** The run that is started or stopped. */
  run: {
    id: string
    flinkJobId: string
    state: RunState
    over: boolean
    /** As the observer last judged it, 0 before it was seen: a job with another one is not known to be this run. */
    flinkStartTime: number
    allTasksRunning: boolean
    failure: { code: string; message: string } | null
    version: number | null
  } | null
  /** The savepoint of a stop. */
  snapshot: {
    id: string
    status: SnapshotStatus
    reason: string
    settled: boolean
    /** The `start-time` of the job that was asked; null: Flink was never asked. */
    askedFlinkStart: number | null
    location: string | null
    failure: { code: string; message: string } | null
  } | null
  /** Proof of the claim: every later write carries it and is refused once another worker has claimed the row. */
  lease: string
} & (
  | { kind: 'START'; request: StartRequest; version: JobVersionSpec & { number: number } }
  | { kind: 'STOP'; request: StopRequest; version: null }
)
export type StartWork = Extract<LifecycleWork, { kind: 'START' }>
export type StopWork = Extract<LifecycleWork, { kind: 'STOP' }>

export type Progress = { steps: readonly OperationStep[]; result?: LifecycleResult }

/** The run that a start begins; committed, as SUBMITTING, before Flink is asked. */
export type SubmittedRun = {
  id: string
  flinkJobId: string
  version: number
  restored: { snapshotId: string | null; location: string; locationKey: string } | null
  claimMode: 'CLAIM' | 'NO_CLAIM'
}

/** What a worker has seen of a run that the observer has not come to yet. Instants in ms on the JobManager's clock. */
export type SeenRun = {
  state: 'RUNNING' | 'FINISHED' | 'CANCELED' | 'FAILED'
  flinkState: string
  /** 0: Flink never showed it. */
  flinkStartTime: number
  allTasksRunning: boolean
  failure: { code: string; message: string } | null
}

/** The savepoint of a stop; committed before Flink is asked. */
export type StopSavepoint = {
  id: string
  triggerId: string
  description: string
  format: SavepointFormat
  timeoutSeconds: number
  ownedPrefix: string
  directory: string
  drain: boolean
}

export interface LifecycleWorkRepository {
  /** Claims up to `limit` due operations, longest due first, skipping those other workers hold. */
  claimDue(limit: number, kinds: readonly LifecycleKind[]): Promise<LifecycleWork[]>
  /** The operation as it is now, with the lease renewed; null when it is lost. */
  renew(work: LifecycleWork): Promise<LifecycleWork | null>
  /** Steps and result, shown to whoever asks. false when the lease was lost. */
  record(work: LifecycleWork, progress: Progress): Promise<boolean>
  /**
   * Intent before effect, one statement: the run as SUBMITTING, the job pointing at it, the claim of its snapshot, `askedAt`.
   * `taken`: something is not as this worker has seen it: the snapshot is not Present any more or claimed by another run, the
   * job has a live run, is deleted or on another cluster, or the cluster has changed.
   */
  submit(
    work: StartWork,
    run: SubmittedRun,
    progress: Progress,
  ): Promise<'submitted' | 'taken' | 'lease-lost'>
  /** It is certain that Flink executed nothing: it may be asked again, under the same job id. */
  unask(work: LifecycleWork): Promise<boolean>
  /** The way back from `unask`: `askedAt` once more, committed before Flink is asked under the same job id. */
  askAgain(work: StartWork, progress: Progress): Promise<boolean>
  /**
   * The STOP savepoint with its attempt, transition and event, and the run as STOPPING, one statement. `busy`: an unsettled
   * savepoint of the job is in the way.
   */
  beginStopSavepoint(
    work: StopWork,
    savepoint: StopSavepoint,
    progress: Progress,
  ): Promise<'begun' | 'busy' | 'lease-lost'>
  /** `askedAt` and the run as STOPPING, committed before Flink is asked to cancel. */
  markCancelAsked(work: StopWork, progress: Progress): Promise<boolean>
  /**
   * Ends the operation with its event; a run that is STOPPING and goes on is RUNNING again, one that is still SUBMITTING
   * becomes what was `seen` of it, and one that was seen ended is over at once, so that the next start need not wait for the
   * observer. false when the lease was lost.
   */
  end(
    work: LifecycleWork,
    end: Progress & {
      status: 'SUCCEEDED' | 'FAILED'
      failure: { code: string; message: string } | null
      seen?: SeenRun | null
    },
  ): Promise<boolean>
  /** Gives the lease back and says when to look again. */
  release(work: LifecycleWork, next: { nextActionInMs: number; tries: number }): Promise<boolean>
}
