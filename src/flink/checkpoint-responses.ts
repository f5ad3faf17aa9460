/** Checkpoint statistics and settings as Flink 1.15 … 2.3 answers them (`flink-rest-api.md` §3). */
import { type Static, Type } from 'typebox'
import type { CheckpointConfig, CheckpointEntry, CheckpointStatistics } from '../domain/flink.ts'
import { SAVEPOINT_FORMATS } from '../domain/snapshot.ts'
import { shortenTrace } from '../domain/stack-trace.ts'
import { countOf, maybe, type Reader, reader, textOf } from './shape.ts'

/** REST/messages/checkpoints/CheckpointStatistics. `savepointFormat` since 1.17, `checkpointed_size` since 1.15. */
const Entry = Type.Object({
  id: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  status: Type.Union([Type.Literal('IN_PROGRESS'), Type.Literal('COMPLETED'), Type.Literal('FAILED')]),
  is_savepoint: Type.Boolean(),
  savepointFormat: maybe(Type.String()),
  checkpoint_type: maybe(Type.String({ maxLength: 64 })),
  trigger_timestamp: Type.Number(),
  latest_ack_timestamp: maybe(Type.Number()),
  state_size: maybe(Type.Number()),
  checkpointed_size: maybe(Type.Number()),
  end_to_end_duration: maybe(Type.Number()),
  external_path: maybe(Type.String({ maxLength: 4_096 })),
  discarded: maybe(Type.Boolean()),
  failure_timestamp: maybe(Type.Number()),
  failure_message: maybe(Type.String()),
})
const Restored = Type.Object({
  id: Type.Integer(),
  restore_timestamp: Type.Number(),
  external_path: maybe(Type.String({ maxLength: 4_096 })),
})
const Count = maybe(Type.Number())
const Statistics = Type.Object({
  counts: Type.Object({ restored: Count, total: Count, in_progress: Count, completed: Count, failed: Count }),
  latest: maybe(
    Type.Object({
      completed: maybe(Entry),
      savepoint: maybe(Entry),
      failed: maybe(Entry),
      restored: maybe(Restored),
    }),
  ),
  history: maybe(Type.Array(Entry)),
})

export const readCheckpointStatistics: Reader<CheckpointStatistics> = reader(
  Statistics,
  ({ counts, latest, history }) => ({
    counts: {
      restored: countOf(counts.restored) ?? 0,
      total: countOf(counts.total) ?? 0,
      inProgress: countOf(counts.in_progress) ?? 0,
      completed: countOf(counts.completed) ?? 0,
      failed: countOf(counts.failed) ?? 0,
    },
    latest: {
      completed: toEntryOrNull(latest?.completed),
      savepoint: toEntryOrNull(latest?.savepoint),
      failed: toEntryOrNull(latest?.failed),
      restored: toRestored(latest?.restored),
    },
    history: (history ?? []).map(toEntry),
  }),
)

const toEntryOrNull = (entry: Static<typeof Entry> | null | undefined): CheckpointEntry | null =>
  entry ? toEntry(entry) : null

function toEntry(entry: Static<typeof Entry>): CheckpointEntry {
  return {
    id: entry.id,
    status: entry.status,
    isSavepoint: entry.is_savepoint,
    format: SAVEPOINT_FORMATS.find((format) => format === entry.savepointFormat) ?? null,
    checkpointType: entry.checkpoint_type ?? (entry.is_savepoint ? 'SAVEPOINT' : 'CHECKPOINT'),
    triggeredAt: entry.trigger_timestamp,
    latestAckAt: countOf(entry.latest_ack_timestamp),
    stateSizeBytes: countOf(entry.state_size),
    uploadedBytes: countOf(entry.checkpointed_size),
    durationMs: countOf(entry.end_to_end_duration),
    externalPath: toPath(entry.external_path),
    discarded: entry.discarded === true,
    failedAt: countOf(entry.failure_timestamp),
    failureMessage: textOf(shortenTrace(entry.failure_message ?? '')),
  }
}

/** `is_savepoint` of it is not read: it tells the claim mode, not what was restored (the trap of §3). */
function toRestored(restored: Static<typeof Restored> | null | undefined) {
  if (!restored) return null
  return {
    id: restored.id,
    restoredAt: restored.restore_timestamp,
    externalPath: toPath(restored.external_path),
  }
}

/** `<checkpoint-not-externally-addressable>`: RT/state/memory/NonPersistentMetadataCheckpointStorageLocation */
function toPath(path: string | null | undefined): string | null {
  return path?.startsWith('<') ? null : textOf(path)
}

/** REST/messages/checkpoints/CheckpointConfigInfo, the same fields since 1.16. */
const Config = Type.Object({
  mode: Type.String({ maxLength: 64 }),
  interval: Type.Number(),
  timeout: Type.Number(),
  min_pause: Type.Number(),
  max_concurrent: Type.Number(),
  externalization: maybe(
    Type.Object({ enabled: Type.Boolean(), delete_on_cancellation: maybe(Type.Boolean()) }),
  ),
  state_backend: maybe(Type.String()),
  checkpoint_storage: maybe(Type.String()),
  unaligned_checkpoints: maybe(Type.Boolean()),
  tolerable_failed_checkpoints: maybe(Type.Number()),
})

export const readConfig: Reader<CheckpointConfig> = reader(Config, (config) => ({
  mode: config.mode,
  intervalMs: countOf(config.interval), // Long.MAX_VALUE: no periodic checkpoints
  timeoutMs: clamp(config.timeout),
  minPauseMs: clamp(config.min_pause),
  maxConcurrent: clamp(config.max_concurrent),
  externalized: {
    enabled: config.externalization?.enabled === true,
    deleteOnCancellation: config.externalization?.delete_on_cancellation === true,
  },
  stateBackend: textOf(config.state_backend),
  checkpointStorage: textOf(config.checkpoint_storage),
  unaligned: config.unaligned_checkpoints === true,
  tolerableFailures: countOf(config.tolerable_failed_checkpoints),
}))

const clamp = (value: number): number => Math.min(Math.max(Math.trunc(value), 0), Number.MAX_SAFE_INTEGER)
