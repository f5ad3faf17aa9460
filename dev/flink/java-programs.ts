import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { cachedDirectory } from './cached-directory.ts'
import type { FlinkDistribution } from './distribution.ts'
import { copyArtifact } from './maven.ts'
import { readSettings } from './settings.ts'
import { getTableJars } from './table-jars.ts'
import { needTool, runTool } from './tools.ts'

/** The Java sources beside this file, by folder. */
const PROGRAMS = {
  'sample-job': { mainClass: 'dev.tidemark.sample.SampleJob', needsDatagen: true },
  'sql-job': { mainClass: 'dev.tidemark.sql.SqlJob', needsDatagen: true },
  'application-entry-point': { mainClass: 'dev.tidemark.application.EntryPoint', needsDatagen: false },
} as const

type Program = keyof typeof PROGRAMS

/** The sample job's jar for this Flink: compiled once per version and source text. */
export const buildSampleJob = (flink: FlinkDistribution): Promise<string> => build(flink, 'sample-job')

/** The jar of the SQL job; it runs on clusters with `sql` only. */
export const buildSqlJob = (flink: FlinkDistribution): Promise<string> => build(flink, 'sql-job')

/** The jar with the entry point of an application cluster; it goes on the JobManager's class path. */
export const buildEntryPoint = (flink: FlinkDistribution): Promise<string> =>
  build(flink, 'application-entry-point')

async function build(flink: FlinkDistribution, name: Program): Promise<string> {
  const sources = await javaFilesIn(join(import.meta.dirname, name))
  const hash = createHash('sha256')
  for (const source of sources) hash.update(await readFile(source))
  const key = `${name}-${flink.version}-${hash.digest('hex').slice(0, 12)}`
  const dir = await cachedDirectory(join(readSettings().cacheDir, 'jars', key), (empty) =>
    compile(flink, name, sources, empty),
  )
  return join(dir, `${name}.jar`)
}

async function javaFilesIn(dir: string): Promise<string[]> {
  const files = await readdir(dir, { recursive: true })
  return files
    .filter((file) => file.endsWith('.java'))
    .map((file) => join(dir, file))
    .sort()
}

/** `--release 11` because that is the oldest Java both Flink lines run on, whatever compiles here. */
async function compile(
  flink: FlinkDistribution,
  name: Program,
  sources: string[],
  dir: string,
): Promise<void> {
  const classes = join(dir, 'classes')
  await mkdir(classes)
  if (PROGRAMS[name].needsDatagen) await bundleDatagen(flink, join(classes, 'lib'))
  const tableJars = name === 'sql-job' ? await getTableJars(flink) : []
  const classPath = [`${flink.libDir}/*`, `${classes}/lib/*`, ...tableJars].join(':')
  await runTool(await needTool('javac'), ['--release', '11', '-cp', classPath, '-d', classes, ...sources])
  const jar = ['--create', '--file', join(dir, `${name}.jar`), '--main-class', PROGRAMS[name].mainClass]
  await runTool(await needTool('jar'), [...jar, '-C', classes, '.'])
  await rm(classes, { recursive: true })
}

/** A distribution has no datagen connector. Flink loads jars from `lib/` inside a job's jar. */
async function bundleDatagen(flink: FlinkDistribution, libDir: string): Promise<void> {
  const jars = await readdir(flink.libDir)
  if (jars.some((jar) => jar.startsWith('flink-connector-datagen-'))) return
  await copyArtifact(`org.apache.flink:flink-connector-datagen:${flink.version}`, libDir)
}
