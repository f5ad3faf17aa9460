/** The removal of snapshots: asked for by a person or a rule, carried out by any worker. */
import type {
  Clearing,
  ClearingFacts,
  ClearingMethod,
  ClearingPhase,
  ClearingReason,
  RuleBasis,
} from '../domain/clearing.ts'
import type { Protection } from '../domain/protection.ts'
import type {
  CheckpointDirectoryFacts,
  CheckpointDirectoryHeir,
  CheckpointDirectoryUser,
} from '../domain/retained-checkpoint.ts'
import type { Snapshot } from '../domain/snapshot.ts'
import type { ClusterAddress } from './flink.ts'
import type { Scope } from './scope.ts'
import type { StorageAddress } from './storage.ts'

export interface ProtectionRepository {
  /**
   * The protected snapshots of a job, by id, each with every reason. Bounded: whatever the job's history is. `instead`: as if
   * this rule were saved (null: the default window); without it the rule that holds.
   */
  ofJob(
    scope: Scope,
    jobId: string,
    instead?: { rollbackWindowSeconds: number | null },
  ): Promise<Map<string, Protection[]>>
}

export type NewClearing = {
  id: string
  snapshotId: string
  method: ClearingMethod
  /** What everything that is deleted lies below, ending in `/`; null for FORGET and FLINK. */
  prefix: string | null
  reason: ClearingReason
  message: string | null
  forced: boolean
  requestedBy: string
  /** The version of the snapshot that was decided about: whoever begins to use a snapshot writes its row. */
  etag: string
  /** Its `_metadata` was read for this request, and names nothing outside `prefix`. */
  looked: boolean
  /** For these it is spared no longer: they must all still be restorable, so that no two clearings rely on each other. */
  witnesses: readonly string[]
  /** null when a person asks. */
  basis: RuleBasis | null
}

/** `changed`: look again. `withdrawn`: the rule that asked does not ask any more. */
export type ClearingBegun = 'begun' | 'changed' | 'withdrawn'

/** One object of a list: its key below the prefix, and in a bucket that keeps versions the one version that is meant. */
export type ClearingEntry = { key: string; versionId: string | null }
export type ClearingBatch = { number: number; entries: ClearingEntry[] }

/** A clearing claimed for one worker. */
export type ClearingWork = {
  id: string
  namespaceId: string
  namespace: string
  subject: 'SNAPSHOT' | 'ORPHAN'
  snapshotId: string | null
  method: ClearingMethod
  prefix: string | null
  location: string | null
  storage: StorageAddress | null
  /** That of the run that took it; of its job where no run is known. null when it is deleted. */
  cluster: ClusterAddress | null
  /** The cluster is that of the run that took it: only what that one does not find is gone. */
  clusterTookIt: boolean
  /** Nothing is cleared while a cluster of its job or its run says so. */
  blocked: 'OBSERVE_ONLY' | 'CLUSTER_IDENTITY_CHANGED' | null
  /** When it was asked for its `_metadata` was read, and named nothing outside `prefix`. */
  looked: boolean
  phase: ClearingPhase
  foundEmpty: number
  /** How many objects the store has deleted so far. */
  deleted: number
  triggerId: string | null
  askedAt: Date | null
  /** Somebody has given up on it: it is ended before anything else. */
  givenUp: boolean
  tries: number
  lease: string
  /** Taken with the last write: these go next. */
  taken?: ClearingBatch[] | undefined
}

/**
 * Each write needs the lease, renews it, and answers false when it is lost, or somebody has given up on the clearing: then
 * nothing was written, and nothing more may be asked of a store.
 */
export interface ClearingWorkRepository {
  claimDue(limit: number): Promise<ClearingWork[]>
  renew(work: ClearingWork): Promise<boolean>
  /** Number 0 holds every `_metadata`. Written again it is replaced. */
  saveBatch(work: ClearingWork, batch: ClearingBatch): Promise<boolean>
  /** The list is complete with `last`: batches beyond `batches` are of an earlier try and go; from here on is deleted. */
  completeList(
    work: ClearingWork,
    /** `note`: what a person should know of what is left, shown as the message; the one that stands when not given. */
    list: {
      last: readonly ClearingBatch[]
      batches: number
      objects: number
      bytes: number
      note?: string | null
    },
  ): Promise<boolean>
  /** Those that are not done, the first ones; null when the lease is lost. */
  takeBatches(
    work: ClearingWork,
    which: 'metadata' | 'others',
    limit: number,
  ): Promise<ClearingBatch[] | null>
  /**
   * What was not deleted stays in its batch. `moveTo`: the phase that follows. Answers up to `take` others that are to go next;
   * null when the lease is lost, or somebody has given up: in that case what was deleted is still counted.
   */
  recordBatches(
    work: ClearingWork,
    batches: readonly { number: number; deleted: number; left: readonly ClearingEntry[] }[],
    next: { moveTo: ClearingPhase | null; take: number },
  ): Promise<ClearingBatch[] | null>
  moveOn(work: ClearingWork, to: { phase: ClearingPhase }): Promise<boolean>
  /** Committed before Flink is asked to dispose of the savepoint; forgets the trigger of an earlier try. */
  markAsked(work: ClearingWork): Promise<Date | null>
  markAccepted(work: ClearingWork, triggerId: string): Promise<boolean>
  /** Gives the lease back with what has been found so far; due again then. */
  pause(work: ClearingWork, inMs: number): Promise<boolean>
  /** Gives the lease back; `error` is shown until something goes well again. */
  release(
    work: ClearingWork,
    next: { inMs: number; tries: number; error: { code: string; message: string } },
  ): Promise<boolean>
  /** Of an orphan that is none any more: it ends with its error, nothing more is deleted, and its place is free. */
  abandon(work: ClearingWork, error: { code: string; message: string }): Promise<boolean>
  /** Clearing → Cleared with its transition and event; the list of its files goes. */
  end(work: ClearingWork, reason: 'CLEARED' | 'FORGOTTEN'): Promise<boolean>
  /** By its holder, with nothing under way: one that somebody has given up on ends, Cleared(GIVEN_UP). */
  endGivenUp(work: ClearingWork): Promise<boolean>
  /** Of these normalised locations those that another snapshot of the namespace, not Cleared, has. */
  findOthersAt(work: ClearingWork, locationKeys: readonly string[]): Promise<string[]>
}

export interface ClearingRepository {
  /** All that a decision about clearing this snapshot needs; null when there is none in this namespace. */
  readFacts(scope: Scope, snapshotId: string): Promise<ClearingFacts | null>
  find(scope: Scope, snapshotId: string): Promise<Clearing | null>
  /**
   * Present, Failed or Timeout → Clearing with its transition, event and clearing row in one guarded statement, which
   * checks again that nobody has begun to use the snapshot since `readFacts`, and that its rule still asks for it.
   */
  begin(scope: Scope, clearing: NewClearing): Promise<ClearingBegun>
  /**
   * A clearing that no worker holds ends now, Cleared(GIVEN_UP), with what is left where it is. Of a held one nobody knows what
   * is under way: its holder begins nothing more and ends it, or whoever takes it up after the lease. Harmless when it has ended.
   */
  giveUp(scope: Scope, snapshotId: string, requestedBy: string): Promise<void>
  /** Of these snapshots those that are not, or no longer, Clearing. */
  findCleared(ids: readonly string[]): Promise<string[]>
}

export interface CheckpointDirectoryRepository {
  /**
   * Who may use the directory that this checkpoint lies in; `heirs`: whose checkpoints may name its files. null when it is no
   * checkpoint of a known run in this namespace.
   */
  read(
    scope: Scope,
    snapshotId: string,
  ): Promise<(CheckpointDirectoryFacts & { heirs: CheckpointDirectoryHeir[] }) | null>
  /** Present snapshots that may need files of that directory and were never looked into, at most 501, the newest first. */
  listUninspected(
    scope: Scope,
    snapshotId: string,
  ): Promise<Pick<Snapshot, 'id' | 'status' | 'location' | 'storage' | 'verdict'>[]>
  /** A run that is not certainly over, with a checkpoint at one of these normalised locations. */
  findLiveAmong(scope: Scope, locationKeys: readonly string[]): Promise<CheckpointDirectoryUser | null>
  /**
   * The snapshot for whose clearing below the same directory this one has to wait: it deletes, or was asked for before and has
   * not failed. One that has failed before anything went is passed: it may need that very snapshot to go first.
   */
  findClearingBefore(scope: Scope, clearingId: string): Promise<string | null>
  /** The database's `now`, when the clearing was asked for, and when Flink completed its checkpoint. */
  readInstants(
    scope: Scope,
    clearingId: string,
  ): Promise<{ now: Date; requestedAt: Date; completedAt: Date | null } | null>
}
