import type { SnapshotRepository } from '../ports/snapshots.ts'
import type { Services } from './api.ts'
import { getSnapshot } from './get-snapshot.ts'

export const listTransitions =
  (ports: { snapshots: SnapshotRepository }): Services['listTransitions'] =>
  async ({ caller, snapshot }) => {
    const { id } = await getSnapshot(ports)({ caller, snapshot })
    return { items: await ports.snapshots.listTransitions(caller, id) }
  }
