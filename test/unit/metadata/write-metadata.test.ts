import { describe, expect, it } from 'vitest'
import { readMetadata } from '../../../src/metadata/read-metadata.ts'
import { writeMetadata } from '../../../src/metadata/write-metadata.ts'
import { SAMPLES, sample } from './samples.ts'

describe('writing', () => {
  it.each(SAMPLES)('reproduces $name byte for byte', async ({ bytes }) => {
    const metadata = await readMetadata(bytes, { keepInlineBytes: true })
    expect(Buffer.compare(writeMetadata(metadata), bytes)).toBe(0)
  })

  it('refuses a model that was read without its inline bytes, and says where', async () => {
    const metadata = await readMetadata(sample('v4-sql-flink1.19-calc-simple').bytes)
    expect(() => writeMetadata(metadata)).toThrow(
      expect.objectContaining({
        code: 'not-writable',
        path: expect.stringMatching(/^operatorStates\[\d\]\.\S+bytes$/),
      }),
    )
  })

  it('refuses what the version cannot say', async () => {
    const { bytes } = sample('synthetic-v6-all-handle-types-retained-checkpoint')
    const metadata = await readMetadata(bytes, { keepInlineBytes: true })
    const notWritable = expect.objectContaining({ code: 'not-writable' })
    expect(() => writeMetadata({ ...metadata, version: 5 })).toThrow(notWritable)
    expect(() => writeMetadata({ ...metadata, version: 2 })).toThrow(notWritable)
    expect(() => writeMetadata({ ...metadata, checkpointId: 2n ** 63n })).toThrow(notWritable)
  })
})
