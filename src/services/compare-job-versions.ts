import { renderFlinkConfiguration } from '../domain/flink-configuration.ts'
import { type FlinkVersion, readFlinkVersion } from '../domain/flink-settings.ts'
import { diffConfigurations, diffVersions } from '../domain/version-diff.ts'
import type { ClusterRepository, JobRepository } from '../ports/resources.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { refusePlace } from './check-input.ts'
import { findCluster, findJob } from './find-resource.ts'
import { findJobVersion } from './get-job-version.ts'
import { showVersion } from './show-version.ts'

type Ports = {
  jobs: Pick<JobRepository, 'find' | 'findVersion'>
  clusters: Pick<ClusterRepository, 'find'>
}

/** For a cluster never reached: what changed does not hang on how the keys are called. */
const NEW_NAMES: FlinkVersion = [1, 20]

export const compareJobVersions =
  ({ jobs, clusters }: Ports): Services['compareJobVersions'] =>
  async ({ caller, job: reference, number, other, flinkVersion }) => {
    const scope = scopeOf(caller)
    const job = await findJob(jobs, scope, reference)
    const before = showVersion(await findJobVersion(jobs, scope, job, number))
    const after = showVersion(await findJobVersion(jobs, scope, job, other))
    const name = flinkVersion ?? (await findCluster(clusters, scope, job.cluster.id)).flinkVersion
    const numbers = name === null ? NEW_NAMES : readFlinkVersion(name)
    if (numbers === null) return refusePlace('/query/flinkVersion', `${name} is not a Flink version`)
    const left = renderFlinkConfiguration(before, numbers)
    const right = renderFlinkConfiguration(after, numbers)
    return {
      flinkVersion: name,
      changes: diffVersions(before, after),
      configuration: diffConfigurations(left.configuration, right.configuration),
    }
  }
