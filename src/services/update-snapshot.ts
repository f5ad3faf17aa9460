import { DomainError } from '../domain/errors.ts'
import type { SnapshotRepository } from '../ports/snapshots.ts'
import type { Services } from './api.ts'
import { getSnapshot } from './get-snapshot.ts'

export const updateSnapshot =
  (ports: { snapshots: SnapshotRepository }): Services['updateSnapshot'] =>
  async ({ caller, snapshot, ifMatch, changes }) => {
    const read = () => getSnapshot(ports)({ caller, snapshot })
    await read()
    const changed = await ports.snapshots.update(caller, snapshot, ifMatch ?? null, changes)
    if (!changed)
      throw new DomainError('PRECONDITION_FAILED', 'The snapshot has changed since; read it again.')
    return read()
  }
