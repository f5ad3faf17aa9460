import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { cachedDirectory, isComplete } from './cached-directory.ts'
import { type FlinkDistribution, findRealFlink } from './distribution.ts'
import { copyWithDependencies } from './maven.ts'
import { readSettings } from './settings.ts'
import { whyNoMaven } from './tools.ts'

/**
 * What SQL needs beside the jars of this Flink, on the class path of both processes. A distribution has it in `lib` already;
 * our own copies do without, since only clusters with `sql` want these 65 MB.
 */
export async function getTableJars(flink: FlinkDistribution): Promise<string[]> {
  const own = await readdir(flink.libDir)
  if (own.some((jar) => jar.startsWith('flink-table-planner'))) return []
  const fetch = (empty: string) => fetchTableJars(flink.version, own, empty)
  const dir = await cachedDirectory(cacheDirOf(flink.version), fetch)
  const jars = await readdir(dir)
  return jars.filter((jar) => jar.endsWith('.jar')).map((jar) => join(dir, jar))
}

/** Why a Flink with SQL cannot be had here, without fetching anything; undefined when it can. */
export async function whyNoSql(asked: string): Promise<string | undefined> {
  const flink = await findRealFlink(asked)
  if (!flink.found) return flink.reason
  return flink.from === 'FLINK_HOME' || isComplete(cacheDirOf(flink.version)) ? undefined : await whyNoMaven()
}

const cacheDirOf = (version: string): string => join(readSettings().cacheDir, 'flink-table', version)

async function fetchTableJars(version: string, own: readonly string[], dir: string): Promise<void> {
  try {
    await copyWithDependencies(
      TABLE.map((name) => `org.apache.flink:${name}:${version}`),
      dir,
    )
    // They depend on jars that every cluster has.
    const twice = (await readdir(dir)).filter((jar) => own.includes(jar))
    await Promise.all(twice.map((jar) => rm(join(dir, jar))))
  } catch (cause) {
    throw new Error(
      `SQL of Flink ${version} could not be fetched: ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    )
  }
}

/** The planner as it is: the loader around it is not published for every version, and unpacks 40 MB at each start. */
const TABLE = ['flink-table-api-java-bridge', 'flink-table-runtime', 'flink-table-planner_2.12']
