/** Operations: work over many jobs that is recorded at once and reported as one. Instants are RFC 3339 UTC with milliseconds. */
import type { Labels, Reference, SavepointFormat } from './snapshot.ts'
import type { SnapshotStatus } from './snapshot-status.ts'

export const OPERATION_KINDS = ['BULK_SAVEPOINT'] as const
export type OperationKind = (typeof OPERATION_KINDS)[number]

export const OPERATION_STATUSES = ['RUNNING', 'SUCCEEDED', 'PARTIAL', 'FAILED'] as const
export type OperationStatus = (typeof OPERATION_STATUSES)[number]

export const ITEM_STATUSES = ['WAITING', 'RUNNING', 'DONE', 'FAILED', 'SKIPPED'] as const
export type ItemStatus = (typeof ITEM_STATUSES)[number]

/** What each savepoint of a bulk operation is asked with. */
export type BulkSavepointOptions = {
  description?: string
  format?: SavepointFormat
  timeoutSeconds?: number
  expiresAt?: string
  labels?: Labels
}

export type BulkSavepointRequest = {
  cluster: Reference | null
  /** All must match. */
  labels: Labels | null
  maxParallel: number
  savepoint: BulkSavepointOptions
}

export type OperationCounts = {
  waiting: number
  running: number
  done: number
  failed: number
  skipped: number
}

export type OperationSummary = {
  id: string
  kind: OperationKind
  status: OperationStatus
  request: BulkSavepointRequest
  counts: OperationCounts
  createdAt: string
  createdBy: string
  endedAt: string | null
}

export type OperationItem = {
  position: number
  job: Reference
  status: ItemStatus
  /** The snapshot's id. */
  snapshot: string | null
  snapshotStatus: SnapshotStatus | null
  /** Another request's savepoint was in progress and answers for this item. */
  joined: boolean
  startedAt: string | null
  endedAt: string | null
  failure: { code: string; message: string } | null
}

export type Operation = OperationSummary & { items: OperationItem[]; nextPageToken: string | null }

/** Who asks for the savepoints of an operation; what a snapshot's `createdBy` then says. */
export const operationPrincipal = (operationId: string): string => `operation:${operationId}`
