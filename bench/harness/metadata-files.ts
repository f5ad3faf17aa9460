/**
 * `_metadata` files as large jobs have them: subtasks with state inside the file (Flink's limit for that is 20 kB), in files
 * beside it, and in the shared files of an incremental RocksDB checkpoint.
 */
import { writeFile } from 'node:fs/promises'
import { buildSavepointMetadata, keyGroupsOf } from '../../src/metadata/build-savepoint.ts'
import type { IncrementalHandle, MetadataVersion, SnapshotMetadata } from '../../src/metadata/model.ts'
import { writeMetadata } from '../../src/metadata/write-metadata.ts'

const PARALLELISM = 128
const MAX_PARALLELISM = 4096
const INLINE_BYTES = 16_000
const SHARED_FILES = 60
/** Of four subtasks: two keep their state inside, one beside, one in shared files. */
const BYTES_PER_OPERATOR = 1_700_000

/** `inside`: all state lies in the file itself, but for a quarter of the subtasks. */
export type Mix = 'mixed' | 'inside'

/** Answers the size of what was written. */
export async function writeMetadataFile(
  file: string,
  version: MetadataVersion,
  wantedBytes: number,
  mix: Mix = 'mixed',
): Promise<number> {
  const operators = Math.max(1, Math.round(wantedBytes / BYTES_PER_OPERATOR))
  const share = wantedBytes / operators / BYTES_PER_OPERATOR
  const bytes = writeMetadata(build(version, operators, Math.max(4, Math.round(PARALLELISM * share)), mix))
  await writeFile(file, bytes)
  return bytes.length
}

function build(version: MetadataVersion, operators: number, parallelism: number, mix: Mix): SnapshotMetadata {
  const isIncremental = (subtask: number) => mix === 'mixed' && subtask % 4 === 3
  const inline = new Uint8Array(INLINE_BYTES).fill(7)
  const metadata = buildSavepointMetadata({
    version,
    checkpointId: 42n,
    operators: Array.from({ length: operators }, (_, index) => ({
      id: index.toString(16).padStart(32, '0'),
      name: `operator ${index}`,
      uid: `uid-${index}`,
      parallelism,
      maxParallelism: MAX_PARALLELISM,
      keyedState: (subtask: number) =>
        isIncremental(subtask)
          ? null
          : subtask % 4 === 2
            ? { relativePath: `state-${index}-${subtask}`, size: 1_000_000n }
            : { inline },
      operatorState: (subtask: number) =>
        isIncremental(subtask) ? null : { stateName: 'offsets', inline: inline.subarray(0, 500) },
    })),
  })
  for (const operator of metadata.operatorStates) {
    for (const subtask of operator.subtasks) {
      if (isIncremental(subtask.index) && !subtask.finished)
        subtask.managedKeyed = buildIncremental(subtask.index, parallelism)
    }
  }
  return metadata
}

function buildIncremental(subtask: number, parallelism: number): IncrementalHandle {
  const fileOf = (name: string) => ({
    kind: 'file' as const,
    path: `s3://state/flink/shared/${name}`,
    size: 1_000_000n,
  })
  return {
    kind: 'incremental',
    checkpointId: 42n,
    backendId: '00000000-0000-0000-0000-000000000042',
    ...keyGroupsOf(subtask, parallelism, MAX_PARALLELISM),
    checkpointedSize: null,
    meta: fileOf(`meta-${subtask}`),
    shared: Array.from({ length: SHARED_FILES }, (_, index) => ({
      localPath: `${String(index).padStart(6, '0')}.sst`,
      handle: fileOf(`3f0e9c0a-${subtask}-${index}-4b55-9a3c-7f3f0e9c0a11`),
    })),
    private: [],
    stateHandleId: null,
  }
}
