import { join } from 'node:path'
import type { FlinkDistribution } from './distribution.ts'
import { type JavaProcess, startJava } from './java-process.ts'

/** What a process of the cluster is started from. */
export interface FlinkRuntime {
  readonly flink: FlinkDistribution
  readonly confDir: string
  readonly pluginDir: string
  readonly logDir: string
  /** On the class path of every process, after Flink's own. */
  readonly moreJars: readonly string[]
}

/** The main class of the JobManager and what it needs besides Flink: a session or an application. */
export interface JobManagerProgram {
  readonly mainClass: string
  readonly jars: readonly string[]
  readonly args: readonly string[]
}

export const SESSION: JobManagerProgram = {
  mainClass: 'org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint',
  jars: [],
  args: [],
}

export async function startJobManagerProcess(
  runtime: FlinkRuntime,
  program: JobManagerProgram,
): Promise<JavaProcess> {
  const memory = ['-Xmx384m', '-XX:MaxMetaspaceSize=256m']
  const main = [program.mainClass, '--configDir', runtime.confDir, ...program.args]
  return await startFlink(runtime, 'jobmanager', memory, program.jars, main)
}

export async function startTaskManagerProcess(runtime: FlinkRuntime, id: string): Promise<JavaProcess> {
  const memory = ['-Xmx384m', '-XX:MaxDirectMemorySize=128m', '-XX:MaxMetaspaceSize=192m']
  const mainClass = 'org.apache.flink.runtime.taskexecutor.TaskManagerRunner'
  const main = [mainClass, '--configDir', runtime.confDir, `-Dtaskmanager.resource-id=${id}`]
  return await startFlink(runtime, id, memory, [], main)
}

/** Flink's jars contain a whole ZooKeeper server; one of it is enough for a JobManager to find its jobs again. */
export async function startZooKeeperProcess(runtime: FlinkRuntime): Promise<JavaProcess> {
  const mainClass = 'org.apache.flink.runtime.zookeeper.FlinkZooKeeperQuorumPeer'
  const main = [mainClass, '--zkConfigFile', join(runtime.confDir, 'zoo.cfg'), '--peerId', '1']
  return await startFlink(runtime, 'zookeeper', ['-Xmx96m'], [], main)
}

async function startFlink(
  { flink, confDir, pluginDir, logDir, moreJars }: FlinkRuntime,
  name: string,
  memory: readonly string[],
  jars: readonly string[],
  main: readonly string[],
): Promise<JavaProcess> {
  const classPath = [`${flink.libDir}/*`, ...moreJars, ...jars].join(':')
  const logging = `-Dlog4j.configurationFile=${join(confDir, 'log4j.properties')}`
  return await startJava({
    name: `Flink ${flink.version} ${name}`,
    args: [...memory, ...SMALL, ...OPENED, logging, '-cp', classPath, ...main],
    env: { FLINK_CONF_DIR: confDir, FLINK_PLUGINS_DIR: pluginDir, FLINK_LIB_DIR: flink.libDir },
    logFile: join(logDir, `${name}.log`),
  })
}

/** Quick to start and small rather than fast in the long run. */
const SMALL = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto']

/** What Flink's own `config.yaml` opens for Java 17 and newer, under `env.java.opts.all`. */
const OPENED = [
  ...['java.base/sun.net.util', 'java.rmi/sun.rmi.registry', 'java.security.jgss/sun.security.krb5'].map(
    (name) => `--add-exports=${name}=ALL-UNNAMED`,
  ),
  ...[
    ...['java.lang', 'java.net', 'java.io', 'java.nio', 'sun.nio.ch', 'java.lang.reflect', 'java.text'],
    ...['java.time', 'java.util', 'java.util.concurrent', 'java.util.concurrent.atomic'],
    'java.util.concurrent.locks',
  ].map((name) => `--add-opens=java.base/${name}=ALL-UNNAMED`),
]
