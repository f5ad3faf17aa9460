/**
 * B6's clusters, in one process of their own: simulated JobManagers whose jobs run with a full checkpoint history that
 * nothing changes. `node --import tsx flink-fleet.ts <clusters> <jobs each> <file to write the jobs to>`
 * Its own address counts what was asked: GET answers `{ checkpoints }`, the checkpoint statistics that were read so far.
 */
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { startSimulatedFlink } from '../../src/simulated-flink/start.ts'

const [clusters = '1', jobs = '1', file = ''] = process.argv.slice(2)
const LONGER_THAN_A_RUN_MS = 3_600_000
let checkpoints = 0

const fleet = await Promise.all(
  Array.from({ length: Number(clusters) }, async (_, cluster) => {
    const flink = await startSimulatedFlink({
      memoryFiles: true,
      checkpointDir: 's3://bench/flink/checkpoints',
      savepointDurationMs: LONGER_THAN_A_RUN_MS,
      slots: Number(jobs),
      hooks: {
        onRequest({ route }) {
          if (route === 'checkpoints') checkpoints += 1
          return undefined
        },
      },
    })
    const seeded = flink.seedRunningJobs({ count: Number(jobs), name: (index) => `job-${cluster}-${index}` })
    return { flink, jobs: seeded.map(({ id, name }) => ({ id, name })) }
  }),
)
writeFileSync(file, JSON.stringify(fleet.map(({ flink, jobs: own }) => ({ url: flink.url, jobs: own }))))

const counter = createServer((_request, response) => response.end(JSON.stringify({ checkpoints })))
counter.listen(0, '127.0.0.1', () => {
  const address = counter.address()
  const port = typeof address === 'object' && address ? address.port : 0
  console.log(JSON.stringify({ started: 'simulated fleet', url: `http://127.0.0.1:${port}` }))
})
process.once('SIGTERM', () => process.exit(0))
