/**
 * Asks for a snapshot to be cleared: by a person, or by a rule that says why. From here on it is Clearing and nobody can
 * restore it; its data is removed by a worker. The same request twice is answered the same.
 */
import { decideClearing } from '../domain/clear-decision.ts'
import type { ClearingFacts } from '../domain/clearing.ts'
import { DomainError } from '../domain/errors.ts'
import { parseLocation } from '../domain/location.ts'
import type { Protection } from '../domain/protection.ts'
import { folderKey } from '../domain/snapshot-files.ts'
import type { ClearingRepository, ProtectionRepository } from '../ports/clearing.ts'
import type { SnapshotNeedsRepository } from '../ports/inspections.ts'
import type { Nudges } from '../ports/process.ts'
import type { Scope } from '../ports/scope.ts'
import type { Services } from './api.ts'
import { scopeOf } from './caller.ts'
import { countFilesOutside } from './files-outside.ts'
import { type GetSnapshotPorts, getSnapshot } from './get-snapshot.ts'
import { type ReadInspectionPorts, readInspection } from './read-inspection.ts'
import { openSnapshotPlace } from './snapshot-place.ts'
import { within } from './within.ts'

export type ClearSnapshotPorts = GetSnapshotPorts & {
  clearings: Pick<ClearingRepository, 'readFacts' | 'begin' | 'giveUp'>
  protections: ProtectionRepository
  nudges: Nudges
  newId: () => string
} & ReadInspectionPorts & { inspections: SnapshotNeedsRepository }
type Request = Parameters<Services['clearSnapshot']>[0]

/** By force nothing is protected. */
const NONE: Awaited<ReturnType<ProtectionRepository['ofJob']>> = new Map()
/** Something about the snapshot changed between the look and the statement. */
const MAX_RACES = 8

export const clearSnapshot =
  (ports: ClearSnapshotPorts): Services['clearSnapshot'] =>
  async (request) => {
    for (let race = 0; race < MAX_RACES; race++) {
      if (await tryOnce(request, ports)) {
        return getSnapshot(ports)({ caller: request.caller, snapshot: request.snapshot })
      }
    }
    throw new DomainError('OVERLOADED', 'The snapshot changes again and again; try again.')
  }

/** false: look again. */
async function tryOnce(request: Request, ports: ClearSnapshotPorts): Promise<boolean> {
  const scope = scopeOf(request.caller)
  const facts = await ports.clearings.readFacts(scope, request.snapshot)
  if (!facts) throw new DomainError('NOT_FOUND', `There is no snapshot ${request.snapshot.slice(0, 100)}.`)
  // a rule never forces, whatever it says
  const force = request.force === true && request.why === undefined
  const protections = force ? NONE : await ports.protections.ofJob(scope, facts.snapshot.job.id)
  const own = protections.get(facts.snapshot.id) ?? []
  const decision = decideClearing(facts, own, { force, keepData: request.data === 'keep' })
  if (decision.kind === 'done') return true
  requireVersion(request.ifMatch, facts)
  switch (decision.kind) {
    case 'refuse':
      throw new DomainError(decision.code, decision.message, decision.extra ? { extra: decision.extra } : {})
    case 'give-up':
      await ports.clearings.giveUp(scope, facts.snapshot.id, request.caller.principal)
      return true
    case 'inspect':
      await inspectAll(decision.snapshots, scope, ports)
      return false
    case 'clear': {
      const looked = decision.method === 'OBJECTS' && (await refuseFilesOutside(facts, scope, ports))
      const outcome = await ports.clearings.begin(scope, {
        id: ports.newId(),
        snapshotId: facts.snapshot.id,
        method: decision.method,
        prefix: decision.prefix,
        reason: request.why?.reason ?? 'BY_HAND',
        message: request.why?.message ?? null,
        forced: force,
        requestedBy: request.caller.principal,
        etag: facts.snapshot.etag,
        looked,
        witnesses: force ? [] : witnessesOf(facts, protections),
        basis: request.why?.basis ?? null,
      })
      if (outcome === 'begun') ports.nudges.savepointDue()
      return outcome !== 'changed'
    }
  }
}

/**
 * What is restorable is spared while it is the newest. That it is not is true only while those that are newer can be
 * restored, so these must still stand when it is marked.
 */
const witnessesOf = ({ snapshot }: ClearingFacts, protections: Map<string, Protection[]>): string[] =>
  snapshot.restorable ? [...protections.keys()].filter((id) => id !== snapshot.id) : []

function requireVersion(ifMatch: string | undefined, { snapshot }: ClearingFacts): void {
  if (ifMatch === undefined || ifMatch === snapshot.etag) return
  throw new DomainError('PRECONDITION_FAILED', 'The snapshot has changed since; read it again.')
}

/** Until it is known what these need, nothing that they may need goes. */
async function inspectAll(ids: readonly string[], scope: Scope, ports: ClearSnapshotPorts): Promise<void> {
  for (const id of ids) {
    const snapshot = await ports.snapshots.find(scope, id)
    if (snapshot?.status !== 'Present') continue
    try {
      await readInspection(ports, scope, snapshot)
    } catch (error) {
      if (!(error instanceof DomainError) || error.code === 'DATABASE_UNAVAILABLE') throw error
      throw new DomainError(
        'SNAPSHOT_IN_USE',
        `The snapshot ${id} may need files of it, and could not be looked into: ${error.message}`,
        { cause: error },
      )
    }
  }
}

/** A request does not wait longer for a look that the worker takes anyway, before anything goes. */
const LOOK_MS = 5_000

/**
 * Said now rather than by a clearing that never ends: its `_metadata` may name files outside the directory made for it. What
 * cannot be read now, or not at all, is the worker's to judge. Answers whether it was read.
 */
async function refuseFilesOutside(
  { snapshot }: ClearingFacts,
  scope: Scope,
  ports: ClearSnapshotPorts,
): Promise<boolean> {
  if (snapshot.status !== 'Present' || snapshot.ownedPrefix === null) return false
  const folder = folderKey(parseLocation(snapshot.ownedPrefix))
  let outside: number | null
  try {
    const where = { id: snapshot.id, folder }
    const count = countFilesOutside(ports, scope, where, () => openSnapshotPlace(ports, scope, snapshot))
    outside = await within(LOOK_MS, count, null)
  } catch (error) {
    if (error instanceof DomainError && error.code !== 'DATABASE_UNAVAILABLE') return false
    throw error
  }
  if (outside === null || outside === 0) return outside === 0
  throw new DomainError(
    'FILES_OUTSIDE_PREFIX',
    `Its _metadata names ${outside} files outside the directory made for it, and nothing says whose they are; \`data=keep\` forgets the snapshot and leaves them.`,
  )
}
