/** A `_metadata` that names the files a test wants, whatever they are called. */
import type { StreamHandle } from '../../src/metadata/model.ts'
import { writeMetadata } from '../../src/metadata/write-metadata.ts'

export type NamedFile = {
  path: string
  size?: bigint
  relative?: boolean
  /** A segment that begins here. */
  from?: bigint
}

/** An incremental checkpoint of one operator: absolute files unless they say that they are relative. */
export function metadataWithFiles(
  files: readonly NamedFile[],
  { checkpointId = 7n, name = 'counter' }: { checkpointId?: bigint; name?: string } = {},
): Uint8Array {
  const handleOf = ({ path, size = 100n, relative = false, from }: NamedFile): StreamHandle =>
    from === undefined
      ? { kind: relative ? 'relativeFile' : 'file', path, size }
      : {
          kind: 'segment',
          startPosition: from,
          size,
          scope: 'SHARED',
          path,
          logicalFileId: `${path}@${from}`,
        }
  return writeMetadata({
    version: 5,
    checkpointId,
    masterStates: [],
    operatorStates: [
      {
        id: '0123456789abcdef'.repeat(2),
        name,
        uid: null,
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
            managedKeyed: {
              kind: 'incrementalV2',
              firstKeyGroup: 0,
              keyGroupCount: 128,
              checkpointId,
              backendId: '01a1fc17-33fb-77dc-868c-270712e43ced',
              checkpointedSize: 1n,
              meta: { kind: 'byteStream', name: 'meta', inline: { length: 3, bytes: new Uint8Array(3) } },
              shared: files.map((file, index) => ({ localPath: `${index}.sst`, handle: handleOf(file) })),
              private: [],
              stateHandleId: '11a1fc17-33fb-77dc-868c-270712e43ced',
            },
            rawKeyed: null,
            inputChannels: [],
            resultSubpartitions: [],
          },
        ],
      },
    ],
    properties: null,
  })
}
