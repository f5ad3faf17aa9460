/** An incremental checkpoint of RocksDB as Flink writes it, with files of any bytes. */
import type { KeyedHandle, SnapshotMetadata } from '../../src/metadata/model.ts'
import { retainedCheckpointProperties } from '../../src/metadata/snapshot-properties.ts'
import { writeMetadata } from '../../src/metadata/write-metadata.ts'

export type WrittenFile = { name: string; bytes: Uint8Array }

/** `folder`: where its `shared/` and its own `chk-7/` are, without a slash at the end. */
export function incrementalCheckpoint(folder: string, { sharedFiles = 3, bytes = 1_000 } = {}) {
  const content = (seed: number, length = bytes) => new Uint8Array(length).fill(seed)
  const shared = Array.from({ length: sharedFiles }, (_, index) => ({
    name: `shared/sst-${index}`,
    bytes: content(index + 1),
  }))
  const own = { name: 'chk-7/current', bytes: content(100, 16) }
  const merged = { name: 'shared/merged', bytes: Uint8Array.from({ length: 200 }, (_, at) => at) }
  const managedKeyed: KeyedHandle = {
    kind: 'incrementalV2',
    checkpointId: 7n,
    backendId: '5ab11111-1111-4111-8111-111111111111',
    firstKeyGroup: 0,
    keyGroupCount: 128,
    checkpointedSize: 1n,
    meta: {
      kind: 'segment',
      startPosition: 50n,
      size: 100n,
      scope: 'SHARED',
      path: `${folder}/${merged.name}`,
      logicalFileId: 'a',
    },
    shared: shared.map((file, index) => ({
      localPath: `${index}.sst`,
      handle: { kind: 'file', path: `${folder}/${file.name}`, size: BigInt(file.bytes.length) },
    })),
    private: [
      {
        localPath: 'CURRENT',
        handle: { kind: 'relativeFile', path: 'current', size: BigInt(own.bytes.length) },
      },
    ],
    stateHandleId: 'h',
  }
  const metadata: SnapshotMetadata = {
    version: 6,
    checkpointId: 7n,
    masterStates: [],
    operatorStates: [
      {
        id: 'ab'.repeat(16),
        name: 'counter',
        uid: 'counter',
        parallelism: 1,
        maxParallelism: 128,
        coordinatorState: null,
        fullyFinished: false,
        subtasks: [
          {
            index: 0,
            finished: false,
            managedOperator: null,
            rawOperator: null,
            managedKeyed,
            rawKeyed: null,
            inputChannels: [],
            resultSubpartitions: [],
          },
        ],
      },
    ],
    properties: retainedCheckpointProperties(),
  }
  const files: WrittenFile[] = [
    ...shared,
    own,
    merged,
    { name: 'chk-7/_metadata', bytes: writeMetadata(metadata) },
  ]
  return { location: `${folder}/chk-7`, files, needs: sharedFiles + 2 }
}
