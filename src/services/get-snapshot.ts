import { DomainError } from '../domain/errors.ts'
import type { SnapshotRepository } from '../ports/snapshots.ts'
import type { Services } from './api.ts'

export type GetSnapshotPorts = { snapshots: Pick<SnapshotRepository, 'find'> }

export const getSnapshot =
  (ports: GetSnapshotPorts): Services['getSnapshot'] =>
  async ({ caller, snapshot }) => {
    const found = await ports.snapshots.find(caller, snapshot)
    if (!found) throw new DomainError('NOT_FOUND', `There is no snapshot ${snapshot}.`)
    return found
  }
