/** Binaries that are fetched or built once per machine and shared by every checkout. */
import { access, constants } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'

export const cacheDir = () => process.env['TIDEMARK_CACHE_DIR'] ?? join(homedir(), '.cache', 'tidemark')

export const cachedBinDir = () => join(cacheDir(), 'bin')

/** The path of a program: in our cache, else on PATH. */
export async function findProgram(name: string): Promise<string | undefined> {
  for (const folder of [cachedBinDir(), ...(process.env['PATH'] ?? '').split(delimiter)]) {
    const path = join(folder, name)
    if (await canExecute(path)) return path
  }
  return undefined
}

const canExecute = (path: string) =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
