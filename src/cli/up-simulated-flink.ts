/** The built-in cluster, in this process. */
import { mkdir } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import { startSimulatedFlink } from '../simulated-flink/start.ts'
import { type FlinkStart, SAMPLE_NAME, type UpFlink } from './up-flink.ts'
import { manifestJar } from './up-jar.ts'

export async function startSimulatedSample({ directory }: FlinkStart): Promise<UpFlink> {
  await mkdir(directory, { recursive: true })
  const root = pathToFileURL(directory).href
  const flink = await startSimulatedFlink({
    checkpointDir: `${root}/checkpoints`,
    savepointDir: `${root}/savepoints`,
  })
  return {
    kind: 'simulated',
    url: flink.url,
    version: flink.version,
    // It runs the sample program whatever the jar holds.
    sample: {
      jar: manifestJar('dev.tidemark.sample.SampleJob'),
      programArgs: ['--name', SAMPLE_NAME, '--keys', '700'],
    },
    fresh: true,
    pids: [],
    stop: () => flink.stop(),
  }
}
