/** `npm run bench -- b1 [b2 …] [--seed S] [--rounds 3] [--scale 1]`; without a name all of them. */
import { parseArgs } from 'node:util'
import { lifecycles } from './b1-lifecycles.ts'
import { postSavepoints } from './b2-post-savepoints.ts'
import { listSnapshots } from './b3-list-snapshots.ts'
import { clearing } from './b4-clear.ts'
import { readMetadataFiles } from './b5-metadata.ts'
import { observe } from './b6-observe.ts'
import { takingOver } from './b7-taking-over.ts'
import { memory } from './b8-memory.ts'
import type { Benchmark } from './harness/benchmark.ts'
import { report } from './harness/report.ts'

const BENCHMARKS: readonly Benchmark[] = [
  lifecycles,
  postSavepoints,
  listSnapshots,
  clearing,
  readMetadataFiles,
  observe,
  takingOver,
  memory,
]

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '3' },
    scale: { type: 'string', default: '1' },
  },
})
const options = { seed: Number(values.seed), rounds: Number(values.rounds), scale: Number(values.scale) }
const unknown = positionals.filter((name) => !BENCHMARKS.some((benchmark) => benchmark.name === name))
if (unknown.length > 0 || !(options.rounds >= 1) || !(options.scale > 0) || !Number.isInteger(options.seed)) {
  const names = BENCHMARKS.map(({ name, title }) => `  ${name}  ${title}`).join('\n')
  console.error(`npm run bench -- [name …] [--seed S] [--rounds 3] [--scale 1]\n${names}`)
  process.exit(2)
}

// Whoever is interrupted still ends what it started: each of them goes with the `exit` of this process.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

let missed = false
for (const benchmark of BENCHMARKS) {
  if (positionals.length > 0 && !positionals.includes(benchmark.name)) continue
  console.log(`${benchmark.name}: ${benchmark.title} (${options.rounds} rounds, seed ${options.seed})`)
  const verdicts = await report(benchmark, options, await benchmark.run(options))
  missed ||= verdicts.some(({ verdict }) => verdict === 'missed')
}
process.exitCode = missed ? 1 : 0
