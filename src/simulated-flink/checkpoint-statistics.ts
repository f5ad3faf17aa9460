/**
 * Flink's CheckpointStatsTracker of one execution graph: counts, the latest of each kind and a history of ten, newest
 * first, that savepoints and checkpoints share. Entries are live: a subsumed checkpoint turns `discarded` in place.
 */
export type SavepointFormat = 'CANONICAL' | 'NATIVE'
export type CheckpointType = 'CHECKPOINT' | 'UNALIGNED_CHECKPOINT' | 'SAVEPOINT' | 'SYNC_SAVEPOINT'

export type CheckpointEntry = {
  id: number
  status: 'IN_PROGRESS' | 'COMPLETED' | 'FAILED'
  type: CheckpointType
  format: SavepointFormat | null
  triggeredAt: number
  /** -1 while nobody acknowledged. */
  latestAckAt: number
  checkpointedSize: number
  stateSize: number
  /** -1 while nobody acknowledged. */
  durationMs: number
  subtasks: number
  acknowledged: number
  externalPath: string | null
  discarded: boolean
  failedAt: number | null
  failureMessage: string | null
}

export type RestoredCheckpoint = {
  id: number
  restoredAt: number
  isSavepoint: boolean
  externalPath: string
}

export type CheckpointStatistics = {
  counts: { restored: number; total: number; inProgress: number; completed: number; failed: number }
  completed: CheckpointEntry | null
  savepoint: CheckpointEntry | null
  failed: CheckpointEntry | null
  restored: RestoredCheckpoint | null
  history: CheckpointEntry[]
  uploads: Series
  sizes: Series
  durations: Series
  /** Raised by every change: an answer made of it stays right until then. */
  changes: number
}

const HISTORY = 10
const SERIES = 1000

export const isSavepoint = (entry: CheckpointEntry): boolean => entry.type.endsWith('SAVEPOINT')

export function emptyStatistics(): CheckpointStatistics {
  return {
    counts: { restored: 0, total: 0, inProgress: 0, completed: 0, failed: 0 },
    completed: null,
    savepoint: null,
    failed: null,
    restored: null,
    history: [],
    uploads: emptySeries(),
    sizes: emptySeries(),
    durations: emptySeries(),
    changes: 0,
  }
}

export function recordBegin(stats: CheckpointStatistics, entry: CheckpointEntry): void {
  stats.changes++
  stats.counts.total++
  stats.counts.inProgress++
  pushHistory(stats, entry)
}

function pushHistory(stats: CheckpointStatistics, entry: CheckpointEntry): void {
  stats.history.unshift(entry)
  if (stats.history.length > HISTORY) stats.history.pop()
}

/** A checkpoint that completed before anybody looked. */
export function recordPast(stats: CheckpointStatistics, entry: CheckpointEntry): void {
  stats.changes++
  stats.counts.total++
  stats.counts.completed++
  pushHistory(stats, entry)
  stats.completed = entry
  addTo(stats.uploads, entry.checkpointedSize)
  addTo(stats.sizes, entry.stateSize)
  addTo(stats.durations, entry.durationMs)
}

export function recordCompletion(
  stats: CheckpointStatistics,
  entry: CheckpointEntry,
  at: number,
  done: { externalPath: string; stateBytes: number; uploadedBytes: number },
): void {
  stats.changes++
  entry.status = 'COMPLETED'
  entry.latestAckAt = at
  entry.durationMs = at - entry.triggeredAt
  entry.acknowledged = entry.subtasks
  entry.externalPath = done.externalPath
  entry.stateSize = done.stateBytes
  entry.checkpointedSize = done.uploadedBytes
  stats.counts.inProgress--
  stats.counts.completed++
  if (isSavepoint(entry)) stats.savepoint = entry
  else stats.completed = entry
  addTo(stats.uploads, done.uploadedBytes)
  addTo(stats.sizes, done.stateBytes)
  addTo(stats.durations, entry.durationMs)
}

export function recordFailure(
  stats: CheckpointStatistics,
  entry: CheckpointEntry,
  at: number,
  message: string,
): void {
  stats.changes++
  entry.status = 'FAILED'
  entry.durationMs = at - entry.triggeredAt
  entry.failedAt = at
  entry.failureMessage = message
  stats.counts.inProgress--
  stats.counts.failed++
  stats.failed = entry
}

/** A failure before an id was given is counted and leaves no entry. */
export function recordFailureWithoutId(stats: CheckpointStatistics): void {
  stats.changes++
  stats.counts.total++
  stats.counts.failed++
}

export function recordRestore(stats: CheckpointStatistics, restored: RestoredCheckpoint): void {
  stats.changes++
  stats.counts.restored++
  stats.restored = restored
}

/** Subsumed, or deleted at the end of the job. */
export function markDiscarded(stats: CheckpointStatistics, entry: CheckpointEntry): void {
  stats.changes++
  entry.discarded = true
}

// ------------------------------------------------------------------------------------------------ summaries

export type Series = { count: number; sum: number; min: number; max: number; recent: number[] }

const emptySeries = (): Series => ({ count: 0, sum: 0, min: 0, max: 0, recent: [] })

function addTo(series: Series, value: number): void {
  series.min = series.count === 0 ? value : Math.min(series.min, value)
  series.max = Math.max(series.max, value)
  series.recent[series.count % SERIES] = value
  series.count++
  series.sum += value
}

/** Percentiles as commons-math estimates them; "NaN" is what Flink prints when there is nothing to summarise. */
export function summarize(series: Series) {
  const sorted = series.recent.toSorted((a, b) => a - b)
  return {
    min: series.min,
    max: series.max,
    avg: series.count === 0 ? 0 : Math.floor(series.sum / series.count),
    p50: percentile(sorted, 0.5),
    p90: percentile(sorted, 0.9),
    p95: percentile(sorted, 0.95),
    p99: percentile(sorted, 0.99),
    p999: percentile(sorted, 0.999),
  }
}

function percentile(sorted: readonly number[], share: number): number | 'NaN' {
  const position = share * (sorted.length + 1)
  const below = Math.floor(position)
  const lower = sorted[Math.max(0, below - 1)]
  const upper = sorted[Math.min(sorted.length - 1, below)]
  if (lower === undefined || upper === undefined) return 'NaN'
  return position < 1 || position >= sorted.length ? lower : lower + (position - below) * (upper - lower)
}
