import { createServer } from 'node:net'

/**
 * A free port below the range from which systems take the ports of outgoing connections: a
 * TaskManager that keeps dialling a dead JobManager must never be given that very port, or the
 * JobManager could not come back to it.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    if (handedOut.has(port) || !(await isFree(port))) continue
    handedOut.add(port)
    return port
  }
}

const handedOut = new Set<number>()

export async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return await new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
