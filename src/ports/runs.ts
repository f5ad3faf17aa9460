/** Runs, and what is read of a job beside its snapshots. */
import type { JobState } from '../domain/job-state.ts'
import type { OpenCopy, RestoredRun } from '../domain/references.ts'
import type { CandidateFacts } from '../domain/restore-point.ts'
import type { Run } from '../domain/run.ts'
import type { Reference, SnapshotKind } from '../domain/snapshot.ts'
import type { RestoreSurroundings } from '../domain/unseen-snapshots.ts'
import type { PageOf, PageRequest, Scope } from './scope.ts'

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
  /**
   * Who points at a snapshot, in one statement; null when there is none in this namespace. `folder` (a `folderKey`): the
   * directory that goes with it, for what lies below counts too: a second child of an attempt, or what a failed one left.
   */
  read(
    scope: Scope,
    snapshotId: string,
    folder?: string | null,
  ): Promise<{
    kind: SnapshotKind
    clusters: Reference[]
    runs: RestoredRun[]
    claimedByRun: string | null
    copies: OpenCopy[]
    /**
     * Of a savepoint: live runs that may have built on its files, restored from it otherwise than with NO_CLAIM, or from a
     * checkpoint of such a run.
     */
    heirs: RestoredRun[]
    /** There are more than were followed. */
    manyHeirs: boolean
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
