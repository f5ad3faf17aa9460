/**
 * Where a job would be restored from, and why. The choice is `domain/restore-point.ts`; here its `_metadata` is looked for at
 * this moment, and where it is proven gone the next best is, down to a limit. A store that cannot be asked proves nothing.
 */
import { DomainError } from '../domain/errors.ts'
import {
  formatLocation,
  joinLocation,
  type Location,
  locationKey,
  parseLocation,
  snapshotDirectory,
} from '../domain/location.ts'
import {
  type CandidateFacts,
  decideRestore,
  findBest,
  type MetadataProof,
  type Restore,
  type RestoreDecision,
  type RestoreQuestion,
} from '../domain/restore-point.ts'
import type { JobRepository, StorageRepository, StorageRow } from '../ports/resources.ts'
import type { RestorePointRepository } from '../ports/runs.ts'
import type { Scope } from '../ports/scope.ts'
import type { ObjectStores } from '../ports/storage.ts'
import type { RestorePoint, Services } from './api.ts'
import { readCheckpointId } from './attempt-directory.ts'
import { scopeOf } from './caller.ts'
import { isRefusal } from './storage-errors.ts'

export type RestorePointPorts = {
  restorePoints: RestorePointRepository
  jobs: Pick<JobRepository, 'findVersion'>
  storages: Pick<StorageRepository, 'findContaining'>
  stores: Pick<ObjectStores, 'of'>
}

export type VerifyCandidate = (candidate: CandidateFacts) => Promise<MetadataProof>

export type RestoreRequest = {
  restore: Restore
  /** The version that is to run; the job's latest when nobody says. */
  version?: number | undefined
  /** Looks for the files of what would be restored, `there` when nothing speaks against it; without it `_metadata` decides. */
  verify?: VerifyCandidate
  /** Where the restore settings stand in the caller's request: an RFC 6901 pointer such as `/query`. */
  pointer: string
}

/** One HEAD each, one after the other. */
const MAX_LOOKS = 20
/** Damaged ones passed over by one start; what comes after them is taken by its `_metadata`. */
const MAX_VERIFIED = 5
const CANDIDATES_SHOWN = 50

export const findRestorePoint =
  (ports: RestorePointPorts): Services['findRestorePoint'] =>
  async ({ caller, job, version, ...restore }) => {
    const { candidates, ...answer } = await resolveRestorePoint(ports, scopeOf(caller), job, {
      restore,
      version,
      pointer: '/query',
    })
    return {
      ...answer,
      candidates: candidates.slice(0, CANDIDATES_SHOWN),
      more: candidates.length > CANDIDATES_SHOWN,
    }
  }

/**
 * The same for a start, which acts on it. Throws NOT_FOUND for the job, REFERENCE_NOT_FOUND for a version or a named
 * snapshot, LOCATION_INVALID and LOCATION_OUTSIDE_ROOT for a named place; everything else is an answer.
 */
export async function resolveRestorePoint(
  ports: RestorePointPorts,
  scope: Scope,
  job: string,
  request: RestoreRequest,
): Promise<RestoreDecision & Pick<RestorePoint, 'job' | 'strategy' | 'version' | 'decidedAt'>> {
  const { restore } = request
  checkRestore(request)
  const read = await ports.restorePoints.readSurroundings(scope, job)
  if (!read) throw new DomainError('NOT_FOUND', `There is no job ${JSON.stringify(job.slice(0, 100))}.`)
  const { surroundings, now } = read
  if (request.version !== undefined) {
    await requireVersion(ports, scope, surroundings.job.id, request.version, request.pointer)
  }
  const version = request.version ?? read.latestVersion
  const candidates =
    restore.strategy === 'FROM_SNAPSHOT'
      ? [await findNamed(ports, scope, request)]
      : await ports.restorePoints.listCandidates(scope, surroundings.job.id)
  const asked = { restore, version, now, candidates, surroundings }
  const question = await verifyBest(ports, scope, await proveBest(ports, scope, asked), request.verify)
  return {
    job: surroundings.job,
    strategy: restore.strategy ?? 'LATEST_STATE',
    version,
    decidedAt: now,
    ...decideRestore(question),
  }
}

// ------------------------------------------------------------------------------------------------------ proof

/** The question with what storage says of whatever would be chosen. */
async function proveBest(
  ports: RestorePointPorts,
  scope: Scope,
  question: RestoreQuestion,
): Promise<RestoreQuestion> {
  let known = question
  for (let looks = 0; looks < MAX_LOOKS; looks++) {
    const best = findBest(known)
    if (best?.metadata.is !== 'unchecked' || best.location === null) return known
    known = withProof(known, best, await proveMetadata(ports, scope, best.location))
  }
  return known
}

/** Only what would be restored is worth the requests: what is refused for another reason is not verified. */
async function verifyBest(
  ports: RestorePointPorts,
  scope: Scope,
  question: RestoreQuestion,
  verify: VerifyCandidate | undefined,
): Promise<RestoreQuestion> {
  let known = question
  for (let looks = 0; verify && decideRestore(known).decision === 'restore'; looks++) {
    const best = findBest(known)
    if (!best) return known
    const metadata: MetadataProof =
      looks < MAX_VERIFIED
        ? await verify(best)
        : { is: 'there', notVerified: `${MAX_VERIFIED} others were looked for in vain.` }
    known = withProof(known, best, metadata)
    if (metadata.is === 'there') return known
    known = await proveBest(ports, scope, known)
  }
  return known
}

const withProof = (
  question: RestoreQuestion,
  candidate: CandidateFacts,
  metadata: MetadataProof,
): RestoreQuestion => ({
  ...question,
  candidates: question.candidates.map((one) => (one === candidate ? { ...one, metadata } : one)),
})

async function proveMetadata(ports: RestorePointPorts, scope: Scope, place: string): Promise<MetadataProof> {
  const location = readPlace(place)
  const storage = location && (await ports.storages.findContaining(scope, location))
  if (!location || !storage) {
    return { is: 'not-asked', message: `${JSON.stringify(place)} lies in no storage of this namespace.` }
  }
  return askStore(storage, async () => {
    const found = await ports.stores.of(storage.address).head(joinLocation(location, '_metadata'))
    return found ? { is: found.sizeBytes > 0 ? 'there' : 'unreadable' } : { is: 'missing' }
  })
}

/** Only an answer of the store counts; a refused credential or a missing bucket says nothing of the snapshot. */
async function askStore<Answer>(
  storage: StorageRow,
  ask: () => Promise<Answer>,
): Promise<Answer | Extract<MetadataProof, { is: 'not-asked' }>> {
  try {
    return await ask()
  } catch (error) {
    if (!isRefusal(error)) throw error
    return { is: 'not-asked', message: `the storage ${storage.name} could not be asked (${error.message}).` }
  }
}

/** A location as Flink reported it; null for one that is none to us. */
function readPlace(place: string): Location | null {
  try {
    return snapshotDirectory(parseLocation(place))
  } catch (error) {
    if (error instanceof DomainError && error.code === 'LOCATION_INVALID') return null
    throw error
  }
}

// ------------------------------------------------------------------------------------------------------ named

async function findNamed(
  ports: RestorePointPorts,
  scope: Scope,
  { restore, pointer }: RestoreRequest,
): Promise<CandidateFacts> {
  if (restore.location !== undefined) return findPlace(ports, scope, restore.location, pointer)
  const snapshot = restore.snapshot ?? ''
  const found = await ports.restorePoints.findCandidate(scope, { snapshot })
  return found ?? missingReference(`There is no snapshot ${snapshot.slice(0, 100)}.`, `${pointer}/snapshot`)
}

/** A place that is a snapshot of ours is that snapshot, with all that is known of it. */
async function findPlace(
  ports: RestorePointPorts,
  scope: Scope,
  text: string,
  pointer: string,
): Promise<CandidateFacts> {
  const location = snapshotDirectory(parseLocation(text))
  const known = await ports.restorePoints.findCandidate(scope, { locationKey: locationKey(location) })
  if (known) return known
  const storage = await ports.storages.findContaining(scope, location)
  if (!storage) {
    const detail = 'it lies inside no storage of this namespace'
    throw new DomainError('LOCATION_OUTSIDE_ROOT', detail, {
      errors: [{ pointer: `${pointer}/location`, detail }],
    })
  }
  const seen = await askStore(storage, () => readMetadata(ports.stores.of(storage.address), location))
  const there = seen.is === 'there' ? seen : null
  return {
    snapshot: null,
    kind: null,
    source: null,
    status: 'Present',
    verdict: null,
    claimed: false,
    location: formatLocation(location),
    job: null,
    jobVersion: null,
    completedAt: there?.modifiedAt?.toISOString() ?? null,
    run: null,
    flinkCheckpointId: there?.checkpointId ?? null,
    metadata: seen.is === 'not-asked' ? seen : { is: seen.is },
  }
}

/** Nothing else vouches for a place that somebody typed: its header must be one of Flink. */
async function readMetadata(store: ReturnType<ObjectStores['of']>, location: Location) {
  const file = await store.head(joinLocation(location, '_metadata'))
  if (!file) return { is: 'missing' as const }
  const checkpointId = await readCheckpointId(store, location)
  if (checkpointId === null) return { is: 'unreadable' as const }
  return { is: 'there' as const, checkpointId, modifiedAt: file.modifiedAt }
}

// ----------------------------------------------------------------------------------------------------- request

/** What a schema cannot say: which settings belong to which strategy. */
export function checkRestore({ restore, pointer }: Pick<RestoreRequest, 'restore' | 'pointer'>): void {
  const { strategy = 'LATEST_STATE', snapshot, location, preferCheckpoint } = restore
  const refuse = (member: string, detail: string): never => {
    throw new DomainError('VALIDATION_FAILED', `${member} ${detail}`, {
      errors: [{ pointer: `${pointer}/${member}`, detail }],
    })
  }
  if (strategy === 'FROM_SNAPSHOT') {
    if (snapshot === undefined && location === undefined) {
      refuse('snapshot', 'is required with FROM_SNAPSHOT, or a location')
    }
    if (snapshot !== undefined && location !== undefined) {
      refuse('location', 'cannot be given together with snapshot')
    }
  } else {
    const named = snapshot !== undefined ? 'snapshot' : location !== undefined ? 'location' : null
    if (named) refuse(named, 'is allowed only with the strategy FROM_SNAPSHOT')
  }
  if (preferCheckpoint && strategy !== 'LATEST_STATE') {
    refuse('preferCheckpoint', 'is allowed only with the strategy LATEST_STATE')
  }
}

async function requireVersion(
  { jobs }: RestorePointPorts,
  scope: Scope,
  jobId: string,
  version: number,
  pointer: string,
): Promise<void> {
  if (await jobs.findVersion(scope, jobId, version)) return
  missingReference(`The job has no version ${version}.`, `${pointer}/version`)
}

function missingReference(detail: string, pointer: string): never {
  throw new DomainError('REFERENCE_NOT_FOUND', detail, { errors: [{ pointer, detail }] })
}
