import { parseLabels } from '../domain/labels.ts'
import type { ClusterRepository, JobRepository } from '../ports/resources.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { findCluster } from './find-resource.ts'
import { toPage, toPageRequest } from './list-page.ts'

type Ports = { jobs: Pick<JobRepository, 'list'>; clusters: Pick<ClusterRepository, 'find'> }

export const listJobs =
  ({ jobs, clusters }: Ports): Services['listJobs'] =>
  async (query) => {
    const scope = scopeOf(query.caller)
    const filter = {
      ...(query.label === undefined ? {} : { labels: parseLabels(query.label) }),
      ...(query.cluster === undefined
        ? {}
        : { clusterId: (await findCluster(clusters, scope, query.cluster, 'REFERENCE_NOT_FOUND')).id }),
    }
    return toPage(await jobs.list(scope, toPageRequest(query), filter))
  }
