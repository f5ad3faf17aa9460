/**
 * B5: `_metadata` files of 1, 10 and 100 MB in each format version, with state inside, read beside Flink's own reader; and
 * how much memory reading the largest from S3 takes. Ours passes over inline state as the inspection does, Flink's copies it.
 */
import { execFile } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { getFlink } from '../dev/flink/distribution.ts'
import { openRunFolder, removeRunFolder } from '../dev/services/run-folder.ts'
import { startVersityGateway } from '../dev/services/s3.ts'
import type { MetadataVersion } from '../src/metadata/model.ts'
import { readMetadata } from '../src/metadata/read-metadata.ts'
import type { Benchmark, BenchOptions } from './harness/benchmark.ts'
import { type FlinkReader, startFlinkReader } from './harness/flink-reader.ts'
import { type Mix, writeMetadataFile } from './harness/metadata-files.ts'
import { uploadFile } from './harness/upload-file.ts'
import { medianOf } from './harness/verdict.ts'

const VERSIONS: readonly MetadataVersion[] = [2, 3, 4, 5, 6]
const SIZES_MB = [1, 10, 100]
const MB = 1_000_000
/** What one measurement reads at least, by repeating small files. */
const LEAST_MB = 40
const WARM_UP_MB = 300
const CHUNK_BYTES = 256 * 1024
const BUCKET = 'bench'
const KEYS = { accessKey: 'bench-access', secretKey: 'bench-secret-key' }

export const readMetadataFiles: Benchmark = {
  name: 'b5',
  title: "_metadata of 1, 10 and 100 MB beside Flink's own reader",
  run,
}

type Sample = { version: MetadataVersion; sizeMb: number; file: string; bytes: number; operators: number }
type Figures = Record<string, number>

async function run({ rounds, scale }: BenchOptions) {
  const folder = join(await openRunFolder(), 'b5')
  await mkdir(folder, { recursive: true })
  const flink = await startFlinkReader(await getFlink('2'), folder)
  try {
    const samples = await writeSamples(folder, scale)
    const figures: Figures[] = []
    const ratios = new Map(SIZES_MB.map((size) => [size, [] as number[]]))
    await warmUp(samples, flink)
    for (let round = -1; round < rounds; round++) {
      const measured: Figures = {}
      for (const size of SIZES_MB) {
        const ours: number[] = []
        for (const sample of samples.filter(({ sizeMb }) => sizeMb === size)) {
          const { flinkMbPerS, oursMbPerS } = await measure(sample, flink)
          ours.push(oursMbPerS / flinkMbPerS)
          measured[`${size} MB v${sample.version} Flink MB/s`] = flinkMbPerS
          measured[`${size} MB v${sample.version} ours MB/s`] = oursMbPerS
        }
        if (round >= 0) ratios.get(size)?.push(medianOf(ours)) // the first one warms both compilers up
      }
      if (round >= 0) figures.push(measured)
    }
    const memory = await measureMemory(folder, rounds, scale)
    return {
      ratios: [
        ...SIZES_MB.map((size) => ({
          name: `B5 ${size} MB`,
          what: `MB/s ÷ Flink's reader, the middle one of versions ${VERSIONS.join(', ')}`,
          bar: { is: 'at least' as const, first: 0.5, goal: 1 },
          rounds: ratios.get(size) ?? [],
        })),
        {
          name: 'B5 memory',
          what: `MB that streaming ${100 * scale} MB with all state inside from S3 takes`,
          bar: { is: 'at most' as const, first: 32, goal: null },
          rounds: [memory.inside], // the worst: a few MB more or less are no spread
        },
      ],
      figures: [...figures, { 'memory with many file names MB': memory.mixed }],
    }
  } finally {
    await flink.stop()
    await rm(folder, { recursive: true, force: true })
    await removeRunFolder()
  }
}

async function writeSamples(folder: string, scale: number): Promise<Sample[]> {
  const samples: Sample[] = []
  for (const sizeMb of SIZES_MB) {
    for (const version of VERSIONS) {
      const file = join(folder, `v${version}-${sizeMb}`)
      const bytes = await writeMetadataFile(file, version, sizeMb * MB * scale)
      const { operatorStates } = await readMetadata(await readFile(file))
      samples.push({ version, sizeMb, file, bytes, operators: operatorStates.length })
    }
  }
  return samples
}

async function warmUp(samples: readonly Sample[], flink: FlinkReader): Promise<void> {
  let bytes = 0
  for (let index = 0; bytes < WARM_UP_MB * MB; index++) {
    const sample = samples[index % samples.length]
    if (!sample) throw new Error('no samples')
    await readOurs(sample)
    await readFlinks(sample, flink)
    bytes += sample.bytes
  }
}

/** The two sides take turns, file by file. */
async function measure(sample: Sample, flink: FlinkReader) {
  const repeats = Math.max(3, Math.ceil((LEAST_MB * MB) / sample.bytes))
  const ours: number[] = []
  const flinks: number[] = []
  for (let repeat = 0; repeat < repeats; repeat++) {
    flinks.push(await readFlinks(sample, flink))
    ours.push(await readOurs(sample))
  }
  const speed = (ms: readonly number[]) => sample.bytes / MB / (medianOf(ms) / 1000)
  return { oursMbPerS: speed(ours), flinkMbPerS: speed(flinks) }
}

async function readFlinks(sample: Sample, flink: FlinkReader): Promise<number> {
  const { operators, ms } = await flink.read(sample.file)
  requireSame(sample, operators)
  return ms
}

async function readOurs(sample: Sample): Promise<number> {
  const begun = performance.now()
  const stream = createReadStream(sample.file, { highWaterMark: CHUNK_BYTES })
  const { operatorStates } = await readMetadata(stream, { size: sample.bytes })
  const ms = performance.now() - begun
  requireSame(sample, operatorStates.length)
  return ms
}

function requireSame({ operators, file }: Sample, read: number): void {
  if (read !== operators) throw new Error(`${read} of ${operators} operators of ${file} were read`)
}

/** What the names of files take is kept, and grows with their number: told as a figure beside the bar. */
async function measureMemory(folder: string, rounds: number, scale: number) {
  const store = await startVersityGateway({ ...KEYS, dir: join(folder, 's3') })
  try {
    await store.createBucket(BUCKET)
    for (const mix of ['inside', 'mixed'] as const) {
      for (const sizeMb of [10, 100]) {
        const file = join(folder, `${mix}-${sizeMb}`)
        await writeMetadataFile(file, 6, sizeMb * MB * scale, mix)
        await uploadFile({ ...store, ...KEYS }, BUCKET, file)
      }
    }
    const inside: number[] = []
    const mixed: number[] = []
    for (let round = 0; round < rounds; round++) {
      inside.push(await streamOnce(store.url, 'inside'))
      mixed.push(await streamOnce(store.url, 'mixed'))
    }
    return { inside: Math.max(...inside), mixed: Math.max(...mixed) }
  } finally {
    await store.stop()
  }
}

/** A process of its own: what counts is the peak of the large file over what it had before. */
async function streamOnce(url: string, mix: Mix): Promise<number> {
  const keys = [10, 10, 10, 100].map((sizeMb) => `flink/${mix}-${sizeMb}`)
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--expose-gc', '--import', 'tsx', 'bench/harness/stream-metadata.ts', url, BUCKET, ...keys],
    { env: { ...process.env, BENCH_ACCESS_KEY: KEYS.accessKey, BENCH_SECRET_KEY: KEYS.secretKey } },
  )
  const readings: { mb: number }[] = JSON.parse(stdout.trim().split('\n').at(-1) ?? '[]')
  return readings.at(-1)?.mb ?? Number.NaN
}
