/**
 * What Flink's checkpoint statistics of one run mean for its snapshots. Pure: statistics in, rows to write out. The history
 * holds ten entries, savepoints and checkpoints mixed, and starts again from nothing with every JobManager
 * (`flink-rest-api.md` §3); so what it does not show says nothing.
 */

import type { CheckpointEntry, CheckpointStatistics, JobException } from './flink.ts'
import { classifyFailure } from './flink-failure.ts'
import {
  formatLocation,
  isInside,
  type Location,
  locationKey,
  parseLocation,
  snapshotDirectory,
} from './location.ts'
import { isUuidShaped } from './resource-name.ts'
import type { SavepointFormat } from './snapshot.ts'

/** One entry as the row it becomes. Instants are RFC 3339; sizes bytes. */
export type ObservedSnapshot = {
  kind: 'CHECKPOINT' | 'SAVEPOINT'
  status: 'Present' | 'Failed' | 'Timeout'
  source: 'SYSTEM' | 'EXTERNAL'
  reason: string
  flinkCheckpointId: number
  checkpointType: string
  format: SavepointFormat | null
  incremental: boolean | null
  triggeredAt: string
  completedAt: string | null
  failedAt: string | null
  durationMs: number | null
  sizeBytes: number | null
  uploadedBytes: number | null
  /** null: Flink keeps it in the JobManager's memory. */
  location: string | null
  locationKey: string | null
  failureCode: string | null
  failureMessage: string | null
  /** Flink has dropped it: subsumed by newer ones, or removed with the end of its job. */
  discarded: boolean
  /** The snapshot of ours in whose attempt's directory it lies; such a savepoint is not somebody else's. */
  ownSnapshotId: string | null
}

export type RestoredFrom = { flinkCheckpointId: number; location: string | null; locationKey: string | null }

export type CheckpointReport = {
  runId: string
  counts: CheckpointStatistics['counts']
  inProgress: { id: number; triggeredAt: string; checkpointType: string } | null
  /** Where the run began; null when it began empty or Flink does not tell any more. */
  restored: RestoredFrom | null
  snapshots: ObservedSnapshot[]
  /** The ids of the history, oldest first: what is Present with an id before these, Flink may have dropped unseen. */
  oldestListedId: number | null
}

export type ReportContext = {
  runId: string
  flinkJobId: string
  /** Checkpoints of its own that this run is known to have completed, before this report. */
  completedCheckpoints: number
  /** The checkpoint that was in progress at the poll before: only what lasts is worth a row of its own. */
  inProgressBefore: number | null
  exceptions: readonly JobException[]
}

/** Flink's clock and its own timestamps differ by the length of a heartbeat at most. */
const EXCEPTION_SLACK_MS = 2_000
const EXPIRED = /Checkpoint expired before completing/
const SUSPENDING = /Checkpoint Coordinator is suspending/

export function describeStatistics(
  statistics: CheckpointStatistics,
  context: ReportContext,
): CheckpointReport {
  const entries = allEntries(statistics)
  const running = statistics.history.find((entry) => entry.status === 'IN_PROGRESS' && !entry.isSavepoint)
  return {
    runId: context.runId,
    counts: statistics.counts,
    inProgress:
      running && running.id === context.inProgressBefore
        ? {
            id: running.id,
            triggeredAt: instant(running.triggeredAt),
            checkpointType: running.checkpointType,
          }
        : null,
    restored: originOf(statistics, context),
    snapshots: entries.flatMap((entry) => toSnapshot(entry, context) ?? []),
    oldestListedId: newestEntries(statistics).reduce<number | null>(
      (oldest, { id }) => (oldest === null || id < oldest ? id : oldest),
      null,
    ),
  }
}

/** Fewer than the failed checkpoints that stay as rows, more than Flink lists by default. */
const NEWEST = 20
const newestEntries = ({ history }: CheckpointStatistics): CheckpointEntry[] => history.slice(0, NEWEST)

/** The checkpoint in progress now, to be compared with the one of the poll before. */
export const inProgressId = (statistics: CheckpointStatistics): number | null =>
  statistics.history.find((entry) => entry.status === 'IN_PROGRESS' && !entry.isSavepoint)?.id ?? null

/** Failures that say only that the coordinator stopped: their cause stands in the job's exceptions of that moment. */
export const unexplainedFailures = (statistics: CheckpointStatistics): CheckpointEntry[] =>
  allEntries(statistics).filter(
    (entry) => entry.status === 'FAILED' && !entry.isSavepoint && SUSPENDING.test(entry.failureMessage ?? ''),
  )

/**
 * The newest of the history, and what has scrolled out of it but is still the latest of its kind. A cluster may keep a
 * longer history than we keep rows (`web.checkpoints.history`): what was folded away must not come back.
 */
function allEntries(statistics: CheckpointStatistics): CheckpointEntry[] {
  const { latest } = statistics
  const history = newestEntries(statistics)
  const listed = new Set(history.map((entry) => entry.id))
  const older = [latest.completed, latest.savepoint, latest.failed].filter(
    (entry): entry is CheckpointEntry => entry !== null && !listed.has(entry.id),
  )
  return [...history, ...older]
}

function toSnapshot(entry: CheckpointEntry, context: ReportContext): ObservedSnapshot | null {
  if (entry.status === 'IN_PROGRESS') return null
  if (entry.status === 'COMPLETED') return completed(entry)
  // A failed savepoint is its asker's business: one of ours is watched by its trigger id, another leaves nothing.
  return entry.isSavepoint ? null : failed(entry, context)
}

function completed(entry: CheckpointEntry): ObservedSnapshot | null {
  const location = entry.externalPath === null ? null : readPath(entry.externalPath)
  if (entry.isSavepoint && !location) return null
  return {
    ...common(entry),
    kind: entry.isSavepoint ? 'SAVEPOINT' : 'CHECKPOINT',
    source: entry.isSavepoint ? 'EXTERNAL' : 'SYSTEM',
    status: 'Present',
    reason: 'COMPLETED',
    completedAt: instant(entry.latestAckAt ?? entry.triggeredAt + (entry.durationMs ?? 0)),
    failedAt: null,
    location: location && formatLocation(location),
    locationKey: location && locationKey(location),
    failureCode: null,
    failureMessage: null,
    discarded: entry.discarded,
    ownSnapshotId: location && entry.isSavepoint ? ownSnapshotId(location) : null,
  }
}

function failed(entry: CheckpointEntry, { exceptions }: ReportContext): ObservedSnapshot {
  const text = entry.failureMessage ?? ''
  const since = exceptions.filter(({ at }) => at >= entry.triggeredAt - EXCEPTION_SLACK_MS)
  const { code, message } = classifyFailure({ className: '', text }, { exceptionsSince: since })
  const expired = EXPIRED.test(text)
  return {
    ...common(entry),
    kind: 'CHECKPOINT',
    source: 'SYSTEM',
    status: expired ? 'Timeout' : 'Failed',
    reason: expired ? 'CHECKPOINT_EXPIRED' : code,
    completedAt: null,
    failedAt: instant(entry.failedAt ?? entry.triggeredAt),
    location: null,
    locationKey: null,
    failureCode: expired ? 'CHECKPOINT_EXPIRED' : code,
    failureMessage: message,
    discarded: false,
    ownSnapshotId: null,
  }
}

const common = (entry: CheckpointEntry) => ({
  flinkCheckpointId: entry.id,
  checkpointType: entry.checkpointType,
  format: entry.format,
  // Flink does not say it of one checkpoint; one that uploaded less than it holds shares the rest with older ones.
  incremental:
    !entry.isSavepoint &&
    entry.uploadedBytes !== null &&
    entry.stateSizeBytes !== null &&
    entry.uploadedBytes < entry.stateSizeBytes
      ? true
      : null,
  triggeredAt: instant(entry.triggeredAt),
  durationMs: entry.durationMs,
  sizeBytes: entry.stateSizeBytes,
  uploadedBytes: entry.uploadedBytes,
})

/**
 * What a run began from. `latest.restored` also shows the checkpoint a failover went back to: one below the run's own
 * `<checkpoint dir>/<flinkJobId>` is the run's origin only while it has completed none of its own.
 */
function originOf({ latest, counts }: CheckpointStatistics, context: ReportContext): RestoredFrom | null {
  if (!latest.restored) return null
  const location = latest.restored.externalPath === null ? null : readPath(latest.restored.externalPath)
  const own = location === null || isOwnCheckpoint(location, context.flinkJobId)
  if (own && (counts.completed > 0 || context.completedCheckpoints > 0)) return null
  return {
    flinkCheckpointId: latest.restored.id,
    location: location && formatLocation(location),
    locationKey: location && locationKey(location),
  }
}

/** `…/<flinkJobId>/chk-N` (RT/state/filesystem/AbstractFsCheckpointStorageAccess). */
export function isOwnCheckpoint(location: Location, flinkJobId: string): boolean {
  const [parent, name] = location.segments.slice(-2)
  return parent === flinkJobId && name !== undefined && /^chk-\d+$/.test(name)
}

/** `…/savepoints/<snapshotId>/<attempt>/savepoint-…`: how `attemptDirectory` lays out what we ask for. */
function ownSnapshotId(location: Location): string | null {
  const [folder, id, attempt] = location.segments.slice(-4)
  return folder === 'savepoints' && id !== undefined && isUuidShaped(id) && /^\d+$/.test(attempt ?? '')
    ? id
    : null
}

/** A path that is not one of ours to understand (a custom storage) is kept as not addressable. */
function readPath(path: string): Location | null {
  try {
    return snapshotDirectory(parseLocation(path))
  } catch {
    return null
  }
}

const instant = (ms: number): string => new Date(Math.min(Math.max(ms, 0), 8.64e15)).toISOString()

// ------------------------------------------------------------------------------------------------- restarts

export type RestartEvidence = {
  /** `latest.restored` of the statistics after the restart. */
  restored: { id: number; externalPath: string | null } | null
  declaredVersion: number | null
}

export type RestartedRun = {
  flinkJobId: string
  declaredVersion: number | null
  /** Ids and places of the snapshots this run is known to have completed, the newest ones. */
  snapshots: readonly { flinkCheckpointId: number; locationKey: string | null }[]
  /** This process saw the run's statistics moments ago: a newer checkpoint can only be its own, seen by nobody. */
  watched: boolean
}

/**
 * Whether a job that lives on under the same Flink job id with another `start-time` is the same run: only if it went back
 * to a checkpoint of that run and declares the same version (`product.md` §2). In application mode with high availability
 * a job that is cancelled and started again has the same id too, and counts its checkpoints from 1.
 */
export function isSameRun(run: RestartedRun, { restored, declaredVersion }: RestartEvidence): boolean {
  if (!restored || declaredVersion !== run.declaredVersion) return false
  const location = restored.externalPath === null ? null : readPath(restored.externalPath)
  const key = location && locationKey(location)
  const known = run.snapshots.some(
    (snapshot) =>
      snapshot.flinkCheckpointId === restored.id && (key === null || snapshot.locationKey === key),
  )
  if (known) return true
  const newest = Math.max(0, ...run.snapshots.map((snapshot) => snapshot.flinkCheckpointId))
  const beside = run.snapshots.map((snapshot) => snapshot.locationKey).find((each) => each !== null)
  return (
    run.watched &&
    restored.id > newest &&
    location !== null &&
    (isOwnCheckpoint(location, run.flinkJobId) || isSibling(location, beside ?? null))
  )
}

/**
 * The same of a job that we started: nobody else can start its Flink job id, so what it declares does not count and its own
 * checkpoints are known by their place. One that had none yet begins again from what it was started from, or empty
 * (RT/dispatcher: the job graph that high availability keeps names it). One that had some and does not go back to them
 * counts its checkpoints anew, and ids compare only within a run: another one.
 */
export function isSameStartedRun(
  run: Omit<RestartedRun, 'declaredVersion' | 'watched'> & { startedFromKey: string | null },
  restored: RestartEvidence['restored'],
): boolean {
  if (!restored) return run.snapshots.length === 0
  const location = restored.externalPath === null ? null : readPath(restored.externalPath)
  if (location === null) {
    const isKnown = run.snapshots.some((snapshot) => snapshot.flinkCheckpointId === restored.id)
    return isKnown || run.snapshots.length === 0
  }
  const key = locationKey(location)
  if (isOwnCheckpoint(location, run.flinkJobId)) return true
  if (run.snapshots.some((snapshot) => snapshot.locationKey === key)) return true
  const beside = run.snapshots.map((snapshot) => snapshot.locationKey).find((each) => each !== null)
  if (isSibling(location, beside ?? null)) return true
  return run.snapshots.length === 0 && key === run.startedFromKey
}

/** With `create-subdir: false` checkpoints lie right below the root: then beside one another. */
function isSibling(location: Location, otherKey: string | null): boolean {
  if (otherKey === null) return false
  const parent = { ...location, segments: location.segments.slice(0, -1) }
  return isInside(parent, parseLocation(otherKey)) && /^chk-\d+$/.test(location.segments.at(-1) ?? '')
}
