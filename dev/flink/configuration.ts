import { pathToFileURL } from 'node:url'
import { freePort } from './free-port.ts'

export interface S3Settings {
  readonly endpoint: string
  readonly accessKey: string
  readonly secretKey: string
  /** Where checkpoints and savepoints go; it has to exist. */
  readonly bucket: string
}

export interface Places {
  readonly checkpointDir: string
  readonly savepointDir: string
}

/** S3 when there is one, else directories below `dataDir`. */
export function placesOf(dataDir: string, s3: S3Settings | undefined): Places {
  const root = s3 === undefined ? pathToFileURL(dataDir).href : `s3://${s3.bucket}`
  return { checkpointDir: `${root}/checkpoints`, savepointDir: `${root}/savepoints` }
}

export interface ConfigurationInput {
  readonly port: number
  readonly slots: number
  readonly tmpDir: string
  readonly places: Places
  readonly s3: S3Settings | undefined
  readonly zooKeeper: { readonly quorum: string; readonly storageDir: string } | undefined
  readonly extra: Readonly<Record<string, string>>
}

export type FlinkConfiguration = Readonly<Record<string, string | number | boolean>>

export async function flinkConfiguration(input: ConfigurationInput): Promise<FlinkConfiguration> {
  return {
    ...network(input.port, await freePort()),
    ...TASK_MANAGER_MEMORY,
    ...QUICK_TO_NOTICE,
    'taskmanager.numberOfTaskSlots': input.slots,
    'io.tmp.dirs': input.tmpDir,
    'web.tmpdir': input.tmpDir,
    ...state(input.places),
    ...(input.s3 && s3(input.s3)),
    ...(input.zooKeeper && highAvailability(input.zooKeeper.quorum, input.zooKeeper.storageDir)),
    ...input.extra,
  }
}

/** JSON strings are YAML strings, and Flink takes flat keys. */
export function toYaml(configuration: FlinkConfiguration): string {
  return Object.entries(configuration)
    .map(([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(String(value))}\n`)
    .join('')
}

function network(restPort: number, rpcPort: number): FlinkConfiguration {
  return {
    'jobmanager.rpc.address': '127.0.0.1',
    'jobmanager.bind-host': '127.0.0.1',
    'jobmanager.rpc.port': rpcPort,
    'taskmanager.host': '127.0.0.1',
    'taskmanager.bind-host': '127.0.0.1',
    'rest.address': '127.0.0.1',
    'rest.bind-address': '127.0.0.1',
    'rest.port': restPort,
  }
}

/** A distribution's shell scripts work these out; without them the process wants every one, spelled out. */
const TASK_MANAGER_MEMORY = {
  'taskmanager.cpu.cores': 1,
  'taskmanager.memory.framework.heap.size': '128m',
  'taskmanager.memory.task.heap.size': '256m',
  'taskmanager.memory.managed.size': '128m',
  'taskmanager.memory.framework.off-heap.size': '64m',
  'taskmanager.memory.task.off-heap.size': '0m',
  'taskmanager.memory.network.min': '64m',
  'taskmanager.memory.network.max': '64m',
  'taskmanager.memory.jvm-metaspace.size': '192m',
  'taskmanager.memory.jvm-overhead.min': '192m',
  'taskmanager.memory.jvm-overhead.max': '192m',
}

/**
 * By default Flink notices a dead TaskManager after up to 50 s, shows statistics that are 3 s old, and a
 * TaskManager that finds no JobManager, at the start or after its death, dials again only 10 s later.
 */
const QUICK_TO_NOTICE = {
  'heartbeat.interval': 2_000,
  'heartbeat.timeout': 8_000,
  'web.refresh-interval': 500,
  'cluster.registration.error-delay': 500,
  'restart-strategy.type': 'fixed-delay',
  'restart-strategy.fixed-delay.attempts': 1_000_000,
  'restart-strategy.fixed-delay.delay': '1 s',
}

function state({ checkpointDir, savepointDir }: Places): FlinkConfiguration {
  return {
    'state.backend.type': 'rocksdb',
    'execution.checkpointing.incremental': true,
    'execution.checkpointing.interval': '10 s',
    'execution.checkpointing.externalized-checkpoint-retention': 'RETAIN_ON_CANCELLATION',
    'execution.checkpointing.dir': checkpointDir,
    'execution.checkpointing.savepoint-dir': savepointDir,
  }
}

function s3({ endpoint, accessKey, secretKey }: S3Settings): FlinkConfiguration {
  return {
    's3.endpoint': endpoint,
    's3.path.style.access': true,
    's3.access-key': accessKey,
    's3.secret-key': secretKey,
  }
}

function highAvailability(quorum: string, storageDir: string): FlinkConfiguration {
  return {
    'high-availability.type': 'zookeeper',
    'high-availability.zookeeper.quorum': quorum,
    'high-availability.storageDir': pathToFileURL(storageDir).href,
    // A restarted JobManager waits for its predecessor's ZooKeeper session to expire.
    'high-availability.zookeeper.client.session-timeout': 6_000,
  }
}
