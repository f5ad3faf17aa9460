/** What a cluster is that nothing may be asked of, said the same by every request. */
import { DomainError } from '../domain/errors.ts'

export const clusterIdentityChanged = (name: string): DomainError =>
  new DomainError(
    'CLUSTER_IDENTITY_CHANGED',
    `Another Flink cluster answers at the address of ${name}; confirm it with POST /v1/clusters/${name}/confirm-identity.`,
  )

/** `what` needs trigger ids of ours, e.g. `starts and stops of ours`. */
export const triggersUnsupported = (
  { name, flinkVersion }: { name: string; flinkVersion: string | null },
  what: string,
): DomainError =>
  new DomainError(
    'CLUSTER_UNSUPPORTED',
    `The cluster ${name} runs Flink ${flinkVersion ?? '(unknown)'}: ${what} need Flink 1.15 or newer. Upgrade the cluster.`,
    { extra: { capability: 'idempotentTriggers', since: '1.15' } },
  )
