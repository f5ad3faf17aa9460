/**
 * The files of a snapshot but for `_metadata`. A full one has a file per subtask in its own directory; an incremental
 * checkpoint uploads what is new to `<dir>/<job>/shared/` and refers there to what earlier ones have uploaded.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { type Cluster, checkpointRoot } from './cluster.ts'
import type { SharedFile, SimulatedJob } from './job.ts'
import type { DataFile } from './metadata-bytes.ts'
import type { Operator } from './program.ts'

export type SnapshotFiles = {
  /** In the snapshot's own directory. */
  own: DataFile[]
  /** All that an incremental checkpoint refers to; none otherwise. */
  shared: SharedFile[]
  /** Of these, what this checkpoint has uploaded. */
  uploaded: SharedFile[]
}

export const NO_FILES: SnapshotFiles = { own: [], shared: [], uploaded: [] }

/** Only RocksDB can, and only where the files have addresses. */
export const isIncremental = ({ settings }: SimulatedJob): boolean =>
  settings.incremental && settings.stateBackend === 'rocksdb'

/** Part of the state that is new at every incremental checkpoint after the first. */
const DELTA = 0.1
/** So many deltas, then a compaction writes the state anew, as RocksDB's does. */
const DELTAS = 5

/** Throws what the file system throws; the caller cleans up. `root` is the job's directory, for a checkpoint. */
export async function writeFiles(
  { files }: Cluster,
  { location, root }: { location: string; root: string | null },
  { own, uploaded }: SnapshotFiles,
): Promise<void> {
  await files.makeDirectory(location)
  // Flink makes both whether they are used or not, and never removes them.
  if (root !== null) {
    await files.makeDirectory(`${root}/shared`)
    await files.makeDirectory(`${root}/taskowned`)
  }
  for (const file of uploaded) await files.write(file.location, randomBytes(file.bytes))
  for (const file of own) await files.write(`${location}/${file.name}`, file.bytes)
}

/** One file per subtask of an operator with keyed state; sources and the like fit into `_metadata`. */
export function planFullFiles(job: SimulatedJob): SnapshotFiles {
  const own = subtasksOf(job).map(({ operator, stateBytes }) => ({
    name: randomUUID(),
    operator,
    bytes: randomBytes(stateBytes),
  }))
  return { ...NO_FILES, own }
}

export function planIncrementalFiles(job: SimulatedJob, directory: string): SnapshotFiles {
  // Also a claimed one's, in the directory of another job.
  const before = job.retained.at(-1)?.shared ?? []
  const plan: SnapshotFiles = { own: [], shared: [], uploaded: [] }
  for (const { operator, subtask, stateBytes } of subtasksOf(job)) {
    // The list of the tables, RocksDB's MANIFEST: private to each checkpoint.
    plan.own.push({ name: randomUUID(), operator, bytes: randomBytes(64) })
    const known = before.filter((file) => file.operatorId === operator.id && file.subtask === subtask)
    const compacts = known.length === 0 || known.length > DELTAS
    const bytes = Math.max(1, compacts ? stateBytes : Math.ceil(stateBytes * DELTA))
    const location = `${checkpointRoot(directory, job.id)}/shared/${randomUUID()}`
    const added = { operatorId: operator.id, subtask, location, bytes }
    plan.uploaded.push(added)
    plan.shared.push(...(compacts ? [] : known), added)
  }
  return plan
}

type Subtask = { operator: Operator; subtask: number; stateBytes: number }

function subtasksOf({ program }: SimulatedJob): Subtask[] {
  const stateful = program.vertices
    .flatMap((vertex) => vertex.operators)
    .filter(({ uid }) => uid === 'keyed-counter')
  return stateful.flatMap((operator) => {
    const stateBytes = Math.ceil(program.stateBytes / operator.parallelism)
    return Array.from({ length: operator.parallelism }, (_, subtask) => ({ operator, subtask, stateBytes }))
  })
}

export type Sizes = {
  /** All that a restore reads. */
  stateBytes: number
  /** What this snapshot has uploaded. */
  uploadedBytes: number
}

export function sizesOf(
  job: SimulatedJob,
  { own, shared, uploaded }: SnapshotFiles,
  metadata: Uint8Array,
): Sizes {
  const total = (sizes: number[]) => sizes.reduce((sum, size) => sum + size, metadata.length)
  const ownBytes = own.map(({ bytes }) => bytes.length)
  if (ownBytes.length === 0) return unstoredSizes(job)
  return {
    stateBytes: total([...ownBytes, ...shared.map(({ bytes }) => bytes)]),
    uploadedBytes: total([...ownBytes, ...uploaded.map(({ bytes }) => bytes)]),
  }
}

/** Nothing was written: the sizes it would have had. */
function unstoredSizes(job: SimulatedJob): Sizes {
  const stateBytes = job.program.stateBytes
  const isFirst = !job.retained.some(({ entry }) => entry !== null)
  const uploadedBytes = isIncremental(job) && !isFirst ? Math.ceil(stateBytes * DELTA) : stateBytes
  return { stateBytes, uploadedBytes }
}
