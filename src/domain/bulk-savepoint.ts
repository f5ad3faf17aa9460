/**
 * What to do next with a bulk savepoint. Items are taken up in the order of their positions, so the items in flight are
 * always the first open ones; an item holds its place from the moment it is marked RUNNING, before its savepoint is asked
 * for, until that savepoint has left Creating. So at most `maxParallel` are ever in flight, whoever does the work.
 */
import type { ErrorCode } from './errors.ts'
import type { ItemStatus, OperationStatus } from './operation.ts'
import type { SnapshotStatus } from './snapshot-status.ts'

export type ItemSnapshot = {
  id: string
  status: SnapshotStatus
  reason: string
  /** It has been complete, whatever became of it since. */
  completed: boolean
  /** What was found at its location, null when nobody could look. */
  verdict: string | null
  failure: { code: string; message: string } | null
}

/** An item that has not ended. RUNNING without a snapshot: its savepoint is to be asked for, or has been by a worker that died. */
export type OpenItem = {
  position: number
  job: { id: string; name: string }
  status: 'WAITING' | 'RUNNING'
  snapshot: ItemSnapshot | null
}

export type ItemEnd = {
  status: Exclude<ItemStatus, 'WAITING' | 'RUNNING'>
  failure: { code: string; message: string } | null
}

export type BulkStep = {
  /** Their snapshots have left Creating. */
  finish: { position: number; end: ItemEnd }[]
  /** WAITING items that may be taken up now. */
  takeUp: OpenItem[]
  /** RUNNING items whose savepoint is not known yet. */
  askAgain: OpenItem[]
}

/** How many open items, from the first on, a step must see: all in flight may end, and as many may follow. */
export const itemsToSee = (maxParallel: number): number => 2 * maxParallel

/** `open`: the first open items by position, at least `itemsToSee` unless there are fewer. */
export function planBulkStep(open: readonly OpenItem[], maxParallel: number): BulkStep {
  const running = open.filter(({ status }) => status === 'RUNNING')
  const finish = running.flatMap(({ position, snapshot }) =>
    snapshot && snapshot.status !== 'Creating' ? [{ position, end: endOf(snapshot) }] : [],
  )
  const free = Math.max(0, maxParallel - (running.length - finish.length))
  return {
    finish,
    takeUp: open.filter(({ status }) => status === 'WAITING').slice(0, free),
    askAgain: running.filter(({ snapshot }) => snapshot === null),
  }
}

function endOf({ id, status, reason, completed, verdict, failure }: ItemSnapshot): ItemEnd {
  if (completed && verdict === 'METADATA_MISSING') {
    const message = `Flink reported the savepoint ${id} complete, but its _metadata is not there.`
    return { status: 'FAILED', failure: { code: verdict, message } }
  }
  if (completed) return { status: 'DONE', failure: null }
  if (status === 'Timeout') {
    const message = `The savepoint ${id} did not complete in time; it is still watched and may complete late.`
    return { status: 'FAILED', failure: { code: reason, message } }
  }
  const why = failure ?? { code: reason, message: `The savepoint ${id} is ${status}.` }
  return { status: why.code === 'JOB_NOT_RUNNING' ? 'SKIPPED' : 'FAILED', failure: why }
}

/** What the refusal of a savepoint means for its item; null: not now, ask again. */
export function endOfRefusal(code: ErrorCode, message: string): ItemEnd | null {
  if (code === 'DATABASE_UNAVAILABLE' || code === 'OVERLOADED' || code === 'INTERNAL') return null
  // Nothing runs, or nobody knows the job any more: there was nothing to save.
  const nothingToSave = code === 'JOB_NOT_RUNNING' || code === 'NOT_FOUND'
  return { status: nothingToSave ? 'SKIPPED' : 'FAILED', failure: { code, message } }
}

/** Of an operation without open items. Skipped jobs have no savepoint either, so only DONE counts as success. */
export function endStatus(counts: {
  done: number
  failed: number
  skipped: number
}): Exclude<OperationStatus, 'RUNNING'> {
  if (counts.done === 0) return 'FAILED'
  return counts.failed + counts.skipped === 0 ? 'SUCCEEDED' : 'PARTIAL'
}
