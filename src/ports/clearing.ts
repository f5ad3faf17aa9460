/** The removal of snapshots: asked for by a person or a rule, carried out by any worker. */
import type {
  Clearing,
  ClearingFacts,
  ClearingMethod,
  ClearingPhase,
  ClearingReason,
} from '../domain/clearing.ts'
import type { Protection } from '../domain/protection.ts'
import type { ClusterAddress } from './flink.ts'
import type { Scope } from './scope.ts'
import type { StorageAddress } from './storage.ts'

export interface ProtectionRepository {
  /** The protected snapshots of a job, by id, each with every reason. Bounded: whatever the job's history is. */
  ofJob(scope: Scope, jobId: string): Promise<Map<string, Protection[]>>
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
}

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
  cluster: ClusterAddress | null
  phase: ClearingPhase
  foundEmpty: number
  triggerId: string | null
  askedAt: Date | null
  tries: number
  lease: string
}

export interface ClearingRepository {
  /** All that a decision about clearing this snapshot needs; null when there is none in this namespace. */
  readFacts(scope: Scope, snapshotId: string): Promise<ClearingFacts | null>
  find(scope: Scope, snapshotId: string): Promise<Clearing | null>
  /**
   * Present, Failed or Timeout → Clearing with its transition, event and clearing row in one guarded statement, which
   * checks again that nobody has begun to use the snapshot since `readFacts`. false: look again.
   */
  begin(scope: Scope, clearing: NewClearing): Promise<boolean>
}
