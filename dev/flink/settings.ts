import { homedir } from 'node:os'
import { join } from 'node:path'

/** What the environment says; nothing else in this folder reads it. */
export interface Settings {
  readonly cacheDir: string
  readonly flinkHome: string | undefined
  readonly javaHome: string | undefined
  readonly searchPath: readonly string[]
}

export function readSettings(env: NodeJS.ProcessEnv = process.env): Settings {
  return {
    cacheDir: env['TIDEMARK_CACHE_DIR'] || join(homedir(), '.cache', 'tidemark'),
    flinkHome: env['FLINK_HOME'] || undefined,
    javaHome: env['JAVA_HOME'] || undefined,
    searchPath: (env['PATH'] ?? '').split(':').filter((dir) => dir !== ''),
  }
}
