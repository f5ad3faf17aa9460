/**
 * Attaches every live Flink job of a cluster whose name matches a pattern and that nobody follows yet. It may be repeated:
 * what is attached is skipped then, and of two calls at once the database lets one attach each job. Observing is all that
 * follows, so an observe-only cluster is attached like any other.
 */
import { planAttach, type SkippedFlinkJob } from '../domain/attach-plan.ts'
import { compileGlob } from '../domain/glob.ts'
import type { FlinkConnections } from '../ports/flink.ts'
import type { ClusterRepository, JobRepository, StorageRepository } from '../ports/resources.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { askCluster } from './cluster-errors.ts'
import { findCluster, findStorage } from './find-resource.ts'

type Ports = {
  clusters: Pick<ClusterRepository, 'find'>
  storages: Pick<StorageRepository, 'find'>
  jobs: Pick<JobRepository, 'findFollowers' | 'attachByName'>
  flink: Pick<FlinkConnections, 'to'>
  newId: () => string
}

const MAX_ATTACHED = 500
const MAX_SKIPPED_SHOWN = 1000
const DEFAULT_TIMEOUT_SECONDS = 30 * 60

export const attachFlinkJobs =
  ({ clusters, storages, jobs, flink, newId }: Ports): Services['attachFlinkJobs'] =>
  async ({ caller, cluster, namePattern, dryRun = false, ...input }) => {
    const scope = scopeOf(caller)
    const { id: clusterId, address } = await findCluster(clusters, scope, cluster)
    const storage = await findStorage(storages, scope, input.savepointStorage, 'REFERENCE_NOT_FOUND')
    const flinkJobs = await askCluster(() => flink.to(address).listJobs())
    const followers = await jobs.findFollowers(scope, clusterId, flinkJobs)
    const plan = planAttach(flinkJobs, compileGlob(namePattern), followers)

    const candidates = plan.attach.slice(0, MAX_ATTACHED).map((each) => ({ ...each, id: newId() }))
    const values = {
      clusterId,
      savepointStorageId: storage.id,
      savepointTimeoutSeconds: input.savepointTimeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS,
      labels: input.labels ?? {},
    }
    const attached =
      candidates.length === 0 ? [] : await jobs.attachByName(scope, values, candidates, !dryRun)

    const done = new Set(attached.map(({ flinkJobName }) => flinkJobName))
    const lost = candidates.filter(({ flinkJobName }) => !done.has(flinkJobName))
    const skipped = [
      ...plan.skipped,
      ...(await describeLost(lost, () => jobs.findFollowers(scope, clusterId, flinkJobs))),
    ]
    return {
      dryRun,
      attached: attached.map(({ id, name, flinkJobName }) => ({
        flinkJobName,
        job: { id: dryRun ? null : id, name },
      })),
      skipped: skipped.slice(0, MAX_SKIPPED_SHOWN),
      counts: {
        matched: plan.attach.length + plan.skipped.length,
        attached: attached.length,
        skipped: skipped.length,
        left: plan.attach.length - candidates.length,
      },
    }
  }

/** Somebody else attached them between our look and our insert. */
async function describeLost(
  lost: readonly { flinkJobName: string }[],
  findFollowers: () => ReturnType<Ports['jobs']['findFollowers']>,
): Promise<SkippedFlinkJob[]> {
  if (lost.length === 0) return []
  const { byName } = await findFollowers()
  return lost.map(({ flinkJobName }) => ({
    flinkJobName,
    reason: 'ALREADY_ATTACHED',
    job: byName.get(flinkJobName) ?? null,
  }))
}
