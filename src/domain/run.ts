/**
 * A run as the API shows it, and when it counts as ended. The observer writes `CheckpointCounts`, `CheckpointInProgress` and
 * Flink's `CheckpointConfig` into the run's json columns.
 */
import type { CheckpointStatistics } from './flink.ts'
import type { RunState } from './resources.ts'
import type { Reference } from './snapshot.ts'

/** What Flink reported last: it counts since the JobManager's execution graph began. Not our own totals. */
export type CheckpointCounts = CheckpointStatistics['counts']

export type CheckpointInProgress = {
  /** Flink's checkpoint id. */
  id: number
  /** RFC 3339 UTC, on the JobManager's clock. */
  triggeredAt: string
  checkpointType: string
}

export const VERSION_BASES = ['STARTED', 'DECLARED', 'REGISTERED', 'ASSUMED'] as const
/** How a run's version is known (`product.md` §2). STARTED: we started it. */
export type VersionBasis = (typeof VERSION_BASES)[number]

export type Run = {
  id: string
  job: Reference
  cluster: Reference
  flinkJobId: string
  /** A Flink job id is not unique in time: with the cluster and this it names a run. */
  epoch: number
  state: RunState
  /** Flink's own word, e.g. RESTARTING. */
  flinkState: string
  version: number | null
  versionBasis: VersionBasis | null
  declaredVersion: number | null
  /** null: it began empty, or nothing was seen. */
  restoredFrom: {
    snapshot: string | null
    location: string | null
    flinkCheckpointId: number | null
  } | null
  claimMode: string | null
  startedAt: string
  endedAt: string | null
  endConfirmedAt: string | null
  /** A reachable leader has not listed it since then. */
  missingSince: string | null
  /** Of its own, as far as they were seen. */
  completedCheckpoints: number
  /** A new run writes under the same Flink job id: what is Present is being looked for. */
  checkpointsUnderReview: boolean
  failure: { code: string; message: string } | null
  createdAt: string
  updatedAt: string
}

/** What is known of a run's end; `listed` says whether its cluster could still be showing it to us. */
export type RunEndFacts = {
  state: RunState
  endConfirmedAt: string | null
  missingSince: string | null
  /** We tried to reach its cluster and could not. */
  clusterUnreachable: boolean
}

/**
 * What a person's word does to a run. `confirm`: nobody lists it, so the word ends it. `settled`: it has ended already (or
 * the word was given before). `live`: Flink lists it, and no word makes that untrue.
 */
export function judgeEnd(run: RunEndFacts): 'confirm' | 'settled' | 'live' {
  switch (run.state) {
    case 'FINISHED':
    case 'CANCELED':
    case 'FAILED':
      return 'settled'
    case 'LOST':
      return run.endConfirmedAt === null ? 'confirm' : 'settled'
    default:
      return run.missingSince !== null || run.clusterUnreachable ? 'confirm' : 'live'
  }
}
