/** `npx tsx src/simulated-flink/main.ts --port N --dir D --version V`: one cluster with the sample job, until SIGTERM. */
import { mkdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { startSimulatedFlink } from './start.ts'

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '8081' },
    dir: { type: 'string', default: '.tidemark/flink' },
    version: { type: 'string', default: '2.3.0' },
  },
})
const directory = resolve(values.dir)
await mkdir(directory, { recursive: true })
const flink = await startSimulatedFlink({
  port: Number(values.port),
  version: values.version,
  checkpointDir: `file://${directory}/checkpoints`,
  savepointDir: `file://${directory}/savepoints`,
  seedJobs: [
    {
      name: 'tidemark-sample',
      parallelism: 2,
      checkpointIntervalMs: 10_000,
      numRetained: 5,
      stateBytes: 65_536,
    },
  ],
})
console.log(`Simulated Flink ${flink.version} on ${flink.url}, files in ${directory}`)

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    void flink.stop()
  })
}
