import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { KeyedHandle, SnapshotMetadata, StreamHandle } from '../../../src/metadata/model.ts'
import { readMetadata } from '../../../src/metadata/read-metadata.ts'
import { listReferencedFiles } from '../../../src/metadata/referenced-files.ts'
import { type RelocateOptions, relocate } from '../../../src/metadata/relocate.ts'
import { summarize } from '../../../src/metadata/summarize.ts'
import { walkHandles } from '../../../src/metadata/walk-handles.ts'
import { writeMetadata } from '../../../src/metadata/write-metadata.ts'
import { arbitraryMetadata } from './arbitrary-metadata.ts'
import { SAMPLES, sample } from './samples.ts'

const OPTIONS: RelocateOptions = {
  resolve: ({ kind, path }) => (kind === 'relative' ? `s3://old/chk-7/${path}` : path),
  place: (name) => `s3://new/copy/${name}`,
}

const moved = (metadata: SnapshotMetadata, options = OPTIONS) => {
  const relocation = relocate(metadata, options)
  if (!relocation.possible) throw new Error(JSON.stringify(relocation.problems))
  return relocation
}

/** Sizes of all streams, an empty segment being no bytes. */
const sizesOf = (metadata: SnapshotMetadata): bigint[] => {
  const sizes: bigint[] = []
  walkHandles(metadata, {
    stream: (handle) => {
      const size = sizeOf(handle)
      if (size !== null && size !== 0n) sizes.push(size)
    },
  })
  return sizes.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
}
const sizeOf = (handle: StreamHandle): bigint | null => {
  if (handle.kind === 'byteStream') return BigInt(handle.inline.length)
  return 'size' in handle ? handle.size : null
}

const metadataOf = (handle: KeyedHandle, version: SnapshotMetadata['version'] = 6): SnapshotMetadata => ({
  version,
  checkpointId: 7n,
  masterStates: [],
  operatorStates: [
    {
      id: '0'.repeat(32),
      name: null,
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
          managedKeyed: handle,
          rawKeyed: null,
          inputChannels: [],
          resultSubpartitions: [],
        },
      ],
    },
  ],
  ...(version >= 4 && { properties: null }),
})
const keyedOf = (metadata: SnapshotMetadata): KeyedHandle | null => {
  const [subtask] = metadata.operatorStates[0]?.subtasks ?? []
  return subtask && !subtask.finished ? subtask.managedKeyed : null
}
const file = (path: string, size = 10n): StreamHandle => ({ kind: 'file', path, size })
const incremental = (): KeyedHandle & { kind: 'incrementalV2' } => ({
  kind: 'incrementalV2',
  checkpointId: 7n,
  backendId: 'b',
  firstKeyGroup: 0,
  keyGroupCount: 128,
  checkpointedSize: 30n,
  meta: { kind: 'relativeFile', path: 'meta', size: 3n },
  shared: [{ localPath: '000012.sst', handle: file('s3://old/shared/a') }],
  private: [{ localPath: 'CURRENT', handle: { kind: 'relativeFile', path: 'current', size: 4n } }],
  stateHandleId: 'h',
})

describe('a snapshot in another folder', () => {
  it.each(SAMPLES)('$name needs nothing outside its folder', async ({ bytes }) => {
    const before = await readMetadata(bytes, { keepInlineBytes: true })
    const { metadata, files, relocatable } = moved(before)
    const after = await readMetadata(writeMetadata(metadata), { keepInlineBytes: true })

    const { properties, checkpointId, version } = after
    expect({ properties, checkpointId, version }).toEqual({
      properties: before.properties,
      checkpointId: before.checkpointId,
      version: before.version,
    })
    expect(sizesOf(after)).toEqual(sizesOf(before))
    const referenced = listReferencedFiles(after)
    const hasChangelog = summarize(before).changelog
    expect(relocatable).toBe(summarize(after).selfContained)
    expect(relocatable || version === 2 || hasChangelog).toBe(true)
    const targets = referenced.map(({ path }) => path.replace('s3://new/copy/', ''))
    expect(new Set(targets)).toEqual(new Set(files.map(({ target }) => target)))
    expect(targets.every((name) => !name.includes('/'))).toBe(true)
    expect(summarize(after).fileMerging).toBe(false)
    // relocating what was relocated changes no name
    const again = moved(metadata, {
      ...OPTIONS,
      resolve: ({ kind, path }) => (kind === 'relative' ? OPTIONS.place(path) : path),
    })
    expect(new Set(again.files.map(({ target }) => target))).toEqual(new Set(targets))
  })

  it('is refused or whole, whatever the metadata says', () => {
    fc.assert(
      fc.property(arbitraryMetadata, (before) => {
        const relocation = relocate(before, OPTIONS)
        if (!relocation.possible) {
          expect(relocation.problems.length).toBeGreaterThan(0)
          return
        }
        const { metadata, files } = relocation
        const names = new Set(files.map(({ target }) => target))
        for (const { kind, path } of listReferencedFiles(metadata)) {
          expect(kind).not.toBe('segment')
          expect(names).toContain(path.replace('s3://new/copy/', ''))
        }
        expect(names.size).toBe(files.length)
        expect(names).not.toContain('_metadata')
        expect(relocate(before, OPTIONS)).toEqual(relocation)
      }),
      { numRuns: 300 },
    )
  })

  it('has the shared files of an incremental handle as private ones', () => {
    const { metadata, files, relocatable } = moved(metadataOf(incremental()))
    expect(keyedOf(metadata)).toMatchObject({
      kind: 'incrementalV2',
      meta: { kind: 'relativeFile', path: 'meta' },
      shared: [],
      private: [
        { localPath: '000012.sst', handle: { kind: 'relativeFile', path: 'a', size: 10n } },
        { localPath: 'CURRENT', handle: { kind: 'relativeFile', path: 'current', size: 4n } },
      ],
      checkpointedSize: 30n,
      stateHandleId: 'h',
    })
    expect(files.map(({ source, target }) => [source, target])).toEqual([
      ['s3://old/chk-7/meta', 'meta'],
      ['s3://old/shared/a', 'a'],
      ['s3://old/chk-7/current', 'current'],
    ])
    expect(relocatable).toBe(true)
  })

  it('names the files of a changelog absolutely, and says so', () => {
    const changelog: KeyedHandle = {
      kind: 'changelogV2',
      firstKeyGroup: 0,
      keyGroupCount: 128,
      checkpointedSize: 1n,
      materialized: [incremental()],
      nonMaterialized: [
        {
          kind: 'changelogFileV2',
          firstKeyGroup: 0,
          keyGroupCount: 128,
          streams: [{ offset: 5n, handle: file('s3://old/dstl/log') }],
          stateSize: 1n,
          checkpointedSize: 1n,
          stateHandleId: 'x',
          storageIdentifier: 'filesystem',
        },
      ],
      materializationId: 1n,
      checkpointId: 7n,
      stateHandleId: 'y',
    }
    const { metadata, relocatable } = moved(metadataOf(changelog))
    expect(relocatable).toBe(false)
    expect(keyedOf(metadata)).toMatchObject({
      materialized: [{ shared: [{ handle: { kind: 'file', path: 's3://new/copy/a' } }] }],
      nonMaterialized: [{ streams: [{ offset: 5n, handle: { kind: 'file', path: 's3://new/copy/log' } }] }],
    })
  })

  it('names files absolutely in version 2, whose Flinks know no relative names', async () => {
    const keyed: KeyedHandle = {
      kind: 'keyGroups',
      firstKeyGroup: 0,
      offsets: new BigInt64Array(1),
      delegate: file('hdfs://n/chk-7/x'),
      stateHandleId: null,
    }
    const { metadata, relocatable } = moved(metadataOf(keyed, 2))
    expect(relocatable).toBe(false)
    expect(keyedOf(metadata)).toMatchObject({ delegate: { kind: 'file', path: 's3://new/copy/x' } })
  })

  it('cuts a segment out of its physical file, each piece once', () => {
    const segment = (startPosition: bigint, size: bigint): StreamHandle => ({
      kind: 'segment',
      startPosition,
      size,
      scope: 'SHARED',
      path: 's3://old/shared/merged',
      logicalFileId: 'l',
    })
    const handle = incremental()
    handle.meta = segment(0n, 10n)
    handle.shared = [
      { localPath: '1.sst', handle: segment(10n, 5n) },
      { localPath: '2.sst', handle: segment(10n, 5n) },
      { localPath: '3.sst', handle: { kind: 'emptySegment' } },
    ]
    handle.private = []
    const { metadata, files } = moved(metadataOf(handle))
    expect(files).toEqual([
      {
        source: 's3://old/shared/merged',
        piece: { offset: 0n, length: 10n },
        target: 'merged',
        leastBytes: 10n,
      },
      {
        source: 's3://old/shared/merged',
        piece: { offset: 10n, length: 5n },
        target: '1-merged',
        leastBytes: 15n,
      },
    ])
    expect(keyedOf(metadata)).toMatchObject({
      meta: { kind: 'relativeFile', path: 'merged', size: 10n },
      private: [
        { handle: { kind: 'relativeFile', path: '1-merged', size: 5n } },
        { handle: { kind: 'relativeFile', path: '1-merged', size: 5n } },
        { handle: { kind: 'byteStream', inline: { length: 0 } } },
      ],
    })
  })

  it('gives every file a name of its own, also where letters have no case', () => {
    const handle = incremental()
    handle.shared = ['s3://b/1/x', 's3://b/2/x', 's3://b/3/X', 's3://b/4/_metadata', 's3://b/5/a b%'].map(
      (path, index) => ({ localPath: `${index}.sst`, handle: file(path) }),
    )
    handle.private = []
    const { files } = moved(metadataOf(handle))
    expect(files.map(({ target }) => target)).toEqual(['meta', 'x', '2-x', '3-X', 'file-4', 'file-5'])
  })

  it('is refused when a name means no place, or a piece has no size', () => {
    const nowhere = relocate(metadataOf(incremental()), { ...OPTIONS, resolve: () => null })
    expect(nowhere).toMatchObject({ possible: false, problems: [{ code: 'FILE_NOT_ADDRESSABLE' }, {}, {}] })
    const handle = incremental()
    handle.meta = {
      kind: 'segment',
      startPosition: 0n,
      size: -1n,
      scope: 'SHARED',
      path: 'p',
      logicalFileId: '',
    }
    expect(relocate(metadataOf(handle), OPTIONS)).toMatchObject({
      possible: false,
      problems: [{ code: 'SEGMENT_SIZE_UNKNOWN', path: 'p' }],
    })
  })

  it('of an incremental checkpoint of RocksDB is self-contained', async () => {
    const { bytes } = sample('v6-flink2.3-udf-rocksdb-checkpoint')
    const before = await readMetadata(bytes, { keepInlineBytes: true })
    const { metadata } = moved(before)
    expect(summarize(metadata)).toMatchObject({
      selfContained: true,
      incremental: summarize(before).incremental,
    })
  })
})
