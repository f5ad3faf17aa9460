/** What the overview of a job shows. Instants are RFC 3339 UTC with milliseconds; sizes are bytes, durations milliseconds. */
import type { CheckpointConfig } from './flink.ts'
import type { CheckpointCounts, CheckpointInProgress, Run } from './run.ts'
import type { Reference, SnapshotKind, SnapshotSource } from './snapshot.ts'
import type { SnapshotStatus } from './snapshot-status.ts'

/** One snapshot as an overview needs it. */
export type LastSnapshot = {
  snapshot: string
  status: SnapshotStatus
  source: SnapshotSource
  flinkCheckpointId: number | null
  triggeredAt: string | null
  completedAt: string | null
  failedAt: string | null
  durationMs: number | null
  /** The full state. */
  sizeBytes: number | null
  uploadedBytes: number | null
  location: string | null
  failure: { code: string; message: string } | null
}

/** Of values that occurred (percentile_disc); null without any. */
export type Percentiles = { p50: number | null; p90: number | null; p99: number | null; max: number | null }

/** What ended within the window. `completed` is `present` and `cleared` together. */
export type SnapshotCounts = {
  completed: number
  /** Of the completed ones, what can still be there. */
  present: number
  /** Of the completed ones, what Flink or we have removed, or what was lost. */
  cleared: number
  failed: number
  timedOut: number
}

export type CheckpointHour = {
  hour: string
  completed: number
  failed: number
  timedOut: number
  durationMsAvg: number | null
  durationMsMax: number | null
  sizeBytesAvg: number | null
  sizeBytesMax: number | null
  uploadedBytes: number
}

export type JobState = {
  job: Reference
  run: Run | null
  observation: {
    /** What Flink says of the job was confirmed under 10 s ago. */
    fresh: boolean
    clusterReachable: boolean | null
    /** When that was; null before the first time. */
    observedAt: string | null
  }
  windowSeconds: number
  checkpoints: {
    lastSuccessful: LastSnapshot | null
    lastFailed: LastSnapshot | null
    inProgress: CheckpointInProgress | null
    counts: SnapshotCounts
    durationMs: Percentiles
    sizeBytes: Percentiles
    uploadedBytes: Percentiles
    /** The percentiles come from the rows that are kept: from here on, when that is later than the window's begin. */
    coveredSince: string
  }
  savepoints: {
    lastSuccessful: LastSnapshot | null
    lastFailed: LastSnapshot | null
    inProgress: LastSnapshot | null
    counts: SnapshotCounts
    durationMs: Percentiles
    sizeBytes: Percentiles
    coveredSince: string
  }
  history: CheckpointHour[]
  checkpointConfig: CheckpointConfig | null
  flinkCounts: CheckpointCounts | null
  restorePoint: {
    snapshot: string
    kind: SnapshotKind
    completedAt: string
    ageSeconds: number
  } | null
}
