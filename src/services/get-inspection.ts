import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { type GetSnapshotPorts, getSnapshot } from './get-snapshot.ts'
import { type ReadInspectionPorts, readInspection } from './read-inspection.ts'

export const getInspection =
  (ports: ReadInspectionPorts & GetSnapshotPorts): Services['getInspection'] =>
  async (query) => {
    const snapshot = await getSnapshot(ports)(query)
    const { inspection } = await readInspection(ports, scopeOf(query.caller), snapshot)
    const { summary, ...kept } = inspection
    return { snapshot: snapshot.id, location: snapshot.location ?? '', ...summary, ...kept }
  }
