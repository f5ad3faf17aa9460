/** Our processes as they are shipped (`node dist/cli/main.js …`), each with its output kept for a failing test. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

export type TidemarkProcess = {
  readonly pid: number
  readonly child: ChildProcess
  /** What it printed so far, stdout and stderr together. */
  output(): string
  /** SIGKILL, and gone when it resolves. */
  kill(signal?: NodeJS.Signals): Promise<void>
  /** SIGTERM, and gone when it resolves; SIGKILL when that takes longer than `withinMs`. Answers the exit code. */
  stop(withinMs?: number): Promise<number | null>
  /** Resolves with the exit code when it has ended by itself. */
  ended: Promise<number | null>
}

export type StartedProcess = TidemarkProcess & { url: string }

const STARTED = /\{"started":"(?:API|worker)".*\}/

/** Starts `tidemark serve` or `tidemark worker` and waits until it says that it has started. */
export async function startProcess(
  command: 'serve' | 'worker',
  env: Record<string, string>,
  readyWithinMs = 60_000,
): Promise<StartedProcess> {
  const running = spawnTidemark([command], env)
  const deadline = Date.now() + readyWithinMs
  for (;;) {
    const line = STARTED.exec(running.output())?.[0]
    if (line) return { ...running, url: readUrl(line) }
    if (running.child.exitCode !== null || Date.now() > deadline) {
      await running.kill()
      throw new Error(`tidemark ${command} did not start:\n${running.output()}`)
    }
    await sleep(25)
  }
}

function readUrl(line: string): string {
  const started: unknown = JSON.parse(line)
  if (typeof started === 'object' && started !== null && 'url' in started) return String(started.url)
  return ''
}

/** Any command of ours, without waiting for anything. Only what is named here and PATH is in its environment. */
export function spawnTidemark(args: readonly string[], env: Record<string, string>): TidemarkProcess {
  const child = spawn(process.execPath, ['dist/cli/main.js', ...args], {
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-200_000)
  }
  child.stdout?.on('data', keep)
  child.stderr?.on('data', keep)
  const ended = once(child, 'exit').then(() => child.exitCode)
  const isOver = () => child.exitCode !== null || child.signalCode !== null
  const kill = async (signal: NodeJS.Signals = 'SIGKILL') => {
    if (isOver()) return
    child.kill(signal)
    await ended
  }
  return {
    pid: child.pid ?? -1,
    child,
    output: () => output,
    kill,
    ended,
    async stop(withinMs = 20_000) {
      if (isOver()) return child.exitCode
      child.kill('SIGTERM')
      if ((await Promise.race([ended.then(() => 'ended'), sleep(withinMs, 'late')])) === 'late') await kill()
      return child.exitCode
    },
  }
}
