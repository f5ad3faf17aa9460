/**
 * The observing half of a worker: keeps its heartbeat, takes clusters nobody polls, polls its own. A worker that was
 * silent for longer than its lease takes a new id: what it owned belongs to others now.
 */
import type { Log, ObservationRepository } from '../ports.ts'
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
      for (const cluster of clusters) {
        if (polling.has(cluster.id) || polling.size >= ports.concurrency) continue
        polling.add(cluster.id)
        ports
          .observe(me, cluster)
          .catch((error: unknown) => ports.log.error({ cluster: cluster.name, error }, 'observation failed'))
          .finally(() => polling.delete(cluster.id))
      }
    },
    async close() {
      if (workerId) await ports.observations.removeWorker(workerId)
    },
  }
}
