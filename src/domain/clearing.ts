/** The vocabulary of clearing (`product.md` §1.4, §3, §5). */
import type { SnapshotUse } from './references.ts'
import type { CheckpointDirectoryFacts } from './retained-checkpoint.ts'
import type { Reference, Snapshot } from './snapshot.ts'

/** OBJECTS: everything below the owned prefix; FILES: a list; FLINK: its disposal call; FORGET: nothing is deleted. */
export const CLEARING_METHODS = ['OBJECTS', 'FILES', 'FLINK', 'FORGET'] as const
export type ClearingMethod = (typeof CLEARING_METHODS)[number]

export const CLEARING_REASONS = [
  'BY_HAND',
  'KEEP_COUNT',
  'MAX_AGE',
  'EXPIRED',
  'ORPHAN',
  'RETAINED_CHECKPOINT',
] as const
export type ClearingReason = (typeof CLEARING_REASONS)[number]

/**
 * What a rule's clearing rests on, asked once more under its lock: a round goes over many savepoints, and what it read at its
 * begin may have been withdrawn since. `saved`: the row and version of the rule of retention.
 */
export type RuleBasis = { kind: 'EXPIRY' } | { kind: 'RETENTION'; saved: string }

export const CLEARING_PHASES = ['LISTING', 'DELETING_METADATA', 'DELETING', 'VERIFYING', 'DONE'] as const
export type ClearingPhase = (typeof CLEARING_PHASES)[number]

/** How the removal of a snapshot's data goes on. */
export type Clearing = {
  snapshot: string
  method: ClearingMethod
  reason: ClearingReason
  message: string | null
  forced: boolean
  requestedBy: string
  requestedAt: string
  phase: ClearingPhase
  objects: number
  bytes: number
  deleted: number
  /** The last try that failed, and when the next one is. */
  error: { code: string; message: string; at: string } | null
  nextTryAt: string | null
  endedAt: string | null
}

/** A job's or a run's cluster, as far as it may forbid clearing. */
export type ClearingCluster = Reference & {
  observeOnly: boolean
  /** Another cluster answers at its address, and nobody has confirmed it. */
  identityChanged: boolean
}

export type ClearingFacts = {
  snapshot: Snapshot
  storage: (Reference & { provider: string; clearCheckpoints: boolean; uri: string }) | null
  /** That of its job, and that of its run where it is another one. */
  clusters: ClearingCluster[]
  /** The run that made it has certainly ended (a LOST one: by a person's word); true when no run is known. */
  runIsOver: boolean
  uses: SnapshotUse[]
  /** Open start, stop or deploy that has taken it, or is taking it. */
  openOperation: string | null
  /** Other snapshots, not Cleared, that need files below its owned prefix. */
  neededBy: { id: string; job: Reference }[]
  /** Snapshots of runs that were restored from it and may have built on its files, of which nobody has looked inside. */
  uninspected: string[]
  /** Of a checkpoint of a run that we know. */
  checkpointDirectory?: CheckpointDirectoryFacts | null
}
