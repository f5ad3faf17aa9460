import { describe, expect, it } from 'vitest'
import { buildSavepointMetadata, keyGroupsOf } from '../../../src/metadata/build-savepoint.ts'
import { readMetadata } from '../../../src/metadata/read-metadata.ts'
import { summarize } from '../../../src/metadata/summarize.ts'
import { writeMetadata } from '../../../src/metadata/write-metadata.ts'

const SOURCE = 'cbc357ccb763df2852fee8c4fc7d55f2'
const COUNTER = '17fbfcaabad45985bbdf4da0490487e3'

describe('building a savepoint', () => {
  it.each([2, 3, 4, 5, 6] as const)('gives a file of version %i that reads as planned', async (version) => {
    const metadata = buildSavepointMetadata({
      version,
      checkpointId: 2n ** 60n,
      action: 'SUSPEND',
      operators: [
        {
          id: SOURCE,
          name: 'Source: numbers',
          uid: 'numbers',
          parallelism: 2,
          maxParallelism: 128,
          operatorState: (subtask) => ({ stateName: 'offsets', inline: Buffer.from([subtask, 1]) }),
        },
        {
          id: COUNTER,
          parallelism: 3,
          maxParallelism: 128,
          keyedState: (subtask) => ({ relativePath: `state-${subtask}`, size: 1000n }),
        },
      ],
    })
    const summary = summarize(await readMetadata(writeMetadata(metadata)))

    expect(summary).toMatchObject({
      version,
      checkpointId: '1152921504606846976',
      format: version === 2 ? null : 'canonical',
      selfContained: true,
      relativeFiles: ['state-0', 'state-1', 'state-2'],
      fileCounts: { managedKeyed: { relative: 3 } },
      stateSize: '3004',
      warnings: [],
    })
    expect(summary.operators).toMatchObject([
      {
        id: SOURCE,
        uid: version < 5 ? null : 'numbers',
        subtaskIndexes: [0, 1],
        sizes: { managedOperator: '4', managedKeyed: '0' },
        stateNames: [{ name: 'offsets', mode: 'SPLIT_DISTRIBUTE', raw: false }],
      },
      { id: COUNTER, name: null, subtaskIndexes: [0, 1, 2], sizes: { managedKeyed: '3000' } },
    ])
    if (version >= 4) expect(summary.properties).toMatchObject({ typeName: 'Suspend Savepoint' })
  })

  it('splits the key groups as Flink does', () => {
    expect([0, 1, 2].map((subtask) => keyGroupsOf(subtask, 3, 128))).toEqual([
      { firstKeyGroup: 0, keyGroupCount: 43 },
      { firstKeyGroup: 43, keyGroupCount: 43 },
      { firstKeyGroup: 86, keyGroupCount: 42 },
    ])
  })
})
