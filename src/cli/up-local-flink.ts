/** A real Flink on this machine: a JobManager and a TaskManager that end with us. */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type DevFlink, loadDevFlink, type RealFlink } from './up-dev-flink.ts'
import { sayError, UpError } from './up-error.ts'
import { type FlinkStart, SAMPLE_NAME, type Sample, type UpFlink } from './up-flink.ts'

/** Newest first; a FLINK_HOME of either line goes before. */
const LINES = ['2', '1.20']

/** null when a real Flink can be had, fetched and compiled for. */
export async function whyNoLocalFlink(start: FlinkStart): Promise<string | null> {
  try {
    await prepare(await loadDevFlink(), start)
    return null
  } catch (error) {
    return sayError(error)
  }
}

export async function startLocalFlink(start: FlinkStart): Promise<UpFlink> {
  const dev = await loadDevFlink()
  const { version, jar } = await prepare(dev, start)
  const workDir = join(start.directory, version)
  // Configuration, logs and scratch files are of one run; checkpoints stay.
  await Promise.all(['conf', 'log', 'tmp'].map((each) => rm(join(workDir, each), REMOVE)))
  const cluster = await dev.startFlinkCluster({ version, workDir })
  return {
    kind: 'local',
    url: cluster.restUrl,
    version: cluster.version,
    sample: {
      jar: await readFile(jar),
      programArgs: ['--name', SAMPLE_NAME, '--control-dir', cluster.controlDir],
    },
    fresh: true,
    pids: [cluster.jobManagerPid, ...cluster.taskManagerPids].filter((pid) => pid !== undefined),
    stop: () => cluster.stop(),
  }
}

const REMOVE = { recursive: true, force: true } as const

/** The jars of Flink and of the sample job, fetched and compiled the first time. */
async function prepare(dev: DevFlink, { say }: FlinkStart): Promise<{ version: string; jar: string }> {
  const { version, from } = await chooseFlink(dev)
  if (from === 'Maven Central') say(`Fetching Flink ${version} from Maven Central; this happens once.`)
  const jar = await dev.buildSampleJob(await dev.getFlink(version))
  return { version, jar }
}

async function chooseFlink(dev: DevFlink): Promise<Extract<RealFlink, { found: true }>> {
  const seen = await Promise.all(LINES.map((line) => dev.findRealFlink(line)))
  const found = seen.filter((each) => each.found)
  const chosen = found.find(({ from }) => from === 'FLINK_HOME') ?? found[0]
  if (chosen) return chosen
  throw new UpError(seen.map((each) => (each.found ? '' : each.reason))[0] ?? 'No Flink was found.')
}

/** The sample job for a Flink that somebody else has started. */
export async function sampleFor(version: string): Promise<Sample> {
  const dev = await loadDevFlink()
  const jar = await readFile(await dev.buildSampleJob(await dev.getFlink(version)))
  return { jar, programArgs: ['--name', SAMPLE_NAME] }
}
