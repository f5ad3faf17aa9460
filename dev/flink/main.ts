import { parseArgs } from 'node:util'
import { findOnlyJob, startApplicationCluster } from './application.ts'
import { type ClusterOptions, type FlinkCluster, startFlinkCluster } from './cluster.ts'
import type { S3Settings } from './configuration.ts'
import { getFlink } from './distribution.ts'
import { buildSampleJob } from './java-programs.ts'
import { startS3Mock } from './s3mock.ts'
import { submitJob } from './submit.ts'

const USAGE = `A real Flink with the sample job, until Ctrl-C.

  --version 1.20|2|x.y.z  default 1.20; FLINK_HOME is used when it is of that version
  --port N                of the REST API, default 8081
  --ha                    high availability with ZooKeeper: jobs survive their JobManager
  --s3 URL|mock           checkpoints and savepoints on S3: http://key:secret@host:port/bucket,
                          or a fresh S3Mock
  --work-dir DIR          keep everything there; without it nothing is left afterwards
  --no-job                only the cluster
  --application           application mode: the cluster is the job`

const OPTIONS = {
  version: { type: 'string', default: '1.20' },
  port: { type: 'string', default: '8081' },
  ha: { type: 'boolean', default: false },
  s3: { type: 'string' },
  'work-dir': { type: 'string' },
  'no-job': { type: 'boolean', default: false },
  application: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const

/** What has been started; stopped in reverse. */
const stops: (() => Promise<void>)[] = []

async function main(): Promise<void> {
  // `npm run` swallows the first `--`, `npx tsx` hands it on.
  const args = process.argv.slice(2).filter((arg) => arg !== '--')
  const { values } = parseArgs({ args, options: OPTIONS })
  if (values.help) return console.log(USAGE)

  const s3 = values.s3 === undefined ? undefined : await s3Settings(values.s3)
  const options: ClusterOptions = {
    version: values.version,
    port: Number(values.port),
    ha: values.ha,
    ...(s3 && { s3 }),
    ...(values['work-dir'] !== undefined && { workDir: values['work-dir'] }),
  }
  console.log(
    `Starting Flink ${values.version} (the first time its jars are fetched, about half a minute) ...`,
  )
  const cluster = values.application
    ? await startApplicationCluster(options)
    : await startFlinkCluster(options)
  stops.push(cluster.stop)
  console.log(describe(cluster, await jobOf(cluster, values)))
}

async function s3Settings(where: string): Promise<S3Settings> {
  if (where !== 'mock') return parseS3Url(where)
  const mock = await startS3Mock({ buckets: ['flink'] })
  stops.push(mock.stop)
  return { ...mock, bucket: 'flink' }
}

function parseS3Url(text: string): S3Settings {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const bucket = url?.pathname.replaceAll('/', '')
  if (!url?.host || !bucket) throw new Error(`--s3 ${text} is not like http://key:secret@host:port/bucket.`)
  const [accessKey, secretKey] = [decodeURIComponent(url.username), decodeURIComponent(url.password)]
  return { endpoint: url.origin, accessKey, secretKey, bucket }
}

async function jobOf(
  cluster: FlinkCluster,
  wanted: { application: boolean; 'no-job': boolean },
): Promise<string | undefined> {
  if (wanted.application) return await findOnlyJob(cluster.restUrl)
  if (wanted['no-job']) return undefined
  const jar = await buildSampleJob(await getFlink(cluster.version))
  return await submitJob(cluster.restUrl, jar, { controlDir: cluster.controlDir })
}

function describe(cluster: FlinkCluster, jobId: string | undefined): string {
  const job = jobId === undefined ? 'none' : `${jobId} (slow-ms, fail and counter in ${cluster.controlDir})`
  return `
Flink ${cluster.version} is running.
  REST         ${cluster.restUrl}
  job          ${job}
  checkpoints  ${cluster.checkpointDir}
  savepoints   ${cluster.savepointDir}
  logs         ${cluster.logDir}
  processes    JobManager ${cluster.jobManagerPid}, TaskManager ${cluster.taskManagerPids.join(', ')}

Stop it with Ctrl-C or kill ${process.pid}.`
}

let endingSinceMs: number | undefined
/** One Ctrl-C comes twice: from the terminal, and from npm, which passes it on. */
const SAME_CTRL_C_MS = 1_000

/** What was only half started is ended by its watchdog when we exit; so is all of it at a second Ctrl-C. */
async function end(code: number): Promise<void> {
  if (endingSinceMs !== undefined) {
    if (Date.now() - endingSinceMs < SAME_CTRL_C_MS) return
    process.exit(1)
  }
  endingSinceMs = Date.now()
  for (const stop of stops.reverse()) await stop()
  process.exit(code)
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void end(0))

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  return end(1)
})
