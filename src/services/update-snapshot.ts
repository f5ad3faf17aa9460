import { DomainError } from '../domain/errors.ts'
import type { Snapshot } from '../domain/snapshot.ts'
import type { SnapshotRepository } from '../ports/snapshots.ts'
import type { Services } from './api.ts'
import { getSnapshot } from './get-snapshot.ts'

export const updateSnapshot =
  (ports: { snapshots: SnapshotRepository }): Services['updateSnapshot'] =>
  async ({ caller, snapshot, ifMatch, changes }) => {
    const read = () => getSnapshot(ports)({ caller, snapshot })
    checkExpiry(await read(), changes.expiresAt)
    const changed = await ports.snapshots.update(caller, snapshot, ifMatch ?? null, changes)
    if (!changed)
      throw new DomainError('PRECONDITION_FAILED', 'The snapshot has changed since; read it again.')
    return read()
  }

/** What has passed cannot be asked for; to send back what is there already is no new request. */
function checkExpiry({ kind, expiresAt: now }: Snapshot, expiresAt: string | null | undefined): void {
  if (expiresAt === undefined || expiresAt === null || expiresAt === now) return
  const refuse = (message: string, detail: string) => {
    throw new DomainError('VALIDATION_FAILED', message, { errors: [{ pointer: '/body/expiresAt', detail }] })
  }
  if (kind === 'CHECKPOINT') refuse("A checkpoint is Flink's: it does not expire.", 'is for savepoints only')
  if (Date.parse(expiresAt) <= Date.now()) refuse('expiresAt lies in the past.', 'must be in the future')
}
