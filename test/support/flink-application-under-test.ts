/** Flink in application mode, simulated or real: a cluster that is one job, and ends and begins with it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findOnlyJob, startApplicationCluster } from '../../dev/flink/application.ts'
import type { FlinkCluster } from '../../dev/flink/cluster.ts'
import { patch } from '../../dev/flink/rest.ts'
import { waitUntilRunning } from '../../dev/flink/submit.ts'
import { type FlinkJobUnderTest, handleJob } from './flink-job-under-test.ts'
import {
  type FlinkOptions,
  type FlinkProcesses,
  openRealStorage,
  openScripted,
  readConfiguration,
  SAMPLE,
  simulatedProcesses,
} from './flink-under-test.ts'
import type { SavepointStorage, StorageKind } from './savepoint-storage.ts'

export type FlinkApplicationUnderTest = FlinkProcesses & {
  /** The job that this JobManager runs now; it runs when it resolves. */
  job(): Promise<FlinkJobUnderTest>
  /**
   * Cancels the job, which ends the JobManager, and starts that again: with high availability the job has the id it had.
   */
  cancelAndRestart(): Promise<FlinkJobUnderTest>
}

export type ApplicationOptions = FlinkOptions & {
  name: string
  /** `execution.state-recovery.path`: every start without anything newer in HA begins with it. */
  from?: string
  parameters?: Record<string, string>
}

export type OpenApplication = (
  storage: StorageKind,
  options: ApplicationOptions,
) => Promise<FlinkApplicationUnderTest>

/** What Flink makes of the default HA cluster id. */
const HA_JOB_ID = '000000006e6b1332'.padEnd(32, '0')
const RECOVERY_PATH = 'execution.state-recovery.path'

export const openSimulatedApplication =
  (version: string): OpenApplication =>
  async (storageKind, options) => {
    const { name, from, parameters, ha = true } = options
    const { scripted, storage } = await openScripted(version, storageKind, {
      ...options,
      configuration: { ...options.configuration, ...(from !== undefined && { [RECOVERY_PATH]: from }) },
    })
    const { flink } = scripted
    const controlDir = await mkdtemp(join(tmpdir(), 'tidemark-control-'))
    const parallelism = 2
    const stateBytes = (SAMPLE.keys ?? 0) * (SAMPLE.bytesPerKey ?? 0)
    await flink.startApplication({
      name,
      ...(ha && { id: HA_JOB_ID }),
      parallelism,
      stateBytes,
      controlDirectory: controlDir,
      ...(parameters && { userConfig: parameters }),
    })
    const job = () => currentJob(flink.url, { name, controlDir, storage })
    const stop = async () => {
      await flink.stop()
      await Promise.all([storage.close(), rm(controlDir, { recursive: true, force: true })])
    }
    try {
      await job()
    } catch (error) {
      await stop()
      throw error
    }
    return {
      ...simulatedProcesses(scripted, storage, ha),
      job,
      async cancelAndRestart() {
        await flink.restartApplication({ ha })
        return await job()
      },
      stop,
    }
  }

export const openRealApplication =
  (version: string): OpenApplication =>
  async (storageKind, options) => {
    const { storage, cluster: clusterOptions, closeStorage } = await openRealStorage(storageKind, options)
    const { name, from, parameters = {} } = options
    try {
      const cluster = await startApplicationCluster({
        version,
        ...clusterOptions,
        parallelism: 2,
        sample: { ...SAMPLE, name, parameters },
        ...(from !== undefined && { savepointPath: from }),
      })
      return handleCluster(cluster, { name, storage, closeStorage })
    } catch (error) {
      await closeStorage()
      throw error
    }
  }

function handleCluster(
  cluster: FlinkCluster,
  about: { name: string; storage: SavepointStorage; closeStorage(): Promise<unknown> },
): FlinkApplicationUnderTest {
  const { name, storage } = about
  const job = () => currentJob(cluster.restUrl, { name, storage, controlDir: cluster.controlDir })
  return {
    kind: 'real',
    version: cluster.version,
    url: cluster.restUrl,
    storage,
    job,
    killJobManager: () => cluster.killJobManager(),
    startJobManager: () => cluster.startJobManager(),
    killTaskManager: () => cluster.killTaskManager(),
    startTaskManager: () => cluster.startTaskManager(),
    readConfiguration: () => readConfiguration(cluster.restUrl),
    async cancelAndRestart() {
      // Nobody waits for CANCELED: the JobManager may be gone before it could say so.
      await patch(cluster.restUrl, `/jobs/${(await job()).id}?mode=cancel`)
      await untilGone(cluster)
      await cluster.startJobManager()
      return await job()
    },
    async stop() {
      await cluster.stop()
      await about.closeStorage()
    },
  }
}

async function currentJob(
  url: string,
  about: { name: string; controlDir: string; storage: SavepointStorage },
): Promise<FlinkJobUnderTest> {
  const id = await findOnlyJob(url)
  await waitUntilRunning(url, id)
  return handleJob({ url, id, ...about })
}

async function untilGone(cluster: FlinkCluster, timeoutMs = 60_000): Promise<void> {
  const giveUpAt = Date.now() + timeoutMs
  while (cluster.jobManagerPid !== undefined) {
    if (Date.now() > giveUpAt) throw new Error('The JobManager outlived its cancelled application.')
    await sleep(100)
  }
}
