/**
 * B1's Flink, a process of its own: the simulated cluster with the given jobs, which writes no files.
 * `node --import tsx flink.ts <jobs.json> <savepoint duration in ms>`
 */
import { readFileSync } from 'node:fs'
import { startSimulatedFlink } from '../../src/simulated-flink/start.ts'

const [file = '', durationMs = '20'] = process.argv.slice(2)
const jobs: { id: string; name: string }[] = JSON.parse(readFileSync(file, 'utf8'))
const flink = await startSimulatedFlink({
  memoryFiles: true,
  savepointDurationMs: Number(durationMs),
  slots: jobs.length,
  seedJobs: jobs.map((job) => ({ ...job, parallelism: 1, stateBytes: 65_536 })),
})
console.log(JSON.stringify({ started: 'simulated Flink', url: flink.url }))
process.once('SIGTERM', () => void flink.stop())
