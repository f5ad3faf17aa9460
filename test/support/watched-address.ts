/**
 * Stands between us and a Flink, simulated or real: counts what reaches it, and lets a test strike at the moment a request
 * does. A request to a Flink that is down is cut off without an answer, as behind a load balancer: to the client it may
 * have arrived.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Passed = { method: string; path: string }

/** Both without the query. */
export type RequestPattern = { method: string; path: RegExp }

export type WatchedAddress = {
  readonly url: string
  /** What came, oldest first, whatever became of it. */
  count(pattern: RequestPattern): number
  /** Once, when the next such request comes, and before Flink sees it. */
  strikeBefore(pattern: RequestPattern, strike: () => Promise<unknown>): void
  /** Once, when Flink has answered the next such request; the answer is lost. */
  strikeAfter(pattern: RequestPattern, strike: () => Promise<unknown>): void
  /** Strikes that nothing has called for yet, and the first that failed. */
  check(): void
  stop(): Promise<void>
}

type Strike = { pattern: RequestPattern; when: 'before' | 'after'; strike: () => Promise<unknown> }

export async function startWatchedAddress(target: string): Promise<WatchedAddress> {
  const passed: Passed[] = []
  const strikes: Strike[] = []
  const failures: unknown[] = []
  const { hostname, port: targetPort } = new URL(target)
  const server = createServer((incoming, outgoing) => {
    const { method = 'GET', url = '/' } = incoming
    const here = { method, path: url.replace(/\?.*$/, '') }
    passed.push(here)
    const at = strikes.findIndex(({ pattern }) => matches(pattern, here))
    const [strike] = at < 0 ? [] : strikes.splice(at, 1)
    pass({ hostname, port: targetPort }, incoming, outgoing, strike).catch((error) => {
      failures.push(error)
      outgoing.destroy()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const add = (when: Strike['when']) => (pattern: RequestPattern, strike: Strike['strike']) => {
    strikes.push({ pattern, when, strike })
  }
  return {
    url: `http://127.0.0.1:${port}`,
    count: (pattern) => passed.filter((one) => matches(pattern, one)).length,
    strikeBefore: add('before'),
    strikeAfter: add('after'),
    check() {
      const [failure] = failures.splice(0)
      const left = strikes.splice(0).map(({ pattern }) => `${pattern.method} ${pattern.path.source}`)
      if (failure !== undefined) throw failure
      if (left.length > 0) throw new Error(`never asked for: ${left.join(', ')}`)
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

const matches = ({ method, path }: RequestPattern, one: Passed): boolean =>
  one.method === method && path.test(one.path)

async function pass(
  target: { hostname: string; port: string },
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  strike: Strike | undefined,
): Promise<void> {
  if (strike?.when === 'before') await strike.strike()
  const { method, url: path, headers } = incoming
  const forwarded = request({ ...target, method, path, headers })
  incoming.pipe(forwarded)
  // Whoever asked has gone away.
  outgoing.once('close', () => forwarded.destroy())
  const answer = await answerOf(forwarded)
  if (strike?.when === 'after') {
    answer?.resume()
    await strike.strike()
    outgoing.destroy()
    return
  }
  if (answer === null) {
    outgoing.destroy()
    return
  }
  outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
  answer.on('error', () => outgoing.destroy())
  answer.pipe(outgoing)
}

/** null: there was none. */
const answerOf = (forwarded: ReturnType<typeof request>): Promise<IncomingMessage | null> =>
  new Promise((resolve) => {
    forwarded.once('response', resolve)
    forwarded.on('error', () => resolve(null))
    forwarded.once('close', () => resolve(null))
  })
