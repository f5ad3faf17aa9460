/** The status of a snapshot lives in this one table; the database refuses the same moves by a trigger. */
export const SNAPSHOT_STATUSES = ['Creating', 'Present', 'Clearing', 'Cleared', 'Timeout', 'Failed'] as const
export type SnapshotStatus = (typeof SNAPSHOT_STATUSES)[number]

const NEXT: Record<SnapshotStatus, readonly SnapshotStatus[]> = {
  Creating: ['Present', 'Timeout', 'Failed'],
  Timeout: ['Present', 'Failed', 'Clearing'], // Present: it completed after our deadline
  Present: ['Clearing', 'Cleared'], // Cleared at once: Flink subsumed it, or it is lost
  Failed: ['Clearing'],
  Clearing: ['Cleared'],
  Cleared: [],
}

export const canMove = (from: SnapshotStatus, to: SnapshotStatus): boolean => NEXT[from].includes(to)

/** The statuses a snapshot may leave to become `to`: the guard of every update. */
export const statusesBefore = (to: SnapshotStatus): SnapshotStatus[] =>
  SNAPSHOT_STATUSES.filter((status) => canMove(status, to))
