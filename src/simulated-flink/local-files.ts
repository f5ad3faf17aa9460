import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Files } from './files.ts'

const toPath = (location: string): string => location.replace(/^file:/, '')

export function localFiles(): Files {
  return {
    stores: true,
    async makeDirectory(directory) {
      await makeWithParents(toPath(directory))
    },
    write: (file, bytes) => writeFile(toPath(file), bytes),
    async read(file) {
      try {
        return await readFile(toPath(file))
      } catch (error) {
        if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EISDIR')) return null
        throw error
      }
    },
    removeFile: (file) => rm(toPath(file), { force: true }),
    removeDirectory: (directory) => rm(toPath(directory), { recursive: true, force: true }),
    close() {},
  }
}

/** Not `recursive: true`: under `/proc` that never returns. */
async function makeWithParents(path: string): Promise<void> {
  try {
    await mkdir(path)
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return
    if (!hasCode(error, 'ENOENT') || dirname(path) === path) throw error
    await makeWithParents(dirname(path))
    await mkdir(path).catch((again) => {
      if (!hasCode(again, 'EEXIST')) throw again
    })
  }
}

const hasCode = (error: unknown, ...codes: string[]): boolean =>
  error instanceof Error && 'code' in error && codes.includes(String(error.code))
