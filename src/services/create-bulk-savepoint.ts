/** Accepts a savepoint of many jobs: the selection of this moment is committed with the operation, then workers take over. */
import { DomainError } from '../domain/errors.ts'
import type { BulkSavepointRequest } from '../domain/operation.ts'
import type { OperationRepository } from '../ports/operations.ts'
import type { Nudges } from '../ports/process.ts'
import type { ClusterRepository } from '../ports/resources.ts'
import type { Scope } from '../ports/scope.ts'
import type { SnapshotRepository } from '../ports/snapshots.ts'
import type { BulkSavepointInput, Command, Services } from './api.ts'
import { idempotencyKeyOf, scopeOf } from './caller.ts'
import { refuseInput } from './check-input.ts'
import { readCreated } from './create-once.ts'
import { findCluster } from './find-resource.ts'
import { findBulkSavepoint } from './get-operation.ts'

type Ports = {
  clusters: Pick<ClusterRepository, 'find'>
  operations: Pick<OperationRepository, 'insertBulkSavepoint' | 'find'>
  /** Idempotency keys are one space for every kind of resource. */
  snapshots: Pick<SnapshotRepository, 'findIdempotent'>
  nudges: Nudges
  newId: () => string
}

const DEFAULT_PARALLEL = 5
const MAX_JOBS = 10_000

export const createBulkSavepoint =
  (ports: Ports): Services['createBulkSavepoint'] =>
  async (command) => {
    const { operations, snapshots, newId, nudges } = ports
    const scope = scopeOf(command.caller)
    const key = idempotencyKeyOf(command)
    const id = newId()
    const read = (operation: string) => findBulkSavepoint(operations, scope, operation)

    // Before the selection: a repeated request is answered also when no job matches any more.
    const earlier = key && (await snapshots.findIdempotent(scope, key))
    if (earlier) return readCreated(earlier, id, read)

    const request = await readRequest(command, ports, scope)
    const inserted = await operations.insertBulkSavepoint(
      scope,
      {
        id,
        request,
        selection: { clusterId: request.cluster?.id ?? null, labels: request.labels },
        maxJobs: MAX_JOBS,
        createdBy: command.caller.principal,
      },
      key,
    )
    if (inserted.kind === 'refused') throw refuseSelection(inserted.selected)
    if (inserted.kind === 'idempotency-race') {
      const winner = key && (await snapshots.findIdempotent(scope, key))
      if (!winner) throw new DomainError('IDEMPOTENCY_IN_PROGRESS', 'Ask again: this key has just expired.')
      return readCreated(winner, id, read)
    }
    nudges.savepointDue()
    return { resource: await read(id), replayed: false }
  }

async function readRequest(
  { cluster, labels, maxParallel, savepoint = {} }: Command<BulkSavepointInput>,
  { clusters }: Pick<Ports, 'clusters'>,
  scope: Scope,
): Promise<BulkSavepointRequest> {
  if (cluster === undefined && Object.keys(labels ?? {}).length === 0) {
    refuseInput('', 'say which jobs: give a cluster, labels, or both')
  }
  if (savepoint.expiresAt !== undefined && Date.parse(savepoint.expiresAt) <= Date.now()) {
    refuseInput('/savepoint/expiresAt', 'must be in the future')
  }
  const found =
    cluster === undefined ? null : await findCluster(clusters, scope, cluster, 'REFERENCE_NOT_FOUND')
  return {
    cluster: found && { id: found.id, name: found.name },
    labels: labels ?? null,
    maxParallel: maxParallel ?? DEFAULT_PARALLEL,
    savepoint,
  }
}

const refuseSelection = (selected: number): DomainError =>
  selected === 0
    ? new DomainError('NOTHING_SELECTED', 'No job of this namespace matches the cluster and the labels.')
    : new DomainError(
        'TOO_MANY_SELECTED',
        `More than ${MAX_JOBS} jobs match; select fewer, one cluster or one label value at a time.`,
      )
