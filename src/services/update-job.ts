import type { ClusterRepository, JobRepository, StorageRepository } from '../ports/resources.ts'
import type { Scope } from '../ports/scope.ts'
import type { JobInput, Services } from './api.ts'
import { atVersion } from './at-version.ts'
import { scopeOf } from './caller.ts'
import { findCluster, findJob, findStorage } from './find-resource.ts'
import { checkJob } from './job-input.ts'

type Ports = {
  jobs: Pick<JobRepository, 'find' | 'update'>
  clusters: Pick<ClusterRepository, 'find'>
  storages: Pick<StorageRepository, 'find'>
}

export const updateJob =
  (ports: Ports): Services['updateJob'] =>
  async ({ caller, job, ifMatch, changes }) => {
    const scope = scopeOf(caller)
    checkJob(changes)
    await findJob(ports.jobs, scope, job) // a job that is not there is told before a reference that is not
    const values = await resolveReferences(ports, scope, changes)
    const id = await atVersion(
      ifMatch,
      () => findJob(ports.jobs, scope, job),
      async (row) => ((await ports.jobs.update(scope, row.id, row.etag, values)) ? row.id : 'stale'),
    )
    return findJob(ports.jobs, scope, id)
  }

async function resolveReferences(
  { clusters, storages }: Ports,
  scope: Scope,
  { cluster, savepointStorage, ...values }: Partial<Omit<JobInput, 'name'>>,
) {
  return {
    ...values,
    ...(cluster === undefined
      ? {}
      : { clusterId: (await findCluster(clusters, scope, cluster, 'REFERENCE_NOT_FOUND')).id }),
    ...(savepointStorage === undefined
      ? {}
      : {
          savepointStorageId: (await findStorage(storages, scope, savepointStorage, 'REFERENCE_NOT_FOUND'))
            .id,
        }),
  }
}
