/**
 * One cheap poll of a cluster (GET /jobs/overview) and what it changed. Not reaching it changes only what we say of it.
 *
 * Whatever looks like another cluster behind the same address (jobs gone, begun or restarted) is believed only after the
 * cluster has said again who it is.
 */
import { DomainError, FlinkUnavailableError } from '../domain/errors.ts'
import { rootCause } from '../domain/flink-failure.ts'
import { type FollowedJob, indexListing, type RunChange } from '../domain/run-observation.ts'
import type { FlinkClient, FlinkConnections } from '../ports/flink.ts'
import type { ObservationRepository, ObservedCluster } from '../ports/observation.ts'
import type { Log } from '../ports/process.ts'
import { compareJobs } from './compare-jobs.ts'
import { describeCluster, identifyCluster } from './identify-cluster.ts'
import type { CheckpointObserver } from './observe-checkpoints.ts'

export type ObservePorts = {
  observations: ObservationRepository
  flink: FlinkConnections
  log: Log
  /** A job that a reachable leader has not listed for so long is LOST. */
  lostAfterMs: number
  checkpoints: CheckpointObserver
}

/** Version, identity and capabilities are read again this often, and whenever the cluster comes back. */
const DESCRIBE_EVERY_POLLS = 30

export type ClusterObserver = (
  workerId: string,
  cluster: ObservedCluster,
  followed: readonly FollowedJob[],
) => Promise<void>

/** Remembers per cluster only how many polls ago it was described; a lost memory costs one more request. */
export function createClusterObserver(ports: ObservePorts): ClusterObserver {
  const pollsSinceDescribed = new Map<string, number>()

  return async (workerId, cluster, followed) => {
    const client = ports.flink.to(cluster.address)
    try {
      const jobs = await client.listJobs()
      const polls = pollsSinceDescribed.get(cluster.id) ?? DESCRIBE_EVERY_POLLS
      const due = polls >= DESCRIBE_EVERY_POLLS || cluster.reachable !== true || cluster.flinkVersion === null
      if (due) await describeCluster(workerId, cluster, client, ports)
      const known = due ? await identifyCluster(workerId, cluster, client, ports) : isKnown(cluster)
      pollsSinceDescribed.set(cluster.id, due ? 0 : polls + 1)
      if (!known) return // its jobs are not ours to speak of until a person has confirmed it

      await observeJobs(
        workerId,
        cluster,
        client,
        { followed, listing: indexListing(jobs), identified: due },
        ports,
      )
    } catch (error) {
      if (!(error instanceof FlinkUnavailableError || error instanceof DomainError)) throw error
      await recordUnreachable(workerId, cluster, error.message, ports)
    }
  }
}

const isKnown = (cluster: ObservedCluster): boolean => cluster.changedTo === null || cluster.followIdentity

type Poll = {
  followed: readonly FollowedJob[]
  listing: ReturnType<typeof indexListing>
  identified: boolean
}

async function observeJobs(
  workerId: string,
  cluster: ObservedCluster,
  client: FlinkClient,
  { followed, listing, identified }: Poll,
  ports: ObservePorts,
): Promise<void> {
  const { doubtful, changes, settle } = compareJobs(followed, listing, {
    client,
    lostAfterMs: ports.lostAfterMs,
    checkpoints: ports.checkpoints,
  })
  if (doubtful && !identified && !(await identifyCluster(workerId, cluster, client, ports))) return
  const believed = [...changes, ...(await settle())].filter(
    // Who follows whatever answers at an address cannot tell a lost job from another cluster.
    (change) => !(cluster.changedTo && change.kind === 'run-changed' && change.state === 'LOST'),
  )
  const all = await Promise.all(believed.map((change) => explainFailure(change, client)))
  if (all.length > 0) {
    const owned = await ports.observations.recordRuns(workerId, cluster.id, all)
    ports.log.info({ cluster: cluster.name, changes: all.length, owned }, 'runs observed')
  }
  await ports.checkpoints.observe({ workerId, cluster, client, followed, listing })
}

/** A run that FAILED says why: the newest entry of its exceptions is what ended it. */
async function explainFailure(change: RunChange, client: FlinkClient): Promise<RunChange> {
  if (change.kind === 'ambiguous' || change.state !== 'FAILED') return change
  const [newest] = await client.listExceptions(change.flinkJobId)
  if (!newest) return change
  const message = rootCause(newest.text === '' ? newest.exceptionName : newest.text)
  return { ...change, failure: { code: 'JOB_FAILED', message } }
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
