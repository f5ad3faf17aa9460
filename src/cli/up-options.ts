/** The options of `tidemark up`, checked: every mistake is one sentence. */
import { createServer } from 'node:net'
import { resolve } from 'node:path'
import { sayError, UpError } from './up-error.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** As commander hands them over. */
export type UpArguments = { flink?: string; port: string; dataDir: string; once: boolean }

export type FlinkChoice =
  | { kind: 'local' | 'simulated' }
  | { kind: 'url'; url: string }
  /** Local when this machine can, else simulated. */
  | { kind: 'best' }

export type UpOptions = { flink: FlinkChoice; port: number; dataDir: string; once: boolean }

export const readUpOptions = ({ flink, port, dataDir, once }: UpArguments): UpOptions => ({
  flink: flink === undefined ? { kind: 'best' } : readFlink(flink),
  port: readPort(port),
  dataDir: resolve(dataDir),
  once,
})

function readFlink(text: string): FlinkChoice {
  if (text === 'local' || text === 'simulated') return { kind: text }
  if (/^https?:\/\//.test(text) && URL.canParse(text)) return { kind: 'url', url: text.replace(/\/+$/, '') }
  throw new UpError(
    `--flink ${text} is not local, simulated or the http(s) address of a JobManager's REST API.`,
  )
}

function readPort(text: string): number {
  const port = Number(text)
  if (/^\d+$/.test(text) && port <= 65_535) return port
  throw new UpError(`--port ${text} is not a port: use a number from 0 to 65535, 0 for any free one.`)
}

/** Asked before anything is started, so that a taken port costs no time. */
export async function requireFreePort(port: number): Promise<void> {
  const server = createServer()
  try {
    await new Promise<void>((listening, reject) => {
      server.once('error', reject).listen({ host: '127.0.0.1', port }, listening)
    })
  } catch (error) {
    const taken = sayError(error).includes('EADDRINUSE')
    throw new UpError(`Port ${port} ${taken ? 'is taken' : 'may not be used'}; choose another with --port.`, {
      cause: error,
    })
  } finally {
    server.close()
  }
}
