/**
 * Looks for the files that a snapshot needs, in whichever storages of its namespace they lie. A listing proves presence only:
 * whatever it does not show, or shows otherwise than needed, a HEAD is asked for, so that a listing that is late, cut or out
 * of order never damages a snapshot. What could not be asked is counted, and never taken for missing.
 */
import { DomainError } from '../domain/errors.ts'
import type { StoredFile } from '../domain/inspection.ts'
import { isInsideOrEqual, type Location, locationKey, parseLocation } from '../domain/location.ts'
import {
  type FoundFile,
  isDamage,
  judgeFile,
  type NeededFile,
  type VerificationFinding,
} from '../domain/verification.ts'
import { goOnListing, planLooks, type WantedFile, type WantedFolder } from '../domain/verification-plan.ts'
import type { StorageRepository, StorageRow } from '../ports/resources.ts'
import type { Scope } from '../ports/scope.ts'
import type { ObjectPage, ObjectStore, ObjectStores } from '../ports/storage.ts'
import { inParallel } from './in-parallel.ts'
import { proveRoot } from './prove-root.ts'
import { isPassing, isRefusal } from './storage-errors.ts'

export type LookAtFilesPorts = {
  storages: Pick<StorageRepository, 'findContaining'>
  stores: Pick<ObjectStores, 'of'>
}

export type FilesSeen = {
  /** At most 100 of `findingCount`. */
  findings: VerificationFinding[]
  findingCount: number
  needed: number
  sound: number
  damaged: number
  /** Of the sound ones, as long as they are needed. */
  soundBytes: number
  requests: number
  /** Why some were not looked at; null when all were. */
  notAsked: string | null
  /** What was in the way may pass by itself. */
  passing: boolean
}

export type LookLimits = {
  /** Requests under way. */
  atOnce: number
  /** Nothing more is asked once this answers true. */
  isOver: () => boolean
}

export async function lookAtFiles(
  ports: LookAtFilesPorts,
  scope: Scope,
  { directory, files }: { directory: Location; files: readonly StoredFile[] },
  limits: LookLimits,
): Promise<FilesSeen> {
  const notes = takeNotes(files.length, limits)
  const needed = files.flatMap((file) => {
    const need = toNeeded(file)
    if (!need) notes.outside(file.path, 'The metadata names a place that is no location.')
    return need ? [need] : []
  })
  const findStore = createStoreFinder(ports, scope)
  const listings: (WantedFolder & { store: ReachedStore })[] = []
  const heads: (WantedFile & { store: ReachedStore })[] = []
  await inParallel(planLooks(needed, directory), limits.atOnce, async (folder) => {
    if (notes.isEnough()) return
    const store = await notes.attempt(() => findStore(folder.folder))
    if (store === 'not-asked') return
    if (store === null) {
      for (const { path } of folder.files.flatMap(({ needs }) => needs)) notes.outside(path, OUTSIDE)
    } else if (folder.list) listings.push({ ...folder, store })
    else heads.push(...folder.files.map((file) => ({ ...file, store })))
  })
  await inParallel(listings, limits.atOnce, async (folder) => {
    const left = await listFolder(folder, notes)
    for (const file of left) heads.push({ ...file, store: folder.store })
  })
  await inParallel(heads, limits.atOnce, async (file) => {
    if (notes.isEnough()) return
    const found = await notes.ask(() => file.store.find(file.location))
    if (found !== 'not-asked') notes.judge(file, found)
  })
  return notes.read()
}

const OUTSIDE = 'It lies in no storage of this namespace, so nobody looked for it.'

/** The same object may be named by several paths; each is a need of its own. */
function toNeeded({ key, path, sizeBytes, kind }: StoredFile): NeededFile | null {
  if (key === null) return null
  try {
    return { path, location: parseLocation(key), sizeBytes, exact: kind !== 'segment' }
  } catch (error) {
    if (error instanceof DomainError && error.code === 'LOCATION_INVALID') return null
    throw error
  }
}

type ReachedStore = Pick<ObjectStore, 'list'> & {
  /** null only while the root answers, too. */
  find(location: Location): Promise<FoundFile>
}

/** Folders below one root share one look-up, and its root is asked once. */
function createStoreFinder({ storages, stores }: LookAtFilesPorts, scope: Scope) {
  const known: { root: Location; store: ReachedStore }[] = []
  return async (folder: Location): Promise<ReachedStore | null> => {
    const near = known.find(({ root }) => isInsideOrEqual(root, folder))
    if (near) return near.store
    const storage = await storages.findContaining(scope, folder)
    if (!storage) return null
    const reached = { root: storage.address.root, store: reach(storage, stores.of(storage.address)) }
    known.push(reached)
    return reached.store
  }
}

function reach(storage: StorageRow, store: ObjectStore): ReachedStore {
  let proof: Promise<void> | null = null
  return {
    list: (folder, options) => store.list(folder, options),
    async find(location) {
      const found = await store.head(location)
      if (found === null) {
        proof ??= proveRoot(storage.address, store)
        await proof
      }
      return found
    },
  }
}

/** Answers the files that the listing did not prove to be there as they are needed. */
async function listFolder(
  { store, folder, files }: WantedFolder & { store: ReachedStore },
  notes: Notes,
): Promise<WantedFile[]> {
  const open = new Map(files.map((file) => [file.key, file]))
  let pageToken: string | null = null
  let passed = 0
  for (let pages = 1; !notes.isEnough(); pages++) {
    const options: { pageToken?: string } = pageToken === null ? {} : { pageToken }
    // who may not list may still ask for each file, so this is no answer about any of them
    const page: ObjectPage | 'not-asked' = await notes.ask(() => store.list(folder, options), 'forgive')
    if (page === 'not-asked') break
    for (const object of page.objects) {
      const file = open.get(locationKey(object.location))
      if (!file || file.needs.some((need) => judgeFile(need, object) !== null)) continue
      notes.judge(file, object)
      open.delete(file.key)
    }
    pageToken = page.nextPageToken
    passed = countPassed(files, passed, page)
    if (pageToken === null || open.size === 0) break
    if (!goOnListing({ pages, passed, left: files.length - passed })) break
  }
  return [...open.values()]
}

function countPassed(files: readonly WantedFile[], before: number, { objects }: ObjectPage): number {
  const last = objects.at(-1)
  if (!last) return before
  const lastKey = Buffer.from(locationKey(last.location))
  const next = files.findIndex(
    ({ key }, index) => index >= before && Buffer.compare(Buffer.from(key), lastKey) > 0,
  )
  return next === -1 ? files.length : next
}

// -------------------------------------------------------------------------------------------------------- notes

const FINDINGS_KEPT = 100
/** With so many damaged the verdict is sure, and after so many refusals nothing more will be found out. */
const DAMAGED_AT_MOST = 1_000
const REFUSALS_AT_MOST = 10

type Notes = ReturnType<typeof takeNotes>

function takeNotes(needed: number, { isOver }: LookLimits) {
  const findings: VerificationFinding[] = []
  let findingCount = 0
  let sound = 0
  let damaged = 0
  let soundBytes = 0
  let requests = 0
  let refusals = 0
  let notAsked: string | null = null
  let passing = true

  const note = (finding: VerificationFinding): void => {
    findingCount += 1
    if (findings.length < FINDINGS_KEPT) findings.push(finding)
  }
  const giveUp = (why: string, mayPass: boolean): void => {
    notAsked ??= why
    if (!mayPass) passing = false
  }
  const attempt = async <Answer>(
    work: () => Promise<Answer>,
    onError?: 'forgive',
  ): Promise<Answer | 'not-asked'> => {
    try {
      return await work()
    } catch (error) {
      if (!isRefusal(error)) throw error
      if (onError !== 'forgive') {
        refusals += 1
        giveUp(`a storage could not be asked (${error.message}).`, isPassing(error))
      }
      return 'not-asked'
    }
  }
  return {
    attempt,
    ask: <Answer>(work: () => Promise<Answer>, onError?: 'forgive') => {
      requests += 1
      return attempt(work, onError)
    },
    outside: (path: string, message: string): void => {
      note({ code: 'OUTSIDE_STORAGES', path, message, expectedBytes: null, foundBytes: null })
      giveUp('some lie in no storage of this namespace.', false)
    },
    judge: ({ needs }: WantedFile, found: FoundFile): void => {
      for (const need of needs) {
        const finding = judgeFile(need, found)
        if (finding) note(finding)
        if (finding && isDamage(finding)) damaged += 1
        else {
          sound += 1
          soundBytes += need.sizeBytes ?? found?.sizeBytes ?? 0
        }
      }
    },
    isEnough: (): boolean => {
      if (isOver()) giveUp('there was no time for the others.', true)
      return isOver() || damaged >= DAMAGED_AT_MOST || refusals >= REFUSALS_AT_MOST
    },
    read: (): FilesSeen => ({
      findings,
      findingCount,
      needed,
      sound,
      damaged,
      soundBytes: Math.min(soundBytes, Number.MAX_SAFE_INTEGER),
      requests,
      notAsked,
      passing,
    }),
  }
}
