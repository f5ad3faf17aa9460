import { ByteCursor } from './byte-cursor.ts'
import { ChunkSource, type MetadataSource } from './chunk-source.ts'
import { MetadataError } from './errors.ts'
import { DEFAULT_MAX_BYTES, DEFAULT_MAX_PARTS } from './limits.ts'
import type { MetadataVersion, SnapshotMetadata } from './model.ts'
import { readMasterStates } from './read-master-states.ts'
import { readOperatorStates } from './read-operator-states.ts'
import { readSnapshotProperties } from './read-snapshot-properties.ts'
import { FILE_MAGIC } from './tags.ts'

export type ReadOptions = {
  /** Copy state that lies inside the file into the model; without it only its place is noted. Default false. */
  keepInlineBytes?: boolean
  /** Refuse longer files. Default 256 MiB. */
  maxBytes?: number
  /** Refuse files of more elements: operators, subtasks, handles, files, channels. Default 10,000,000. */
  maxParts?: number
  /** The size of the file when it is known: counts that cannot fit are refused sooner. */
  size?: number
}

/** What was read, and of how many bytes. Flink ignores bytes behind the end; we count them. */
export type ReadSnapshotMetadata = SnapshotMetadata & { byteLength: number; trailingBytes: number }

/** Reads a `_metadata` file of version 2 to 6, as Flink 1.3 to 2.3 writes it. Throws `MetadataError`. */
export async function readMetadata(
  source: MetadataSource,
  options: ReadOptions = {},
): Promise<ReadSnapshotMetadata> {
  const { keepInlineBytes = false, maxBytes = DEFAULT_MAX_BYTES, maxParts = DEFAULT_MAX_PARTS } = options
  const size = source instanceof Uint8Array ? source.length : options.size
  const chunks = new ChunkSource(source, Math.min(size ?? maxBytes, maxBytes))
  try {
    if (size !== undefined && size > maxBytes)
      throw new MetadataError('too-large', `the file has ${size} bytes, more than ${maxBytes}`, 0, '')
    const cursor = new ByteCursor(chunks, keepInlineBytes, maxParts)
    const metadata = await readBody(cursor)
    const byteLength = cursor.offset
    return { ...metadata, byteLength, trailingBytes: await cursor.countRest() }
  } finally {
    await chunks.close()
  }
}

async function readBody(cursor: ByteCursor): Promise<SnapshotMetadata> {
  const { version, checkpointId } = await cursor.unit((bytes) => ({
    version: readVersion(bytes),
    checkpointId: readCheckpointId(bytes),
  }))
  const masterStates = await readMasterStates(cursor)
  const operatorStates = await readOperatorStates(cursor, version)
  const body = { version, checkpointId, masterStates, operatorStates }
  return version < 4 ? body : { ...body, properties: await cursor.unit(readSnapshotProperties) }
}

function readVersion(cursor: ByteCursor): MetadataVersion {
  if (cursor.i32('magic') !== FILE_MAGIC)
    cursor.fail('bad-magic', 'magic', 'not a Flink _metadata file', cursor.offset - 4)
  const version = cursor.i32('version')
  if (isReadable(version)) return version
  const problem = `unsupported version ${version} (versions 2 to 6 are read)`
  return cursor.fail('unsupported-version', 'version', problem, cursor.offset - 4)
}

const isReadable = (version: number): version is MetadataVersion => version >= 2 && version <= 6

function readCheckpointId(cursor: ByteCursor): bigint {
  const id = cursor.i64('checkpointId')
  if (id < 0n) cursor.fail('bad-value', 'checkpointId', `negative checkpoint id ${id}`, cursor.offset - 8)
  return id
}
