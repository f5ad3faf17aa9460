/**
 * A server we started as a child process. It is written down in the run folder before anybody uses it, it is
 * killed when this process exits, and it does not receive the Ctrl-C of our terminal: we stop it when our own
 * work is done.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findFreePort, findStartTime } from '../../src/cli/embedded-postgres.ts'
import { openRunFolder } from './run-folder.ts'

export type ServiceProcess = {
  readonly pid: number
  /** SIGTERM, after ten seconds SIGKILL. */
  stop(): Promise<void>
  kill(): Promise<void>
  signal(name: NodeJS.Signals): void
}

export type ServiceCommand = {
  name: string
  command: string
  args: readonly string[]
  env?: Record<string, string>
  /** Asked every 25 ms until true. */
  isReady(): Promise<boolean>
}

const READY_TIMEOUT_MS = 30_000
const running = new Set<ChildProcess>()
let isWatchingExit = false

export async function startServiceProcess(command: ServiceCommand): Promise<ServiceProcess> {
  const base = join(await openRunFolder(), `${command.name}-${randomUUID().slice(0, 8)}`)
  const child = spawnRecorded(command, base)
  try {
    await waitUntilReady(command, child)
  } catch (error) {
    const log = (await readFile(`${base}.log`, 'utf8')).trim().slice(-2000)
    await describe(child, base).kill()
    throw new Error(`${command.name} did not start: ${log || String(error)}`, { cause: error })
  }
  return describe(child, base)
}

/** Runs `start` on the wished port, or on a free one, again when somebody was faster to take it. */
export async function startOnPort<T>(
  wished: number | undefined,
  start: (port: number) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(wished ?? (await findFreePort()))
    } catch (error) {
      if (wished || attempt === 3 || !/address already in use/i.test(String(error))) throw error
    }
  }
}

function spawnRecorded({ command, args, env }: ServiceCommand, base: string): ChildProcess {
  killAllOnExit()
  const log = openSync(`${base}.log`, 'a')
  // `detached` gives the child a process group of its own, out of reach of the terminal's Ctrl-C.
  const child = spawn(command, args, {
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...process.env, ...env },
  })
  closeSync(log)
  if (child.pid) writeFileSync(`${base}.pid`, `${child.pid} ${findStartTime(child.pid)}`)
  running.add(child)
  child.once('exit', () => running.delete(child))
  child.on('error', () => running.delete(child))
  child.unref() // who forgets to stop a service still gets to exit, and then it is killed
  return child
}

async function waitUntilReady({ isReady }: ServiceCommand, child: ChildProcess): Promise<void> {
  const giveUpAt = performance.now() + READY_TIMEOUT_MS
  while (isAlive(child)) {
    if (await isReady()) return
    if (performance.now() > giveUpAt) throw new Error(`not ready after ${READY_TIMEOUT_MS} ms`)
    await sleep(25)
  }
  throw new Error(`ended with code ${child.exitCode}`)
}

function describe(child: ChildProcess, base: string): ServiceProcess {
  const endAndForget = async (name: NodeJS.Signals) => {
    await end(child, name)
    await Promise.all(['pid', 'log'].map((kind) => rm(`${base}.${kind}`, { force: true })))
  }
  return {
    pid: child.pid ?? 0,
    stop: () => endAndForget('SIGTERM'),
    kill: () => endAndForget('SIGKILL'),
    signal: (name) => void child.kill(name),
  }
}

async function end(child: ChildProcess, name: NodeJS.Signals): Promise<void> {
  if (!isAlive(child)) return
  child.ref()
  const exited = once(child, 'exit')
  child.kill(name)
  child.kill('SIGCONT') // a paused process hears SIGTERM only when it goes on
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
  await exited
  clearTimeout(timer)
}

const isAlive = (child: ChildProcess) =>
  child.pid !== undefined && child.exitCode === null && child.signalCode === null

function killAllOnExit(): void {
  if (isWatchingExit) return
  isWatchingExit = true
  process.once('exit', () => {
    for (const child of running) child.kill('SIGKILL')
  })
}
