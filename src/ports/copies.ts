/** Copies: operations that bring a snapshot into another storage, claimed and moved on by workers. */
import type { CopyRequest, CopyResult, OperationStep } from '../domain/operation.ts'
import type { Reference, SavepointFormat } from '../domain/snapshot.ts'
import type { IdempotencyKey, Scope } from './scope.ts'
import type { StorageAddress } from './storage.ts'

export type NewCopy = {
  id: string
  request: CopyRequest
  steps: readonly OperationStep[]
  createdBy: string
}

export interface CopyRepository {
  /**
   * Operation, event and idempotency record in one statement. `open`: the same snapshot is being copied to the same storage
   * by that operation; `gone`: the snapshot is not Present any more, or the storage was deleted.
   */
  insert(
    scope: Scope,
    copy: NewCopy,
    idempotency?: IdempotencyKey,
  ): Promise<
    | { kind: 'inserted' }
    | { kind: 'open'; id: string | null }
    | { kind: 'gone' }
    | { kind: 'idempotency-race' }
  >
}

export type CopyWork = {
  id: string
  namespaceId: string
  namespace: string
  request: CopyRequest
  steps: OperationStep[]
  result: CopyResult
  createdBy: string
  deadlineAt: Date
  /** The database's. */
  now: Date
  tries: number
  job: Reference
  /** What is copied. */
  source: { id: string; location: string | null; storageId: string | null }
  /** Where it goes; `deleted`: since it was accepted. */
  target: StorageAddress & { deleted: boolean }
  /** Proof of the claim: every later write carries it and is refused once another worker has claimed the row. */
  lease: string
}

/** One file, or a piece of one, of a copy. */
export type CopyFile = {
  /** From 0. */
  position: number
  source: string
  /** Where a piece begins; null for a whole file. */
  sourceOffset: number | null
  target: string
  sizeBytes: number
}

export type CopyProgress = { steps: readonly OperationStep[]; result?: CopyResult }

export interface CopyWorkRepository {
  /** Claims up to `limit` due copies, longest due first, skipping those other workers hold. */
  claimDue(limit: number): Promise<CopyWork[]>
  /** false when the lease is lost. */
  renew(work: CopyWork): Promise<boolean>
  /** Steps and result, shown to whoever asks. false when the lease was lost. */
  record(work: CopyWork, progress: CopyProgress): Promise<boolean>
  /** All files and the progress in one statement: it is planned wholly, or not at all. false when the lease was lost. */
  recordPlan(work: CopyWork, files: readonly CopyFile[], progress: CopyProgress): Promise<boolean>
  /** The first `limit` files after `position` (-1: from the first), in order; `open`: that are not done. */
  listFiles(work: CopyWork, query: { after: number; limit: number; open: boolean }): Promise<CopyFile[]>
  /** Marks files done and records the progress, one statement. false when the lease was lost. */
  recordCopied(work: CopyWork, positions: readonly number[], progress: CopyProgress): Promise<boolean>
  /**
   * The copy as a Present savepoint with its transition and event, and the end of the operation, one statement. `gone`: the
   * storage was deleted.
   */
  complete(
    work: CopyWork,
    copy: { ownedPrefix: string; location: string; locationKey: string; format: SavepointFormat | null },
    progress: CopyProgress,
  ): Promise<'recorded' | 'gone' | 'lease-lost'>
  /** Ends it as FAILED, with its event. false when the lease was lost. */
  fail(work: CopyWork, failure: { code: string; message: string }, progress: CopyProgress): Promise<boolean>
  /** Gives the lease back and says when to look again. */
  release(work: CopyWork, next: { nextActionInMs: number; tries: number }): Promise<boolean>
}
