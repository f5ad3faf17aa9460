/** Who needs a snapshot. Files are known of what was inspected only, and the answer says of what they are not. */

import { DomainError } from '../domain/errors.ts'
import { parseLocation, snapshotDirectory } from '../domain/location.ts'
import { listUses } from '../domain/references.ts'
import { folderKey } from '../domain/snapshot-files.ts'
import type { InspectionRepository, SnapshotNeedsRepository } from '../ports/inspections.ts'
import type { ReferenceRepository } from '../ports/runs.ts'
import type { Scope } from '../ports/scope.ts'
import type { Services, SnapshotReferences } from './api.ts'
import { scopeOf } from './caller.ts'
import { type GetSnapshotPorts, getSnapshot } from './get-snapshot.ts'

type FilePorts = {
  inspections: Pick<InspectionRepository, 'find' | 'listSharers' | 'listNeedersBelow'> &
    SnapshotNeedsRepository
}
type Ports = GetSnapshotPorts & FilePorts & { references: ReferenceRepository }

/** Of snapshots that share files or need them. */
const MOST_SHOWN = 50

export const listReferences =
  (ports: Ports): Services['listReferences'] =>
  async (query) => {
    const scope = scopeOf(query.caller)
    const snapshot = await getSnapshot(ports)(query)
    const facts = await ports.references.read(scope, snapshot.id)
    if (!facts) throw new DomainError('NOT_FOUND', `There is no snapshot ${snapshot.id}.`)
    const folder = readFolder(snapshot.location)
    const [needs, others, uninspected] = await Promise.all([
      readNeeds(ports, scope, snapshot.id, folder),
      folder === null ? [] : ports.inspections.listNeedersBelow(scope, folder, snapshot.id, MOST_SHOWN + 1),
      ports.inspections.countUninspected(scope, snapshot.id),
    ])
    return {
      inUseBy: listUses(facts),
      ...needs,
      neededBy: others.slice(0, MOST_SHOWN),
      neededByMore: others.length > MOST_SHOWN,
      uninspected,
    }
  }

/** Null for a place that is no location of ours: then nobody else's file can be told to lie below it. */
function readFolder(location: string | null): string | null {
  if (location === null) return null
  try {
    return folderKey(snapshotDirectory(parseLocation(location)))
  } catch (error) {
    if (error instanceof DomainError && error.code === 'LOCATION_INVALID') return null
    throw error
  }
}

type Needs = Pick<SnapshotReferences, 'filesKnown' | 'needs' | 'sharesWith' | 'sharesWithMore'>

async function readNeeds(
  { inspections }: FilePorts,
  scope: Scope,
  id: string,
  folder: string | null,
): Promise<Needs> {
  const kept = folder === null ? null : await inspections.find(scope, id)
  if (!kept || folder === null)
    return { filesKnown: false, needs: null, sharesWith: null, sharesWithMore: false }
  const [counts, sharers] = await Promise.all([
    inspections.countNeeds(scope, id, folder),
    inspections.listSharers(scope, id, MOST_SHOWN + 1),
  ])
  return {
    filesKnown: true,
    needs: {
      files: counts.files,
      outsideFolder: counts.outside,
      unplaced: counts.unplaced,
      selfContained: kept.summary.selfContained,
    },
    sharesWith: sharers.slice(0, MOST_SHOWN),
    sharesWithMore: sharers.length > MOST_SHOWN,
  }
}
