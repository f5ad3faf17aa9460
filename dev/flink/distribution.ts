import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { cachedDirectory, isComplete } from './cached-directory.ts'
import { copyArtifact, copyWithDependencies } from './maven.ts'
import { readSettings } from './settings.ts'
import { whyNoJdk, whyNoMaven } from './tools.ts'

/** Flink's jars on this machine: a distribution in FLINK_HOME, else a copy from Maven Central in our cache. */
export interface FlinkDistribution {
  readonly version: string
  readonly libDir: string
  /** The S3 file system, which Flink loads from a plugin directory only. Not published for every version. */
  readonly s3Plugin: string | undefined
}

export type RealFlink =
  | {
      readonly found: true
      readonly version: string
      readonly from: 'FLINK_HOME' | 'cache' | 'Maven Central'
    }
  | { readonly found: false; readonly reason: string }

const NEWEST: Readonly<Record<string, string>> = { '1.20': '1.20.4', '2': '2.3.0' }

/** flink-s3-fs-hadoop exists for some versions only; within a line the newest one fits. */
const S3_PLUGIN: Readonly<Record<string, string>> = {
  '1.20': '1.20.1',
  '2.1': '2.1.1',
  '2.2': '2.2.0',
  '2.3': '2.3.0',
}

/** Whether `getFlink` can succeed, without fetching anything, and if not why. */
export async function findRealFlink(asked = '1.20'): Promise<RealFlink> {
  try {
    const version = exactVersion(asked)
    const noJdk = await whyNoJdk()
    if (noJdk !== undefined) return { found: false, reason: noJdk }
    const installed = await installedFlink(asked)
    if (installed !== undefined) return { found: true, version: installed.version, from: 'FLINK_HOME' }
    if (isComplete(cacheDirOf(version))) return { found: true, version, from: 'cache' }
    const noMaven = await whyNoMaven()
    if (noMaven !== undefined) return { found: false, reason: noMaven }
    return { found: true, version, from: 'Maven Central' }
  } catch (error) {
    return { found: false, reason: error instanceof Error ? error.message : String(error) }
  }
}

/** `asked` is a line (`1.20`, `2`) or an exact version. Fetches it when it is not there yet. */
export async function getFlink(asked = '1.20'): Promise<FlinkDistribution> {
  const version = exactVersion(asked)
  const installed = await installedFlink(asked)
  if (installed !== undefined) return installed
  const home = await cachedDirectory(cacheDirOf(version), (empty) => fetchFlink(version, empty))
  return await describe(home, version)
}

function exactVersion(asked: string): string {
  const version = NEWEST[asked] ?? asked
  if (!/^(1\.20|2\.\d+)\.\d+$/.test(version)) {
    throw new Error(`Flink ${asked} is not one of 1.20, 2, or an exact version such as 1.20.4 or 2.3.0.`)
  }
  return version
}

const cacheDirOf = (version: string): string => join(readSettings().cacheDir, 'flink', version)

/** FLINK_HOME serves the versions it is of; any other comes from Maven, so both lines can run side by side. */
async function installedFlink(asked: string): Promise<FlinkDistribution | undefined> {
  const { flinkHome } = readSettings()
  if (flinkHome === undefined) return undefined
  const jars = await readdir(join(flinkHome, 'lib')).catch(() => [])
  const version = jars
    .map((jar) => /^flink-(?:dist|runtime)-(\d+\.\d+\.\d+)\.jar$/.exec(jar)?.[1])
    .find(Boolean)
  if (version === undefined) throw new Error(`FLINK_HOME (${flinkHome}) has no lib/flink-dist-<version>.jar.`)
  return version === asked || (asked in NEWEST && version.startsWith(`${asked}.`))
    ? await describe(flinkHome, version)
    : undefined
}

async function describe(home: string, version: string): Promise<FlinkDistribution> {
  return { version, libDir: join(home, 'lib'), s3Plugin: await findS3Plugin(home) }
}

/** A distribution ships the plugin switched off, in opt/. */
async function findS3Plugin(home: string): Promise<string | undefined> {
  for (const folder of ['plugins', 'opt']) {
    const files = await readdir(join(home, folder), { recursive: true }).catch(() => [])
    const jar = files.find((file) => /flink-s3-fs-hadoop-[\d.]+\.jar$/.test(file))
    if (jar !== undefined) return join(home, folder, jar)
  }
  return undefined
}

async function fetchFlink(version: string, home: string): Promise<void> {
  try {
    await copyWithDependencies(
      [...FLINK.map((name) => `org.apache.flink:${name}:${version}`), ...LOGGING],
      join(home, 'lib'),
    )
    const plugin = S3_PLUGIN[version.slice(0, version.lastIndexOf('.'))]
    if (plugin === undefined) return
    await copyArtifact(`org.apache.flink:flink-s3-fs-hadoop:${plugin}`, join(home, 'plugins', 's3-fs-hadoop'))
  } catch (cause) {
    throw new Error(
      `Flink ${version} could not be fetched: ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    )
  }
}

/** What flink-dist, which is not on Maven Central, would contain as far as we need it. */
const FLINK = [
  'flink-clients',
  'flink-streaming-java',
  'flink-runtime-web',
  'flink-statebackend-rocksdb',
  'flink-connector-datagen',
]

const LOGGING = ['log4j-slf4j-impl', 'log4j-core'].map((name) => `org.apache.logging.log4j:${name}:2.24.3`)
