/** What runs on a cluster now, asked of Flink with one call, and which of our jobs follows what. */
import type { Followers } from '../domain/attach-plan.ts'
import { type FlinkJob, isTerminal } from '../domain/flink.ts'
import type { FlinkConnections } from '../ports/flink.ts'
import type { ClusterRepository, JobRepository } from '../ports/resources.ts'
import type { FlinkJobItem, Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { askCluster } from './cluster-errors.ts'
import { findCluster } from './find-resource.ts'

type Ports = {
  clusters: Pick<ClusterRepository, 'find'>
  jobs: Pick<JobRepository, 'findFollowers'>
  flink: Pick<FlinkConnections, 'to'>
}

const MAX_ITEMS = 1000

export const listFlinkJobs =
  ({ clusters, jobs, flink }: Ports): Services['listFlinkJobs'] =>
  async ({ caller, cluster }) => {
    const scope = scopeOf(caller)
    const { id, address } = await findCluster(clusters, scope, cluster)
    const all = await askCluster(() => flink.to(address).listJobs())
    const shown = all.toSorted(liveFirstThenNewest).slice(0, MAX_ITEMS)
    const followers = await jobs.findFollowers(scope, id, shown)
    const liveNames = countLiveNames(all)
    return {
      items: shown.map((job) => toItem(job, followers, liveNames)),
      truncated: all.length > MAX_ITEMS,
    }
  }

const liveFirstThenNewest = (one: FlinkJob, other: FlinkJob): number =>
  Number(isTerminal(one.state)) - Number(isTerminal(other.state)) ||
  other.startTime - one.startTime ||
  (one.flinkJobId < other.flinkJobId ? -1 : 1)

function countLiveNames(flinkJobs: readonly FlinkJob[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { name, state } of flinkJobs) {
    if (!isTerminal(state)) counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return counts
}

const toItem = (
  { flinkJobId, name, state, startTime, endTime, allTasksRunning }: FlinkJob,
  { byId, byName }: Followers,
  liveNames: ReadonlyMap<string, number>,
): FlinkJobItem => ({
  flinkJobId,
  name,
  state,
  startTime: toInstant(startTime),
  endTime: toInstant(endTime),
  allTasksRunning,
  job: byId.get(flinkJobId) ?? byName.get(name) ?? null,
  ambiguous: !isTerminal(state) && (liveNames.get(name) ?? 0) > 1,
})

/** Flink writes -1 for what is not yet; what no calendar has is not known either. */
function toInstant(ms: number | null): string | null {
  if (ms === null || ms <= 0 || ms > MAX_INSTANT_MS) return null
  return new Date(ms).toISOString()
}

/** The end of the year 9999. */
const MAX_INSTANT_MS = Date.UTC(10_000, 0) - 1
