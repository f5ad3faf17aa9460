/**
 * One look at a snapshot in storage: its `_metadata` is read afresh, and every file it names is looked for. A verdict says
 * only what was seen. That something is gone is believed when the root of its storage answers at the same time: a missing
 * bucket, a disk that is not mounted or a refused credential says nothing about what should lie there.
 */
import { DomainError } from '../domain/errors.ts'
import { joinLocation, type Location, parseLocation, snapshotDirectory } from '../domain/location.ts'
import {
  judgeFile,
  judgeFiles,
  type VerificationFinding,
  type VerificationReport,
  type VerificationVerdict,
} from '../domain/verification.ts'
import type { StorageRepository, StorageRow } from '../ports/resources.ts'
import type { Scope } from '../ports/scope.ts'
import type { ObjectStore, ObjectStores } from '../ports/storage.ts'
import { type FilesSeen, type LookLimits, lookAtFiles } from './look-at-files.ts'
import { proveRoot } from './prove-root.ts'
import { type MetadataFile, readMetadataFile, requestsToRead } from './read-inspection.ts'
import type { Slots } from './slots.ts'
import { isPassing, isRefusal } from './storage-errors.ts'

export type LookPorts = {
  storages: Pick<StorageRepository, 'findContaining'>
  stores: Pick<ObjectStores, 'of'>
  /** Held while a `_metadata` is read. */
  metadataSlots?: Slots
}

/** Without what was parsed, which may be large. */
export type ReadMetadata = Omit<MetadataFile, 'metadata'>

export type SnapshotLook = {
  report: VerificationReport
  /** `_metadata` is proven gone. */
  lost: boolean
  /** Of NOT_ASKED: what was in the way may pass by itself. */
  passing: boolean
  /** What `_metadata` says; null when it could not be read. */
  read: ReadMetadata | null
}

const AT_ONCE = 16

/** `limitMs`: after so long nothing more is asked, and what is known by then is the answer. */
export async function lookAtSnapshot(
  ports: LookPorts,
  scope: Scope,
  {
    location,
    by,
    limitMs,
    atOnce = AT_ONCE,
  }: { location: string; by: string; limitMs: number; atOnce?: number },
): Promise<SnapshotLook> {
  const startedAt = performance.now()
  const seen = await see(ports, scope, location, {
    atOnce,
    isOver: () => performance.now() - startedAt > limitMs,
  })
  const { files } = seen
  return {
    report: {
      verdict: seen.verdict,
      message: seen.message,
      findings: seen.findings ?? files?.findings ?? [],
      findingCount: seen.findings?.length ?? files?.findingCount ?? 0,
      checkedFiles: files ? files.sound + files.damaged : 0,
      checkedBytes: files?.soundBytes ?? 0,
      requests: seen.requests + (files?.requests ?? 0),
      durationMs: Math.round(performance.now() - startedAt),
      verifiedAt: new Date().toISOString(),
      verifiedBy: by,
    },
    lost: seen.lost ?? false,
    passing: seen.passing ?? false,
    read: seen.read ?? null,
  }
}

type Seen = {
  verdict: VerificationVerdict
  message: string | null
  requests: number
  lost?: boolean
  passing?: boolean
  read?: ReadMetadata
  files?: FilesSeen
  /** Of `_metadata` itself. */
  findings?: VerificationFinding[]
}
type Place = { store: ObjectStore; storage: StorageRow; directory: Location; file: Location }

/** Of `readMetadataFile` when it was refused. */
const TO_BE_REFUSED = 1

async function see(ports: LookPorts, scope: Scope, location: string, limits: LookLimits): Promise<Seen> {
  const place = await findPlace(ports, scope, location)
  if ('verdict' in place) return place
  const read = await readOrExplain(place, ports)
  if ('verdict' in read) return read
  const requests = requestsToRead(read.metadataBytes)
  const files = await lookAtFiles(ports, scope, { directory: place.directory, files: read.files }, limits)
  const judged = judgeFiles(files)
  // Flink drops `_metadata` first: what goes at this moment is not damaged, it goes.
  if (judged.verdict === 'DAMAGED') {
    const gone = await explainGone(place, requests)
    if (gone) return gone
  }
  return { ...judged, requests, passing: files.passing, read, files }
}

async function findPlace(ports: LookPorts, scope: Scope, location: string): Promise<Place | Seen> {
  try {
    const directory = snapshotDirectory(parseLocation(location))
    const storage = await ports.storages.findContaining(scope, directory)
    if (!storage) return notAsked('It lies in no storage of this namespace.', 0)
    return {
      storage,
      directory,
      store: ports.stores.of(storage.address),
      file: joinLocation(directory, '_metadata'),
    }
  } catch (error) {
    if (!isRefusal(error)) throw error
    return notAsked(error.message, 0)
  }
}

async function readOrExplain(place: Place, { metadataSlots }: LookPorts): Promise<ReadMetadata | Seen> {
  try {
    const { summary, files, metadataBytes } = await readMetadataFile(
      place.store,
      place.directory,
      metadataSlots,
    )
    return { summary, files, metadataBytes }
  } catch (error) {
    if (!(error instanceof DomainError)) throw error
    if (error.code === 'METADATA_UNREADABLE') {
      return { verdict: 'UNREADABLE', message: error.message, requests: TO_BE_REFUSED }
    }
    if (error.code === 'METADATA_MISSING') {
      return (await explainGone(place, 1)) ?? notAsked('Its _metadata was written at this moment.', 1, true)
    }
    if (!isRefusal(error)) throw error
    return (await explainArchived(place)) ?? couldNotAsk(place, error, TO_BE_REFUSED)
  }
}

/** null: `_metadata` is there. */
async function explainGone({ store, storage, file }: Place, requests: number): Promise<Seen | null> {
  try {
    if (await store.head(file)) return null
    await proveRoot(storage.address, store)
    if (await store.head(file)) return null
    return {
      verdict: 'METADATA_MISSING',
      message: 'Its _metadata is gone.',
      requests: requests + 3,
      lost: true,
    }
  } catch (error) {
    if (!isRefusal(error)) throw error
    return couldNotAsk({ storage }, error, requests + 3)
  }
}

/** A store refuses to read what is archived; its HEAD says why. */
async function explainArchived({ store, file }: Place): Promise<Seen | null> {
  const found = await store.head(file).catch((error: unknown) => {
    if (isRefusal(error)) return null
    throw error
  })
  const finding = found?.archived
    ? judgeFile({ path: '_metadata', sizeBytes: null, exact: false }, found)
    : null
  if (!finding) return null
  return {
    verdict: 'DAMAGED',
    message: 'Its _metadata is archived: nobody can read it now.',
    requests: TO_BE_REFUSED + 1,
    findings: [finding],
  }
}

const couldNotAsk = (
  { storage }: Pick<Place, 'storage'>,
  error: Parameters<typeof isPassing>[0],
  requests: number,
): Seen =>
  notAsked(`The storage ${storage.name} could not be asked (${error.message}).`, requests, isPassing(error))

const notAsked = (message: string, requests: number, passing = false): Seen => ({
  verdict: 'NOT_ASKED',
  message,
  requests,
  passing,
})
