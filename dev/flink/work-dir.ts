import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import type { FlinkDistribution } from './distribution.ts'

/** Everything a cluster writes is below one directory. */
export interface WorkDir {
  readonly root: string
  readonly confDir: string
  readonly logDir: string
  readonly tmpDir: string
  readonly pluginDir: string
  /** Checkpoints, savepoints and what high availability keeps. */
  readonly dataDir: string
  readonly controlDir: string
  /** Removes the directory if it was made here; one that was given stays, with its savepoints. */
  remove(): Promise<void>
}

export async function makeWorkDir(given: string | undefined): Promise<WorkDir> {
  const root = given === undefined ? await mkdtemp(join(tmpdir(), 'tidemark-flink-')) : resolve(given)
  const below = (name: string) => join(root, name)
  const dirs = {
    confDir: below('conf'),
    logDir: below('log'),
    tmpDir: below('tmp'),
    pluginDir: below('plugins'),
    dataDir: below('data'),
    controlDir: below('control'),
  }
  for (const dir of Object.values(dirs)) await mkdir(dir, { recursive: true })
  await writeFile(join(dirs.confDir, 'log4j.properties'), LOG_TO_CONSOLE)
  return {
    root,
    ...dirs,
    remove: async () => {
      if (given === undefined) await rm(root, { recursive: true, force: true, maxRetries: 3 })
    },
  }
}

/** Flink loads file systems only from a directory each below the plugin directory. */
export async function installS3Plugin(workDir: WorkDir, flink: FlinkDistribution): Promise<void> {
  if (flink.s3Plugin === undefined) {
    throw new Error(
      `Flink ${flink.version} has no flink-s3-fs-hadoop plugin on this machine or on Maven Central.`,
    )
  }
  const dir = join(workDir.pluginDir, 's3-fs-hadoop')
  await rm(dir, { recursive: true, force: true })
  await mkdir(dir)
  await symlink(flink.s3Plugin, join(dir, basename(flink.s3Plugin)))
}

const LOG_TO_CONSOLE = `rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1} - %m%n
`
