/**
 * Where this process keeps what it started: pid files, logs, data of throw-away services.
 * The name carries pid and start time of the owner, so whoever comes next can tell a folder whose owner was
 * SIGKILLed, end the processes it names and remove it. Nothing else may live in here.
 */
import { chmod, lstat, mkdir, readdir, readFile, rm, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findStartTime, stopAbandonedPostgres } from '../../src/cli/embedded-postgres.ts'

/** Data folders of Postgres in a run folder start with this. */
export const POSTGRES_PREFIX = 'postgres-'

let reaping: Promise<void> | undefined

/** The folder of this process; the first call also reaps those of dead processes. */
export async function openRunFolder(): Promise<string> {
  const parent = parentFolder()
  reaping ??= prepare(parent)
  await reaping
  await createPassable(ownFolder(parent))
  return ownFolder(parent)
}

/** Removes our own folder when everything in it has been stopped and removed. */
export async function removeRunFolder(): Promise<void> {
  await rmdir(ownFolder(parentFolder())).catch(() => undefined)
}

/** One per user: nobody may make us kill what their pid files name. */
const parentFolder = () => join(tmpdir(), `tidemark-services-${process.getuid?.() ?? 'user'}`)

const ownFolder = (parent: string) => join(parent, `run.${process.pid}.${findStartTime(process.pid)}`)

async function prepare(parent: string): Promise<void> {
  await createPassable(parent)
  const { uid } = await lstat(parent)
  if (uid !== (process.getuid?.() ?? uid)) throw new Error(`${parent} belongs to another user: remove it.`)
  await reapDeadRuns(parent)
}

/** When root runs the tests, the user `postgres` must be able to pass. */
async function createPassable(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  await chmod(folder, 0o711)
}

async function reapDeadRuns(parent: string): Promise<void> {
  const names = await readdir(parent)
  // One folder that resists is no reason not to start.
  await Promise.allSettled(names.filter(isDeadRun).map((name) => reap(join(parent, name))))
}

function isDeadRun(name: string): boolean {
  const [, pid, startTime] = /^run\.(\d+)\.(\w+)$/.exec(name) ?? []
  return pid !== undefined && findStartTime(Number(pid)) !== startTime
}

async function reap(folder: string): Promise<void> {
  const names = await readdir(folder)
  const pidFiles = names.filter((name) => name.endsWith('.pid'))
  const databases = names.filter((name) => name.startsWith(POSTGRES_PREFIX))
  await Promise.all(pidFiles.map((name) => killRecorded(join(folder, name))))
  await Promise.all(databases.map((name) => stopAbandonedPostgres(join(folder, name))))
  await rm(folder, { recursive: true, force: true, maxRetries: 3 })
}

/** A pid file holds "pid startTime": what has the pid but not the start time is somebody else. */
async function killRecorded(pidFile: string): Promise<void> {
  const [pid, startTime] = (await readFile(pidFile, 'utf8')).split(' ')
  const isAlive = () => startTime !== undefined && findStartTime(Number(pid)) === startTime
  if (isAlive()) process.kill(Number(pid), 'SIGKILL')
  while (isAlive()) await sleep(10)
}
