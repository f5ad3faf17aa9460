import type { ClusterRepository } from '../ports/resources.ts'
import type { Services } from './api.ts'
import { atVersion } from './at-version.ts'
import { scopeOf } from './caller.ts'
import { readClusterChanges } from './cluster-input.ts'
import { findCluster, showCluster } from './find-resource.ts'

type Ports = { clusters: Pick<ClusterRepository, 'find' | 'update'> }

export const updateCluster =
  ({ clusters }: Ports): Services['updateCluster'] =>
  async ({ caller, cluster, ifMatch, changes }) => {
    const scope = scopeOf(caller)
    const values = readClusterChanges(caller, changes)
    const id = await atVersion(
      ifMatch,
      () => findCluster(clusters, scope, cluster),
      async (row) => ((await clusters.update(scope, row.id, row.etag, values)) ? row.id : 'stale'),
    )
    return showCluster(await findCluster(clusters, scope, id))
  }
