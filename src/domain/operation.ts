/** Operations: work that is recorded at once, done by workers and reported. Instants are RFC 3339 UTC with milliseconds. */
import type { Amount, FindingKind } from './audit.ts'
import type { Restore } from './restore-point.ts'
import type { Labels, Reference, SavepointFormat } from './snapshot.ts'
import type { SnapshotStatus } from './snapshot-status.ts'

/** One open at a time per job; the database enforces it. */
export const LIFECYCLE_KINDS = ['START', 'STOP'] as const
export type LifecycleKind = (typeof LIFECYCLE_KINDS)[number]

export const OPERATION_KINDS = ['BULK_SAVEPOINT', ...LIFECYCLE_KINDS, 'COPY', 'AUDIT'] as const
export type OperationKind = (typeof OPERATION_KINDS)[number]

export const OPERATION_STATUSES = ['RUNNING', 'SUCCEEDED', 'PARTIAL', 'FAILED'] as const
export type OperationStatus = (typeof OPERATION_STATUSES)[number]

type Base = {
  id: string
  status: OperationStatus
  createdAt: string
  createdBy: string
  endedAt: string | null
}

// ----------------------------------------------------------------------------------------------- bulk savepoint

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

export type BulkSavepointSummary = Base & {
  kind: 'BULK_SAVEPOINT'
  request: BulkSavepointRequest
  counts: OperationCounts
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

export type BulkSavepointOperation = BulkSavepointSummary & {
  items: OperationItem[]
  nextPageToken: string | null
}

// ---------------------------------------------------------------------------------------------------- lifecycle

export type StartRequest = { version: number; restore: Restore }

export const STOP_MODES = ['SAVEPOINT', 'DRAIN', 'CANCEL'] as const
export type StopMode = (typeof STOP_MODES)[number]
export type StopRequest = {
  mode: StopMode
  description: string | null
  format: SavepointFormat
  /** How long the savepoint, or the cancellation, may take. */
  timeoutSeconds: number
}

export const STEP_STATUSES = ['WAITING', 'RUNNING', 'DONE', 'FAILED', 'SKIPPED'] as const
/** In the order of the work. `message` says what came out, or what is waited for. */
export type OperationStep = {
  name: string
  status: (typeof STEP_STATUSES)[number]
  startedAt: string | null
  endedAt: string | null
  message: string | null
}

export const START_STEPS = ['upload', 'choose', 'submit', 'run'] as const
export const STOP_STEPS = ['wait', 'savepoint', 'end'] as const
export const CANCEL_STEPS = ['cancel', 'end'] as const

/** What a start restored, or would not: the decision of the resolver, in short. */
export type ChosenRestorePoint = {
  decision: string
  because: { code: string; message: string }
  snapshot: string | null
  location: string | null
  claimMode: string
  findings: { code: string; message: string }[]
  /** The candidates that were passed over, the newest first, at most 20. */
  rejected: { snapshot: string | null; location: string | null; code: string; message: string }[]
}

export type LifecycleResult = {
  restorePoint?: ChosenRestorePoint
  /** What ought to be known, although the operation did what it should. */
  warnings?: { code: string; message: string }[]
  /** START: what Flink refused the request with, until it is known whether a job came of it all the same. */
  refusal?: { code: string; message: string }
}

export type LifecycleSummary = Base & {
  kind: LifecycleKind
  job: Reference
  request: StartRequest | StopRequest
  /** When it is given up: until then it is tried again. */
  deadlineAt: string
  run: string | null
  flinkJobId: string | null
  snapshot: string | null
  failure: { code: string; message: string } | null
}

export type LifecycleOperation = LifecycleSummary & { steps: OperationStep[]; result: LifecycleResult }

// --------------------------------------------------------------------------------------------------------- copy

export const COPY_STEPS = ['read', 'plan', 'copy', 'metadata', 'verify', 'record'] as const

export type CopyRequest = {
  /** The id of the snapshot that is copied. */
  snapshot: string
  storage: Reference
  description: string
  labels: Labels
  timeoutSeconds: number
  /** The id that the copy will have; its directory is named by it. */
  copy: string
  /** Where it is written, ending in `/`: nobody else ever writes below it. */
  directory: string
}

export type CopyResult = {
  /** How far the files are copied; `inside`: by the store itself. */
  progress?: { files: number; filesDone: number; filesInside: number; bytes: number; bytesDone: number }
  /** Its metadata names every file relatively: the folder may be moved again. */
  relocatable?: boolean
  /** Why it cannot be copied. */
  findings?: { code: string; message: string }[]
}

export type CopySummary = Base & {
  kind: 'COPY'
  job: Reference
  request: CopyRequest
  /** When it is given up: until then it is tried again. */
  deadlineAt: string
  /** The copy, once it is recorded. */
  snapshot: string | null
  failure: { code: string; message: string } | null
}

export type CopyOperation = CopySummary & { steps: OperationStep[]; result: CopyResult }

// -------------------------------------------------------------------------------------------------------- audit

export const AUDIT_STEPS = ['list', 'rows', 'record'] as const

export type AuditRequest = { storage: Reference; timeoutSeconds: number }
export type AuditResult = {
  /** How much was listed so far. */
  listed?: Amount
  /** Totals; of each kind the first 10,000 are kept one by one. */
  found?: Record<FindingKind, Amount & { count: number }>
  /** What has no known shape is only counted. */
  foreign?: Amount
}
export type AuditSummary = Base & {
  kind: 'AUDIT'
  request: AuditRequest
  /** When it is given up: until then it is tried again. */
  deadlineAt: string
  failure: { code: string; message: string } | null
}
export type AuditOperation = AuditSummary & { steps: OperationStep[]; result: AuditResult }

export type OperationSummary = BulkSavepointSummary | LifecycleSummary | CopySummary | AuditSummary
export type Operation = BulkSavepointOperation | LifecycleOperation | CopyOperation | AuditOperation

/** Who asks for the savepoints of an operation; what a snapshot's `createdBy` then says. */
export const operationPrincipal = (operationId: string): string => `operation:${operationId}`
