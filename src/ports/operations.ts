/** Operations and their items. */
import type { ItemEnd, OpenItem } from '../domain/bulk-savepoint.ts'
import type {
  BulkSavepointRequest,
  Operation,
  OperationCounts,
  OperationStatus,
  OperationSummary,
} from '../domain/operation.ts'
import type { Labels } from '../domain/snapshot.ts'
import type { IdempotencyKey, PageOf, PageRequest, Scope } from './scope.ts'

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
