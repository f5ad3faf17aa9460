/** Audits: operations that look at everything in a storage and touch nothing, and what they found. */
import type { AuditFinding, FindingKind, Judgement, StorageUsage, Unit, UnitFacts } from '../domain/audit.ts'
import type { AuditRequest, AuditResult, OperationStep } from '../domain/operation.ts'
import type { IdempotencyKey, PageOf, PageRequest, Scope } from './scope.ts'
import type { StorageAddress } from './storage.ts'

export interface AuditRepository {
  /** Operation, event and idempotency record in one statement. `open`: that operation audits the storage already. */
  insert(
    scope: Scope,
    audit: { id: string; request: AuditRequest; steps: readonly OperationStep[]; createdBy: string },
    idempotency?: IdempotencyKey,
  ): Promise<
    | { kind: 'inserted' }
    | { kind: 'open'; id: string | null }
    | { kind: 'gone' }
    | { kind: 'idempotency-race' }
  >
  /** In the order they were found; throws PAGE_TOKEN_INVALID. null when there is no such audit in this namespace. */
  listFindings(
    scope: Scope,
    operationId: string,
    kind: FindingKind | null,
    page: PageRequest,
  ): Promise<PageOf<AuditFinding> | null>
  /** Of the last audit that succeeded. */
  readUsage(scope: Scope, storage: { id: string; name: string }): Promise<StorageUsage>
  /**
   * The clearing of an orphan that an audit of this storage found: the one that has been asked for, or a new one. `refused`:
   * the storage does not allow it (any more), its directory is being cleared for something else, or it is no such finding.
   */
  beginOrphan(
    scope: Scope,
    orphan: {
      clearingId: string
      operationId: string
      number: number
      storageId: string
      requestedBy: string
    },
  ): Promise<
    | { kind: 'clearing'; id: string; location: string }
    | { kind: 'refused'; code: 'CLEARING_NOT_ENABLED' | 'SNAPSHOT_IN_USE' | 'NOT_FOUND' }
  >
}

/** Where the listing goes on; `pending`: the directory it was in. */
export type ListingState = {
  pageToken: string | null
  pending: Unit | null
  /** How many findings there are of each kind; beyond the limit they are only counted. */
  numbers: Record<FindingKind, number>
}

export type AuditWork = {
  id: string
  namespaceId: string
  namespace: string
  request: AuditRequest
  steps: OperationStep[]
  result: AuditResult
  listing: ListingState | null
  deadlineAt: Date
  createdAt: Date
  /** The database's. */
  now: Date
  tries: number
  storage: StorageAddress & { deleted: boolean }
  lease: string
}

export type AuditProgress = {
  steps: readonly OperationStep[]
  result: AuditResult
  listing: ListingState | null
}
export type NewFinding = {
  number: number
  kind: FindingKind
  location: string
  objects: number
  bytes: number
  newestAt: string | null
  snapshot: string | null
  message: string
}
export type UsageEntry = Pick<Judgement, 'kind' | 'job' | 'version'> & { objects: number; bytes: number }

export interface AuditWorkRepository {
  claimDue(limit: number): Promise<AuditWork[]>
  /** false when the lease is lost; the same of every other write. */
  renew(work: AuditWork): Promise<boolean>
  /** Findings, usage (added to what stands) and the progress in one statement: repeated after a crash nothing counts twice. */
  record(
    work: AuditWork,
    found: { findings: readonly NewFinding[]; usage: readonly UsageEntry[] },
    progress: AuditProgress,
  ): Promise<boolean>
  /** Forgets what was found: the listing begins anew. */
  restart(work: AuditWork, progress: AuditProgress): Promise<boolean>
  /** SUCCEEDED, with its event; what earlier audits of the storage measured goes. */
  complete(work: AuditWork, progress: AuditProgress): Promise<boolean>
  fail(work: AuditWork, failure: { code: string; message: string }, progress: AuditProgress): Promise<boolean>
  release(work: AuditWork, next: { nextActionInMs: number; tries: number }): Promise<boolean>
  /** What the rows say of these directories (their normalised keys, in the same order). */
  readUnits(
    scope: Scope,
    units: readonly { key: string; snapshotId: string | null; flinkJobId: string | null }[],
  ): Promise<UnitFacts[]>
  /**
   * Present snapshots with a location in the storage after this id, in order of ids, that were there when the audit began;
   * no checkpoints of a run that is not over: those come and go.
   */
  listPresent(
    work: AuditWork,
    after: string | null,
    limit: number,
  ): Promise<{ id: string; location: string }[]>
  /** Of these, the ones that are still Present at that place. */
  findStillPresent(work: AuditWork, snapshots: readonly { id: string; location: string }[]): Promise<string[]>
}

/** What speaks against an orphan at the moment it is cleared. */
export interface OrphanRepository {
  /** The facts of its directory, whether the storage allows clearing, and the database's `now`. */
  readOrphan(
    scope: Scope,
    orphan: { clearingId: string; key: string; snapshotId: string },
  ): Promise<{ facts: UnitFacts; clearCheckpoints: boolean; now: Date }>
}
