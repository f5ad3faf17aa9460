/**
 * What of a retained checkpoint of an ended run may go (`product.md` §1.4, §5): its own `chk-N` when no kept metadata names a
 * file in it, and of the files beside it those that none names. Pure. Flink puts `chk-N`, `shared` and `taskowned` below `<checkpoint dir>/<flinkJobId>`
 * (RT/state/filesystem/AbstractFsCheckpointStorageAccess); outside it nothing is ever touched, and there nothing by prefix.
 */
import { DomainError } from './errors.ts'
import {
  FLINK_JOB_ID,
  formatLocation,
  isInside,
  type Location,
  parseLocation,
  snapshotDirectory,
} from './location.ts'
import type { RunState } from './resources.ts'
import { folderKey } from './snapshot-files.ts'

/** Whoever may write, or read again, below the directory of a Flink job id. */
export type CheckpointDirectoryUser = { run: string; job: string; state: RunState }

/** A Flink job id whose checkpoints may name files of the directory: also the id itself, which may have been given another one. */
export type CheckpointDirectoryHeir = {
  flinkJobId: string
  /** What each checkpoint that was ever seen of it lay in, as Flink reported it. */
  directories: readonly string[]
}

export type CheckpointDirectoryFacts = {
  /** Of the run that made the checkpoint. */
  flinkJobId: string
  /**
   * Runs of the namespace that are not certainly over: with this Flink job id, with a checkpoint below the directory, or
   * restored from there in a way that lets them go on using its files (not NO_CLAIM), themselves or through others.
   */
  live: readonly CheckpointDirectoryUser[]
  /** A version of such a job says `execution.checkpointing.create-subdir: false`. */
  withoutSubdirectory: boolean
}

export type RetainedRefusal = {
  code: 'CLEARING_NOT_ENABLED' | 'SNAPSHOT_IN_USE' | 'FILES_OUTSIDE_PREFIX'
  message: string
}
export type RetainedPlace = {
  /** `<checkpoint dir>/<flinkJobId>` */
  jobDirectory: Location
  /** Its own `chk-N`. */
  own: Location
}
export type RetainedDecision = { place: RetainedPlace } | RetainedRefusal

/** `location`: as Flink reported it. `storage`: the one it lies in. */
export function decideRetained(
  location: string | null,
  storage: { name: string; uri: string; provider: string; clearCheckpoints: boolean } | null,
  facts: CheckpointDirectoryFacts | null,
): RetainedDecision {
  if (location === null || storage === null || facts === null) {
    return outside('Where it lies, or which run made it, is not known.')
  }
  if (!storage.clearCheckpoints) {
    return {
      code: 'CLEARING_NOT_ENABLED',
      message: `Retained checkpoints of the storage ${storage.name} are only reported until it says \`clearCheckpoints: true\`; \`data=keep\` forgets it.`,
    }
  }
  if (storage.provider === 'flink-only') {
    return outside(
      'Its storage is reached only through Flink, whose disposal of a checkpoint deletes files that others use.',
    )
  }
  if (facts.withoutSubdirectory) {
    return outside(
      'A version of its job says `execution.checkpointing.create-subdir: false`: its checkpoints do not lie in a directory of their own.',
    )
  }
  const place = placeOf(location, storage.uri, facts.flinkJobId)
  if (place === null) {
    return outside(
      'It does not lie in `<checkpoint dir>/<Flink job id>/chk-N` below the root of its storage.',
    )
  }
  const [user] = facts.live
  return user ? { code: 'SNAPSHOT_IN_USE', message: describeUser(user) } : { place }
}

const outside = (message: string): RetainedRefusal => ({ code: 'FILES_OUTSIDE_PREFIX', message })

const describeUser = ({ run, job, state }: CheckpointDirectoryUser): string =>
  state === 'LOST'
    ? `The run ${run} of ${job} may still use its directory: it was lost from sight, and counts as live until somebody says so with POST /v1/runs/${run}/confirm-ended.`
    : `The run ${run} of ${job} may use its directory, and has not ended.`

/** null when it is not where Flink puts a checkpoint of this job; the directory is never the root of the storage. */
export function placeOf(location: string, root: string, flinkJobId: string): RetainedPlace | null {
  const own = readLocation(location)
  const storageRoot = readLocation(root)
  if (own === null || storageRoot === null) return null
  const jobDirectory = { ...own, segments: own.segments.slice(0, -1) }
  const isCheckpoint = /^chk-\d+$/.test(own.segments.at(-1) ?? '')
  const isOfJob = FLINK_JOB_ID.test(flinkJobId) && jobDirectory.segments.at(-1) === flinkJobId
  return isCheckpoint && isOfJob && isInside(storageRoot, jobDirectory) ? { jobDirectory, own } : null
}

function readLocation(text: string): Location | null {
  try {
    return snapshotDirectory(parseLocation(text))
  } catch (error) {
    if (error instanceof DomainError) return null
    throw error
  }
}

export const ownPrefix = ({ own }: RetainedPlace): string => `${formatLocation(own)}/`

/** Where files of several checkpoints lie; with file merging those of one too. */
const SHARED_FOLDERS = ['shared', 'taskowned'] as const

/**
 * Of the files a checkpoint names (as keys of places) those beside its own directory that may go once nothing else needs
 * them. What lies in another `chk-N`, or under another Flink job id, is not among them.
 */
export function listShareable(place: RetainedPlace, named: readonly (string | null)[]): string[] {
  const folders = SHARED_FOLDERS.map((name) =>
    folderKey({ ...place.jobDirectory, segments: [...place.jobDirectory.segments, name] }),
  )
  const shareable = named.filter(
    (key): key is string => key !== null && folders.some((folder) => key.startsWith(folder)),
  )
  return [...new Set(shareable)]
}

/** The first of these files (as keys of places) that lies in the directory; null when none does. */
export const findNamedIn = (directory: Location, named: readonly (string | null)[]): string | null =>
  named.find((key) => key?.startsWith(folderKey(directory))) ?? null

/**
 * The ones that go. `kept`: what each kept metadata names, null for one that could not be read: then nothing shared goes.
 * `needed`: what rows of other snapshots need.
 */
export function chooseDoomed(
  shareable: readonly string[],
  kept: readonly (readonly (string | null)[] | null)[],
  needed: readonly string[],
): string[] {
  if (kept.includes(null)) return []
  const spared = new Set<string | null>([...kept.flatMap((keys) => keys ?? []), ...needed])
  return shareable.filter((key) => !spared.has(key))
}

/** Written this much later than the checkpoint completed, `_metadata` is not that checkpoint's. */
const OVERWRITTEN_AFTER_MS = 10_000

export const isOverwritten = (modifiedAt: Date | null, completedAt: Date): boolean =>
  modifiedAt !== null && modifiedAt.getTime() > completedAt.getTime() + OVERWRITTEN_AFTER_MS
