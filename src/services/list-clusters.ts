import type { ClusterRepository } from '../ports/resources.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { toPage, toPageRequest } from './list-page.ts'

export const listClusters =
  ({ clusters }: { clusters: Pick<ClusterRepository, 'list'> }): Services['listClusters'] =>
  async (query) =>
    toPage(await clusters.list(scopeOf(query.caller), toPageRequest(query)))
