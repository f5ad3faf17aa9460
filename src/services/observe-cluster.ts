/** One cheap poll of a cluster (GET /jobs/overview) and what it changed. Not reaching it changes only what we say of it. */
import { DomainError, FlinkUnavailableError } from '../domain/errors.ts'
import { compareJob, indexListing } from '../domain/run-observation.ts'
import type { FlinkClient, FlinkConnections, Log, ObservationRepository, ObservedCluster } from '../ports.ts'

export type ObservePorts = {
  observations: ObservationRepository
  flink: FlinkConnections
  log: Log
  /** A job that a reachable leader has not listed for so long is LOST. */
  lostAfterMs: number
}

/** Version and capabilities are read again this often, and whenever the cluster comes back. */
const DESCRIBE_EVERY_POLLS = 30

export type ClusterObserver = (workerId: string, cluster: ObservedCluster) => Promise<void>

/** Remembers per cluster only how many polls ago it was described; a lost memory costs one more request. */
export function createClusterObserver(ports: ObservePorts): ClusterObserver {
  const pollsSinceDescribed = new Map<string, number>()

  return async (workerId, cluster) => {
    const client = ports.flink.to(cluster.address)
    try {
      const jobs = await client.listJobs()
      const polls = pollsSinceDescribed.get(cluster.id) ?? DESCRIBE_EVERY_POLLS
      const due = polls >= DESCRIBE_EVERY_POLLS || cluster.reachable !== true || cluster.flinkVersion === null
      if (due) await describe(workerId, cluster, client, ports)
      pollsSinceDescribed.set(cluster.id, due ? 0 : polls + 1)

      const listing = indexListing(jobs)
      const followed = await ports.observations.listFollowedJobs(cluster.id)
      const changes = followed.flatMap((job) => compareJob(job, listing, ports.lostAfterMs))
      if (changes.length > 0) {
        const owned = await ports.observations.recordRuns(workerId, cluster.id, changes)
        ports.log.info({ cluster: cluster.name, changes: changes.length, owned }, 'runs observed')
      }
    } catch (error) {
      if (!(error instanceof FlinkUnavailableError || error instanceof DomainError)) throw error
      await recordUnreachable(workerId, cluster, error.message, ports)
    }
  }
}

async function describe(
  workerId: string,
  cluster: ObservedCluster,
  client: FlinkClient,
  { observations, log }: ObservePorts,
): Promise<void> {
  const info = await client.describeCluster()
  const unchanged =
    cluster.reachable === true && cluster.lastError === null && cluster.flinkVersion === info.flinkVersion
  if (unchanged) return
  await observations.recordCluster(workerId, cluster.id, { reachable: true, lastError: null, ...info })
  log.info({ cluster: cluster.name, flinkVersion: info.flinkVersion }, 'cluster reached')
}

async function recordUnreachable(
  workerId: string,
  cluster: ObservedCluster,
  message: string,
  { observations, log }: ObservePorts,
): Promise<void> {
  if (cluster.reachable === false && cluster.lastError === message) return
  await observations.recordCluster(workerId, cluster.id, { reachable: false, lastError: message })
  log.warn({ cluster: cluster.name, error: message }, 'cluster cannot be reached')
}
