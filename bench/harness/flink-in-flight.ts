/**
 * A Flink whose savepoints end only when they are told to, and that counts who is looked at:
 * `node --import tsx flink-in-flight.ts <jobs.json>`. Its own address: POST /forget begins to count anew, GET answers
 * `{ looked }`, the number of savepoints whose result somebody has read since.
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { startSimulatedFlink } from '../../src/simulated-flink/start.ts'

const LONGER_THAN_A_RUN_MS = 3_600_000
const [file = ''] = process.argv.slice(2)
const jobs: { id: string; name: string }[] = JSON.parse(readFileSync(file, 'utf8'))
const looked = new Set<string>()
const flink = await startSimulatedFlink({
  memoryFiles: true,
  savepointDurationMs: LONGER_THAN_A_RUN_MS,
  slots: jobs.length,
  seedJobs: jobs.map((job) => ({ ...job, parallelism: 1, stateBytes: 65_536 })),
  hooks: {
    onRequest({ method, triggerId }) {
      if (method === 'GET' && triggerId !== null) looked.add(triggerId)
      return undefined
    },
  },
})
const counter = createServer((request, response) => {
  if (request.method === 'POST') looked.clear()
  response.end(JSON.stringify({ looked: looked.size, flink: flink.url }))
})
counter.listen(0, '127.0.0.1', () => {
  const address = counter.address()
  const port = typeof address === 'object' && address ? address.port : 0
  console.log(JSON.stringify({ started: 'simulated Flink', url: `http://127.0.0.1:${port}` }))
})
process.once('SIGTERM', () => process.exit(0))
