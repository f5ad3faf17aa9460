/** What accepting a start and a stop have in common: the context, and the one open operation of a job. */
import { DomainError } from '../domain/errors.ts'
import type { Operation } from '../domain/operation.ts'
import type { LifecycleContext, LifecycleRepository, NewLifecycle } from '../ports/lifecycle.ts'
import type { Scope } from '../ports/scope.ts'
import { type AcceptOperationPorts, acceptOperation } from './accept-operation.ts'
import type { Command, Created } from './api.ts'
import { clusterIdentityChanged, triggersUnsupported } from './cluster-refusals.ts'

export type LifecyclePorts = AcceptOperationPorts & { lifecycles: LifecycleRepository }

/** `join`: the open operation answers. */
type Accepted =
  | Omit<Extract<NewLifecycle, { kind: 'START' }>, 'id' | 'jobId' | 'createdBy'>
  | Omit<Extract<NewLifecycle, { kind: 'STOP' }>, 'id' | 'jobId' | 'createdBy'>
  | { join: string }

export const acceptLifecycle = (
  command: Command<{ job: string }>,
  ports: LifecyclePorts,
  decide: (context: LifecycleContext, scope: Scope) => Promise<Accepted> | Accepted,
): Promise<Created<Operation> & { joined: boolean }> =>
  acceptOperation(command, ports, TOO_MANY, async (scope, key) => {
    const context = await ports.lifecycles.readContext(scope, command.job)
    if (!context) throw new DomainError('NOT_FOUND', `There is no job ${command.job}.`)
    const accepted = await decide(context, scope)
    if ('join' in accepted) return accepted
    const id = ports.newId()
    const operation = { ...accepted, id, jobId: context.job.id, createdBy: command.caller.principal }
    const { kind } = await ports.lifecycles.insert(scope, operation, key)
    return kind === 'inserted' ? { inserted: id } : 'lost'
  })
const TOO_MANY = 'Too many operations of this job are requested at once; try again.'

/** What neither a start nor a stop can do on this cluster. */
export function refuseCluster({ cluster }: LifecycleContext): void {
  if (cluster.mode === 'OBSERVE_ONLY') {
    throw new DomainError(
      'OBSERVE_ONLY',
      `The cluster ${cluster.name} is observe-only: nothing is started or stopped there.`,
    )
  }
  if (cluster.identityChanged) throw clusterIdentityChanged(cluster.name)
  if (cluster.idempotentTriggers === false) throw triggersUnsupported(cluster, 'starts and stops of ours')
}

export const operationInProgress = ({ job, open }: LifecycleContext): DomainError =>
  new DomainError(
    'OPERATION_IN_PROGRESS',
    `Another operation (${open?.kind ?? ''}) of ${job.name} is in progress: wait for its end.`,
    { extra: { operation: `/v1/operations/${open?.id ?? ''}` } },
  )
