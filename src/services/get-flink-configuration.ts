import { fillDefaults, readSettings, startToStartMs } from '../domain/checkpoint-settings.ts'
import { renderFlinkConfiguration } from '../domain/flink-configuration.ts'
import { readFlinkVersion } from '../domain/flink-settings.ts'
import type { ClusterRepository, JobRepository } from '../ports/resources.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { refusePlace } from './check-input.ts'
import { findCluster, findJob } from './find-resource.ts'
import { findJobVersion } from './get-job-version.ts'

type Ports = {
  jobs: Pick<JobRepository, 'find' | 'findVersion'>
  clusters: Pick<ClusterRepository, 'find'>
}

export const getFlinkConfiguration =
  ({ jobs, clusters }: Ports): Services['getFlinkConfiguration'] =>
  async ({ caller, job: reference, number, flinkVersion, checkpointDurationMs }) => {
    const scope = scopeOf(caller)
    const job = await findJob(jobs, scope, reference)
    const version = await findJobVersion(jobs, scope, job, number)
    const name = flinkVersion ?? (await findCluster(clusters, scope, job.cluster.id)).flinkVersion
    if (name === null) {
      const detail = `the Flink version of cluster ${job.cluster.name} is not known, it was never reached: say which one you mean`
      return refusePlace('/query/flinkVersion', detail)
    }
    const numbers = readFlinkVersion(name)
    if (numbers === null) return refusePlace('/query/flinkVersion', `${name} is not a Flink version`)
    const { checkpointing } = fillDefaults(readSettings(version))
    const { effectiveIntervalMs } = checkpointing
    return {
      flinkVersion: name,
      ...renderFlinkConfiguration(version, numbers),
      effectiveIntervalMs,
      startToStartMs:
        effectiveIntervalMs === null || checkpointDurationMs === undefined
          ? null
          : startToStartMs({ ...checkpointing, intervalMs: effectiveIntervalMs }, checkpointDurationMs),
    }
  }
