import { describe, expect, it } from 'vitest'
import { buildSavepointMetadata } from '../../../src/metadata/build-savepoint.ts'
import { readMetadata } from '../../../src/metadata/read-metadata.ts'
import { isPlainRelativePath } from '../../../src/metadata/referenced-files.ts'
import { retainedCheckpointProperties } from '../../../src/metadata/snapshot-properties.ts'
import { summarize } from '../../../src/metadata/summarize.ts'
import { sample } from './samples.ts'

const summaryOf = async (name: string) => summarize(await readMetadata(sample(name).bytes))

describe('summary', () => {
  it.each([
    ['v3-flink1.15-broadcast-rocksdb-savepoint-native', { kind: 'savepoint', format: 'canonical' }],
    ['v3-flink1.15-udf-hashmap-checkpoint', { kind: null, format: 'native', incremental: false }],
    ['v2-flink1.8-udf-rocksdb-savepoint', { kind: null, format: null, selfContained: true }],
    [
      'v4-flink1.17-udf-rocksdb-checkpoint-unaligned',
      { unaligned: true, incremental: true, changelog: false },
    ],
    [
      'v4-flink1.17-udf-hashmap-checkpoint-changelog',
      { changelog: true, unaligned: false, format: 'native' },
    ],
    ['v6-flink2.2-udf-hashmap-savepoint-native', { kind: 'savepoint', format: 'native', fileMerging: false }],
    ['synthetic-v6-all-handle-types-unclaimed', { fileMerging: true, selfContained: false }],
  ])('classifies %s by its handles and properties, not by its name', async (name, traits) => {
    expect(await summaryOf(name)).toMatchObject(traits)
  })

  it('lists each file once, with its roles, and says which may be shared', async () => {
    const { files, directories } = await summaryOf('synthetic-v6-all-handle-types-retained-checkpoint')
    expect(files.map(({ kind, path, mayBeShared }) => [kind, path, mayBeShared])).toEqual([
      ['relative', 'rel-1', false],
      ['absolute', 's3://b/chk/j/shared/x-y', true],
      ['segment', 's3://b/chk/j/shared/f1', true],
    ])
    expect(files[0]?.roles).toContain('inputChannel')
    expect(directories).toEqual(['s3://b/chk/j/shared/d', 's3://b/chk/j/taskowned/d'])
  })

  it('says that the kind is unknown when Flink wrote null properties', async () => {
    const summary = await summaryOf('v5-state-processor-table-state-nulls')
    expect(summary).toMatchObject({ kind: null, properties: null, warnings: [{ code: 'null-properties' }] })
  })

  it('warns of what Flink accepts silently', () => {
    const id = 'cbc357ccb763df2852fee8c4fc7d55f2'
    const metadata = buildSavepointMetadata({
      version: 6,
      checkpointId: 1n,
      operators: [
        { id, parallelism: 2, maxParallelism: 1, keyedState: () => ({ relativePath: '../up', size: -1n }) },
        { id, parallelism: 1, maxParallelism: 1 },
      ],
    })
    for (const { subtasks } of metadata.operatorStates) for (const subtask of subtasks) subtask.index = 5
    const summary = summarize({ ...metadata, properties: retainedCheckpointProperties() })

    expect(summary).toMatchObject({ kind: 'checkpoint', selfContained: false, stateSize: '0' })
    expect(summary.files).toMatchObject([{ path: '../up', size: null, references: 2 }])
    expect(new Set(summary.warnings.map(({ code }) => code))).toEqual(
      new Set([
        'odd-parallelism',
        'odd-subtasks',
        'duplicate-operator',
        'unknown-size',
        'path-leaves-folder',
      ]),
    )
  })

  it.each(['', '/a', '../a', 'a/../b', './a', 'a//b', 's3://b/k', 'file:a'])(
    'does not trust the relative path "%s"',
    (path) => {
      expect(isPlainRelativePath(path)).toBe(false)
    },
  )

  it.each(['a', '_metadata', '0f8f1d0e-0000', 'a/b.sst', 'a..b'])('trusts the relative path "%s"', (path) => {
    expect(isPlainRelativePath(path)).toBe(true)
  })
})
