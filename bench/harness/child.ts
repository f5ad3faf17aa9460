/**
 * What is measured runs in processes of its own, its output in a file: reading a pipe would cost the load generator.
 * A child says that it is ready with one line of JSON that holds its `url` (a worker has none).
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** `inspector`: with `--inspect` among its options, where to ask it. */
export type Child = { url: string; pid: number; inspector: string | null; stop(): Promise<void> }

const READY_WITHIN_MS = 60_000
/** `BENCH_NODE_OPTIONS='--cpu-prof --cpu-prof-dir=…'` profiles the children. */
/** As the image sets them (Dockerfile). */
const SHIPPED_OPTIONS = '--max-semi-space-size=32'
const EXTRA_OPTIONS = `${SHIPPED_OPTIONS} ${process.env['BENCH_NODE_OPTIONS'] ?? ''}`.trim().split(/ +/)

/** The compiled `tidemark` command. */
export const startTidemark = (
  command: 'serve' | 'worker',
  env: Record<string, string>,
  folder: string,
  nodeOptions: readonly string[] = [],
): Promise<Child> => start(command, [...nodeOptions, 'dist/cli/main.js', command], env, folder)

/** A TypeScript file of this folder, with arguments. */
export const startScript = (file: string, args: readonly string[], folder: string): Promise<Child> =>
  start(file, ['--import', 'tsx', `bench/harness/${file}`, ...args], {}, folder)

async function start(
  name: string,
  args: readonly string[],
  env: Record<string, string>,
  folder: string,
): Promise<Child> {
  const logFile = join(folder, `${name}-${process.hrtime.bigint()}.log`)
  const log = openSync(logFile, 'a')
  const child = spawn(process.execPath, [...EXTRA_OPTIONS, ...args], {
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...env },
    stdio: ['ignore', log, log],
  })
  closeSync(log)
  const isOver = () => child.exitCode !== null || child.signalCode !== null
  const killOnExit = () => child.kill('SIGKILL')
  process.once('exit', killOnExit)
  const stop = async () => {
    process.off('exit', killOnExit)
    if (!isOver()) {
      const ended = once(child, 'exit')
      const late = setTimeout(() => child.kill('SIGKILL'), 20_000)
      child.kill('SIGTERM')
      await ended
      clearTimeout(late)
    }
    await rm(logFile, { force: true })
  }

  const deadline = Date.now() + READY_WITHIN_MS
  for (;;) {
    const over = isOver() // asked first: what it said last is then in what is read
    const output = await readFile(logFile, 'utf8')
    const line = /^\{"started":.*\}$/m.exec(output)?.[0]
    const inspector = /^Debugger listening on (ws:\S+)$/m.exec(output)?.[1] ?? null
    if (line) return { url: readUrl(line), pid: child.pid ?? -1, inspector, stop }
    if (over || Date.now() > deadline) {
      await stop()
      throw new Error(`${name} did not start:\n${output.slice(-2000)}`)
    }
    await sleep(25)
  }
}

function readUrl(line: string): string {
  const started: unknown = JSON.parse(line)
  return typeof started === 'object' && started !== null && 'url' in started ? String(started.url) : ''
}
