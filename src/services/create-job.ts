import type { ClusterRepository, JobRepository, StorageRepository } from '../ports/resources.ts'
import type { SnapshotRepository } from '../ports/snapshots.ts'
import type { Services } from './api.ts'
import { idempotencyKeyOf, scopeOf } from './caller.ts'
import { checkName } from './check-input.ts'
import { readCreated } from './create-once.ts'
import { findCluster, findJob, findStorage } from './find-resource.ts'
import { checkJob } from './job-input.ts'

type Ports = {
  jobs: Pick<JobRepository, 'insert' | 'find'>
  clusters: Pick<ClusterRepository, 'find'>
  storages: Pick<StorageRepository, 'find'>
  /** Idempotency keys are one space for every kind of resource. */
  snapshots: Pick<SnapshotRepository, 'findIdempotent'>
  newId: () => string
}

const DEFAULT_TIMEOUT_SECONDS = 30 * 60

export const createJob =
  ({ jobs, clusters, storages, snapshots, newId }: Ports): Services['createJob'] =>
  async (command) => {
    const scope = scopeOf(command.caller)
    const key = idempotencyKeyOf(command)
    const id = newId()
    const read = (created: string) => findJob(jobs, scope, created)

    // Before the references: a repeated request is answered also when its cluster has been renamed or deleted since.
    const earlier = key && (await snapshots.findIdempotent(scope, key))
    if (earlier) return readCreated(earlier, id, read)

    checkName(command.name)
    checkJob(command)
    const cluster = await findCluster(clusters, scope, command.cluster, 'REFERENCE_NOT_FOUND')
    const storage = await findStorage(storages, scope, command.savepointStorage, 'REFERENCE_NOT_FOUND')
    const values = {
      name: command.name,
      clusterId: cluster.id,
      savepointStorageId: storage.id,
      attach: command.attach ?? null,
      allowStop: command.allowStop ?? false,
      savepointTimeoutSeconds: command.savepointTimeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS,
      labels: command.labels ?? {},
    }
    return readCreated(await jobs.insert(scope, id, values, key), id, read)
  }
