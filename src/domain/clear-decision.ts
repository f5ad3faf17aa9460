/**
 * Whether a snapshot may be cleared now, and how (`product.md` §1.4, §3, §5). Pure. Whatever is not known to be ours and
 * unused is refused: the order of the questions is that of the harm a wrong answer would do.
 */
import type { ClearingFacts, ClearingMethod } from './clearing.ts'
import { DomainError, type ErrorCode } from './errors.ts'
import { formatLocation, isInside, isPlaceOfCheckpoints, type Location, parseLocation } from './location.ts'
import type { Protection } from './protection.ts'
import { decideRetained, ownPrefix } from './retained-checkpoint.ts'
import type { Snapshot } from './snapshot.ts'

export type ClearRequest = {
  /** A person's word against a protection. */
  force: boolean
  /** Forget the snapshot and leave its data. */
  keepData: boolean
}

type ClearRefusal = {
  kind: 'refuse'
  code: Extract<
    ErrorCode,
    | 'SNAPSHOT_IN_USE'
    | 'SNAPSHOT_PROTECTED'
    | 'FILES_OUTSIDE_PREFIX'
    | 'CLEARING_NOT_ENABLED'
    | 'OBSERVE_ONLY'
    | 'CLUSTER_IDENTITY_CHANGED'
  >
  message: string
  extra?: Record<string, unknown>
}
export type ClearDecision =
  | { kind: 'clear'; method: ClearingMethod; prefix: string | null }
  /** It is Clearing or Cleared already. */
  | { kind: 'done' }
  /** It is Clearing, and what is left of it is to stay. */
  | { kind: 'give-up' }
  /** Whether these need its files is not known: look inside them, then ask again. */
  | { kind: 'inspect'; snapshots: string[] }
  | ClearRefusal

/** So many are looked into for one request; more are refused. */
export const MAX_INSPECTED = 20

export function decideClearing(
  facts: ClearingFacts,
  protections: readonly Protection[],
  request: ClearRequest,
): ClearDecision {
  const { snapshot } = facts
  if (snapshot.status === 'Cleared') return { kind: 'done' }
  if (snapshot.status === 'Clearing')
    return request.keepData ? (refuseCluster(facts) ?? { kind: 'give-up' }) : { kind: 'done' }
  const method = request.keepData ? 'FORGET' : chooseMethod(facts)
  return (
    refuseCluster(facts) ??
    refuseInFlight(facts) ??
    (method === 'FORGET' && request.keepData ? null : refuseUsed(facts)) ??
    refuseProtected(snapshot, protections, request.force) ??
    clearBy(method, facts)
  )
}

/** IMPORT and EXTERNAL that were not registered as owned are somebody else's; a checkpoint is Flink's until its run has ended. */
function chooseMethod({ snapshot, storage }: ClearingFacts): ClearingMethod | null {
  if (snapshot.kind === 'CHECKPOINT') {
    return snapshot.source === 'SYSTEM' && snapshot.status === 'Present' ? 'FILES' : null
  }
  if (snapshot.ownedPrefix === null) {
    return snapshot.source === 'IMPORT' || snapshot.source === 'EXTERNAL' ? 'FORGET' : null
  }
  if (storage?.provider !== 'flink-only') return 'OBJECTS'
  // Flink disposes of what it has reported; what a failed attempt wrote it removes by itself (FsCheckpointStorageLocation).
  return snapshot.location === null ? 'FORGET' : 'FLINK'
}

function refuseCluster({ clusters }: ClearingFacts): ClearRefusal | null {
  const observed = clusters.find(({ observeOnly }) => observeOnly)
  if (observed) {
    return refuse(
      'OBSERVE_ONLY',
      `The cluster ${observed.name} is observe-only: nothing of its jobs is cleared.`,
    )
  }
  const changed = clusters.find(({ identityChanged }) => identityChanged)
  if (!changed) return null
  return refuse(
    'CLUSTER_IDENTITY_CHANGED',
    `Another Flink cluster answers at the address of ${changed.name}; confirm it with POST /v1/clusters/${changed.name}/confirm-identity.`,
  )
}

/** Flink may still be writing, or still complete it. */
function refuseInFlight({ snapshot, openOperation, runIsOver }: ClearingFacts): ClearRefusal | null {
  if (snapshot.status === 'Creating') return inUse('It is still being taken.')
  if (snapshot.kind === 'CHECKPOINT' && !runIsOver) {
    return inUse(
      'It belongs to Flink, and the run that made it has not ended: checkpoints come and go with it.',
    )
  }
  if (snapshot.kind === 'SAVEPOINT' && snapshot.status === 'Timeout' && isAwaited(snapshot)) {
    return inUse("It is past its deadline, but Flink's answer is not final yet: it may still complete.")
  }
  if (snapshot.status === 'Failed' && snapshot.kind === 'SAVEPOINT' && snapshot.settledAt === null) {
    return inUse('It failed, but Flink may still be writing below its directory.')
  }
  return openOperation === null ? null : inUse(`The operation ${openOperation} has not ended yet.`)
}

/** The current attempt was asked for, and has no outcome: it is watched until Flink answers or the run has ended. */
function isAwaited({ attempts, attempt }: Snapshot): boolean {
  const current = attempts.find(({ number }) => number === attempt)
  return current !== undefined && current.askedAt !== null && current.outcome === null
}

function refuseUsed({ uses, neededBy, uninspected }: ClearingFacts): ClearDecision | null {
  const [use] = uses
  if (use) return inUse(use.message, { inUseBy: uses })
  const [needer] = neededBy
  if (needer) {
    const more = neededBy.length > 1 ? ` and ${neededBy.length - 1} more` : ''
    return inUse(`The snapshot ${needer.id} of ${needer.job.name}${more} needs files of it.`, {
      neededBy: neededBy.map(({ id }) => id),
    })
  }
  if (uninspected.length === 0) return null
  if (uninspected.length <= MAX_INSPECTED) return { kind: 'inspect', snapshots: uninspected }
  return inUse(
    `A run was restored from it, and more than ${MAX_INSPECTED} snapshots of its job that may need its files have not been inspected yet.`,
  )
}

/** A pin is a person's word, so a person takes it back: `force` is against our own caution only. */
function refuseProtected(
  snapshot: Snapshot,
  protections: readonly Protection[],
  force: boolean,
): ClearRefusal | null {
  if (snapshot.pinned)
    return refuse('SNAPSHOT_PROTECTED', 'It is pinned: unpin it first.', { protections: [] })
  if (force || protections.length === 0) return null
  return refuse('SNAPSHOT_PROTECTED', protections.map(({ message }) => message).join(' '), { protections })
}

function clearBy(method: ClearingMethod | null, facts: ClearingFacts): ClearDecision {
  const { snapshot, storage } = facts
  if (method === 'FORGET') return { kind: 'clear', method, prefix: null }
  if (method === 'FILES') {
    const decided = decideRetained(snapshot.location, storage, facts.checkpointDirectory ?? null)
    return 'place' in decided
      ? { kind: 'clear', method, prefix: ownPrefix(decided.place) }
      : refuse(decided.code, decided.message)
  }
  if (method === null) {
    return outside(
      snapshot.kind === 'CHECKPOINT'
        ? 'It is a checkpoint: Flink made it, in a directory that other checkpoints share. Its data is not deleted by hand; `data=keep` forgets it.'
        : 'Nothing says which directory was made for it alone; `data=keep` forgets it.',
    )
  }
  if (storage === null || snapshot.ownedPrefix === null) return outside('Its storage is not known.')
  try {
    const prefix = checkOwned(parseLocation(storage.uri), parseLocation(snapshot.ownedPrefix), snapshot)
    return { kind: 'clear', method, prefix: method === 'OBJECTS' ? prefix : null }
  } catch (error) {
    if (!(error instanceof DomainError)) throw error
    return outside(error.message)
  }
}

/** The owned prefix, ending in `/`, once it lies below the root, and everything known of the snapshot below it. */
function checkOwned(root: Location, owned: Location, { location, attempts }: Snapshot): string {
  if (!isInside(root, owned)) {
    throw new DomainError('FILES_OUTSIDE_PREFIX', 'Its directory does not lie below the root of its storage.')
  }
  if (isPlaceOfCheckpoints(owned)) {
    throw new DomainError(
      'FILES_OUTSIDE_PREFIX',
      'Its directory is that of a checkpoint, which belongs to Flink; `data=keep` forgets it.',
    )
  }
  if (location !== null) {
    const at = parseLocation(location)
    // an owned import is its own directory
    if (!isInside(owned, at) && formatLocation(owned) !== formatLocation(at)) {
      throw new DomainError('FILES_OUTSIDE_PREFIX', 'Flink reported it outside the directory made for it.')
    }
  }
  for (const { directory } of attempts) {
    if (!isInside(owned, parseLocation(directory))) {
      throw new DomainError(
        'FILES_OUTSIDE_PREFIX',
        'An attempt of it lies outside the directory made for it.',
      )
    }
  }
  return `${formatLocation(owned)}/`
}

const refuse = (
  code: ClearRefusal['code'],
  message: string,
  extra?: Record<string, unknown>,
): ClearRefusal => ({ kind: 'refuse', code, message, ...(extra ? { extra } : {}) })
const inUse = (message: string, extra?: Record<string, unknown>): ClearRefusal =>
  refuse('SNAPSHOT_IN_USE', message, extra)
const outside = (message: string): ClearRefusal => refuse('FILES_OUTSIDE_PREFIX', message)
