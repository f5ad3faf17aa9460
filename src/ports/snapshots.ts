/** Snapshots as the API reads and creates them. */
import type { Cluster, RunState } from '../domain/resources.ts'
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
import type { IdempotencyKey, PageOf, PageRequest, Scope } from './scope.ts'

/** All that `POST savepoints` must know, read in one statement. */
export type SavepointContext = {
  job: Reference & {
    savepointTimeoutSeconds: number
    /** Someone else starts it; false for a managed job. */
    attached: boolean
    latestVersion: number | null
    ambiguous: string[] | null
  }
  cluster: Pick<Cluster, 'name' | 'mode' | 'flinkVersion' | 'capabilities' | 'followIdentity'> & {
    identityChanged: boolean
  }
  storage: Reference & { uri: string }
  run: { id: string; state: RunState; version: number | null } | null
  /** The owner of the cluster is alive and its last poll succeeded: what `run` says was confirmed under 10 s ago. */
  observationIsFresh: boolean
  unsettled: { id: string } | null
  /** The newest Present savepoint of the version that runs now, with its age. */
  fresh: { id: string; completedAt: string; ageSeconds: number } | null
}

export type NewSavepoint = {
  id: string
  job: Reference
  runId: string | null
  jobVersion: number | null
  storage: Reference
  source: SnapshotSource
  description: string
  labels: Labels
  format: SavepointFormat
  timeoutSeconds: number
  expiresAt: string | null
  /** Ends in `/`; everything Flink writes for it lies below. */
  ownedPrefix: string
  triggerId: string
  directory: string
  createdBy: string
}

/** A savepoint that exists already and is registered. */
export type NewImport = {
  id: string
  jobId: string
  storageId: string
  description: string
  labels: Labels
  flinkCheckpointId: number
  completedAt: Date | null
  location: string
  locationKey: string
  /** Ends in `/`; null when its data is not ours to delete. */
  ownedPrefix: string | null
  createdBy: string
}

export type SnapshotFilter = {
  /** The name or id of a job; one that is not there has no snapshots. */
  job: string
  kind?: SnapshotKind
  status?: SnapshotStatus[]
  source?: SnapshotSource[]
  version?: number
  labels?: Labels
  createdAfter?: string
  createdBefore?: string
  orderBy: 'createdAt' | 'completedAt'
  order: 'asc' | 'desc'
}

export interface SnapshotRepository {
  /** `reuse`: also look for a fresh Present savepoint of the current run and version. */
  readContext(scope: Scope, job: string, reuse: boolean): Promise<SavepointContext | null>
  /** Row, first attempt, transition, event and idempotency record in one statement. `in-progress`: another is unsettled. */
  insertSavepoint(
    scope: Scope,
    savepoint: NewSavepoint,
    idempotency?: IdempotencyKey,
  ): Promise<
    { kind: 'inserted'; snapshot: Snapshot } | { kind: 'in-progress' } | { kind: 'idempotency-race' }
  >
  /** What an earlier request with this key did; null when there was none. */
  findIdempotent(
    scope: Scope,
    key: IdempotencyKey,
  ): Promise<{ kind: 'replayed'; id: string } | { kind: 'key-reused' } | null>
  /** false when the key is taken (a race, or an expired record that is removed now): look again. */
  rememberIdempotent(scope: Scope, key: IdempotencyKey, id: string): Promise<boolean>
  find(scope: Scope, id: string): Promise<Snapshot | null>
  /** The job and its page, one statement. Throws DomainError PAGE_TOKEN_INVALID. */
  list(scope: Scope, filter: SnapshotFilter, page: PageRequest): Promise<PageOf<Snapshot>>
  /** The one snapshot at this location that is not Cleared; null when there is none. */
  findByLocation(scope: Scope, locationKey: string): Promise<Snapshot | null>
  /** Of the snapshots with these ids or locations, those that are not Cleared and own a prefix. */
  findOwners(
    scope: Scope,
    ids: readonly string[],
    locationKeys: readonly string[],
  ): Promise<{ id: string; status: SnapshotStatus; ownedPrefix: string }[]>
  /**
   * A Present IMPORT with its transition, event and idempotency record in one statement. `exists`: another row has this
   * location, or the job is gone; look again.
   */
  insertImport(
    scope: Scope,
    snapshot: NewImport,
    idempotency?: IdempotencyKey,
  ): Promise<'inserted' | 'exists' | 'idempotency-race'>
  update(
    scope: Scope,
    id: string,
    etag: string | null,
    changes: { description?: string; labels?: Labels; pinned?: boolean; expiresAt?: string | null },
  ): Promise<boolean>
  listTransitions(scope: Scope, id: string): Promise<Transition[]>
  /** Of these snapshots, the ones that are no longer Creating. */
  findDecided(ids: readonly string[]): Promise<string[]>
}
