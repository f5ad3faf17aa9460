/** What a cluster says of itself: version, capabilities, who it is, what its configuration restores. */
import { locationKey, parseLocation, snapshotDirectory } from '../domain/location.ts'
import type { ClusterFingerprint } from '../domain/resources.ts'
import type { FlinkClient } from '../ports/flink.ts'
import type { ObservationRepository, ObservedCluster } from '../ports/observation.ts'
import type { Log } from '../ports/process.ts'

type Ports = { observations: ObservationRepository; log: Log }

export async function describeCluster(
  workerId: string,
  cluster: ObservedCluster,
  client: FlinkClient,
  { observations, log }: Ports,
): Promise<void> {
  const info = await client.describeCluster()
  const unchanged =
    cluster.reachable === true && cluster.lastError === null && cluster.flinkVersion === info.flinkVersion
  if (unchanged) return
  await observations.recordCluster(workerId, cluster.id, { reachable: true, lastError: null, ...info })
  log.info({ cluster: cluster.name, flinkVersion: info.flinkVersion }, 'cluster reached')
}

/**
 * Reads who answers at the address, and remembers another one than before as `changedTo`. Answers whether its jobs may be
 * spoken of: it is the known cluster, or whoever answers there is to be followed.
 */
export async function identifyCluster(
  workerId: string,
  cluster: ObservedCluster,
  client: FlinkClient,
  { observations, log }: Ports,
): Promise<boolean> {
  const { fingerprint, recoveryPath } = await client.readSettings()
  const changedTo = differs(cluster.fingerprint, fingerprint) ? fingerprint : null
  const seen = {
    ...(changedTo === null && !same(cluster.fingerprint, fingerprint) ? { fingerprint } : {}),
    ...(same(cluster.changedTo, changedTo) ? {} : { changedTo }),
    ...(changedTo === null && cluster.recoveryPath !== recoveryPath
      ? { recovery: toRecovery(recoveryPath) }
      : {}),
  }
  if (Object.keys(seen).length > 0) {
    await observations.recordCluster(workerId, cluster.id, { reachable: true, lastError: null, ...seen })
    if (changedTo) log.warn({ cluster: cluster.name, changedTo }, 'another cluster answers at this address')
  }
  return changedTo === null || cluster.followIdentity
}

/**
 * Only what was known before can change: a cluster that begins to report an id is not another one by that. One that no
 * longer reports it is.
 */
function differs(known: ClusterFingerprint | null, seen: ClusterFingerprint): boolean {
  const changed = (before: string | null | undefined, now: string | null) => Boolean(before) && before !== now
  return (
    changed(known?.haClusterId, seen.haClusterId) ||
    changed(known?.kubernetesClusterId, seen.kubernetesClusterId)
  )
}

const same = (one: ClusterFingerprint | null, other: ClusterFingerprint | null): boolean =>
  one === other ||
  (one !== null &&
    other !== null &&
    one.haClusterId === other.haClusterId &&
    one.kubernetesClusterId === other.kubernetesClusterId)

/** A path we cannot read is kept as it is and matches nothing. */
function toRecovery(path: string | null): { path: string | null; key: string | null } {
  if (path === null) return { path: null, key: null }
  try {
    return { path, key: locationKey(snapshotDirectory(parseLocation(path))) }
  } catch {
    return { path, key: null }
  }
}
