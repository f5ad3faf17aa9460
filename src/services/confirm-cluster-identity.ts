/**
 * A person says that the cluster which answers now is the one meant. What was shown is what is adopted: with `fingerprint`
 * given, a third cluster that answered meanwhile is refused.
 */
import { DomainError } from '../domain/errors.ts'
import type { ClusterFingerprint } from '../domain/resources.ts'
import type { ClusterRepository, ClusterRow } from '../ports/resources.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { findCluster, showCluster } from './find-resource.ts'

const TRIES = 5

export const confirmClusterIdentity =
  ({
    clusters,
  }: {
    clusters: Pick<ClusterRepository, 'find' | 'adoptIdentity'>
  }): Services['confirmClusterIdentity'] =>
  async ({ caller, cluster: reference, fingerprint }) => {
    const scope = scopeOf(caller)
    for (let tries = 0; tries < TRIES; tries++) {
      const cluster = await findCluster(clusters, scope, reference)
      const seen = cluster.changedTo
      refuseAnother(cluster, fingerprint)
      if (seen === null) return showCluster(cluster)
      if (await clusters.adoptIdentity(scope, cluster.id, seen, caller.principal)) {
        return showCluster(await findCluster(clusters, scope, cluster.id))
      }
    }
    throw new DomainError('OVERLOADED', 'The cluster changed several times in between; try again.')
  }

/** Nothing to confirm is fine when what was given is what we hold already: the same call twice. */
function refuseAnother(cluster: ClusterRow, given: ClusterFingerprint | undefined): void {
  const current = cluster.changedTo ?? cluster.fingerprint
  if (given === undefined || isSame(given, current)) return
  throw new DomainError(
    'CLUSTER_IDENTITY_CHANGED',
    `What answers at the address of ${cluster.name} now is not the cluster you confirm: read the cluster and decide again.`,
    { extra: { given, answers: current } },
  )
}

const isSame = (a: ClusterFingerprint, b: ClusterFingerprint | null): boolean =>
  b !== null && a.haClusterId === b.haClusterId && a.kubernetesClusterId === b.kubernetesClusterId
