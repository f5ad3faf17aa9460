import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { needTool } from './tools.ts'

/** A Java process whose output goes to a file. It never outlives this one. */
export interface JavaProcess {
  readonly name: string
  readonly pid: number
  isRunning(): boolean
  /** Sends the signal and waits for the end; after the grace period it kills. */
  end(signal?: NodeJS.Signals): Promise<void>
  tail(lines?: number): Promise<string>
}

export interface JavaCommand {
  readonly name: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly logFile: string
}

const GRACE_MS = 8_000

export async function startJava({ name, args, env, logFile }: JavaCommand): Promise<JavaProcess> {
  const java = await needTool('java')
  const log = openSync(logFile, 'a')
  // Its own process group: Ctrl-C in a terminal reaches us alone, and we stop everything in order.
  const child = spawn(java, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', log, log],
    detached: true,
  })
  closeSync(log)
  const pid = child.pid
  if (pid === undefined) throw new Error(`${name}: ${java} could not be started.`)
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  killWithUs(pid, ended)

  const isRunning = () => child.exitCode === null && child.signalCode === null
  return {
    name,
    pid,
    isRunning,
    end: (signal = 'SIGTERM') => (isRunning() ? endChild(child, ended, signal) : ended),
    tail: (lines = 30) => tailOf(logFile, lines),
  }
}

/**
 * However we end, kill -9 included, the pipe closes, `read` fails and the shell kills the process. When
 * the process ends first, a line makes the shell end without a kill, so a reused pid is never hit.
 */
function killWithUs(pid: number, ended: Promise<void>): void {
  const script = `read -r ended || kill -9 ${pid}`
  const watchdog = spawn('sh', ['-c', script], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  watchdog.unref()
  watchdog.stdin.on('error', () => {}) // the shell was killed by hand: nothing to tell it
  void ended.then(() => watchdog.stdin.end('ended\n'))
}

async function endChild(child: ChildProcess, ended: Promise<void>, signal: NodeJS.Signals): Promise<void> {
  child.kill(signal)
  await Promise.race([ended, sleep(GRACE_MS, undefined, { ref: false })])
  child.kill('SIGKILL')
  await ended
}

/** Without the frames of stack traces, between which the messages would be lost. */
async function tailOf(file: string, lines: number): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '')
  const said = text
    .trimEnd()
    .split('\n')
    .filter((line) => !isStackFrame(line))
  return said.slice(-lines).join('\n')
}

export const isStackFrame = (line: string): boolean => /^\s+(at |\.\.\. \d)/.test(line)

/** Asks until `probe` answers something; fails at once, with the log's tail, when a process ends meanwhile. */
export async function waitFor<T>(
  what: string,
  timeoutMs: number,
  processes: readonly JavaProcess[],
  probe: () => Promise<T | undefined>,
): Promise<T> {
  const giveUpAt = Date.now() + timeoutMs
  for (;;) {
    const dead = processes.find((process) => !process.isRunning())
    if (dead !== undefined)
      throw new Error(`${dead.name} ended while waiting for ${what}:\n${await dead.tail()}`)
    const answer = await probe().catch(() => undefined)
    if (answer !== undefined) return answer
    if (Date.now() > giveUpAt) throw new Error(await lateMessage(what, timeoutMs, processes))
    await sleep(150)
  }
}

async function lateMessage(
  what: string,
  timeoutMs: number,
  processes: readonly JavaProcess[],
): Promise<string> {
  const tails = await Promise.all(
    processes.map(async (process) => `--- ${process.name}\n${await process.tail(15)}`),
  )
  return [`Waited ${timeoutMs} ms in vain for ${what}.`, ...tails].join('\n')
}
