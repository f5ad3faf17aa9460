/** Waits for a snapshot that is being cleared to be Cleared. */
import type { Services } from './api.ts'
import { type GetSnapshotPorts, getSnapshot } from './get-snapshot.ts'
import type { Waiters } from './waiters.ts'

export const waitForCleared =
  (ports: GetSnapshotPorts & { clearingWaiters: Waiters }): Services['waitForCleared'] =>
  async ({ caller, snapshot, waitSeconds, signal }) => {
    const read = () => getSnapshot(ports)({ caller, snapshot })
    const before = await read()
    if (before.status !== 'Clearing') return before
    await ports.clearingWaiters.wait(snapshot, waitSeconds * 1000, signal)
    return read()
  }
