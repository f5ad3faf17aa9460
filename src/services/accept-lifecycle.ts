/** What accepting a start and a stop have in common: idempotency, the context, the one open operation of a job. */
import { DomainError } from '../domain/errors.ts'
import type { Operation } from '../domain/operation.ts'
import type { LifecycleContext, LifecycleRepository, NewLifecycle } from '../ports/lifecycle.ts'
import type { OperationRepository } from '../ports/operations.ts'
import type { Nudges } from '../ports/process.ts'
import type { Scope } from '../ports/scope.ts'
import type { SnapshotRepository } from '../ports/snapshots.ts'
import type { Command, Created } from './api.ts'
import { idempotencyKeyOf, scopeOf } from './caller.ts'
import { clusterIdentityChanged, triggersUnsupported } from './cluster-refusals.ts'
import { readCreated } from './create-once.ts'
import { findOperation } from './get-operation.ts'

export type LifecyclePorts = {
  lifecycles: LifecycleRepository
  operations: Pick<OperationRepository, 'find'>
  /** Idempotency keys are one space for every kind of resource. */
  snapshots: Pick<SnapshotRepository, 'findIdempotent' | 'rememberIdempotent'>
  nudges: Nudges
  newId: () => string
}

/** `join`: the open operation answers. */
type Accepted =
  | Omit<Extract<NewLifecycle, { kind: 'START' }>, 'id' | 'jobId' | 'createdBy'>
  | Omit<Extract<NewLifecycle, { kind: 'STOP' }>, 'id' | 'jobId' | 'createdBy'>
  | { join: string }

/** Two lost races in a row are bad luck, five are a defect. */
const MAX_RACES = 5

export async function acceptLifecycle(
  command: Command<{ job: string }>,
  ports: LifecyclePorts,
  decide: (context: LifecycleContext, scope: Scope) => Promise<Accepted> | Accepted,
): Promise<Created<Operation> & { joined: boolean }> {
  const scope = scopeOf(command.caller)
  const key = idempotencyKeyOf(command)
  const read = (id: string) => findOperation(ports.operations, scope, id)
  for (let race = 0; race < MAX_RACES; race++) {
    // Before anything else: a repeated request is answered also when the job runs, or is gone, by now.
    const earlier = key && (await ports.snapshots.findIdempotent(scope, key))
    if (earlier) return { ...(await readCreated(earlier, '', read)), joined: false }
    const context = await ports.lifecycles.readContext(scope, command.job)
    if (!context) throw new DomainError('NOT_FOUND', `There is no job ${command.job}.`)
    const accepted = await decide(context, scope)
    if ('join' in accepted) {
      if (key && !(await ports.snapshots.rememberIdempotent(scope, key, accepted.join))) continue
      return { resource: await read(accepted.join), replayed: false, joined: true }
    }
    const id = ports.newId()
    const operation = { ...accepted, id, jobId: context.job.id, createdBy: command.caller.principal }
    const inserted = await ports.lifecycles.insert(scope, operation, key)
    if (inserted.kind !== 'inserted') continue
    ports.nudges.savepointDue()
    return { resource: await read(id), replayed: false, joined: false }
  }
  throw new DomainError('OVERLOADED', 'Too many operations of this job are requested at once; try again.')
}

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
