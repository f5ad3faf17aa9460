/** Waits for a snapshot to be no longer Creating. */
import type { SnapshotRepository } from '../ports/snapshots.ts'
import type { Services } from './api.ts'
import { getSnapshot } from './get-snapshot.ts'
import type { Waiters } from './waiters.ts'

export const waitForSnapshot =
  (ports: { snapshots: SnapshotRepository; waiters: Waiters }): Services['waitForSnapshot'] =>
  async ({ caller, snapshot, waitSeconds, signal }) => {
    const read = () => getSnapshot(ports)({ caller, snapshot })
    const before = await read()
    if (before.status !== 'Creating') return before
    await ports.waiters.wait(snapshot, waitSeconds * 1000, signal)
    return read()
  }
