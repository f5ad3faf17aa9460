import type { InspectionRepository } from '../ports/inspections.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { type GetSnapshotPorts, getSnapshot } from './get-snapshot.ts'
import { toPage, toPageRequest } from './list-page.ts'
import { checkReadable, type ReadInspectionPorts, readInspection } from './read-inspection.ts'

type Ports = ReadInspectionPorts &
  GetSnapshotPorts & { inspections: Pick<InspectionRepository, 'find' | 'save' | 'listFiles'> }

/** The first page reads what nobody has read yet; the others go on in what is kept, so that no page is of another reading. */
export const listSnapshotFiles =
  (ports: Ports): Services['listSnapshotFiles'] =>
  async ({ caller, snapshot: id, ...query }) => {
    const scope = scopeOf(caller)
    const page = toPageRequest(query)
    const snapshot = await getSnapshot(ports)({ caller, snapshot: id })
    if (page.after === null) await readInspection(ports, scope, snapshot)
    else checkReadable(snapshot)
    return toPage(await ports.inspections.listFiles(scope, snapshot.id, page))
  }
