import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { flinkConfiguration, placesOf, type S3Settings, toYaml } from './configuration.ts'
import { type FlinkDistribution, getFlink } from './distribution.ts'
import {
  type FlinkRuntime,
  type JobManagerProgram,
  SESSION,
  startJobManagerProcess,
  startTaskManagerProcess,
} from './flink-processes.ts'
import { freePort, isFree } from './free-port.ts'
import { type JavaProcess, waitFor } from './java-process.ts'
import { getJson } from './rest.ts'
import { getTableJars } from './table-jars.ts'
import { installS3Plugin, makeWorkDir, type WorkDir } from './work-dir.ts'
import { startZooKeeper, type ZooKeeper } from './zookeeper.ts'

export interface ClusterOptions {
  /** `1.20`, `2` or an exact version. */
  readonly version?: string
  readonly port?: number
  readonly ha?: boolean
  readonly s3?: S3Settings
  readonly slots?: number
  /** With what Table API and SQL need, which our own copies of Flink do without. */
  readonly sql?: boolean
  readonly configuration?: Readonly<Record<string, string>>
  /** Kept by `stop()`; without it a temporary directory is made and removed again. */
  readonly workDir?: string
}

export interface FlinkCluster {
  readonly restUrl: string
  readonly version: string
  /** Undefined once the process has ended: killed, or an application that is done. */
  readonly jobManagerPid: number | undefined
  readonly taskManagerPids: readonly number[]
  readonly workDir: string
  readonly dataDir: string
  readonly checkpointDir: string
  readonly savepointDir: string
  readonly logDir: string
  /** For a sample job; an application's own uses it unless told otherwise. */
  readonly controlDir: string
  killJobManager(signal?: NodeJS.Signals): Promise<void>
  /** At the same address and with the same configuration; answers when REST answers. */
  startJobManager(): Promise<void>
  /** Kills the oldest one. */
  killTaskManager(signal?: NodeJS.Signals): Promise<void>
  startTaskManager(): Promise<void>
  stop(): Promise<void>
  /** The end of each process's log. */
  logs(lines?: number): Promise<string>
}

export async function startFlinkCluster(options: ClusterOptions = {}): Promise<FlinkCluster> {
  return await startCluster(options, async () => SESSION)
}

/** What is started as JobManager may depend on the jars of this Flink: an application is compiled against them. */
export async function startCluster(
  options: ClusterOptions,
  chooseProgram: (flink: FlinkDistribution, workDir: WorkDir) => Promise<JobManagerProgram>,
): Promise<FlinkCluster> {
  const flink = await getFlink(options.version)
  const port = options.port ?? (await freePort())
  if (!(await isFree(port)))
    throw new Error(`Port ${port} is in use, so Flink cannot serve its REST API there.`)

  const workDir = await makeWorkDir(options.workDir)
  const program = await chooseProgram(flink, workDir)
  const runtime = { flink, ...workDir, moreJars: options.sql ? await getTableJars(flink) : [] }
  const processes: JavaProcess[] = []
  try {
    if (options.s3 !== undefined) await installS3Plugin(workDir, flink)
    const zooKeeper = options.ha
      ? await startZooKeeper(runtime, join(workDir.dataDir, 'zookeeper'))
      : undefined
    if (zooKeeper !== undefined) processes.push(zooKeeper.process)
    await configure(options, workDir, port, zooKeeper)
    const cluster = clusterOf({
      options,
      program,
      runtime,
      workDir,
      processes,
      restUrl: `http://127.0.0.1:${port}`,
    })
    await Promise.all([cluster.startJobManager(), cluster.startTaskManager()])
    return cluster
  } catch (cause) {
    await stopAll(processes)
    const message = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`Flink ${flink.version} did not start. ${message}\nIts logs are in ${workDir.logDir}.`, {
      cause,
    })
  }
}

async function configure(
  options: ClusterOptions,
  { dataDir, confDir, tmpDir }: WorkDir,
  port: number,
  zooKeeper: ZooKeeper | undefined,
): Promise<void> {
  const configuration = await flinkConfiguration({
    port,
    slots: options.slots ?? 8,
    tmpDir,
    places: placesOf(dataDir, options.s3),
    s3: options.s3,
    zooKeeper: zooKeeper && { quorum: zooKeeper.quorum, storageDir: join(dataDir, 'ha') },
    extra: options.configuration ?? {},
  })
  await writeFile(join(confDir, 'config.yaml'), toYaml(configuration))
}

interface Prepared {
  readonly options: ClusterOptions
  readonly program: JobManagerProgram
  readonly runtime: FlinkRuntime
  readonly workDir: WorkDir
  readonly restUrl: string
  /** Every process ever started, so that `stop` and `logs` forget none. */
  readonly processes: JavaProcess[]
}

function clusterOf({ options, program, runtime, workDir, restUrl, processes }: Prepared): FlinkCluster {
  const jobManagers: JavaProcess[] = []
  const taskManagers: JavaProcess[] = []
  const runningTaskManagers = () => taskManagers.filter((process) => process.isRunning())
  let stopping: Promise<void> | undefined

  return {
    restUrl,
    version: runtime.flink.version,
    workDir: workDir.root,
    dataDir: workDir.dataDir,
    logDir: workDir.logDir,
    controlDir: workDir.controlDir,
    ...placesOf(workDir.dataDir, options.s3),
    get jobManagerPid() {
      return jobManagers.find((process) => process.isRunning())?.pid
    },
    get taskManagerPids() {
      return runningTaskManagers().map(({ pid }) => pid)
    },
    killJobManager: async (signal = 'SIGKILL') => {
      await jobManagers.at(-1)?.end(signal)
    },
    startJobManager: async () => {
      if (jobManagers.at(-1)?.isRunning()) throw new Error('The JobManager is running.')
      const process = await startJobManagerProcess(runtime, program)
      jobManagers.push(process)
      processes.push(process)
      await waitForJobManager(restUrl, process)
    },
    killTaskManager: async (signal = 'SIGKILL') => {
      await runningTaskManagers()[0]?.end(signal)
    },
    startTaskManager: async () => {
      const id = `taskmanager-${taskManagers.length + 1}`
      const process = await startTaskManagerProcess(runtime, id)
      taskManagers.push(process)
      processes.push(process)
      await waitForTaskManager(restUrl, process, id)
    },
    stop: () => {
      stopping ??= stopAll(processes).then(() => workDir.remove())
      return stopping
    },
    logs: async (lines) => {
      const ends = processes.map(async ({ name, tail }) => `--- ${name}\n${await tail(lines)}\n`)
      return (await Promise.all(ends)).join('')
    },
  }
}

const START_TIMEOUT_MS = 90_000

/** `/overview` wants an elected leader; `/config` would answer before there is one. */
async function waitForJobManager(restUrl: string, process: JavaProcess): Promise<void> {
  await waitFor('the JobManager', START_TIMEOUT_MS, [process], () => getJson<object>(restUrl, '/overview'))
}

/** By its id: for some seconds Flink still counts the TaskManager that was just killed. */
async function waitForTaskManager(restUrl: string, process: JavaProcess, id: string): Promise<void> {
  await waitFor('the TaskManager', START_TIMEOUT_MS, [process], async () => {
    const answer = await getJson<{ taskmanagers: { id: string }[] }>(restUrl, '/taskmanagers')
    return answer.taskmanagers.find((taskManager) => taskManager.id === id)
  })
}

/** ZooKeeper was started first and goes last: a JobManager that stops wants to tell it so. */
async function stopAll(processes: readonly JavaProcess[]): Promise<void> {
  const isZooKeeper = ({ name }: JavaProcess) => name.endsWith('zookeeper')
  await Promise.all(processes.filter((process) => !isZooKeeper(process)).map((process) => process.end()))
  await Promise.all(processes.filter(isZooKeeper).map((process) => process.end()))
}
