import { describe, expect, it } from 'vitest'
import { buildSavepointMetadata } from '../../../src/metadata/build-savepoint.ts'
import type { KeyedHandle, SnapshotMetadata, StreamHandle } from '../../../src/metadata/model.ts'
import { readMetadata } from '../../../src/metadata/read-metadata.ts'
import { writeMetadata } from '../../../src/metadata/write-metadata.ts'
import { metadataWithFiles } from '../../support/metadata-with-files.ts'
import { inChunks, sample } from './samples.ts'

const ID = '0123456789abcdef0123456789abcdef'
const HEADER = Buffer.from('4960672d', 'hex')

const i32 = (...values: number[]) => Buffer.concat(values.map((value) => intBytes(value)))
function intBytes(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
/** A version 3 file up to its first subtask. */
const upToSubtask = (count: number) =>
  Buffer.concat([HEADER, i32(3, 0, 1, 0, 1), Buffer.from(ID, 'hex'), i32(1, 128), Buffer.of(0), i32(count)])

function withKeyed(managedKeyed: KeyedHandle): SnapshotMetadata {
  const metadata = buildSavepointMetadata({
    version: 3,
    checkpointId: 1n,
    operators: [{ id: ID, parallelism: 1, maxParallelism: 128 }],
  })
  for (const { subtasks } of metadata.operatorStates) {
    for (const subtask of subtasks) if (!subtask.finished) subtask.managedKeyed = managedKeyed
  }
  return metadata
}

describe('refusals', () => {
  it.each([0, 1, 7, 99])('says which version it does not read: %i', async (version) => {
    const read = readMetadata(Buffer.concat([HEADER, i32(version, 0, 0)]))
    await expect(read).rejects.toMatchObject({
      code: 'unsupported-version',
      offset: 4,
      path: 'version',
      message: expect.stringContaining(`version ${version}`),
    })
  })

  it('refuses a file that is something else', async () => {
    const read = readMetadata(Buffer.from('{"not": "metadata"}'))
    await expect(read).rejects.toMatchObject({ code: 'bad-magic', offset: 0 })
  })

  it('refuses state of Flink 1.1 in version 2, as Flink does', async () => {
    const bytes = Buffer.from(sample('v2-flink1.8-operator-nonkeyed').bytes)
    const [first] = (await readMetadata(bytes)).operatorStates
    const operatorAt = bytes.indexOf(Buffer.from(first?.id ?? '', 'hex'))
    bytes.writeInt32BE(1, operatorAt + 16 + 16 + 4 + 8)
    await expect(readMetadata(bytes)).rejects.toMatchObject({
      code: 'legacy-state',
      path: 'operatorStates[0].subtasks[0].legacyStates',
    })
  })

  it('refuses a file of more parts than memory is for', async () => {
    const finished = Buffer.concat([
      upToSubtask(1_000),
      i32(...Array.from({ length: 1_000 }, (_, n) => -1 - n)),
    ])
    for (const size of [7, 64, 100_000]) {
      const read = (maxParts: number) => readMetadata(inChunks(finished, size), { maxParts })
      await expect(read(1_001)).resolves.toMatchObject({ byteLength: finished.length }) // and the operator
      await expect(read(1_000)).rejects.toMatchObject({
        code: 'too-large',
        path: 'operatorStates[0].subtasks[999]',
      })
    }
  })

  it('counts a list that is read again, for its bytes came in pieces, once', async () => {
    const bytes = metadataWithFiles(
      Array.from({ length: 500 }, (_, n) => ({ path: `s3://bucket/shared/${n}` })),
    )
    for (const size of [7, 64, 100_000]) {
      const read = (maxParts: number) => readMetadata(inChunks(bytes, size), { maxParts })
      await expect(read(502)).resolves.toMatchObject({ version: 5 }) // 500 files, a subtask, an operator
      await expect(read(501)).rejects.toMatchObject({ code: 'too-large' })
    }
  })

  it('refuses a count that cannot be true before it allocates for it', async () => {
    const huge = Buffer.concat([upToSubtask(0x7fffffff), Buffer.alloc(100)])
    const expected = { code: 'bad-count', offset: 49, path: 'operatorStates[0].subtasks' }
    await expect(readMetadata(huge)).rejects.toMatchObject(expected)
    await expect(readMetadata(inChunks(huge, 3))).rejects.toMatchObject(expected)
  })

  it('names byte and field of a tag it does not know', async () => {
    const bytes = Buffer.concat([upToSubtask(1), i32(0, 0, 0), Buffer.of(12), i32(0, 0), Buffer.of(99)])
    await expect(readMetadata(Buffer.concat([bytes, Buffer.alloc(20)]))).rejects.toMatchObject({
      code: 'bad-tag',
      offset: bytes.length - 1,
      path: 'operatorStates[0].subtasks[0].managedKeyed.delegate.tag',
    })
  })

  it('refuses key groups nested without end', async () => {
    let delegate: StreamHandle = { kind: 'emptySegment' }
    for (let depth = 0; depth < 10; depth += 1)
      delegate = { kind: 'keyGroups', firstKeyGroup: 0, offsets: new BigInt64Array(0), delegate }
    const keyed: KeyedHandle = {
      kind: 'keyGroups',
      firstKeyGroup: 0,
      offsets: new BigInt64Array(0),
      delegate,
      stateHandleId: null,
    }
    await expect(readMetadata(writeMetadata(withKeyed(keyed)))).rejects.toMatchObject({ code: 'too-deep' })
  })

  it('refuses changelogs nested without end', async () => {
    const changelog = (materialized: KeyedHandle[]): KeyedHandle => ({
      kind: 'changelogV2',
      firstKeyGroup: 0,
      keyGroupCount: 1,
      checkpointedSize: 0n,
      materialized,
      nonMaterialized: [],
      materializationId: 0n,
      checkpointId: 0n,
      stateHandleId: '',
    })
    let keyed = changelog([])
    for (let depth = 0; depth < 10; depth += 1) keyed = changelog([keyed])
    await expect(readMetadata(writeMetadata(withKeyed(keyed)))).rejects.toMatchObject({ code: 'too-deep' })
  })

  it('refuses files longer than it may read, told or found out', async () => {
    const { bytes } = sample('v6-sql-flink2.1-semi-anti-join')
    const tooLarge = { code: 'too-large' }
    await expect(readMetadata(bytes, { maxBytes: 1000 })).rejects.toMatchObject(tooLarge)
    await expect(readMetadata(inChunks(bytes, 100), { maxBytes: bytes.length - 1 })).rejects.toMatchObject(
      tooLarge,
    )
  })

  const CLASS_X = `72${'000158'}${'0'.repeat(16)}` // its name and serialVersionUID; flags and fields follow
  it.each([
    ['an unknown token', '75'],
    ['something else than properties', '740001780000'],
    ['a reference to nothing', '71007e0000'],
    ['a class that writes its own bytes', `73${CLASS_X}030000`],
    ['a class that is its own super class', `73${CLASS_X}0200007871007e0000`],
    [
      'objects inside objects without end',
      `73${CLASS_X}0200014c000161740001617870${'7371007e0000'.repeat(30)}`,
    ],
    ['a string longer than the rest', `7c7fffffffffffffff`],
  ])('refuses a Java stream with %s', async (_, hex) => {
    const bytes = Buffer.from(sample('v6-flink2.3-udf-rocksdb-checkpoint').bytes)
    const start = bytes.lastIndexOf('aced0005', undefined, 'hex') + 4
    const read = readMetadata(Buffer.concat([bytes.subarray(0, start), Buffer.from(hex, 'hex')]))
    await expect(read).rejects.toMatchObject({ code: 'bad-java-object', path: 'properties' })
  })

  it('lets the stream go when it refuses the file', async () => {
    let isClosed = false
    async function* source() {
      try {
        for (;;) yield Buffer.alloc(100)
      } finally {
        isClosed = true
      }
    }
    await expect(readMetadata(source())).rejects.toMatchObject({ code: 'bad-magic' })
    expect(isClosed).toBe(true)
  })

  it('passes on the error of the source', async () => {
    async function* source() {
      yield HEADER
      throw new Error('connection reset')
    }
    await expect(readMetadata(source())).rejects.toThrow('connection reset')
  })
})
