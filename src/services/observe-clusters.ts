/**
 * The observing half of a worker: keeps its heartbeat, takes clusters nobody polls, polls its own. A worker that was
 * silent for longer than its lease takes a new id: what it owned belongs to others now.
 */
import type { FollowedJob } from '../domain/run-observation.ts'
import type { ObservationRepository, ObservedCluster } from '../ports/observation.ts'
import type { Log } from '../ports/process.ts'
import type { ClusterObserver } from './observe-cluster.ts'

export type ObserveClustersPorts = {
  observations: ObservationRepository
  observe: ClusterObserver
  newId: () => string
  log: Log
  leaseMs: number
  /** Polls under way at once. */
  concurrency: number
}

export type ClusterWatch = {
  /** One round: heartbeat, claim, poll. Called again and again. */
  round(): Promise<void>
  /** Gives every cluster back at once. */
  close(): Promise<void>
}

export function createClusterWatch(ports: ObserveClustersPorts): ClusterWatch {
  let workerId: string | null = null
  /** A poll that is slower than the interval is not begun a second time. */
  const polling = new Set<string>()
  const readJobs = rememberJobs(ports.observations)

  return {
    async round() {
      const alive = workerId !== null && (await ports.observations.heartbeat(workerId, ports.leaseMs))
      if (!alive) {
        if (workerId)
          ports.log.warn({ workerId }, 'silent for longer than the lease, going on under a new id')
        workerId = ports.newId()
        await ports.observations.registerWorker(workerId)
      }
      const me = workerId
      if (!me) return
      await ports.observations.claimClusters(me, ports.leaseMs)
      const clusters = await ports.observations.listOwnClusters(me)
      const free = clusters
        .filter((cluster) => !polling.has(cluster.id))
        .slice(0, ports.concurrency - polling.size)
      const jobs = await readJobs(free, clusters)
      for (const cluster of free) {
        polling.add(cluster.id)
        ports
          .observe(me, cluster, jobs(cluster.id))
          .catch((error: unknown) => ports.log.error({ cluster: cluster.name, error }, 'observation failed'))
          .finally(() => polling.delete(cluster.id))
      }
    },
    async close() {
      if (workerId) await ports.observations.removeWorker(workerId)
    },
  }
}

type Known = { revision: number; readAt: number; jobs: FollowedJob[] }

/** The followed jobs of each cluster, read again when their revision has risen: all that changed in one statement. */
function rememberJobs(observations: ObservationRepository) {
  const known = new Map<string, Known>()
  return async (wanted: readonly ObservedCluster[], own: readonly ObservedCluster[]) => {
    const owned = new Set(own.map((cluster) => cluster.id))
    for (const id of known.keys()) if (!owned.has(id)) known.delete(id)
    const stale = wanted.filter(({ id, jobsRevision }) => (known.get(id)?.revision ?? -1) < jobsRevision)
    if (stale.length > 0) {
      const read = await observations.listFollowedJobs(stale.map(({ id }) => id))
      for (const [id, { revision, jobs }] of read)
        known.set(id, { revision, jobs, readAt: performance.now() })
    }
    return (clusterId: string): FollowedJob[] => aged(known.get(clusterId))
  }
}

/** Since they were read, what was missing has been missing for longer. */
function aged(known: Known | undefined): FollowedJob[] {
  if (!known) return []
  const sinceMs = performance.now() - known.readAt
  const isMissing = ({ runs }: FollowedJob) => runs.some((run) => run.missingForMs !== null)
  return known.jobs.map((job) =>
    isMissing(job)
      ? {
          ...job,
          runs: job.runs.map((run) =>
            run.missingForMs === null ? run : { ...run, missingForMs: run.missingForMs + sinceMs },
          ),
        }
      : job,
  )
}
