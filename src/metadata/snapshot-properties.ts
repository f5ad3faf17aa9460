import type { SnapshotProperties } from './model.ts'

export type SavepointFormat = 'CANONICAL' | 'NATIVE'
/** What the job does after the savepoint: goes on, stops, or stops having drained its sources. */
export type PostCheckpointAction = 'NONE' | 'SUSPEND' | 'TERMINATE'

const TYPE_NAMES: Record<PostCheckpointAction, string> = {
  NONE: 'Savepoint',
  SUSPEND: 'Suspend Savepoint',
  TERMINATE: 'Terminate Savepoint',
}

/** `forced` is how Flink marks savepoints of jobs without unaligned checkpoints. */
export function savepointProperties(
  format: SavepointFormat,
  action: PostCheckpointAction,
): SnapshotProperties {
  return {
    kind: 'savepoint',
    typeName: TYPE_NAMES[action],
    formatType: format,
    postCheckpointAction: action,
    sharingFilesStrategy: null,
    forced: true,
    discardSubsumed: false,
    discardFinished: false,
    discardCancelled: false,
    discardFailed: false,
    discardSuspended: false,
    unclaimed: false,
  }
}

/** A checkpoint under RETAIN_ON_CANCELLATION: Flink deletes it only when it is subsumed or the job finishes. */
export function retainedCheckpointProperties(): SnapshotProperties {
  return {
    kind: 'checkpoint',
    typeName: 'Checkpoint',
    formatType: null,
    postCheckpointAction: null,
    sharingFilesStrategy: 'FORWARD_BACKWARD',
    forced: false,
    discardSubsumed: true,
    discardFinished: true,
    discardCancelled: false,
    discardFailed: false,
    discardSuspended: false,
    unclaimed: false,
  }
}
