/** Flink's own reader of `_metadata` in a JVM that stays up: compiled once per run, warmed up like ours. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { FlinkDistribution } from '../../dev/flink/distribution.ts'
import { needTool, runTool } from '../../dev/flink/tools.ts'

export type FlinkReader = {
  /** Milliseconds for one file, operators as a proof that it was read. */
  read(file: string): Promise<{ operators: number; ms: number }>
  stop(): Promise<void>
}

/** As much as a JobManager has; the model of a 100 MB file with its inline state must fit. */
const HEAP = '-Xmx3g'

export async function startFlinkReader(flink: FlinkDistribution, folder: string): Promise<FlinkReader> {
  const classes = join(folder, 'flink-reader')
  await mkdir(classes, { recursive: true })
  const classPath = `${flink.libDir}/*`
  const source = join(import.meta.dirname, '../java/LoadMetadata.java')
  await runTool(await needTool('javac'), ['--release', '11', '-cp', classPath, '-d', classes, source])
  const child = spawn(
    await needTool('java'),
    [HEAP, '-cp', `${classes}:${classPath}`, 'dev.tidemark.bench.LoadMetadata'],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  const killOnExit = () => child.kill('SIGKILL')
  process.once('exit', killOnExit)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    async read(file) {
      child.stdin.write(`${file}\n`)
      const line = await lines.next()
      const [operators, nanos] = String(line.value).split(' ').map(Number)
      if (!operators || !nanos) throw new Error(`Flink's reader said ${JSON.stringify(line.value)}`)
      return { operators, ms: nanos / 1e6 }
    },
    async stop() {
      process.off('exit', killOnExit)
      const ended = once(child, 'exit')
      child.stdin.end()
      await ended
    },
  }
}
