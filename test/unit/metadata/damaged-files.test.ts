import { describe, expect, it } from 'vitest'
import { MetadataError } from '../../../src/metadata/errors.ts'
import { readMetadata } from '../../../src/metadata/read-metadata.ts'
import { inChunks, SAMPLES, type Sample, sample } from './samples.ts'

/** The error of a read, or null when it went through; anything but the module's own error fails the test. */
async function errorOf(read: Promise<unknown>): Promise<MetadataError | null> {
  try {
    await read
    return null
  } catch (error) {
    if (error instanceof MetadataError) return error
    throw error
  }
}

/** xorshift32: the same damage in every run. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

const SMALL: Sample[] = SAMPLES.filter(({ bytes }) => bytes.length < 2500)
const LARGE: Sample[] = SAMPLES.filter(({ bytes }) => bytes.length >= 2500)
const EVERYTHING = 'synthetic-v6-all-handle-types-retained-checkpoint'

describe('truncated files', () => {
  it.each([...SMALL, sample(EVERYTHING)])('refuses $name cut at every byte', async ({ bytes }) => {
    for (let length = 0; length < bytes.length; length += 1) {
      const error = await errorOf(readMetadata(inChunks(bytes.subarray(0, length), 1000)))
      if (error?.code !== 'truncated') expect.fail(`cut at ${length}: ${error?.message ?? 'was read'}`)
      expect(error.offset).toBeLessThanOrEqual(length)
    }
  })

  it.each(LARGE)('refuses $name cut at bytes here and there, its size told', async ({ bytes }) => {
    for (let length = 0; length < bytes.length; length += 97) {
      const error = await errorOf(readMetadata(bytes.subarray(0, length)))
      // Knowing the size, the reader refuses a count that cannot fit before it comes to the end.
      expect(['truncated', 'bad-count']).toContain(error?.code)
    }
  })
})

describe('corrupted files', () => {
  it('[N-05] answers 20,000 random corruptions with its own error or with a model, in bounded memory', async () => {
    const random = randomNumbers(20_260_801)
    const before = process.memoryUsage().heapUsed
    let refused = 0
    for (let round = 0; round < 20_000; round += 1) {
      const { bytes } = SMALL_ENOUGH[random(SMALL_ENOUGH.length)] ?? sample(EVERYTHING)
      const damaged = corrupt(bytes, random)
      const source = round % 4 === 0 ? inChunks(damaged, 1 + random(500)) : damaged
      if (await errorOf(readMetadata(source, { keepInlineBytes: round % 8 === 0 }))) refused += 1
    }
    expect(refused).toBeGreaterThan(5_000)
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(256 * 1024 * 1024)
  }, 60_000)
})

const SMALL_ENOUGH = SAMPLES.filter(({ bytes }) => bytes.length < 6000)

function corrupt(bytes: Uint8Array, random: (below: number) => number): Uint8Array {
  const damaged = Buffer.from(bytes)
  for (let left = 1 + random(4); left > 0; left -= 1) {
    const at = random(damaged.length - 8)
    const damage = [
      () => damaged.writeUInt8(random(256), at),
      () => damaged.writeUInt8((damaged[at] ?? 0) ^ (1 << random(8)), at),
      () => damaged.writeInt32BE(random(2) === 0 ? 0x7fffffff : -1 - random(1000), at),
      () => damaged.writeUInt32BE(random(0xffffffff), at),
      () => damaged.copyWithin(at, random(damaged.length), at + random(64)),
    ]
    damage[random(damage.length)]?.()
  }
  return damaged
}
