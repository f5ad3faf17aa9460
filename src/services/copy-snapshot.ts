/**
 * Accepts a copy of a snapshot in another storage (or the same one): what will be written, and where, is committed with the
 * operation, then workers take over. Asked for twice while it is open, the open one answers.
 */
import { DomainError } from '../domain/errors.ts'
import { COPY_STEPS } from '../domain/operation.ts'
import { plannedSteps } from '../domain/operation-steps.ts'
import type { Snapshot } from '../domain/snapshot.ts'
import type { CopyRepository, NewCopy } from '../ports/copies.ts'
import type { StorageRepository, StorageRow } from '../ports/resources.ts'
import type { Scope } from '../ports/scope.ts'
import type { SnapshotRepository } from '../ports/snapshots.ts'
import { type AcceptOperationPorts, acceptOperation } from './accept-operation.ts'
import type { Command, CopyInput, Services } from './api.ts'
import { findStorage } from './find-resource.ts'
import { getSnapshot } from './get-snapshot.ts'
import { placeFor } from './savepoint-place.ts'

type Ports = AcceptOperationPorts & {
  copies: CopyRepository
  snapshots: Pick<SnapshotRepository, 'find'>
  storages: Pick<StorageRepository, 'find'>
}
type Request = Command<CopyInput & { snapshot: string }>

/** A day: a large snapshot takes its time, and a store that is away comes back. */
const DEFAULT_TIMEOUT_SECONDS = 86_400

export const copySnapshot =
  (ports: Ports): Services['copySnapshot'] =>
  (request) =>
    acceptOperation(request, ports, TOO_MANY, async (scope, key) => {
      const copy = await prepare(request, scope, ports)
      const inserted = await ports.copies.insert(scope, copy, key)
      if (inserted.kind === 'inserted') return { inserted: copy.id }
      return inserted.kind === 'open' && inserted.id !== null ? { join: inserted.id } : 'lost'
    })
const TOO_MANY = 'This snapshot changes again and again; try again.'

async function prepare(request: Request, scope: Scope, ports: Ports): Promise<NewCopy> {
  const { caller } = request
  const snapshot = await getSnapshot(ports)({ caller, snapshot: request.snapshot })
  checkSource(snapshot)
  const storage = await findStorage(ports.storages, scope, request.storage, 'REFERENCE_NOT_FOUND')
  checkTarget(storage)
  const copy = ports.newId()
  const { directory } = placeFor({
    root: storage.uri,
    namespace: caller.namespace,
    job: snapshot.job.name,
    id: copy,
  })
  return {
    id: ports.newId(),
    steps: plannedSteps(COPY_STEPS),
    createdBy: caller.principal,
    request: {
      snapshot: snapshot.id,
      storage: { id: storage.id, name: storage.name },
      description:
        request.description?.trim() ||
        `Copy of the ${snapshot.kind.toLowerCase()} ${snapshot.id} of ${snapshot.job.name}, by ${caller.principal}`,
      labels: request.labels ?? {},
      timeoutSeconds: request.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS,
      copy,
      directory,
    },
  }
}

function checkSource({ id, status, location }: Snapshot): void {
  if (status !== 'Present') {
    throw new DomainError(
      'SNAPSHOT_NOT_PRESENT',
      `The snapshot ${id} is ${status}: only a Present one can be copied.`,
    )
  }
  if (location === null) {
    throw new DomainError(
      'SNAPSHOT_NOT_PRESENT',
      `The snapshot ${id} has no location: Flink keeps it where nobody else can reach it.`,
    )
  }
}

function checkTarget({ name, provider }: StorageRow): void {
  if (provider !== 'flink-only') return
  throw new DomainError(
    'STORAGE_NOT_ADDRESSABLE',
    `The storage ${name} is reached only through Flink, which copies nothing.`,
  )
}
