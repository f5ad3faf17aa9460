import type { ClusterRepository } from '../ports/resources.ts'
import type { Services } from './api.ts'
import { atVersion, refuseInUse } from './at-version.ts'
import { scopeOf } from './caller.ts'
import { findCluster } from './find-resource.ts'

type Ports = { clusters: Pick<ClusterRepository, 'find' | 'remove'> }

export const deleteCluster =
  ({ clusters }: Ports): Services['deleteCluster'] =>
  async ({ caller, cluster, ifMatch }) => {
    const scope = scopeOf(caller)
    await atVersion(
      ifMatch,
      () => findCluster(clusters, scope, cluster),
      async (row) => refuseInUse('cluster', await clusters.remove(scope, row.id, row.etag)),
    )
  }
