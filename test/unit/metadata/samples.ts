import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const FOLDER = join(import.meta.dirname, '../../support/flink-metadata-samples')

export type Sample = { name: string; bytes: Uint8Array; expected: ExpectedSample }
/** What Flink's own reader and a checking parser found; see the README beside the samples. */
export type ExpectedSample = {
  version: number
  operators: Record<string, unknown>[]
  handleCounts: Record<string, number>
} & Record<string, unknown>

const expected: Record<string, ExpectedSample> = JSON.parse(
  readFileSync(join(FOLDER, 'expected.json'), 'utf8'),
)

export const SAMPLES: readonly Sample[] = Object.entries(expected).map(([name, fields]) => {
  return { name, bytes: readFileSync(join(FOLDER, name, '_metadata')), expected: fields }
})

export const SAMPLE_FOLDERS = readdirSync(FOLDER, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)

export function sample(name: string): Sample {
  const found = SAMPLES.find((candidate) => candidate.name === name)
  if (found === undefined) throw new Error(`no sample ${name}`)
  return found
}

/** The file in pieces of the given sizes, over and over, as a network would bring it. */
export async function* inChunks(bytes: Uint8Array, ...sizes: number[]): AsyncGenerator<Uint8Array> {
  let at = 0
  for (let turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1
    yield bytes.subarray(at, at + size)
    at += size
  }
}
