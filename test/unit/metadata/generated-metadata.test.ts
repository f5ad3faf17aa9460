import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readMetadata } from '../../../src/metadata/read-metadata.ts'
import { writeMetadata } from '../../../src/metadata/write-metadata.ts'
import { arbitraryMetadata } from './arbitrary-metadata.ts'
import { inChunks } from './samples.ts'

/** Where inline bytes lie is known only to a model that was read. */
function withoutOffsets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutOffsets)
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
  const entries = Object.entries(value).filter(([key]) => key !== 'offset' || !('length' in value))
  return Object.fromEntries(entries.map(([key, inner]) => [key, withoutOffsets(inner)]))
}

describe('generated models', () => {
  it('are read as they were written, in chunks of any size', async () => {
    const chunkSize = fc.integer({ min: 1, max: 400 })
    await fc.assert(
      fc.asyncProperty(arbitraryMetadata, chunkSize, async (metadata, size) => {
        const bytes = writeMetadata(metadata)
        const read = await readMetadata(inChunks(bytes, size), { keepInlineBytes: true, size: bytes.length })
        expect(withoutOffsets(read)).toEqual({ ...metadata, byteLength: bytes.length, trailingBytes: 0 })
        expect(Buffer.compare(writeMetadata(read), bytes)).toBe(0)
      }),
      { numRuns: 300 },
    )
  })

  it('give the same model whether inline bytes are kept or passed over', async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryMetadata, async (metadata) => {
        const bytes = writeMetadata(metadata)
        expect(await readMetadata(inChunks(bytes, 31))).toEqual(await readMetadata(bytes))
      }),
      { numRuns: 100 },
    )
  })
})
