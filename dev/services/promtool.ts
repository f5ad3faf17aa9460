/** Prometheus' promtool, taken out of Debian's package into our cache: nothing is installed and no service starts. */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cachedBinDir, findProgram } from './cache.ts'

const run = promisify(execFile)

/** The path of the program, fetched when missing (20 MB, some seconds, once per machine). */
export async function providePromtool(): Promise<string> {
  const found = await findProgram('promtool')
  if (found) return found
  for (const tool of ['apt-get', 'dpkg-deb']) {
    if (!(await findProgram(tool))) {
      throw new Error(
        `promtool is not on PATH, and without ${tool} it cannot be fetched: install Prometheus 2.42 or newer.`,
      )
    }
  }
  await fetchPromtool().catch((error: Error) => {
    throw new Error('promtool is not on PATH and could not be taken from the package prometheus.', {
      cause: error,
    })
  })
  return join(cachedBinDir(), 'promtool')
}

/** It appears by rename: whoever finds it finds all of it, and of two that fetch at once the last one wins. */
async function fetchPromtool(): Promise<void> {
  const draft = join(cachedBinDir(), `promtool-${randomUUID()}`)
  await mkdir(draft, { recursive: true })
  try {
    await download(draft)
    const archive = (await readdir(draft)).find((name) => name.endsWith('.deb'))
    if (archive === undefined) throw new Error('apt-get download prometheus left no package.')
    await run('dpkg-deb', ['-x', join(draft, archive), join(draft, 'package')])
    await rename(join(draft, 'package', 'usr', 'bin', 'promtool'), join(cachedBinDir(), 'promtool'))
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

/** A fresh machine has no package lists; only root may fetch them. */
async function download(folder: string): Promise<void> {
  const aptDownload = () => run('apt-get', ['download', 'prometheus'], { cwd: folder })
  await aptDownload().catch(async (error: Error) => {
    if (process.getuid?.() !== 0) throw error
    await run('apt-get', ['update'])
    await aptDownload()
  })
}
