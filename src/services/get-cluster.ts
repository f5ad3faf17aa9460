import type { ClusterRepository } from '../ports/resources.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { findCluster, showCluster } from './find-resource.ts'

export const getCluster =
  ({ clusters }: { clusters: Pick<ClusterRepository, 'find'> }): Services['getCluster'] =>
  async ({ caller, cluster }) =>
    showCluster(await findCluster(clusters, scopeOf(caller), cluster))
