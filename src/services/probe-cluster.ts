/** Asks the cluster here and now. What goes wrong is the answer, not an error: that is what a probe is for. */
import { DomainError, FlinkUnavailableError } from '../domain/errors.ts'
import type { FlinkClusterInfo } from '../domain/flink.ts'
import type { ClusterAddress, FlinkConnections } from '../ports/flink.ts'
import type { ClusterRepository } from '../ports/resources.ts'
import type { ProbeResult, Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { CLUSTER_CODES } from './cluster-errors.ts'
import { findCluster, showCluster } from './find-resource.ts'

type Ports = { clusters: Pick<ClusterRepository, 'find'>; flink: Pick<FlinkConnections, 'to'> }
type Seen = Pick<ProbeResult, 'reachable' | 'flinkVersion' | 'error'>

export const probeCluster =
  ({ clusters, flink }: Ports): Services['probeCluster'] =>
  async ({ caller, cluster }) => {
    const row = await findCluster(clusters, scopeOf(caller), cluster)
    const startedAt = performance.now()
    const seen = await look(flink, row.address)
    return { ...seen, cluster: showCluster(row), latencyMs: Math.round(performance.now() - startedAt) }
  }

async function look(flink: Ports['flink'], address: ClusterAddress): Promise<Seen> {
  try {
    const info = await flink.to(address).describeCluster()
    return { reachable: true, flinkVersion: info.flinkVersion, error: findUnsupported(info) }
  } catch (error) {
    return { reachable: false, flinkVersion: null, error: describe(error) }
  }
}

const findUnsupported = ({ flinkVersion, capabilities }: FlinkClusterInfo): ProbeResult['error'] =>
  capabilities.idempotentTriggers
    ? null
    : {
        code: 'CLUSTER_UNSUPPORTED',
        message: `Flink ${flinkVersion} does not take trigger ids of ours, which savepoints need: that is possible since Flink 1.15.`,
      }

function describe(error: unknown): NonNullable<ProbeResult['error']> {
  if (error instanceof FlinkUnavailableError)
    return { code: CLUSTER_CODES[error.kind], message: error.message }
  if (error instanceof DomainError) return { code: error.code, message: error.message } // a secret, say
  throw error
}
