/** The built-in cluster, in this process. */
import { mkdir } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import { startSimulatedFlink } from '../simulated-flink/start.ts'
import { type FlinkStart, SAMPLE_NAME, type UpFlink } from './up-flink.ts'

export async function startSimulatedSample({ directory }: FlinkStart): Promise<UpFlink> {
  await mkdir(directory, { recursive: true })
  const root = pathToFileURL(directory).href
  const flink = await startSimulatedFlink({
    checkpointDir: `${root}/checkpoints`,
    savepointDir: `${root}/savepoints`,
  })
  const { id } = flink.addJob({
    name: SAMPLE_NAME,
    parallelism: 2,
    checkpointIntervalMs: 10_000,
    numRetained: 5,
    stateBytes: 65_536,
    savepointDurationMs: 500,
  })
  return {
    kind: 'simulated',
    url: flink.url,
    version: flink.version,
    flinkJobId: id,
    pids: [],
    stop: () => flink.stop(),
  }
}
