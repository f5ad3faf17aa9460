/** Jars and what running one does: the sample program starts, whatever bytes were uploaded. */
import { randomBytes, randomUUID } from 'node:crypto'
import { inflateRawSync } from 'node:zlib'
import type { Cluster, UploadedJar } from './cluster.ts'
import { completionException, type JavaThrowable, throwable } from './java-throwable.ts'
import { type ClaimMode, createJob, type JobSettings, type SimulatedJob } from './job.ts'
import { failToStart, startJob } from './lifecycle.ts'
import { type Program, programFromArguments } from './program.ts'
import { internalError, refuse } from './reply.ts'
import { notInitialized, restoreJob } from './restore.ts'
import { settingsFrom } from './settings.ts'

export type RunOrder = {
  jobId: string | null
  entryClass: string | null
  programArgs: string[]
  parallelism: number | null
  savepointPath: string | null
  claimMode: ClaimMode
  allowNonRestoredState: boolean
  flinkConfiguration: Record<string, string>
}

export const uploadDirectory = (cluster: Cluster): string => `${cluster.webDirectory}/flink-web-upload`

export function addJar(cluster: Cluster, name: string, bytes: Uint8Array): UploadedJar {
  const jar: UploadedJar = {
    id: `${randomUUID()}_${name}`,
    name,
    uploadedAt: cluster.clock.now(),
    ...readJarFile(bytes),
  }
  cluster.jars.set(jar.id, jar)
  return jar
}

export function removeJar(cluster: Cluster, id: string): void {
  if (!cluster.jars.delete(id)) throw refuse(400, `File ${id} does not exist in ${uploadDirectory(cluster)}.`)
}

export async function runJar(cluster: Cluster, jarId: string, order: RunOrder): Promise<SimulatedJob> {
  const jar = cluster.jars.get(jarId)
  if (jar === undefined) throw missingJar(cluster, jarId)
  const noProgram = whyNoProgram(jar, order.entryClass)
  if (noProgram !== null) throw internalError(completionException(noProgram))
  const { epoch } = cluster
  const job = createSubmittedJob(cluster, order)
  const known = cluster.jobs.has(job.id)
  if (known) throw couldNotExecute(job.name, duplicate(cluster))
  cluster.jobs.set(job.id, job)
  try {
    if (order.savepointPath !== null) await restoreJob(cluster, job, { path: order.savepointPath, ...order })
  } catch (error) {
    if (epoch !== cluster.epoch) throw error
    const cause = notInitialized(error instanceof Error ? error.message : String(error))
    failToStart(cluster, job, cause)
    throw couldNotExecute(job.name, throwable('java.lang.RuntimeException', cause.message, cause))
  }
  // The JobManager that was asked is gone, and nobody else knows of the job.
  if (epoch !== cluster.epoch) throw new Error('The JobManager was lost')
  startJob(cluster, job)
  return job
}

function createSubmittedJob(cluster: Cluster, order: RunOrder): SimulatedJob {
  const settings: JobSettings = settingsFrom(order.flinkConfiguration, cluster.defaults)
  const parallelism = order.parallelism ?? Number(order.flinkConfiguration['parallelism.default'] ?? 1)
  const program = programOf(order, parallelism)
  return createJob(
    {
      id: order.jobId ?? randomBytes(16).toString('hex'),
      name: program.name,
      type: 'STREAMING',
      parallelism,
      program,
      settings,
      // What the program sets replaces what the configuration says, as in Flink.
      userConfig: hasEntries(program.parameters)
        ? { ...program.parameters }
        : userConfigFrom(order.flinkConfiguration),
    },
    cluster.clock.now(),
  )
}

function programOf(order: RunOrder, parallelism: number): Program {
  // The sample job names itself when it executes, which outranks `pipeline.name`.
  const name = 'tidemark-sample'
  const maxParallelism = Number(order.flinkConfiguration['pipeline.max-parallelism'] ?? 0) || null
  try {
    return programFromArguments(order.programArgs, { name, parallelism, maxParallelism })
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    throw mainMethodFailed(text, throwable('java.lang.IllegalArgumentException', text))
  }
}

const hasEntries = (map: Readonly<Record<string, string>>): boolean => Object.keys(map).length > 0

/** `pipeline.global-job-parameters: a:1,b:2` is what /config shows as user-config. */
function userConfigFrom(configuration: Record<string, string>): Record<string, string> {
  const parameters = configuration['pipeline.global-job-parameters'] ?? ''
  const pairs = parameters.split(',').map((pair) => pair.split(':'))
  return Object.fromEntries(
    pairs.flatMap(([key, value]) => (key && value ? [[key.trim(), value.trim()]] : [])),
  )
}

// ------------------------------------------------------------------------------------------------- failures

const duplicate = ({ dialect }: Cluster): JavaThrowable =>
  dialect.applications
    ? throwable(
        'org.apache.flink.runtime.client.DuplicateApplicationSubmissionException',
        'Application has already been submitted.',
      )
    : throwable(
        'org.apache.flink.runtime.client.DuplicateJobSubmissionException',
        'Job has already been submitted.',
      )

function couldNotExecute(jobName: string, cause: JavaThrowable) {
  const failed = `Failed to execute job '${jobName}'.`
  return mainMethodFailed(failed, throwable('org.apache.flink.util.FlinkException', failed, cause))
}

/** The program's own exception, also where it is that of `execute()`. */
function mainMethodFailed(message: string, cause: JavaThrowable) {
  const text = 'Could not execute application.'
  const program = throwable(
    'org.apache.flink.client.program.ProgramInvocationException',
    `The main method caused an error: ${message}`,
    cause,
  )
  const runtime = throwable('org.apache.flink.util.FlinkRuntimeException', text, program)
  return refuse(400, text, completionException(runtime))
}

/** Of a jar with classes Flink loads the main one before all else; that failure is its own, and not the program's. */
function whyNoProgram(jar: UploadedJar, given: string | null): JavaThrowable | null {
  if (jar.entries === null) return null
  const entryClass = given ?? jar.entryClass
  const refusal = (text: string, cause?: JavaThrowable) =>
    throwable('org.apache.flink.client.program.ProgramInvocationException', text, cause)
  if (entryClass === null) {
    return refusal("Neither a 'Main-Class', nor a 'program-class' entry was found in the jar file.")
  }
  if (jar.entries.has(`${entryClass.replaceAll('.', '/')}.class`)) return null
  return refusal(
    `The program's entry point class '${entryClass}' was not found in the jar file.`,
    throwable('java.lang.ClassNotFoundException', entryClass),
  )
}

function missingJar(cluster: Cluster, jarId: string) {
  const text = `Jar file ${uploadDirectory(cluster)}/${jarId} does not exist`
  const cause = throwable('org.apache.flink.runtime.rest.handler.RestHandlerException', text)
  return internalError(completionException(cause))
}

// ------------------------------------------------------------------------------------------------- manifest

const CENTRAL_HEADER = 0x02014b50

/** `Main-Class` of the manifest, and what lies in it; nulls when the bytes are no jar. */
function readJarFile(bytes: Uint8Array): Pick<UploadedJar, 'entryClass' | 'entries'> {
  try {
    const zip = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const entries = readDirectory(zip)
    if (entries === null) return { entryClass: null, entries }
    const at = entries.get('META-INF/MANIFEST.MF')
    const manifest = at === undefined ? '' : inflate(zip, at)
    const names = new Set(entries.keys())
    return {
      entryClass: /^Main-Class: *(\S+)/m.exec(manifest)?.[1] ?? null,
      entries: [...names].some((name) => name.endsWith('.class')) ? names : null,
    }
  } catch {
    return { entryClass: null, entries: null }
  }
}

/** Where each entry's record lies in the central directory. */
function readDirectory(zip: Buffer): Map<string, number> | null {
  const end = zip.lastIndexOf('PK\u0005\u0006')
  if (end < 0) return null
  const entries = new Map<string, number>()
  let at = zip.readUInt32LE(end + 16)
  while (at + 46 <= end && zip.readUInt32LE(at) === CENTRAL_HEADER) {
    const nameLength = zip.readUInt16LE(at + 28)
    entries.set(zip.toString('utf8', at + 46, at + 46 + nameLength), at)
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32)
  }
  return entries
}

function inflate(zip: Buffer, central: number): string {
  const local = zip.readUInt32LE(central + 42)
  const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28)
  const data = zip.subarray(start, start + zip.readUInt32LE(central + 20))
  const stored = zip.readUInt16LE(central + 10) === 0
  return (stored ? data : inflateRawSync(data, { maxOutputLength: 1 << 20 })).toString('utf8')
}
