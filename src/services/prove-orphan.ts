/**
 * Proves, at the moment something is to be deleted, that a directory still is an orphan: of the shape of our savepoints,
 * listed again to its end, with no `_metadata` and nothing younger than a day, no row that needs it and no run that may have
 * built on it.
 */
import { addToUnit, judgeUnit, type Unit, unitOf } from '../domain/audit.ts'
import { isInside, locationKey, parseLocation, relativeSegments } from '../domain/location.ts'
import type { OrphanRepository } from '../ports/audits.ts'
import type { ClearingWork, ClearingWorkRepository } from '../ports/clearing.ts'
import type { ObjectStores } from '../ports/storage.ts'
import { listPages } from './list-pages.ts'

export type ProveOrphanPorts = {
  orphans: OrphanRepository
  stores: Pick<ObjectStores, 'of'>
  clearingWork: Pick<ClearingWorkRepository, 'renew'>
}

/** It stays, and nobody asks again: the next audit says what it is. */
export class NoOrphan extends Error {
  readonly code: 'SNAPSHOT_IN_USE' | 'CLEARING_NOT_ENABLED'
  constructor(code: NoOrphan['code'], message: string) {
    super(message)
    this.name = 'NoOrphan'
    this.code = code
  }
}

/** Throws NoOrphan. What is listed after this moment by the clearing itself lies below the same directory. */
export async function proveOrphan(
  work: ClearingWork,
  { orphans, stores, clearingWork }: ProveOrphanPorts,
): Promise<void> {
  const { storage, prefix } = work
  if (storage === null || prefix === null) throw noOrphan('Its storage, or its directory, is not known.')
  const directory = parseLocation(prefix)
  if (!isInside(storage.root, directory)) throw noOrphan('It does not lie below the root of its storage.')
  const segments = relativeSegments(storage.root, directory)
  const place = unitOf([...segments, 'file'], work.namespace)
  if (place.shape !== 'ATTEMPT' || place.snapshotId === null || place.segments.length !== segments.length) {
    throw noOrphan('It is no directory that was made for a savepoint of this namespace.')
  }
  const { facts, clearCheckpoints, now } = await orphans.readOrphan(work, {
    clearingId: work.id,
    key: locationKey(directory),
    snapshotId: place.snapshotId,
  })
  if (!clearCheckpoints) {
    throw new NoOrphan('CLEARING_NOT_ENABLED', 'The storage does not say `clearCheckpoints: true` any more.')
  }
  let unit: Unit | null = null
  for await (const { objects } of listPages(stores.of(storage), directory)) {
    for (const { location, sizeBytes, modifiedAt } of objects) {
      unit = addToUnit(unit, place, { segments: location.segments, sizeBytes, modifiedAt })
    }
    if (!(await clearingWork.renew(work))) return
  }
  // an empty one holds nothing that could be lost
  if (unit === null) return
  const { finding } = judgeUnit(unit, facts, now)
  if (finding?.kind === 'ORPHAN') return
  throw noOrphan(
    finding?.kind === 'UNREGISTERED'
      ? 'It holds a `_metadata` by now: somebody may restore it.'
      : 'A snapshot needs it, a run may have built on it, or something in it is younger than 24 hours.',
  )
}

const noOrphan = (message: string): NoOrphan =>
  new NoOrphan('SNAPSHOT_IN_USE', `It is no orphan any more. ${message}`)
