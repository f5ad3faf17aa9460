/** What lies inside snapshots, kept beside their rows, and what their verification found. */
import type { SnapshotInspection, StoredFile } from '../domain/inspection.ts'
import type { Reference, SnapshotKind } from '../domain/snapshot.ts'
import type { SnapshotStatus } from '../domain/snapshot-status.ts'
import type { VerificationReport } from '../domain/verification.ts'
import type { PageOf, PageRequest, Scope } from './scope.ts'

/** Another snapshot that is not Cleared and names a file of this one. */
export type Sharer = {
  id: string
  job: Reference
  kind: SnapshotKind
  /** How many of the files, at least one. */
  files: number
}

export interface InspectionRepository {
  find(scope: Scope, snapshotId: string): Promise<SnapshotInspection | null>
  /** Inspection and files in one transaction. Harmless when repeated; false when the snapshot is Cleared or not there. */
  save(
    scope: Scope,
    snapshotId: string,
    inspection: SnapshotInspection,
    files: readonly StoredFile[],
  ): Promise<boolean>
  /** In the order of the metadata. Throws PAGE_TOKEN_INVALID. */
  listFiles(scope: Scope, snapshotId: string, page: PageRequest): Promise<PageOf<StoredFile>>
  /** Who else needs files that this snapshot needs; most files first, at most `limit`. By index, never by scan. */
  listSharers(scope: Scope, snapshotId: string, limit: number): Promise<Sharer[]>
  /** Snapshots other than `except`, not Cleared, that need a file below this folder (its normalised key, ending in `/`). */
  listNeedersBelow(scope: Scope, folderKey: string, except: string | null, limit: number): Promise<Sharer[]>
  /** Of these normalised file keys, those that a snapshot other than `except`, not Cleared, needs. */
  findNeeded(scope: Scope, fileKeys: readonly string[], except: readonly string[]): Promise<string[]>
}

/** What is said about the files of one snapshot, beside who shares them. */
export interface SnapshotNeedsRepository {
  /** Of its files: outside the folder with this normalised key, ending in `/`, and at no place that is a location. */
  countNeeds(
    scope: Scope,
    snapshotId: string,
    folderKey: string,
  ): Promise<{ files: number; outside: number; unplaced: number }>
  /** Other Present snapshots of its job whose files nobody has read, among the newest 1,000. */
  countUninspected(scope: Scope, snapshotId: string): Promise<number>
}

/** A snapshot whose verification is due, claimed for one worker. */
export type VerificationWork = {
  snapshotId: string
  namespaceId: string
  location: string
  /** Proof of the claim: writing the result carries it, and is refused once somebody else has claimed the row. */
  claim: string
}

/** A snapshot that somebody asks to have verified, with the database's `now`. */
export type VerificationTarget = {
  snapshotId: string
  status: SnapshotStatus
  location: string | null
  now: string
}

export interface VerificationRepository {
  find(scope: Scope, snapshotId: string): Promise<VerificationReport | null>
  findTarget(scope: Scope, snapshotId: string): Promise<VerificationTarget | null>
  /** Claims up to `limit` due ones for `forMs`, longest due first, skipping those other workers hold. */
  claimDue(limit: number, forMs: number): Promise<VerificationWork[]>
  /**
   * Report, verdict on the snapshot and the next time in one statement. A verdict of NOT_ASKED changes nothing on the
   * snapshot, and ENDANGERED stays whatever was found: only the look at its run lifts it. `lost`: `_metadata` is proven gone;
   * a Present snapshot that was seen before becomes Cleared(DATA_LOST) with transition and event, unless Flink owns it (a run
   * has claimed it, or it is a checkpoint of a run that lives or is under review): then only the verdict says so.
   * `claim` null: asked for by a person or a start, now; `nextInMs` null: it stays due when it was. The instant of the report
   * is the database's. false: the claim was lost, or the snapshot is no longer Present there.
   */
  record(
    scope: Scope,
    result: {
      snapshotId: string
      /** Where it was looked for: a snapshot that lies elsewhere by now is left alone. */
      location: string
      report: VerificationReport
      lost: boolean
      claim: string | null
      nextInMs: number | null
    },
  ): Promise<boolean>
}
