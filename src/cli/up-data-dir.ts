/**
 * The data directory of `tidemark up`: one process uses it at a time, the token is chosen once and stays, and `up.json`
 * tells scripts about the installation that is running, or ran last.
 */
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { claimFolder } from './embedded-postgres.ts'
import { sayError, UpError } from './up-error.ts'

export type UpFile = {
  apiUrl: string
  token: string
  flinkUrl: string
  flinkKind: 'local' | 'simulated' | 'url'
  flinkVersion: string
  storageRoot: string
  job: string
  /** null: no savepoint has become Present. */
  snapshotId: string | null
  /** Every process of ours, this one first. */
  pids: number[]
}

export type DataDir = {
  path: string
  token: string
  /** Where savepoints go. */
  storageRoot: string
  postgresDir: string
  flinkDir: string
  writeUpFile(content: UpFile): Promise<void>
  release(): Promise<void>
}

const PRIVATE = 0o600

export async function openDataDir(path: string): Promise<DataDir> {
  await makeFolder(path)
  const release = await claim(path)
  try {
    const upFile = join(path, 'up.json')
    await rm(upFile, { force: true }) // what it says is about processes that have ended
    const storageRoot = join(path, 'storage')
    await mkdir(storageRoot, { recursive: true })
    return {
      path,
      token: await readOrChooseToken(join(path, 'token')),
      storageRoot,
      postgresDir: join(path, 'postgres'),
      flinkDir: join(path, 'flink'),
      writeUpFile: (content) => writePrivately(upFile, `${JSON.stringify(content, null, 2)}\n`),
      release,
    }
  } catch (error) {
    await release()
    throw error
  }
}

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true })
    // Postgres never runs as root; its user has to pass through here to its own folder, without reading this one.
    if (process.getuid?.() === 0) await chmod(path, (await stat(path)).mode | 0o001)
  } catch (error) {
    throw new UpError(`The data directory ${path} cannot be used: ${sayError(error)}.`, { cause: error })
  }
}

async function claim(path: string): Promise<() => Promise<void>> {
  try {
    return await claimFolder(path)
  } catch (error) {
    throw new UpError(`${sayError(error)} (--data-dir chooses another.)`, { cause: error })
  }
}

async function readOrChooseToken(file: string): Promise<string> {
  const kept = (await readFile(file, 'utf8').catch(() => '')).trim()
  if (/^\S{16,}$/.test(kept)) return kept
  const token = randomBytes(24).toString('base64url')
  await writePrivately(file, token)
  return token
}

/** By rename: a reader sees all of it or nothing. */
async function writePrivately(file: string, text: string): Promise<void> {
  const draft = `${file}.${process.pid}.draft`
  await rm(draft, { force: true })
  await writeFile(draft, text, { mode: PRIVATE, flag: 'wx' })
  await rename(draft, file)
}

export async function readPostgresPid(postgresDir: string): Promise<number | undefined> {
  const file = await readFile(join(postgresDir, 'pgdata', 'postmaster.pid'), 'utf8').catch(() => '')
  return Number(file.split('\n')[0]) || undefined
}
